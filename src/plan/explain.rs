//! A plan for a person: tables, the join graph, and what runs above it.

use std::fmt::{Display, Formatter, Result, Write};
use std::time::Duration;

use super::query::{Dimension, Emission, Event, IdentityRule, Lookup, LookupKind, Plan, Smart};
use super::table::{Role, Table};
use crate::config::{OnExpire, type_name};
use crate::expression::Expression;

impl Display for Plan {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "tables")?;
        for table in &self.tables {
            self.table(out, table)?;
        }
        writeln!(out, "\njoins")?;
        for event in &self.events {
            self.event_join(out, event)?;
        }
        for lookup in &self.lookups {
            self.lookup(out, lookup)?;
        }
        writeln!(out, "\nabove the joins")?;
        if let Some(condition) = &self.condition {
            writeln!(out, "  kept if {}", condition.text())?;
        }
        for (number, output) in self.outputs.iter().enumerate() {
            let key = if self.key == Some(number) { "  (record key)" } else { "" };
            let expression = &output.expression;
            let data_type = type_name(&output.data_type);
            let text =
                if expression.text() == output.name { String::new() } else { format!(" = {}", expression.text()) };
            writeln!(out, "  {}: {data_type}{text}{key}", output.name)?;
        }
        match &self.emission {
            Emission::Immediate => Ok(()),
            Emission::Smart(smart) => self.smart(out, smart),
        }
    }
}

impl Plan {
    fn table(&self, out: &mut Formatter<'_>, table: &Table) -> Result {
        let event = self.events.iter().find(|event| event.table == table.id);
        let role = match (table.role, event.is_some_and(|event| event.join.is_some())) {
            (Role::Event, false) => "event table, driving",
            (Role::Event, true) => "event table, joined",
            (Role::Dimension, _) => "dimension",
        };
        writeln!(out, "  {} ({role}), topic {}", table.name, table.topic)?;
        let mut columns = String::new();
        for column in &table.columns {
            let comma = if columns.is_empty() { "" } else { ", " };
            write!(columns, "{comma}{} {}", column.name(), type_name(&column.data_type()))?;
        }
        writeln!(out, "    columns used: {}", if columns.is_empty() { "none" } else { &columns })?;
        if let Some(time) = &table.event_time {
            writeln!(out, "    time: {}", time.name())?;
        } else if table.role == Role::Event {
            writeln!(out, "    time: the record's timestamp")?;
        }
        if let Some(event) = event {
            self.event(out, event)?;
        }
        match self.dimensions.iter().find(|dimension| dimension.table == table.id) {
            Some(dimension) => self.dimension(out, dimension),
            None => Ok(()),
        }
    }

