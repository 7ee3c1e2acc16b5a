//! Applying a batch of a dimension's records (SEMANTICS 1.7 and 1.8).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Int32Type, Int64Type};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::equality::{Candidates, retain_equal};
use super::rows::RowRef;
use super::stored::{Matches, chosen};
use super::table::DimensionTable;
use crate::shard::KeyHashes;

/// Rows to rewrite with each batch, beyond as many as the batch has.
const REWRITTEN_ROWS: usize = 256;

/// New rows of a dimension, in the order of their records.
#[derive(Clone, Copy, Debug)]
pub struct Upserts<'a> {
    /// All columns of the table.
    pub columns: &'a [ArrayRef],
    /// The record of each row, ascending.
    pub records: &'a [u32],
    /// The partition of each row's record.
    pub partitions: &'a [i32],
    /// The timestamp of each row's record, ms since the epoch.
    pub timestamps: &'a [i64],
}

/// Deletions from a dimension, in the order of their records.
#[derive(Clone, Copy, Debug)]
pub struct Tombstones<'a> {
    /// The identities that are deleted; may be empty if there is no record.
    pub identity: &'a [ArrayRef],
    /// The record of each, ascending, none of them an upsert's.
    pub records: &'a [u32],
    /// The partition of each record.
    pub partitions: &'a [i32],
    /// The timestamp of each record, ms since the epoch.
    pub timestamps: &'a [i64],
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Upserts of an identity that was not there.
    pub inserted: usize,
    /// Upserts of an identity that was there.
    pub updated: usize,
    /// Tombstones of an identity that was there.
    pub deleted: usize,
    /// Tombstones of an identity that was not there.
    pub missing_deletes: usize,
    /// Records whose identity was there with a row from another partition: deletes can't be trusted.
    pub conflicts: usize,
    /// Those of `conflicts` that were ignored, as the row from the other partition has a later timestamp (or the same
    /// and a higher partition).
    pub ignored: usize,
    /// Records whose identity contains a NULL, ascending: bad input, not applied.
    pub without_identity: Vec<u32>,
}

impl DimensionTable {
    /// Applies both in the order of their records, the later superseding the earlier, also within the batch.
    pub fn apply(&mut self, upserts: Upserts, tombstones: Tombstones) -> Applied {
        let changes = Changes::new(self, upserts, tombstones);
        let mut fates = self.fates(&changes);
        let applied = fold(&changes, &mut fates);
        self.carry_out(&changes, &fates);
        self.compact_step(changes.order.len() + REWRITTEN_ROWS);
        applied
    }

    /// What is known of each identity of the batch before the batch.
    fn fates(&self, changes: &Changes) -> Vec<Fate> {
        let mut fates = vec![Fate::UNKNOWN; changes.first.len()];
        let mut matches = Matches::default();
        self.stored.find(0, &changes.identity, &changes.hashes, &mut matches);
        let places = self.stored.locate(&matches.refs);
        let partitions = self.stored.gather_at(self.columns, &places);
        let timestamps = self.stored.gather_at(self.columns + 1, &places);
        let origins =
            partitions.as_primitive::<Int32Type>().values().iter().zip(timestamps.as_primitive::<Int64Type>().values());
        for ((change, stored), (partition, timestamp)) in matches.rows.iter().zip(&matches.refs).zip(origins) {
            fates[*change as usize] =
                Fate { stored: *stored, current: Current::Stored, timestamp: *timestamp, partition: *partition };
        }
        fates
    }

    fn carry_out(&mut self, changes: &Changes, fates: &[Fate]) {
        let mut retired = Vec::new();
        let mut survivors: Vec<(u32, RowRef)> = Vec::new();
        for change in changes.valid() {
            let fate = fates[changes.first(change)];
            match fate.current {
                Current::Change(current) if current == change => survivors.push((change, fate.stored)),
                Current::Absent if changes.first(change) == change as usize && !fate.stored.is_null() => {
                    self.stored.keys[0].index.remove(changes.hashes.hashes[change as usize], fate.stored);
                    retired.push(fate.stored);
                }
                _ => {}
            }
        }
        retired.extend(survivors.iter().map(|(_, stored)| *stored).filter(|stored| !stored.is_null()));
        self.retire(&retired);
        if !survivors.is_empty() {
            self.install(changes, &survivors);
        }
    }

