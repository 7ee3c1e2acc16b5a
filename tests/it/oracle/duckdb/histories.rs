//! Random histories for DuckDB: events of which none is late, and dimensions.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use crate::joins::engine::Record;

/// The place of a key, a level and a team.
type Place = (Option<usize>, Option<u8>, Option<u8>);

/// How far the wall clock is ahead: no time is beyond it.
pub const WALL_MS: i64 = 10_000_000;
/// How far an event may be behind those before it.
pub const LATENESS_MS: i64 = 5_000;

/// What a history may hold, so that the batch SQL is its answer (SEMANTICS 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dimensions that do not change once loaded; events in any batches.
    Loaded,
    /// All events in one batch: then LEFT joins of events find all.
    OneBatch,
    /// Dimension rows that come late, and do not change after.
    Late,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Entry {
    Event { table: &'static str, partition: i32, id: usize, a: Option<u8>, b: Option<u8>, time_ms: i64 },
    Change { table: &'static str, identity: u8, id: usize, row: Option<Columns> },
    Cut,
}

/// The columns of a dimension's row.
#[derive(Clone, Debug)]
pub struct Columns {
    pub key: Option<u8>,
    pub level: Option<u8>,
    pub team: Option<u8>,
}

/// The headers of the tables.
pub fn tables() -> BTreeMap<&'static str, String> {
    let events = ["d", "s", "t"].map(|table| (table, "q,h,id,a,b,time\n".to_string()));
    let dimension = "q,h,place,identity,gone,id,key,level,team\n";
    events.into_iter().chain(["users", "teams"].map(|table| (table, dimension.to_string()))).collect()
}

fn text(number: Option<u8>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

impl Entry {
    /// The entry as a record.
    pub fn record(&self, start_ms: i64) -> Option<Record> {
        match self {
            Entry::Event { table, partition, id, a, b, time_ms } => Some(Record {
                table: table.to_string(),
                value: Some(json!({"id": id, "a": a, "b": b}).to_string().into_bytes()),
                partition: *partition,
                timestamp_ms: start_ms + time_ms,
                ..Record::default()
            }),
            Entry::Change { table, identity, id, row } => {
                let value = row
                    .as_ref()
                    .map(|row| json!({"id": id, "key": row.key, "level": row.level, "team": row.team}).to_string());
                Some(Record {
                    table: table.to_string(),
                    key: Some(identity.to_string().into_bytes()),
                    value: value.map(String::into_bytes),
                    timestamp_ms: start_ms,
                    ..Record::default()
                })
            }
            Entry::Cut => None,
        }
    }

    /// The entry as a line of its table.
    pub fn row(&self, place: usize) -> Option<(&'static str, String)> {
        match self {
            Entry::Event { table, id, a, b, time_ms, .. } => {
                Some((*table, format!("{id},{},{},{time_ms}", text(*a), text(*b))))
            }
            Entry::Change { table, identity, id, row: Some(Columns { key, level, team }) } => {
                Some((*table, format!("{place},{identity},false,{id},{},{},{}", text(*key), text(*level), text(*team))))
            }
            Entry::Change { table, identity, id, row: None } => {
                Some((*table, format!("{place},{identity},true,{id},,,")))
            }
            Entry::Cut => None,
        }
    }
}

/// A history as a person would write it.
pub fn shown(entries: &[Entry]) -> String {
    let line = |entry: &Entry| match entry.record(0) {
        None => "cut\n".to_string(),
        Some(record) => {
            let value = record.value.map_or("(none)".to_string(), |value| String::from_utf8_lossy(&value).into_owned());
            let key = record.key.map(|key| format!(" key={}", String::from_utf8_lossy(&key))).unwrap_or_default();
            let place = format!("partition={} at={}ms", record.partition, record.timestamp_ms);
            format!("produce {}{key} {place} {value}\n", record.table)
        }
    };
    entries.iter().map(line).collect()
}

fn key() -> impl Strategy<Value = Option<u8>> {
    option::weighted(0.9, 0..4_u8)
}

/// A change of one of few rows, with few values, or with a NULL now and then.
fn change() -> impl Strategy<Value = Entry> {
    let row =
        (key(), option::weighted(0.9, 0..3_u8), key()).prop_map(|(key, level, team)| Columns { key, level, team });
    (prop_oneof![Just("users"), Just("teams")], 0..5_u8, option::weighted(0.85, row))
        .prop_map(|(table, identity, row)| Entry::Change { table, identity, id: 0, row })
}

/// An event, whose time is not known yet: how much later than the last, and how far behind.
fn event() -> impl Strategy<Value = (Entry, i64, i64)> {
    let table = prop_oneof![3 => Just("d"), 2 => Just("s"), 2 => Just("t")];
    let later_ms = prop_oneof![2 => Just(0), 6 => (0..6_i64).prop_map(|steps| 500 * steps), 1 => 0..20_000_i64];
    let behind_ms = prop_oneof![3 => Just(0), 3 => (0..=10_i64).prop_map(|steps| 500 * steps), 1 => 0..=LATENESS_MS];
    (table, 0..2_i32, key(), key(), later_ms, behind_ms).prop_map(|(table, partition, a, b, later_ms, behind_ms)| {
        (Entry::Event { table, partition, id: 0, a, b, time_ms: 0 }, later_ms, behind_ms)
    })
}

/// Events in the order in which they are processed, with batch borders.
fn events() -> impl Strategy<Value = Vec<Entry>> {
    vec((event(), proptest::bool::weighted(0.2)), 1..45).prop_map(|steps| {
        let (mut entries, mut reached_ms) = (Vec::new(), 20_000);
        for ((mut entry, later_ms, behind_ms), is_last) in steps {
            reached_ms += later_ms;
            if let Entry::Event { time_ms, .. } = &mut entry {
                *time_ms = reached_ms - behind_ms;
            }
            entries.push(entry);
            entries.extend(is_last.then_some(Entry::Cut));
        }
        entries
    })
}

/// Rows of dimensions of which each is there once, under its own key, among the events.
fn late_changes() -> impl Strategy<Value = Vec<(usize, Entry)>> {
    let row = (option::weighted(0.7, 0..60_usize), option::weighted(0.9, 0..3_u8), key());
    vec(row, 8).prop_map(|rows| {
        let of_place = |(number, (place, level, team)): (usize, Place)| {
            let (table, identity) = if number < 4 { ("users", number) } else { ("teams", number - 4) };
            let row = Some(Columns { key: Some(identity as u8), level, team });
            Some((place?, Entry::Change { table, identity: identity as u8, id: 0, row }))
        };
        rows.into_iter().enumerate().filter_map(of_place).collect()
    })
}

/// Histories of a kind; each entry has a number of its own.
pub fn histories(kind: Kind) -> BoxedStrategy<Vec<Entry>> {
    let loaded = (vec((change(), proptest::bool::weighted(0.2)), 0..14), events());
    let loaded = loaded.prop_map(move |(changes, mut events)| {
        if kind == Kind::OneBatch {
            events.retain(|entry| !matches!(entry, Entry::Cut));
        }
        let changes = changes.into_iter().flat_map(|(change, cut)| [Some(change), cut.then_some(Entry::Cut)]);
        changes.flatten().chain([Entry::Cut]).chain(events).collect()
    });
    let late = (late_changes(), events()).prop_map(|(changes, mut events)| {
        for (place, change) in changes {
            events.insert(place.min(events.len()), change);
        }
        events
    });
    let entries = if kind == Kind::Late { late.boxed() } else { loaded.boxed() };
    entries.prop_map(numbered).boxed()
}

fn numbered(mut entries: Vec<Entry>) -> Vec<Entry> {
    for (number, entry) in entries.iter_mut().enumerate() {
        match entry {
            Entry::Event { id, .. } | Entry::Change { id, .. } => *id = number,
            Entry::Cut => {}
        }
    }
    entries
}
