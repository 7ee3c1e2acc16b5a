//! The naive join: one row at a time, nested loops over JSON values, conditions in plain Rust. It shares nothing with the
//! engine but the text of SEMANTICS, and must stay so short that it can be checked by reading.

use std::collections::BTreeMap;

use serde_json::Value;

use super::history::{Change, Step};

/// A query in plain Rust. A table that a LEFT join found nothing in is `Value::Null`, and so are all its columns.
pub struct Query {
    /// The same query as a pipeline.
    pub yaml: &'static str,
    /// Whether the row's identity is its column `uid` (declared), and not only the record's key.
    pub declared: bool,
    pub joins: Vec<Join>,
    /// WHERE, over the driving row and what was joined, in order.
    pub condition: fn(&[Value]) -> bool,
    pub select: fn(&[Value]) -> Value,
}

pub struct Join {
    pub table: &'static str,
    pub left: bool,
    /// ON, over the rows before and the new one.
    pub on: fn(&[Value], &Value) -> bool,
}

/// `left = right` in SQL: NULL equals nothing (SEMANTICS 2.2).
pub fn equal(left: &Value, right: &Value) -> bool {
    !left.is_null() && left == right
}

/// `left <= right` in SQL.
pub fn at_most(left: &Value, right: &Value) -> bool {
    matches!((left.as_i64(), right.as_i64()), (Some(left), Some(right)) if left <= right)
}

/// The dimensions as they stand: rows by identity, in the order of their last change (1.7, 1.8).
#[derive(Default)]
pub struct Naive {
    tables: BTreeMap<&'static str, Vec<(u8, Value)>>,
}

impl Naive {
    /// What comes of a batch, in order (2.4): dimension rows, then driving rows by partition.
    pub fn cut(&mut self, query: &Query, steps: &[Step]) -> Vec<Value> {
        for step in steps {
            if let Step::Change(Change { table, identity, row }) = step {
                let rows = self.tables.entry(table).or_default();
                rows.retain(|(of, _)| of != identity);
                rows.extend(row.clone().map(|row| (*identity, row.with_identity(*identity, query.declared))));
            }
        }
        let events = steps.iter().filter_map(|step| match step {
            Step::Event(event) => Some(event),
            Step::Change(_) => None,
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|event| event.partition);
        events.into_iter().flat_map(|event| self.event(query, event.value())).collect()
    }

    fn event(&self, query: &Query, event: Value) -> Vec<Value> {
        let mut combinations = vec![vec![event]];
        for join in &query.joins {
            let mut joined = Vec::new();
            for before in combinations {
                let rows = self.tables.get(join.table).map_or(&[][..], Vec::as_slice).iter().map(|(_, row)| row);
                let found: Vec<&Value> = rows.filter(|row| (join.on)(&before, row)).collect();
                let missed = if join.left && found.is_empty() { vec![&Value::Null] } else { Vec::new() };
                for row in found.into_iter().chain(missed) {
                    joined.push([&before[..], std::slice::from_ref(row)].concat());
                }
            }
            combinations = joined;
        }
        combinations.retain(|combination| (query.condition)(combination));
        combinations.iter().map(|combination| (query.select)(combination)).collect()
    }
}