    /// Takes rows out of all indexes but that of the identity, and marks them as dead.
    fn retire(&mut self, retired: &[RowRef]) {
        if retired.is_empty() {
            return;
        }
        let places = self.stored.locate(retired);
        self.stored.remove_from_indexes(1, |rows, column| rows.gather(column, &places), retired);
        self.stored.rows.kill(retired);
    }

    /// Appends the upserts that survive the batch, each with the row that it supersedes or `RowRef::NULL`.
    fn install(&mut self, changes: &Changes, survivors: &[(u32, RowRef)]) {
        let columns = changes.rows(survivors);
        let refs = self.stored.rows.append(&columns);
        let identity = &mut self.stored.keys[0].index;
        for ((change, stored), row) in survivors.iter().zip(&refs) {
            let hash = changes.hashes.hashes[*change as usize];
            if stored.is_null() {
                identity.insert(hash, *row);
            } else {
                identity.replace(hash, *stored, *row);
            }
        }
        self.stored.add_to_indexes(1, &columns, &refs);
    }
}

/// The changes of a batch, numbered: its upserts, then its tombstones.
struct Changes<'a> {
    /// The columns of the upserts as the table keeps them.
    columns: Vec<ArrayRef>,
    upserts: Upserts<'a>,
    tombstones: Tombstones<'a>,
    /// The identity of each change.
    identity: Vec<ArrayRef>,
    hashes: KeyHashes,
    /// All changes in the order of their records.
    order: Vec<u32>,
    /// The first change of the batch (in `order`) that has the identity of this one.
    first: Vec<u32>,
}

impl<'a> Changes<'a> {
    fn new(table: &DimensionTable, upserts: Upserts<'a>, tombstones: Tombstones<'a>) -> Self {
        let all: Vec<usize> = (0..table.columns).collect();
        let columns = table.stored.as_stored(&all, upserts.columns);
        let of_identity = &table.stored.keys[0].columns;
        let mut identity = chosen(of_identity, &columns);
        if !tombstones.records.is_empty() {
            let deleted = table.stored.as_stored(of_identity, tombstones.identity);
            for (column, deleted) in identity.iter_mut().zip(&deleted) {
                *column = concat(&[column.as_ref(), deleted.as_ref()])
                    .expect("BUG: both have the type of the column, and a batch is far from overflowing offsets");
            }
        }
        let hashes = (table.stored.hash_keys)(&identity);
        let order = merged(upserts.records, tombstones.records);
        let first = firsts(&order, &identity, &hashes);
        Changes { columns, upserts, tombstones, identity, hashes, order, first }
    }

    /// The changes that have an identity, in order.
    fn valid(&self) -> impl Iterator<Item = u32> {
        self.order.iter().copied().filter(|change| self.hashes.is_valid(*change as usize))
    }

    fn first(&self, change: u32) -> usize {
        self.first[change as usize] as usize
    }

    /// Partition, timestamp and record of a change, and whether it is an upsert.
    fn origin(&self, change: u32) -> (i32, i64, u32, bool) {
        let (Upserts { partitions, timestamps, records, .. }, change) = (self.upserts, change as usize);
        if let Some(record) = records.get(change) {
            return (partitions[change], timestamps[change], *record, true);
        }
        let Tombstones { partitions, timestamps, records, .. } = self.tombstones;
        let change = change - self.upserts.records.len();
        (partitions[change], timestamps[change], records[change], false)
    }

    /// The rows of some upserts, with partitions and timestamps as their last columns.
    fn rows(&self, survivors: &[(u32, RowRef)]) -> Vec<ArrayRef> {
        let chosen = || survivors.iter().map(|(change, _)| *change as usize);
        let partitions = Int32Array::from_iter_values(chosen().map(|change| self.upserts.partitions[change]));
        let timestamps = Int64Array::from_iter_values(chosen().map(|change| self.upserts.timestamps[change]));
        let mut columns = self.columns.clone();
        if survivors.len() < self.upserts.records.len() {
            let wanted = UInt32Array::from_iter_values(survivors.iter().map(|(change, _)| *change));
            for column in &mut columns {
                *column = take(column, &wanted, None).expect("BUG: survivors are rows of the batch");
            }
        }
        columns.push(Arc::new(partitions));
        columns.push(Arc::new(timestamps));
        columns
    }
}

