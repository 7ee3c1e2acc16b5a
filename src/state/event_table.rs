//! An event table: rows are appended, found by any of its join keys, and forgotten when their time is over
//! (SEMANTICS 4.3).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use arrow::datatypes::DataType;

use super::rows::{RowRef, part};
use super::stored::{Stored, Tuning};

/// The fewest rows a chunk has before the times in it may end it: a slow topic does not get a chunk a row.
const ROWS_MIN: usize = 64;
/// Times end a chunk only if it has one of so many parts of the table's rows: however mixed the times are, there are
/// never more than some thousand chunks, and never more than so small a part of the rows outlives its time for long.
const PARTS_MAX: usize = 1024;

/// What an event table keeps, and how it is found.
#[derive(Clone, Debug)]
pub struct EventSpec {
    /// Types of the columns that are kept, those of computed join keys included.
    pub columns: Vec<DataType>,
    /// The columns of each join key; one that equals another costs nothing.
    pub indexes: Vec<Vec<usize>>,
    /// The times in a chunk lie about this close together, ms: rows are forgotten by the chunk.
    pub chunk_span_ms: i64,
}

/// Where some rows come from, one value a row.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    /// The partition of each row's record.
    pub partitions: &'a [i32],
    /// The offset of each row's record.
    pub offsets: &'a [i64],
    /// The timestamp of each row's record, ms since the epoch.
    pub timestamps: &'a [i64],
    /// The time of each row (SEMANTICS 1.6), ms since the epoch.
    pub times: &'a [i64],
}

/// An event table in memory.
#[derive(Debug)]
pub struct EventTable {
    /// The columns of the spec, then partition, offset, timestamp and time of each row.
    pub(super) stored: Stored,
    columns: usize,
    chunk_span_ms: i64,
    /// The times in the chunk of each slot.
    times: Vec<TimeRange>,
    /// The greatest time in each sealed chunk, and its slot: the least first.
    sealed: BinaryHeap<Reverse<(i64, usize)>>,
    forgetting: Option<Forgetting>,
}

/// A chunk whose rows are taken out of the indexes.
#[derive(Clone, Copy, Debug)]
struct Forgetting {
    slot: usize,
    /// How many of its rows, from the first on, are forgotten.
    rows: usize,
}

/// The least and the greatest of some times.
#[derive(Clone, Copy, Debug)]
struct TimeRange {
    least: i64,
    greatest: i64,
}

impl TimeRange {
    const EMPTY: TimeRange = TimeRange { least: i64::MAX, greatest: i64::MIN };

    fn with(self, time: i64) -> Self {
        TimeRange { least: self.least.min(time), greatest: self.greatest.max(time) }
    }

    /// Of a range that is not empty.
    fn span(self) -> i64 {
        self.greatest.saturating_sub(self.least)
    }
}

impl EventTable {
    /// An empty table.
    pub fn new(spec: EventSpec) -> Self {
        Self::with_tuning(spec, Tuning::default())
    }

    pub(super) fn with_tuning(spec: EventSpec, tuning: Tuning) -> Self {
        let columns = spec.columns.len();
        let hidden = [DataType::Int32, DataType::Int64, DataType::Int64, DataType::Int64];
        let types: Vec<DataType> = spec.columns.into_iter().chain(hidden).collect();
        let mut stored = Stored::new(&types, None, spec.indexes, tuning);
        // What is appended here is sealed soon, and with it what such a batch holds on to is given back.
        stored.rows.keeps_small_batches = true;
        EventTable {
            stored,
            columns,
            chunk_span_ms: spec.chunk_span_ms,
            times: Vec::new(),
            sealed: BinaryHeap::new(),
            forgetting: None,
        }
    }

