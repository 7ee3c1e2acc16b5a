//! From where event records must be read again after a restart. What is remembered of them is in memory, so the offsets that
//! are committed stay behind all that joins or waiting combinations still need: a restart repeats results, and loses none.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::{PartitionState, Position, TableId};
use crate::plan::{Emission, Plan};

/// A segment of rows ends after this part of its table's ttl.
const SEGMENTS_A_TTL: i64 = 64;

/// The offsets that are held back.
#[derive(Debug)]
pub struct Held {
    tables: Vec<Table>,
    /// How far each partition has been read.
    read: BTreeMap<(TableId, i32), i64>,
    /// What was said last.
    told: BTreeMap<(TableId, i32), i64>,
}

#[derive(Debug)]
struct Table {
    /// The longest time between the rows of a segment, ms.
    span_ms: i64,
    partitions: BTreeMap<i32, VecDeque<Segment>>,
}

/// Some rows of a partition that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    first_offset: i64,
    /// The time of its first row.
    opened_ms: i64,
    /// The greatest time of its rows.
    greatest_ms: i64,
}

impl Held {
    /// Nothing is remembered yet; `None` if nothing ever will be.
    pub fn of(plan: &Plan) -> Option<Self> {
        let remembers = plan.events.len() > 1 || matches!(plan.emission, Emission::Smart(_));
        remembers.then(|| Self::new(plan.events.iter().map(|event| event.ttl_ms)))
    }

    /// Nothing is remembered yet; the ttl of each event table.
    fn new(ttls_ms: impl Iterator<Item = i64>) -> Self {
        let table = |ttl_ms: i64| Table { span_ms: (ttl_ms / SEGMENTS_A_TTL).max(1), partitions: BTreeMap::new() };
        Self { tables: ttls_ms.map(table).collect(), read: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// A row of an event table is remembered: rows come by partition and offset.
    pub fn remember(&mut self, event: usize, rows: impl Iterator<Item = (i32, i64, i64)>) {
        let Table { span_ms, partitions } = &mut self.tables[event];
        let mut last: Option<(i32, &mut VecDeque<Segment>)> = None;
        for (partition, offset, time_ms) in rows {
            let segments = match last.take() {
                Some((of, segments)) if of == partition => segments,
                _ => partitions.entry(partition).or_default(),
            };
            match segments.back_mut() {
                Some(open) if time_ms.saturating_sub(open.opened_ms) <= *span_ms => {
                    open.greatest_ms = open.greatest_ms.max(time_ms);
                }
                _ => segments.push_back(Segment { first_offset: offset, opened_ms: time_ms, greatest_ms: time_ms }),
            }
            last = Some((partition, segments));
        }
    }

    /// Rows of an event table before this time are not needed.
    pub fn forget(&mut self, event: usize, before_ms: i64) {
        for segments in self.tables[event].partitions.values_mut() {
            while segments.front().is_some_and(|segment| segment.greatest_ms < before_ms) {
                segments.pop_front();
            }
        }
    }

    /// What to commit, given how far a cut was read, which partitions are read (none: not known), and the least offset of
    /// each partition of the driving table whose row something waits with: only what has changed.
    pub fn positions(
        &mut self,
        read: Vec<Position>,
        partitions: &[PartitionState],
        waiting: &BTreeMap<i32, i64>,
    ) -> Vec<Position> {
        self.read.extend(read.into_iter().map(|position| ((position.table, position.partition), position.offset)));
        if !partitions.is_empty() {
            let is_read = |key: &(TableId, i32)| partitions.iter().any(|it| (it.table, it.partition) == *key);
            self.read.retain(|key, _| is_read(key));
        }
        let mut positions = Vec::new();
        for (&(table, partition), &read) in &self.read {
            let segments = self.tables[table.index()].partitions.get(&partition);
            let remembered = segments.and_then(VecDeque::front).map(|segment| segment.first_offset);
            let waits = waiting.get(&partition).copied().filter(|_| table.index() == 0);
            let offset = remembered.into_iter().chain(waits).fold(read, i64::min);
            if self.told.insert((table, partition), offset) != Some(offset) {
                positions.push(Position { table, partition, offset });
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: TableId = TableId(0);
    const PAYMENTS: TableId = TableId(1);

    fn position(table: TableId, partition: i32, offset: i64) -> Position {
        Position { table, partition, offset }
    }

    #[test]
    fn what_is_remembered_holds_its_partition_back_until_it_is_forgotten() {
        let mut held = Held::new([6_400, 6_400].into_iter());
        held.remember(0, [(0, 10, 1_000), (0, 11, 1_050), (0, 13, 2_000), (1, 5, 900)].into_iter());
        let none = BTreeMap::new();
        let read = vec![position(ORDERS, 0, 14), position(ORDERS, 1, 6), position(PAYMENTS, 0, 3)];
        let expected = [position(ORDERS, 0, 10), position(ORDERS, 1, 5), position(PAYMENTS, 0, 3)];
        assert_eq!(held.positions(read, &[], &none), expected);
        assert_eq!(held.positions(Vec::new(), &[], &none), [], "nothing has changed");
        held.forget(0, 1_050);
        assert_eq!(held.positions(Vec::new(), &[], &none), [position(ORDERS, 1, 6)], "a row of its segment is needed");
        held.forget(0, 1_051);
        assert_eq!(held.positions(Vec::new(), &[], &none), [position(ORDERS, 0, 13)]);
        held.forget(0, i64::MAX);
        assert_eq!(held.positions(vec![position(ORDERS, 0, 20)], &[], &none), [position(ORDERS, 0, 20)]);
    }

    #[test]
    fn what_waits_holds_its_driving_row_back() {
        let mut held = Held::new([1_000].into_iter());
        let waiting = BTreeMap::from([(0, 4)]);
        assert_eq!(held.positions(vec![position(ORDERS, 0, 9)], &[], &waiting), [position(ORDERS, 0, 4)]);
        assert_eq!(held.positions(Vec::new(), &[], &BTreeMap::new()), [position(ORDERS, 0, 9)]);
    }

    #[test]
    fn partitions_that_were_given_up_are_not_spoken_of() {
        let mut held = Held::new([1_000].into_iter());
        held.remember(0, [(0, 1, 10), (1, 1, 10)].into_iter());
        let state = PartitionState { table: ORDERS, partition: 1, at_end: false };
        let read = vec![position(ORDERS, 0, 2), position(ORDERS, 1, 2)];
        assert_eq!(held.positions(read, &[state], &BTreeMap::new()), [position(ORDERS, 1, 1)]);
    }
}
