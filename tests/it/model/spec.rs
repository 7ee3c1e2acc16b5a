//! What the model runs: a pipeline in plain Rust, rows, and what Kafka and a disk hold.

use std::collections::BTreeMap;

use serde_json::Value;

/// Table (its place in `Spec::tables`) and partition.
pub type Partition = (usize, i32);
/// Table, partition and offset.
pub type Place = (usize, i32, i64);
/// The event rows of a result row, by table; `None` where a LEFT join found nothing.
pub type Combination = Vec<Option<EventRow>>;

/// A pipeline. A row of it is its event rows, then what its look-ups found; `Value::Null` where there is none.
#[derive(Clone)]
pub struct Spec {
    /// The driving table, then the joined ones.
    pub tables: Vec<EventTable>,
    pub lookups: Vec<Lookup>,
    /// The conditions of WHERE on driving columns alone.
    pub driving: fn(&Value) -> bool,
    /// The others.
    pub condition: fn(&[Value]) -> bool,
    pub select: fn(&[Value]) -> Value,
    pub smart: Option<Smart>,
    pub idle_timeout_ms: i64,
    /// Whether rows are forgotten (4.3): nobody should see a difference.
    pub forgets: bool,
}

#[derive(Clone)]
pub struct EventTable {
    pub name: &'static str,
    pub left: bool,
    /// ON, over the rows before and the new one.
    pub on: fn(&[Value], &Value) -> bool,
    pub ttl_ms: i64,
    pub lateness_ms: i64,
}

#[derive(Clone)]
pub struct Lookup {
    pub table: &'static str,
    pub left: bool,
    pub key: fn(&[Value]) -> Value,
    pub column: &'static str,
    pub residual: fn(&[Value], &Value) -> bool,
}

#[derive(Clone)]
pub struct Smart {
    pub require: Vec<Required>,
    pub max_wait_ms: i64,
    pub on_expire: OnExpire,
}

#[derive(Clone)]
pub struct Required {
    pub output: &'static str,
    pub lookups: Vec<usize>,
    pub events: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpire {
    Drop,
    Emit,
    DeadLetter,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub time_ms: i64,
    pub timestamp_ms: i64,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub struct Change {
    pub table: &'static str,
    pub identity: u8,
    /// A tombstone has none.
    pub row: Option<Value>,
}

#[derive(Clone, Debug)]
pub struct EventRow {
    pub place: Place,
    pub time_ms: i64,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub struct Parked {
    pub rows: Combination,
    pub since_ms: i64,
    /// Look-ups, and the keys under which a row may bring what is missing. Not kept: found by forming it again.
    pub wakes: Vec<(usize, Value)>,
}

/// How a combination ended, with its result rows.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With no rows: dropped by a condition.
    Formed(Vec<Value>),
    Expired(Vec<Value>),
    /// Expired with a dead letter for each of these rows.
    Letters(Vec<Value>),
    Withdrawn,
}

/// What Kafka holds: it decides, state follows.
#[derive(Clone, Default)]
pub struct Kafka {
    pub logs: BTreeMap<Partition, Vec<Record>>,
    pub changes: Vec<Change>,
    /// Output, dead letters and what only a model can see, with the coordinates of the event rows.
    pub ends: Vec<(Vec<Option<Place>>, End)>,
    pub offsets: BTreeMap<Partition, Offset>,
    pub journal: Vec<Parked>,
}

/// A committed offset and its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    pub next: i64,
    pub oldest_needed: i64,
    /// The greatest time processed in the partition.
    pub time_ms: i64,
    /// The greatest stream time by which rows of the partition were judged.
    pub floor_ms: i64,
}

/// Local state at some `next`, which never leads what is committed.
#[derive(Clone, Default)]
pub struct Disk {
    pub next: BTreeMap<Partition, i64>,
    pub events: Vec<EventRow>,
}

/// What a cut brings besides rows.
#[derive(Clone, Default)]
pub struct Passing {
    pub now_ms: i64,
    pub at_end: bool,
    /// The partitions that are read, and whether to their ends; none: those that ever had a row, to their ends.
    pub partitions: BTreeMap<Partition, bool>,
    pub stream_time_ms: Option<i64>,
}

impl EventRow {
    pub fn of(place: Place, record: &Record) -> Self {
        Self { place, time_ms: record.time_ms, value: record.value.clone() }
    }
}

pub fn values(rows: &Combination) -> Vec<Value> {
    rows.iter().map(|row| row.as_ref().map_or(Value::Null, |row| row.value.clone())).collect()
}

pub fn places(rows: &Combination) -> Vec<Option<Place>> {
    rows.iter().map(|row| row.as_ref().map(|row| row.place)).collect()
}
