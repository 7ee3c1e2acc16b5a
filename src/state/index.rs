//! An index: from the hash of a key to the rows that have it, newest first.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::rows::RowRef;
use crate::shard::{KeyHashes, SHARDS, ShardId};

/// 256 shards of hash tables with one entry a distinct hash, whose rows form a doubly linked chain: rows are added,
/// removed and moved in constant time, however many share a key. Rows of different keys but one hash share a chain, so
/// whoever probes compares the keys.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<HashTable<Entry>>,
    /// The neighbours of each row in its chain, by slot and row. A chain of one row needs none, and a slot whose rows
    /// are all alone has an empty list: an index of unique keys pays nothing for its links, in bytes or cache misses.
    links: Vec<Vec<Link>>,
}

/// The newest row of a hash. Two halves, as an aligned `u64` would cost another four bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: [u32; 2],
    head: RowRef,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: RowRef,
    older: RowRef,
}

impl Link {
    const NONE: Link = Link { newer: RowRef::NULL, older: RowRef::NULL };
}

impl Entry {
    fn new(hash: u64, head: RowRef) -> Self {
        Entry { hash: halves(hash), head }
    }

    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) | u64::from(self.hash[1]) << 32
    }
}

fn halves(hash: u64) -> [u32; 2] {
    [hash as u32, (hash >> 32) as u32]
}

/// The hash within a shard: there all hashes end in the same byte, and a hash table begins with the last bits.
fn within_shard(hash: u64) -> u64 {
    hash ^ hash >> 8
}

