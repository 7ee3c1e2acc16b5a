//! Files of several event tables as one stream, by event time.

use std::sync::Arc;

use super::{FileProgress, PendingFile, TimesOf, open, raw_batch};
use crate::batch::{Cut, PartitionState, Position, RawBatch, TableId};
use crate::error::Result;
use crate::source::cut::RawBatchBuilder;
use crate::source::lines::{Chunk, Filled, Limits, Lines};

/// How many records of a file are looked ahead at once, so that their times are read at once.
const AHEAD: Limits = Limits { records: 4096, bytes: 1 << 20 };

/// The next record, always, of the file whose next record is the earliest; of equal ones, of the file that was named first.
pub(super) struct Merge {
    files: Vec<Head>,
    times: TimesOf,
    limits: Limits,
    batches: Vec<RawBatchBuilder>,
}

/// A file, and its records from where the merge stands.
struct Head {
    file: PendingFile,
    lines: Lines,
    ahead: RawBatch,
    /// The time of each of them; none if it can't be read.
    times: Vec<Option<i64>>,
    next: usize,
    ended: bool,
    /// Whether the cut in the making has records of it.
    is_in_cut: bool,
}

impl Merge {
    /// Over these files, none of which is open yet.
    pub(super) fn new(
        mut files: Vec<PendingFile>,
        times: TimesOf,
        limits: Limits,
        progress: &Arc<FileProgress>,
    ) -> Result<Self> {
        files.sort_by_key(|file| file.rank);
        let tables = files.iter().map(|file| file.table.0 + 1).max().unwrap_or_default();
        let batches = (0..tables).map(|table| RawBatchBuilder::new(TableId(table))).collect();
        let mut merge = Self { files: Vec::new(), times, limits, batches };
        for file in files {
            let lines = open(&file.path, file.partition, false, Arc::clone(progress))?;
            let ahead = raw_batch(file.table, Chunk::default());
            let mut head = Head { file, lines, ahead, times: Vec::new(), next: 0, ended: false, is_in_cut: false };
            head.look_ahead(&mut merge.times)?;
            merge.files.push(head);
        }
        Ok(merge)
    }

    /// The next cut: it ends where the next record is of a table that stands before one of the cut's (SEMANTICS 2.4), so
    /// that it means what its records mean one at a time.
    pub(super) fn next(&mut self) -> Result<Option<Cut>> {
        let mut cut = Cut::default();
        let (mut records, mut bytes) = (0, 0);
        let mut order = 0;
        while let Some(head) = earliest(&mut self.files) {
            let place = order_in_cut(head.file.table);
            let value = head.ahead.values.get(head.next).unwrap_or_default();
            let is_full = records >= self.limits.records || bytes + value.len() > self.limits.bytes;
            if records > 0 && (is_full || place < order) {
                break;
            }
            let time = head.times[head.next].unwrap_or_default();
            let batch = &mut self.batches[head.file.table.index()];
            batch.push(None, Some(value), head.file.partition, head.ahead.offsets[head.next], time);
            (records, bytes, order) = (records + 1, bytes + value.len(), place);
            head.is_in_cut = true;
            head.next += 1;
            if head.next == head.times.len() {
                cut.positions.extend(head.position());
                head.look_ahead(&mut self.times)?;
            }
        }
        if records == 0 {
            return Ok(None);
        }
        for head in &mut self.files {
            let position = head.position();
            head.is_in_cut = false;
            let same = |other: &Position| (other.table, other.partition) == (head.file.table, head.file.partition);
            cut.positions.retain(|other| position.is_none() || !same(other));
            cut.positions.extend(position);
        }
        let state = |head: &Head| PartitionState {
            table: head.file.table,
            partition: head.file.partition,
            at_end: head.next == head.times.len(),
        };
        cut.partitions = self.files.iter().map(state).collect();
        let (driving, joined) = self.batches.split_at_mut(1);
        cut.batches.extend(joined.iter_mut().chain(driving).filter_map(RawBatchBuilder::take));
        Ok(Some(cut))
    }
}

/// Joined event tables come in the order of the query, the driving table last.
fn order_in_cut(table: TableId) -> usize {
    if table.index() == 0 { usize::MAX } else { table.index() }
}

/// The file whose next record is the earliest: one whose time can't be read goes at once.
fn earliest(files: &mut [Head]) -> Option<&mut Head> {
    let left = files.iter_mut().filter(|head| head.next < head.times.len());
    left.min_by_key(|head| head.times[head.next].unwrap_or(i64::MIN))
}

impl Head {
    /// How far the file is read, if the cut has records of it.
    fn position(&self) -> Option<Position> {
        let last = self.ahead.offsets.get(self.next.checked_sub(1)?).filter(|_| self.is_in_cut)?;
        Some(Position { table: self.file.table, partition: self.file.partition, offset: last + 1 })
    }

    fn look_ahead(&mut self, times: &mut TimesOf) -> Result<()> {
        (self.next, self.times) = (0, Vec::new());
        while self.times.is_empty() && !self.ended {
            let mut chunk = Chunk::default();
            self.ended = self.lines.fill(&mut chunk, AHEAD)? == Filled::Ended;
            self.ahead = raw_batch(self.file.table, chunk);
            self.times = times(&self.ahead);
        }
        Ok(())
    }
}