    /// Its rows and how they are found.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.stored.rows()
    }

    /// Bytes of memory that rows and indexes take.
    pub fn memory_bytes(&self) -> usize {
        let times = self.times.capacity() * size_of::<TimeRange>();
        self.stored.memory_bytes() + times + self.sealed.capacity() * size_of::<Reverse<(i64, usize)>>()
    }

    /// The number of the column that holds the partition of a row's record: Int32.
    pub fn partition_column(&self) -> usize {
        self.columns
    }

    /// The number of the column that holds the offset of a row's record: Int64.
    pub fn offset_column(&self) -> usize {
        self.columns + 1
    }

    /// The number of the column that holds the timestamp of a row's record: Int64, ms since the epoch.
    pub fn timestamp_column(&self) -> usize {
        self.columns + 2
    }

    /// The number of the column that holds the time of a row: Int64, ms since the epoch.
    pub fn time_column(&self) -> usize {
        self.columns + 3
    }

    /// Appends copies of rows, given as the columns of the spec; where they are now, in order. A row with a NULL in the
    /// key of an index is not found by it.
    pub fn append(&mut self, columns: &[ArrayRef], origins: Origins) -> Vec<RowRef> {
        let all: Vec<usize> = (0..self.columns).collect();
        let mut columns = self.stored.as_stored(&all, columns);
        columns.push(Arc::new(Int32Array::from(origins.partitions.to_vec())));
        for values in [origins.offsets, origins.timestamps, origins.times] {
            columns.push(Arc::new(Int64Array::from(values.to_vec())));
        }
        let mut refs = Vec::with_capacity(origins.times.len());
        while refs.len() < origins.times.len() {
            let (rows, range, is_over) = self.next_run(&origins.times[refs.len()..]);
            let appended = self.stored.rows.append(&part(&columns, refs.len(), rows));
            self.close_run(appended[0].slot(), range, is_over);
            refs.extend(appended);
        }
        self.stored.add_to_indexes(0, &columns, &refs);
        refs
    }

    /// How many of the next rows go into one chunk, the times that are then in it, and whether these end it.
    fn next_run(&self, times: &[i64]) -> (usize, TimeRange, bool) {
        let open = self.stored.rows.open();
        let (mut range, filled) = open.map_or((TimeRange::EMPTY, 0), |(slot, rows)| (self.times[slot], rows));
        let rows_min = ROWS_MIN.max(self.stored.rows() / PARTS_MAX);
        let room = self.stored.rows.room().min(times.len());
        for (place, time) in times[..room].iter().enumerate() {
            range = range.with(*time);
            if range.span() > self.chunk_span_ms && filled + place + 1 >= rows_min {
                return (place + 1, range, true);
            }
        }
        (room, range, false)
    }

    fn close_run(&mut self, slot: usize, range: TimeRange, is_over: bool) {
        if self.times.len() <= slot {
            self.times.resize(slot + 1, TimeRange::EMPTY);
        }
        self.times[slot] = range;
        if is_over {
            self.stored.rows.seal();
        }
        if self.stored.rows.open().is_none() {
            self.sealed.push(Reverse((range.greatest, slot)));
        }
    }

    /// Forgets up to `rows_max` rows of chunks in which every time is before `before_ms`; how many it forgot. What a chunk
    /// takes is given back when the last of its rows is forgotten. References to rows do not outlive it.
    pub fn forget(&mut self, before_ms: i64, rows_max: usize) -> usize {
        if let Some((slot, _)) = self.stored.rows.open()
            && self.times[slot].greatest < before_ms
        {
            self.stored.rows.seal();
            self.sealed.push(Reverse((self.times[slot].greatest, slot)));
        }
        let mut forgotten = 0;
        while forgotten < rows_max
            && let Some(Forgetting { slot, rows }) = self.forgetting.or_else(|| self.next_to_forget(before_ms))
        {
            let end = rows + (self.stored.rows.chunk_rows(slot) - rows).min(rows_max - forgotten);
            self.forget_rows(slot, rows..end);
            forgotten += end - rows;
            if self.stored.rows.release_worn() {
                self.stored.forget_slot(slot);
                self.forgetting = None;
            } else {
                self.forgetting = Some(Forgetting { slot, rows: end });
            }
        }
        forgotten
    }

    fn next_to_forget(&mut self, before_ms: i64) -> Option<Forgetting> {
        let Reverse((greatest, slot)) = *self.sealed.peek()?;
        if greatest >= before_ms {
            return None;
        }
        self.sealed.pop();
        Some(Forgetting { slot, rows: 0 })
    }

    fn forget_rows(&mut self, slot: usize, rows: Range<usize>) {
        let refs: Vec<RowRef> = rows.clone().map(|row| RowRef::new(slot, row)).collect();
        self.stored.remove_from_indexes(0, |all, column| all.slice(slot, column, &rows), &refs);
        self.stored.rows.kill(&refs);
    }
}
