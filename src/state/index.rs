//! An index: from the hash of a key to the rows that have it, newest first.

use std::hint::black_box;

use super::heads::Heads;
use super::rows::RowRef;
use crate::shard::{KeyHashes, SHARDS, ShardId};

/// 256 shards of hash tables with one entry a distinct hash, whose rows form a doubly linked chain: rows are added,
/// removed and moved in constant time, however many share a key. Rows of different keys but one hash share a chain, so
/// whoever probes compares the keys.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Heads>,
    /// The neighbours of each row in its chain, by slot and row. A chain of one row needs none, and a slot whose rows
    /// are all alone has an empty list: an index of unique keys pays nothing for its links, in bytes or cache misses.
    links: Vec<Vec<Link>>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: RowRef,
    older: RowRef,
}

impl Link {
    const NONE: Link = Link { newer: RowRef::NULL, older: RowRef::NULL };
}

/// How many look-ups have their cache misses overlap.
const LOOKUPS: usize = 256;

impl Index {
    /// An index of no rows.
    pub(super) fn new() -> Self {
        Index { shards: (0..SHARDS).map(|_| Heads::default()).collect(), links: Vec::new() }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|heads| size_of::<Heads>() + heads.bytes()).sum();
        let links: usize = self.links.iter().map(|links| links.capacity() * size_of::<Link>()).sum();
        shards + links + self.links.capacity() * size_of::<Vec<Link>>()
    }

    /// Adds a row as the newest of its hash.
    pub(super) fn insert(&mut self, hash: u64, row: RowRef) {
        let older = std::mem::replace(self.head_mut(hash), row);
        if !older.is_null() {
            self.link_mut(older).newer = row;
            *self.link_mut(row) = Link { newer: RowRef::NULL, older };
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
            return;
        }
        debug_assert_eq!(self.shards[ShardId::of(hash).index()].get(hash), row, "BUG: not the head of its chain");
        if older.is_null() {
            self.shards[ShardId::of(hash).index()].remove(hash);
        } else {
            *self.head_mut(hash) = older;
        }
    }

    /// Puts a row in the place of another, which must be there; the order of the chain stays.
    pub(super) fn replace(&mut self, hash: u64, old: RowRef, new: RowRef) {
        let link = self.link(old);
        if !link.older.is_null() {
            self.link_mut(link.older).newer = new;
        }
        if link.newer.is_null() {
            let head = std::mem::replace(self.head_mut(hash), new);
            debug_assert_eq!(head, old, "BUG: a row without a newer one is the head of its chain");
        } else {
            self.link_mut(link.newer).older = new;
        }
        if !(link.older.is_null() && link.newer.is_null()) {
            *self.link_mut(new) = link;
        }
    }

    /// Reads what a look-up of each hash will read first: a loop that does nothing but miss the cache, so that many
    /// misses are under way at a time. For no more hashes than the cache has room for.
    pub(super) fn touch(&self, hashes: &[u64]) {
        let touch = |hash: u64| self.shards[ShardId::of(hash).index()].touch(hash);
        black_box(hashes.iter().fold(0, |touched, hash| touched ^ touch(*hash)));
    }

    /// Frees the links of a slot, of whose rows none is left in the index.
    pub(super) fn forget_slot(&mut self, slot: usize) {
        if let Some(links) = self.links.get_mut(slot) {
            *links = Vec::new();
        }
    }

    /// Finds all rows of each valid hash: (row of the probe, row of the table) pairs by row of the probe, and for one
    /// of these in the order in which the rows were inserted.
    pub(super) fn probe(&self, keys: &KeyHashes, probe_rows: &mut Vec<u32>, refs: &mut Vec<RowRef>) {
        let newest = self.newest(&keys.hashes);
        // As many as there are when keys are unique; what is reserved once is not copied as it grows.
        probe_rows.reserve(newest.len());
        refs.reserve(newest.len());
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

    /// The newest row of each hash, or `RowRef::NULL`.
    fn newest(&self, hashes: &[u64]) -> Vec<RowRef> {
        let shard = |hash: u64| &self.shards[ShardId::of(hash).index()];
        let mut newest = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(LOOKUPS) {
            self.touch(hashes);
            newest.extend(hashes.iter().map(|hash| shard(*hash).get(*hash)));
        }
        newest
    }

    fn head_mut(&mut self, hash: u64) -> &mut RowRef {
        self.shards[ShardId::of(hash).index()].entry(hash)
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
                    let of_hash = model.iter().filter(|(of, _)| *of == hash);
                    let expected: Vec<RowRef> = of_hash.map(|(_, row)| *row).collect();
                    prop_assert_eq!(found(&index, hash), expected);
                }
            }
        }
    }

    #[test]
    fn unique_keys_need_no_links() {
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
}
