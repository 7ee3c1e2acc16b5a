//! What the stages hand to each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;

use crate::clock::Stopwatch;

/// A table of the pipeline: its place in `Plan::tables`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

impl TableId {
    /// The place in `Plan::tables`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Byte strings laid end to end in one shared arena (less than 4 GiB); an absent one is `None`.
#[derive(Clone, Debug)]
pub struct Slices {
    arena: Buffer,
    spans: Vec<Span>,
}

/// Where a byte string lies in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes; `ABSENT` for none.
    pub len: u32,
}

impl Span {
    const ABSENT: u32 = u32::MAX;

    /// Whether there is a byte string at all: a Kafka key or value may be null.
    pub fn is_absent(self) -> bool {
        self.len == Self::ABSENT
    }
}

impl Slices {
    /// How many byte strings, the absent ones included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The byte string at `index`, or `None` if it is absent.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let span = self.spans[index];
        (!span.is_absent()).then(|| &self.arena[span.start as usize..(span.start + span.len) as usize])
    }

    /// The shared bytes, for view arrays that point into them.
    pub fn arena(&self) -> &Buffer {
        &self.arena
    }

    /// One span a byte string.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }
}

/// Builds `Slices`.
#[derive(Debug, Default)]
pub struct SlicesBuilder {
    arena: Vec<u8>,
    spans: Vec<Span>,
}

impl SlicesBuilder {
    /// Room for `strings` strings of `bytes` bytes together.
    pub fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self { arena: Vec::with_capacity(bytes), spans: Vec::with_capacity(strings) }
    }

    /// Appends a copy of `bytes`.
    pub fn push(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.push_with(|arena| arena.extend_from_slice(bytes)),
            None => self.spans.push(Span { start: self.arena.len() as u32, len: Span::ABSENT }),
        }
    }

    /// Appends what `write` appends to the arena.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        write(&mut self.arena);
        assert!(
            self.arena.len() < Span::ABSENT as usize,
            "BUG: an arena of 4 GiB; batches are cut by bytes long before"
        );
        self.spans.push(Span { start: start as u32, len: (self.arena.len() - start) as u32 });
    }

    /// How many strings so far.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many bytes so far.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The finished strings.
    pub fn finish(self) -> Slices {
        Slices { arena: Buffer::from_vec(self.arena), spans: self.spans }
    }

    /// Takes over an arena that was filled elsewhere; every span must lie within it.
    pub fn from_parts(arena: Vec<u8>, spans: Vec<Span>) -> Slices {
        Slices { arena: Buffer::from_vec(arena), spans }
    }
}

/// The headers of one record, in their order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// Raw records of one table in the order of processing (by partition and offset), as columns of equal length.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// Whose records.
    pub table: TableId,
    /// Record values; an absent one is a tombstone.
    pub values: Slices,
    /// Record keys.
    pub keys: Slices,
    /// Partition of each record.
    pub partitions: Vec<i32>,
    /// Offset of each record in its partition.
    pub offsets: Vec<i64>,
    /// Timestamp of each record, ms since the epoch.
    pub timestamps: Vec<i64>,
    /// Headers of the few records that have some: (record, headers), ascending.
    pub headers: Vec<(u32, Headers)>,
}

impl RawBatch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}

/// A record that could not be processed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its place in the `RawBatch`.
    pub record: u32,
    /// What is wrong with it, for a person: where, expected, actual.
    pub error: String,
}

/// Decoded records of one table. Rows are the good records, in order.
#[derive(Clone, Debug)]
pub struct DecodedBatch {
    /// Whose rows.
    pub table: TableId,
    /// The columns that the plan keeps of this table, in its order; each of `rows` rows.
    pub columns: Vec<ArrayRef>,
    /// How many rows.
    pub rows: usize,
    /// The raw record of each row, ascending.
    pub records: Vec<u32>,
    /// Time of each row (SEMANTICS 1.6), ms since the epoch.
    pub times: Vec<i64>,
    /// Raw records with a null value, ascending, less those whose key can't be read.
    pub tombstones: Vec<u32>,
    /// For a dimension: the identity columns as read from the keys of `tombstones`; else empty.
    pub tombstone_identity: Vec<ArrayRef>,
    /// Records that could not be decoded, ascending.
    pub rejects: Vec<Reject>,
}

/// Where reading goes on: everything of this partition before `offset` is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whose partition.
    pub table: TableId,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
}

/// What a source hands over at once: one batch of the pipeline's life. Without batches it says that time has passed.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Batches in the order of processing (SEMANTICS 2.4): dimensions, joined event tables in the order of the query, then
    /// the driving table.
    pub batches: Vec<RawBatch>,
    /// How far the event tables have been read once this cut is done.
    pub positions: Vec<Position>,
    /// The event partitions that are read; none: those that ever had a row.
    pub partitions: Vec<PartitionState>,
    /// Whether all inputs, the dimensions too, are read to their ends.
    pub at_end: bool,
    /// Whether event tables are read again, from the offsets that were committed: what is remembered of them is void.
    pub begins_anew: bool,
    /// What the stream time of every event table is after this cut at least, ms since the epoch: for tests, and for files
    /// that have ended (`i64::MAX`).
    pub stream_time_ms: Option<i64>,
}

