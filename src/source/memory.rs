//! Prepared cuts, for tests, and what makes raw batches record by record.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Committer, Next, Source};
use crate::batch::{Cut, Headers, Position, RawBatch, SlicesBuilder, TableId};
use crate::error::Result;

/// Gives prepared cuts, one after the other, then ends.
#[derive(Debug)]
pub struct MemorySource {
    cuts: VecDeque<Cut>,
    commits: Arc<Commits>,
}

impl MemorySource {
    /// With these cuts, in this order.
    pub fn new(cuts: impl IntoIterator<Item = Cut>) -> Self {
        Self { cuts: cuts.into_iter().collect(), commits: Arc::default() }
    }

    /// What is committed, now and later.
    pub fn commits(&self) -> Arc<Commits> {
        Arc::clone(&self.commits)
    }
}

impl Source for MemorySource {
    fn next(&mut self) -> Result<Next> {
        Ok(self.cuts.pop_front().map_or(Next::End, Next::Cut))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.commits) as Arc<dyn Committer>
    }
}

/// The commits of a `MemorySource`.
#[derive(Debug, Default)]
pub struct Commits(Mutex<Vec<Vec<Position>>>);

impl Commits {
    /// The positions of each commit, in order.
    pub fn all(&self) -> Vec<Vec<Position>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Committer for Commits {
    fn commit(&self, positions: &[Position], _last: bool) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(positions.to_vec());
        Ok(())
    }
}

/// Builds a `RawBatch` record by record.
#[derive(Debug)]
pub struct RawBatchBuilder {
    table: TableId,
    keys: SlicesBuilder,
    values: SlicesBuilder,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    headers: Vec<(u32, Headers)>,
}

impl RawBatchBuilder {
    /// For records of `table`.
    pub fn new(table: TableId) -> Self {
        Self {
            table,
            keys: SlicesBuilder::default(),
            values: SlicesBuilder::default(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Appends a record; no value makes it a tombstone.
    pub fn push(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
        partition: i32,
        offset: i64,
        headers: Headers,
    ) {
        if !headers.is_empty() {
            self.headers.push((self.offsets.len() as u32, headers));
        }
        self.keys.push(key);
        self.values.push(value);
        self.timestamps.push(timestamp);
        self.partitions.push(partition);
        self.offsets.push(offset);
    }

    /// How many records so far.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of keys and values so far.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

    /// The batch.
    pub fn finish(self) -> RawBatch {
        RawBatch {
            table: self.table,
            values: self.values.finish(),
            keys: self.keys.finish(),
            partitions: self.partitions,
            offsets: self.offsets,
            timestamps: self.timestamps,
            headers: self.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_what_was_pushed() {
        let mut builder = RawBatchBuilder::new(TableId(3));
        assert!(builder.is_empty());
        builder.push(None, Some(b"{}"), 7, 1, 40, Vec::new());
        builder.push(Some(b"k"), None, 8, 2, 41, vec![("h".into(), None)]);
        assert_eq!((builder.len(), builder.bytes()), (2, 3));
        let batch = builder.finish();
        assert_eq!(batch.table, TableId(3));
        assert_eq!((batch.keys.get(0), batch.values.get(0)), (None, Some(&b"{}"[..])));
        assert_eq!((batch.keys.get(1), batch.values.get(1)), (Some(&b"k"[..]), None));
        assert_eq!((batch.timestamps, batch.partitions, batch.offsets), (vec![7, 8], vec![1, 2], vec![40, 41]));
        assert_eq!(batch.headers, [(1, vec![("h".into(), None)])]);
    }

    #[test]
    fn cuts_come_in_order_and_commits_are_kept() {
        let position = Position { table: TableId(0), partition: 0, offset: 9 };
        let cut = Cut { batches: vec![RawBatchBuilder::new(TableId(0)).finish()], positions: vec![position] };
        let mut source = MemorySource::new([cut, Cut::default()]);
        let (commits, committer) = (source.commits(), source.committer());
        assert!(matches!(source.next(), Ok(Next::Cut(cut)) if cut.positions == [position]));
        assert!(matches!(source.next(), Ok(Next::Cut(cut)) if cut.positions.is_empty()));
        assert!(matches!(source.next(), Ok(Next::End)));
        committer.commit(&[position], false).unwrap();
        assert_eq!(commits.all(), [vec![position]]);
    }
}
