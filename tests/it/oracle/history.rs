//! Random histories: changes of two dimensions and events, few values each, so that they meet; and batch borders.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::joins::engine::{Record, START_MS};

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step {
    Change(Change),
    Event(Event),
}

/// An upsert or, without a row, a tombstone.
#[derive(Clone, Debug)]
pub struct Change {
    pub table: &'static str,
    pub identity: u8,
    pub row: Option<Row>,
}

/// A row of a dimension: of `users` and `shops` alike, so that a query may join either.
#[derive(Clone, Debug)]
pub struct Row {
    pub uid: Option<u8>,
    pub team: Option<u8>,
    pub level: Option<i8>,
    pub next: Option<u8>,
}

/// A row of the driving table.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: u32,
    pub partition: i32,
    pub a: Option<u8>,
    pub b: Option<u8>,
    pub n: Option<i8>,
}

fn text(prefix: char, number: Option<u8>) -> Value {
    number.map_or(Value::Null, |number| json!(format!("{prefix}{number}")))
}

impl Row {
    /// The row as JSON; where the identity is declared, it is the column `uid`.
    pub fn with_identity(self, identity: u8, declared: bool) -> Value {
        let uid = if declared { Some(identity) } else { self.uid };
        json!({
            "uid": text('u', uid),
            "team": text('t', self.team),
            "level": self.level,
            "next": text('u', self.next),
            // A column of the row as a whole, so that an old row shows.
            "name": format!("{identity}/{:?}/{:?}", self.team, self.level),
        })
    }
}

impl Event {
    pub fn value(&self) -> Value {
        json!({ "id": self.id, "a": text('u', self.a), "b": text('t', self.b), "n": self.n })
    }
}

impl Step {
    /// The step as a record.
    pub fn record(&self, declared: bool) -> Record {
        let record = Record { timestamp_ms: START_MS, ..Record::default() };
        match self {
            Step::Event(event) => Record {
                table: "events".to_string(),
                value: Some(event.value().to_string().into_bytes()),
                partition: event.partition,
                ..record
            },
            Step::Change(Change { table, identity, row }) => Record {
                table: (*table).to_string(),
                key: Some(format!("u{identity}").into_bytes()),
                value: row.clone().map(|row| row.with_identity(*identity, declared).to_string().into_bytes()),
                ..record
            },
        }
    }
}

prop_compose! {
    fn row()(
        uid in option::weighted(0.85, 0..5_u8),
        team in option::weighted(0.85, 0..3_u8),
        level in option::weighted(0.8, -1..4_i8),
        next in option::weighted(0.8, 0..5_u8),
    ) -> Row {
        Row { uid, team, level, next }
    }
}

/// A change of a dimension.
pub fn change() -> impl Strategy<Value = Step> {
    let table = prop_oneof![3 => Just("users"), 1 => Just("shops")];
    (table, 0..5_u8, option::weighted(0.75, row()))
        .prop_map(|(table, identity, row)| Step::Change(Change { table, identity, row }))
}

/// An event; its id is given by `numbered`.
pub fn event() -> impl Strategy<Value = Step> {
    let key = || option::weighted(0.85, 0..5_u8);
    (0..3_i32, key(), option::weighted(0.85, 0..3_u8), option::weighted(0.8, -1..4_i8))
        .prop_map(|(partition, a, b, n)| Step::Event(Event { id: 0, partition, a, b, n }))
}

/// A history in batches.
pub fn history() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![change(), event()];
    vec(vec(step, 1..12), 1..8).prop_map(numbered)
}

/// A history of which all changes come before all events: dimensions that do not change once loaded.
pub fn loaded_history() -> impl Strategy<Value = (Vec<Step>, Vec<Step>)> {
    (vec(change(), 0..24), vec(event(), 1..24)).prop_map(|(changes, events)| {
        let mut all = numbered(vec![changes, events]);
        let events = all.pop().expect("the events");
        (all.pop().expect("the changes"), events)
    })
}

/// Numbers the events, so that each result tells where it comes from.
fn numbered(mut cuts: Vec<Vec<Step>>) -> Vec<Vec<Step>> {
    let events = cuts.iter_mut().flatten().filter_map(|step| match step {
        Step::Event(event) => Some(event),
        Step::Change(_) => None,
    });
    for (id, event) in events.enumerate() {
        event.id = id as u32;
    }
    cuts
}
