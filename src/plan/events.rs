//! The event tables of a plan: their conditions, keys and indexes.

use super::base::Instance;
use super::bind::{BoundJoin, JoinKind};
use super::compile::Compiler;
use super::index_keys::TableKeys;
use super::query::{Event, EventJoin, Part};
use crate::expression::Expression;

impl Compiler<'_> {
    /// The event tables; of the driving table rows that fulfil `driving`.
    pub(super) fn events(&self, driving: Option<Expression>) -> Result<Vec<Event>, String> {
        let joins: Vec<_> = self.bound.event_joins().collect();
        // No event table is in a query twice: its place among them is its table's.
        let mut keys: Vec<_> = (0..=joins.len()).map(|table| TableKeys::new(self, table)).collect();
        let mut how = vec![(driving, None)];
        for join in joins {
            how.push((self.stored_if(join)?, Some(self.event_join(join, &mut keys)?)));
        }
        let events = keys.into_iter().zip(how).zip(&self.tables).map(|((keys, (condition, join)), table)| {
            let (computed, indexes) = keys.of_event();
            let ttl_ms = table.ttl_ms.expect("BUG: an event table has a ttl");
            let lateness_ms = self.pipeline.events.lateness_ms(ttl_ms);
            Event { table: table.id, condition, computed, indexes, ttl_ms, lateness_ms, join }
        });
        Ok(events.collect())
    }

    /// What rows of a joined table must fulfil whatever they are joined with.
    fn stored_if(&self, join: &BoundJoin) -> Result<Option<Expression>, String> {
        let own = join.residual.iter().filter(|part| self.bound.base.instances_of(part)[..] == [join.instance]);
        self.all_of(&own.cloned().collect::<Vec<_>>())
    }

    fn event_join(&self, join: &BoundJoin, keys: &mut [TableKeys]) -> Result<EventJoin, String> {
        let parent = self.event_of(join.parent.expect("BUG: an event table is joined with another"));
        let (before, new) = self.keys(&join.keys)?;
        let expressions =
            |keys: &[datafusion_expr::Expr]| keys.iter().map(|key| self.expression(key)).collect::<Result<Vec<_>, _>>();
        Ok(EventJoin {
            parent,
            left: join.kind == JoinKind::Left,
            parent_keys: expressions(&before)?,
            index: keys[self.event_of(join.instance)].index_on(self, &new)?,
            keys: expressions(&new)?,
            parent_index: keys[parent].index_on(self, &before)?,
            residual: self.all_of(&join.residual)?,
        })
    }

    fn event_of(&self, instance: Instance) -> usize {
        match self.parts[instance.0] {
            Part::Event(event) => event,
            Part::Lookup(_) => unreachable!("BUG: an event table is no look-up"),
        }
    }
}