/// What is known of an identity while the batch is gone through; kept at its first change.
#[derive(Clone, Copy)]
struct Fate {
    /// Its row in the table before the batch, or `RowRef::NULL`.
    stored: RowRef,
    current: Current,
    /// Of the current row.
    timestamp: i64,
    partition: i32,
}

#[derive(Clone, Copy)]
enum Current {
    Absent,
    Stored,
    Change(u32),
}

impl Fate {
    const UNKNOWN: Fate = Fate { stored: RowRef::NULL, current: Current::Absent, timestamp: 0, partition: 0 };
}

/// Goes through the changes one at a time.
fn fold(changes: &Changes, fates: &mut [Fate]) -> Applied {
    let mut applied = Applied::default();
    for change in changes.order.iter().copied() {
        let (partition, timestamp, record, is_upsert) = changes.origin(change);
        if !changes.hashes.is_valid(change as usize) {
            applied.without_identity.push(record);
            continue;
        }
        let fate = &mut fates[changes.first(change)];
        let is_there = !matches!(fate.current, Current::Absent);
        if is_there && fate.partition != partition {
            applied.conflicts += 1;
            if (timestamp, partition) < (fate.timestamp, fate.partition) {
                applied.ignored += 1;
                continue;
            }
        }
        match (is_upsert, is_there) {
            (true, false) => applied.inserted += 1,
            (true, true) => applied.updated += 1,
            (false, true) => applied.deleted += 1,
            (false, false) => applied.missing_deletes += 1,
        }
        let current = if is_upsert { Current::Change(change) } else { Current::Absent };
        *fate = Fate { stored: fate.stored, current, timestamp, partition };
    }
    applied
}

/// The places of both lists, one after the other, in ascending order of their records.
fn merged(upserts: &[u32], tombstones: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..(upserts.len() + tombstones.len()) as u32).collect();
    if !tombstones.is_empty() {
        let record = |change: &u32| {
            let change = *change as usize;
            upserts.get(change).copied().unwrap_or_else(|| tombstones[change - upserts.len()])
        };
        // Two ascending runs: the stable sort merges them.
        order.sort_by_key(record);
    }
    order
}

/// For each change, the first one in `order` of the same identity. Equal hashes are compared all at once, and those
/// that turn out to be different identities go into another round.
fn firsts(order: &[u32], identity: &[ArrayRef], hashes: &KeyHashes) -> Vec<u32> {
    let mut firsts: Vec<u32> = (0..order.len() as u32).collect();
    let mut left: Vec<u32> = order.iter().copied().filter(|change| hashes.is_valid(*change as usize)).collect();
    while left.len() > 1 {
        let hash = |change: &u32| hashes.hashes[*change as usize];
        let mut seen: HashTable<u32> = HashTable::with_capacity(left.len());
        let (mut repeated, mut candidates) = (Vec::new(), Vec::new());
        for change in left {
            match seen.entry(hash(&change), |other| hash(other) == hash(&change), hash) {
                Entry::Vacant(vacant) => drop(vacant.insert(change)),
                Entry::Occupied(occupied) => {
                    repeated.push(change);
                    candidates.push((0, *occupied.get() as usize));
                }
            }
        }
        let mut equal = vec![true; repeated.len()];
        for column in identity {
            let stored: [&dyn Array; 1] = [column.as_ref()];
            let pairs = Candidates { stored: &stored, stored_rows: &candidates, probe: column, probe_rows: &repeated };
            retain_equal(&pairs, &mut equal);
        }
        left = Vec::new();
        for ((change, (_, first)), equal) in repeated.into_iter().zip(candidates).zip(equal) {
            if equal {
                firsts[change as usize] = first as u32;
            } else {
                left.push(change);
            }
        }
    }
    firsts
}
