//! When a cut ends, and how its records become columns.

use crate::batch::{Headers, RawBatch, SlicesBuilder, TableId};

/// When a cut ends. It also ends when there is nothing more to read, so batches grow by themselves under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLimits {
    /// The most records.
    pub max_records: usize,
    /// Bytes of keys and values after which no further record is taken.
    pub max_bytes: usize,
    /// How long to wait for more once there is something, ms; 0: never wait when there is work.
    pub max_wait_ms: u64,
}

/// What a cut may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Records.
    pub records: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

impl Room {
    /// All that `limits` allow.
    pub fn of(limits: &CutLimits) -> Self {
        Self { records: limits.max_records, bytes: limits.max_bytes }
    }

    /// Whether nothing more fits.
    pub fn is_full(self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    /// One record of `bytes` bytes was taken.
    pub fn take(&mut self, bytes: usize) {
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The fair part of one of `claimants` that are still to come; never nothing unless full.
    pub fn share(self, claimants: usize) -> Self {
        let claimants = claimants.max(1);
        Self { records: self.records.div_ceil(claimants), bytes: self.bytes.div_ceil(claimants) }
    }

    /// What is left once a part that was `before` has become `after`.
    pub fn less(self, before: Self, after: Self) -> Self {
        Self {
            records: self.records.saturating_sub(before.records - after.records),
            bytes: self.bytes.saturating_sub(before.bytes - after.bytes),
        }
    }
}

/// Builds the `RawBatch` of one table; records come ordered by partition, then offset.
#[derive(Debug)]
pub struct RawBatchBuilder {
    table: TableId,
    values: SlicesBuilder,
    keys: SlicesBuilder,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    headers: Vec<(u32, Headers)>,
}

/// How large the last batch was: the next one is likely to be as large.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    records: usize,
    value_bytes: usize,
    key_bytes: usize,
}

impl RawBatchBuilder {
    /// An empty batch of `table`.
    pub fn new(table: TableId) -> Self {
        Self::sized(table, Sizes::default())
    }

    fn sized(table: TableId, last: Sizes) -> Self {
        Self {
            table,
            values: SlicesBuilder::with_capacity(last.records, last.value_bytes),
            keys: SlicesBuilder::with_capacity(last.records, last.key_bytes),
            partitions: Vec::with_capacity(last.records),
            offsets: Vec::with_capacity(last.records),
            timestamps: Vec::with_capacity(last.records),
            headers: Vec::new(),
        }
    }

    /// Appends a record; `timestamp` in ms since the epoch.
    pub fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, partition: i32, offset: i64, timestamp: i64) {
        self.values.push(value);
        self.keys.push(key);
        self.partitions.push(partition);
        self.offsets.push(offset);
        self.timestamps.push(timestamp);
    }

    /// Gives the record that was appended last its headers.
    pub fn push_headers(&mut self, headers: Headers) {
        let record = self.offsets.len().checked_sub(1).expect("BUG: headers come after their record");
        self.headers.push((record as u32, headers));
    }

    /// How many records so far.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The batch, if it has records; the builder is empty afterwards, with room for as many again.
    pub fn take(&mut self) -> Option<RawBatch> {
        if self.is_empty() {
            return None;
        }
        let sizes = Sizes { records: self.len(), value_bytes: self.values.bytes(), key_bytes: self.keys.bytes() };
        let full = std::mem::replace(self, Self::sized(self.table, sizes));
        Some(RawBatch {
            table: full.table,
            values: full.values.finish(),
            keys: full.keys.finish(),
            partitions: full.partitions,
            offsets: full.offsets,
            timestamps: full.timestamps,
            headers: full.headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_fairly_and_never_vanishes() {
        let mut room = Room::of(&CutLimits { max_records: 10, max_bytes: 100, max_wait_ms: 0 });
        let share = room.share(4);
        assert_eq!(share, Room { records: 3, bytes: 25 });
        let mut rest = share;
        rest.take(20);
        assert_eq!(rest, Room { records: 2, bytes: 5 });
        rest.take(20);
        assert!(rest.is_full());
        room = room.less(share, rest);
        assert_eq!(room, Room { records: 8, bytes: 75 });
        assert_eq!(Room { records: 1, bytes: 1 }.share(9), Room { records: 1, bytes: 1 });
        assert_eq!(room.share(0), room);
    }

    #[test]
    fn a_batch_keeps_nulls_and_headers_and_the_builder_starts_anew() {
        let mut builder = RawBatchBuilder::new(TableId(3));
        builder.push(Some(b"k"), None, 0, 7, 1000);
        builder.push(None, Some(b""), 1, 2, 2000);
        builder.push_headers(vec![("h".into(), None)]);
        let batch = builder.take().expect("two records");
        assert_eq!(batch.table, TableId(3));
        assert_eq!((batch.keys.get(0), batch.values.get(0)), (Some(&b"k"[..]), None));
        assert_eq!((batch.keys.get(1), batch.values.get(1)), (None, Some(&b""[..])));
        assert_eq!((batch.partitions, batch.offsets, batch.timestamps), (vec![0, 1], vec![7, 2], vec![1000, 2000]));
        assert_eq!(batch.headers, vec![(1, vec![("h".to_owned(), None)])]);
        assert!(builder.take().is_none());
        builder.push(None, None, 0, 8, 0);
        assert_eq!(builder.take().expect("one record").len(), 1);
    }
}