/// What a source knows of an event partition that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Whose partition.
    pub table: TableId,
    /// The partition.
    pub partition: i32,
    /// Whether everything in it has been read.
    pub at_end: bool,
}

/// How far the rows of each partition have come in time, told by the stage that knows their times to the source that keeps
/// partitions in step (SEMANTICS 4.4).
#[derive(Debug, Default)]
pub struct RowTimes(Mutex<BTreeMap<(TableId, i32), i64>>);

impl RowTimes {
    /// The greatest time of the rows of a partition in the last batch that had some, ms since the epoch.
    pub fn of(&self, table: TableId, partition: i32) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(table, partition)).copied()
    }

    /// A batch had rows of a partition up to this time.
    pub fn tell(&self, table: TableId, partition: i32, time_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((table, partition), time_ms);
    }
}

/// Result rows as bytes: record `i` has `keys.get(i)`, `values.get(i)` and `timestamps[i]`.
#[derive(Clone, Debug)]
pub struct EncodedBatch {
    /// Record keys; absent where the output key is NULL or none is asked for.
    pub keys: Slices,
    /// Record values.
    pub values: Slices,
    /// Record timestamps, ms since the epoch: those of the driving records.
    pub timestamps: Vec<i64>,
}

/// A record, or a result row, on its way to the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's key, untouched.
    pub key: Option<Vec<u8>>,
    /// The record's value, untouched, or the failing row as JSON.
    pub value: Option<Vec<u8>>,
    /// The record's own headers, untouched.
    pub headers: Headers,
    /// Topic of the record, or of the driving record.
    pub topic: String,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// Timestamp of the record, ms since the epoch.
    pub timestamp: i64,
    /// Where it failed.
    pub stage: Stage,
    /// Why, for a person.
    pub error: String,
}

/// A stage that can reject a record or a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes to columns.
    Decode,
    /// SQL: keys, conditions, SELECT.
    Sql,
    /// Columns to bytes.
    Encode,
    /// The result topic did not take it.
    Produce,
    /// It waited for what it lacks, and its time was over (SEMANTICS 3.3).
    Expire,
}

impl Stage {
    /// The name in headers, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Sql => "sql",
            Stage::Encode => "encode",
            Stage::Produce => "produce",
            Stage::Expire => "expire",
        }
    }
}

/// What came out of a cut, on its way to the sink.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Result rows, in order.
    pub records: Vec<EncodedBatch>,
    /// Rejected records and rows.
    pub dead_letters: Vec<DeadLetter>,
    /// To be committed once `records` and `dead_letters` are acknowledged.
    pub positions: Vec<Position>,
    /// What happened on the way.
    pub report: Report,
    /// Whether the rest of the cut follows: then nothing is committed yet, and positions and report are empty.
    pub is_partial: bool,
}

/// What happened to a cut: figures for metrics, never for what comes out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Since when the cut is under way; unknown where stages are called one by one.
    pub since: Option<Stopwatch>,
    /// Records that were read, by table.
    pub records: Vec<u64>,
    /// Bytes of their values, by table.
    pub bytes: Vec<u64>,
    /// Tombstones among them, by table.
    pub tombstones: Vec<u64>,
    /// Event rows that were late (SEMANTICS 4.2), by table.
    pub late: Vec<u64>,
    /// For each look-up of the query: rows that probed, and rows that found something.
    pub lookups: Vec<(u64, u64)>,
    /// Driving rows that were joined, and those of them that found a match in every table.
    pub joined: (u64, u64),
    /// Result rows.
    pub emitted: u64,
    /// Rejected records and rows, by stage, whether they became dead letters or were skipped.
    pub rejected: Vec<(Stage, u64)>,
    /// Where and why the first of these was rejected, for a person.
    pub first_rejection: Option<String>,
    /// Rows of each table after the cut, and the bytes that they take; empty if no state changed.
    pub state: Vec<(u64, u64)>,
    /// Event rows that state forgot (SEMANTICS 4.3), by table.
    pub forgotten: Vec<u64>,
    /// What happened to combinations that wait for what they lack.
    pub parked: Parked,
    /// How long each stage took.
    pub durations: Durations,
}

/// Combinations that wait for what they lack (SEMANTICS 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// Combinations that began to wait.
    pub parked: u64,
    /// Combinations whose wait ended because they were complete.
    pub completed: u64,
    /// Combinations that gave way to one with another event row.
    pub withdrawn: u64,
    /// Combinations whose time was over.
    pub expired: u64,
    /// How many wait after the cut.
    pub waiting: u64,
    /// Since when the oldest of them waits, ms since the epoch by the wall clock.
    pub oldest_ms: Option<i64>,
}

/// How long the stages took for a cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// Bytes to columns.
    pub decode: Duration,
    /// Dimension rows into state.
    pub apply: Duration,
    /// Keys, probes, residuals.
    pub lookup: Duration,
    /// Conditions and SELECT, gathering included.
    pub sql: Duration,
    /// Columns to bytes.
    pub encode: Duration,
}