impl Index {
    /// An index of no rows.
    pub(super) fn new() -> Self {
        Index { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), links: Vec::new() }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        let links: usize = self.links.iter().map(|links| links.capacity() * size_of::<Link>()).sum();
        entries
            + links
            + self.shards.capacity() * size_of::<HashTable<Entry>>()
            + self.links.capacity() * size_of::<Vec<Link>>()
    }

    /// Adds a row as the newest of its hash.
    pub(super) fn insert(&mut self, hash: u64, row: RowRef) {
        let shard = &mut self.shards[ShardId::of(hash).index()];
        let is_it = |entry: &Entry| entry.hash == halves(hash);
        match shard.entry(within_shard(hash), is_it, |entry| within_shard(entry.hash())) {
            Slot::Vacant(vacant) => {
                vacant.insert(Entry::new(hash, row));
            }
            Slot::Occupied(mut occupied) => {
                let older = std::mem::replace(&mut occupied.get_mut().head, row);
                self.link_mut(older).newer = row;
                *self.link_mut(row) = Link { newer: RowRef::NULL, older };
            }
        }
    }

    /// Removes a row; it must be there.
    pub(super) fn remove(&mut self, hash: u64, row: RowRef) {
        let Link { newer, older } = self.link(row);
        if !older.is_null() {
            self.link_mut(older).newer = newer;
        }
        if !newer.is_null() {
            self.link_mut(newer).older = older;
        } else if !older.is_null() {
            self.entry_mut(hash, row).head = older;
        } else {
            let shard = &mut self.shards[ShardId::of(hash).index()];
            match shard.find_entry(within_shard(hash), |entry| entry.hash == halves(hash) && entry.head == row) {
                Ok(occupied) => drop(occupied.remove()),
                Err(_) => unreachable!("BUG: {row:?} is not in the index under {hash:#x}"),
            }
            // Far below the load at which it grew, so that growing and shrinking do not take turns.
            if shard.len() * 8 < shard.num_buckets() {
                shard.shrink_to(shard.len() * 2, |entry| within_shard(entry.hash()));
            }
        }
    }

    /// Puts a row in the place of another, which must be there; the order of the chain stays.
    pub(super) fn replace(&mut self, hash: u64, old: RowRef, new: RowRef) {
        let link = self.link(old);
        if !link.older.is_null() {
            self.link_mut(link.older).newer = new;
        }
        if link.newer.is_null() {
            self.entry_mut(hash, old).head = new;
        } else {
            self.link_mut(link.newer).older = new;
        }
        if !(link.older.is_null() && link.newer.is_null()) {
            *self.link_mut(new) = link;
        }
    }

    /// Frees the links of a slot, of whose rows none is left in the index.
    pub(super) fn forget_slot(&mut self, slot: usize) {
        if let Some(links) = self.links.get_mut(slot) {
            *links = Vec::new();
        }
    }

    /// Finds all rows of each valid hash: (row of the probe, row of the table) pairs by row of the probe, and for one of
    /// these in the order in which the rows were inserted.
    pub(super) fn probe(&self, keys: &KeyHashes, probe_rows: &mut Vec<u32>, refs: &mut Vec<RowRef>) {
        // Look-ups of their own, one after the other and nothing between them, so that their cache misses overlap.
        let newest: Vec<RowRef> = keys.hashes.iter().map(|hash| self.newest(*hash)).collect();
        for (probe_row, mut row) in newest.into_iter().enumerate() {
            if row.is_null() || !keys.is_valid(probe_row) {
                continue;
            }
            let first = refs.len();
            while !row.is_null() {
                probe_rows.push(probe_row as u32);
                refs.push(row);
                row = self.link(row).older;
            }
            refs[first..].reverse();
        }
    }

    fn newest(&self, hash: u64) -> RowRef {
        let shard = &self.shards[ShardId::of(hash).index()];
        let entry = shard.find(within_shard(hash), |entry| entry.hash == halves(hash));
        entry.map_or(RowRef::NULL, |entry| entry.head)
    }

    fn entry_mut(&mut self, hash: u64, head: RowRef) -> &mut Entry {
        self.shards[ShardId::of(hash).index()]
            .find_mut(within_shard(hash), |entry| entry.hash == halves(hash) && entry.head == head)
            .expect("BUG: a row without a newer one is the head of its chain")
    }

    #[inline]
    fn link(&self, row: RowRef) -> Link {
        let links = self.links.get(row.slot());
        links.and_then(|links| links.get(row.row())).copied().unwrap_or(Link::NONE)
    }

    fn link_mut(&mut self, row: RowRef) -> &mut Link {
        if self.links.len() <= row.slot() {
            self.links.resize_with(row.slot() + 1, Vec::new);
        }
        let links = &mut self.links[row.slot()];
        if links.len() <= row.row() {
            links.resize(row.row() + 1, Link::NONE);
        }
        &mut links[row.row()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(index: &Index, hash: u64) -> Vec<RowRef> {
        let keys = KeyHashes { hashes: vec![hash], valid: None };
        let (mut rows, mut refs) = (Vec::new(), Vec::new());
        index.probe(&keys, &mut rows, &mut refs);
        assert_eq!(rows, vec![0; refs.len()]);
        refs
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(usize),
        Move(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop_oneof![Just(0_u64), Just(256), Just(1), Just(u64::MAX)].prop_map(Step::Insert),
            2 => any::<usize>().prop_map(Step::Remove),
            2 => any::<usize>().prop_map(Step::Move),
        ]
    }

    proptest! {
        #[test]
        fn chains_are_lists(steps in proptest::collection::vec(step(), 1..200)) {
            let mut index = Index::new();
            let mut model: Vec<(u64, RowRef)> = Vec::new();
            for (place, step) in steps.into_iter().enumerate() {
                let fresh = RowRef::new(place % 3, place);
                match step {
                    Step::Insert(hash) => {
                        index.insert(hash, fresh);
                        model.push((hash, fresh));
                    }
                    Step::Remove(which) if !model.is_empty() => {
                        let (hash, row) = model.remove(which % model.len());
                        index.remove(hash, row);
                    }
                    Step::Move(which) if !model.is_empty() => {
                        let which = which % model.len();
                        index.replace(model[which].0, model[which].1, fresh);
                        model[which].1 = fresh;
                    }
                    _ => {}
                }
                for hash in [0, 256, 1, u64::MAX, 2] {
                    let expected: Vec<RowRef> = model.iter().filter(|(of, _)| *of == hash).map(|(_, row)| *row).collect();
                    prop_assert_eq!(found(&index, hash), expected);
                }
            }
        }
    }

    #[test]
    fn an_entry_has_twelve_bytes_and_unique_keys_need_no_links() {
        assert_eq!(size_of::<Entry>(), 12);
        let mut index = Index::new();
        for row in 0..1000 {
            index.insert(row as u64 * 77, RowRef::new(5, row));
        }
        assert!(index.links.is_empty());
        index.insert(77, RowRef::new(6, 0));
        assert_eq!(index.links[6].len(), 1);
        assert_eq!(found(&index, 77), [RowRef::new(5, 1), RowRef::new(6, 0)]);
    }

    #[test]
    fn a_hot_key_takes_and_loses_rows_in_constant_time() {
        let mut index = Index::new();
        let rows = || (0..4).flat_map(|slot| (0..50_000).map(move |row| RowRef::new(slot, row)));
        rows().for_each(|row| index.insert(9, row));
        assert!(found(&index, 9).into_iter().eq(rows()));
        // From the oldest on: as far as can be from the head. A quadratic walk would take minutes.
        rows().for_each(|row| index.remove(9, row));
        assert!(found(&index, 9).is_empty());
    }

    #[test]
    fn hashes_of_one_shard_spread() {
        let spread: std::collections::HashSet<u64> =
            (0..128_u64).map(|high| within_shard(high << 8 | 7) % 128).collect();
        assert_eq!(spread.len(), 128);
    }
}