    fn event(&self, out: &mut Formatter<'_>, event: &Event) -> Result {
        writeln!(out, "    ttl: {}", duration(event.ttl_ms))?;
        if self.events.len() == 1 {
            return writeln!(out, "    state kept: none (it is joined with dimensions only)");
        }
        writeln!(out, "    late: rows more than {} behind the table's time", duration(event.lateness_ms))?;
        for index in &event.indexes {
            writeln!(out, "    index: {}", self.names_of_event(event, index))?;
        }
        write!(out, "    state kept: rows until no row of the others that is not late can need them: ")?;
        for (number, (other, kept_ms)) in self.kept_ms(event).into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(out, "{comma}{} behind {}", duration(kept_ms), self.name(other))?;
        }
        writeln!(out)
    }

    /// By the time of which other tables rows are forgotten, and how far behind it, ms (SEMANTICS 4.3).
    fn kept_ms(&self, event: &Event) -> Vec<(&Event, i64)> {
        let driving = &self.events[0];
        let others = self.events.iter().filter(|other| other.table != event.table);
        let kept_ms = |other: &Event| {
            // A driving row lives for its own ttl; another row for as long as a driving row may need it that comes yet, or
            // that is there and waits for a third table.
            let own = if event.join.is_some() { event.ttl_ms } else { 0 };
            let of_driving = if other.join.is_some() { driving.ttl_ms } else { 0 };
            own.saturating_add(of_driving).saturating_add(other.lateness_ms)
        };
        others.map(|other| (other, kept_ms(other))).collect()
    }

    fn event_join(&self, out: &mut Formatter<'_>, event: &Event) -> Result {
        let Some(join) = &event.join else {
            writeln!(out, "  {} drives", self.name(event))?;
            return match &event.condition {
                Some(condition) => writeln!(out, "    kept before the joins if {}", condition.text()),
                None => Ok(()),
            };
        };
        let kind = if join.left { "LEFT" } else { "INNER" };
        write!(out, "  {kind} {} with {} on ", self.name(event), self.name(&self.events[join.parent]))?;
        for (number, (parent, own)) in join.parent_keys.iter().zip(&join.keys).enumerate() {
            let and = if number == 0 { "" } else { " and " };
            write!(out, "{and}{} = {}", parent.text(), own.text())?;
        }
        writeln!(out)?;
        if let Some(condition) = &event.condition {
            writeln!(out, "    kept before the join if {}", condition.text())?;
        }
        match &join.residual {
            Some(residual) => writeln!(out, "    matches if {}", residual.text()),
            None => Ok(()),
        }
    }

    fn lookup(&self, out: &mut Formatter<'_>, lookup: &Lookup) -> Result {
        let dimension = &self.dimensions[lookup.dimension];
        let stored = &dimension.indexes[lookup.index];
        let kind = match lookup.kind {
            LookupKind::Inner => "INNER",
            LookupKind::Left => "LEFT",
            LookupKind::Semi => "EXISTS",
            LookupKind::Anti => "NOT EXISTS",
            LookupKind::NotIn { .. } => "NOT IN",
        };
        write!(out, "  {kind} {} on ", lookup.table)?;
        for (number, (key, &column)) in lookup.keys.iter().zip(stored).enumerate() {
            let and = if number == 0 { "" } else { " and " };
            write!(out, "{and}{} = {}", key.text(), self.stored_name(dimension, column))?;
        }
        writeln!(out)?;
        match &lookup.residual {
            Some(residual) => writeln!(out, "    matches if {}", residual.text()),
            None => Ok(()),
        }
    }

    fn dimension(&self, out: &mut Formatter<'_>, dimension: &Dimension) -> Result {
        let names = |columns: &[usize]| {
            columns.iter().map(|&column| self.stored_name(dimension, column)).collect::<Vec<_>>().join(", ")
        };
        let identity = match &dimension.identity {
            IdentityRule::Declared(columns) => names(columns),
            IdentityRule::RecordKeyOr(Some(columns)) => {
                format!("the record's key; of records without keys: {}", names(columns))
            }
            IdentityRule::RecordKeyOr(None) => "the record's key".to_string(),
        };
        writeln!(out, "    identity: {identity}")?;
        for index in &dimension.indexes {
            writeln!(out, "    index: {}", names(index))?;
        }
        writeln!(out, "    state kept: the current row of each identity; never expires")
    }

    fn smart(&self, out: &mut Formatter<'_>, smart: &Smart) -> Result {
        writeln!(out, "\nemission")?;
        for required in &smart.require {
            let events = required.events.iter().map(|&event| self.name(&self.events[event]));
            let tables: Vec<_> =
                events.chain(required.lookups.iter().map(|&lookup| self.lookups[lookup].table.as_str())).collect();
            let of = if tables.is_empty() { String::new() } else { format!(", made of {}", tables.join(", ")) };
            writeln!(out, "  waits for {}{of}", self.outputs[required.output].name)?;
        }
        let then = match smart.on_expire {
            OnExpire::Drop => "is dropped and counted",
            OnExpire::Emit => "comes out as it is",
            OnExpire::DeadLetter => "goes to the dead-letter topic",
        };
        writeln!(out, "  for {} at most; what is not complete then {then}", duration(smart.max_wait_ms))
    }

    fn name(&self, event: &Event) -> &str {
        &self.tables[event.table.index()].name
    }

    fn stored_name(&self, dimension: &Dimension, column: usize) -> String {
        stored_name(&self.tables[dimension.table.index()], &dimension.computed, column)
    }

    fn names_of_event(&self, event: &Event, columns: &[usize]) -> String {
        let table = &self.tables[event.table.index()];
        columns.iter().map(|&column| stored_name(table, &event.computed, column)).collect::<Vec<_>>().join(", ")
    }
}

fn stored_name(table: &Table, computed: &[Expression], column: usize) -> String {
    match table.columns.get(column) {
        Some(plain) => plain.name().to_string(),
        None => computed_name(&computed[column - table.columns.len()], table),
    }
}

/// The text of a stored expression reads columns by their places.
fn computed_name(expression: &Expression, table: &Table) -> String {
    let mut text = expression.text().to_string();
    for &place in expression.inputs().iter().rev() {
        text = text.replace(&format!("stored#{place}"), table.columns[place].name());
    }
    text
}

fn duration(ms: i64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_millis(ms.unsigned_abs()))
}
