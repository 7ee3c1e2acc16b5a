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

/// How far the rows of some hashes have been found.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The newest row of each hash; `RowRef::NULL` if there is none, or the key is not valid.
    newest: Vec<RowRef>,
    /// The first hash of which not all rows have been found.
    next: usize,
    /// What is left of the rows of `next`, newest first: a chain leads from new to old, and is asked for from old to new.
    rest: Vec<RowRef>,
}

impl Cursor {
    /// The first row of the probe of which not all has been found.
    pub(super) fn finished_rows(&self) -> usize {
        self.next
    }

    fn hand_out(&mut self, limit: usize, probe_rows: &mut Vec<u32>, refs: &mut Vec<RowRef>) {
        let count = self.rest.len().min(limit - refs.len());
        refs.extend(self.rest.drain(self.rest.len() - count..).rev());
        probe_rows.resize(refs.len(), self.next as u32);
        if self.rest.is_empty() {
            self.next += 1;
        }
    }
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

    /// Adds rows as the newest of their hashes, one after the other; those whose key has a NULL are left out.
    pub(super) fn insert_all(&mut self, keys: &KeyHashes, rows: &[RowRef]) {
        self.each(keys, rows, Self::insert);
    }

    /// Removes rows, which must be there, but for those whose key has a NULL.
    pub(super) fn remove_all(&mut self, keys: &KeyHashes, rows: &[RowRef]) {
        self.each(keys, rows, Self::remove);
    }

    /// By the block, so that what is touched is still in the cache when it is looked up.
    fn each(&mut self, keys: &KeyHashes, rows: &[RowRef], mut change: impl FnMut(&mut Self, u64, RowRef)) {
        for (first, block) in rows.chunks(LOOKUPS).enumerate().map(|(block, rows)| (block * LOOKUPS, rows)) {
            self.touch(&keys.hashes[first..first + block.len()]);
            for (place, row) in block.iter().enumerate() {
                if let Some(hash) = keys.get(first + place) {
                    change(self, hash, *row);
                }
            }
        }
    }

    /// Removes a row; it must be there.
    pub(super) fn remove(&mut self, hash: u64, row: RowRef) {
        let Link { newer, older } = self.unlink(row);
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
        let link = self.unlink(old);
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
        black_box(hashes.iter().fold(0, |touched, hash| touched ^ self.touch_one(*hash)));
    }

    /// Reads what a look-up of a hash will read first, and returns something of it.
    #[inline]
    pub(super) fn touch_one(&self, hash: u64) -> u32 {
        self.shards[ShardId::of(hash).index()].touch(hash)
    }

    /// Frees the links of a slot, of whose rows none is left in the index.
    pub(super) fn forget_slot(&mut self, slot: usize) {
        if let Some(links) = self.links.get_mut(slot) {
            *links = Vec::new();
        }
    }

    /// Begins to find all rows of each valid hash.
    pub(super) fn start(&self, keys: &KeyHashes) -> Cursor {
        let mut newest = self.newest(&keys.hashes);
        if let Some(valid) = &keys.valid {
            newest.iter_mut().zip(valid).filter(|(_, valid)| !valid).for_each(|(row, _)| *row = RowRef::NULL);
        }
        Cursor { newest, next: 0, rest: Vec::new() }
    }

    /// Finds up to `limit` (at least one) more: (row of the probe, row of the table) pairs by row of the probe, and for
    /// one of these in the order in which the rows were inserted. Returns whether there are more.
    pub(super) fn advance(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        probe_rows: &mut Vec<u32>,
        refs: &mut Vec<RowRef>,
    ) -> bool {
        let limit = limit.max(1);
        // As many as there are when keys are unique; what is reserved once is not copied as it grows.
        let expected = limit.min(cursor.newest.len() - cursor.next);
        probe_rows.reserve(expected);
        refs.reserve(expected);
        if !cursor.rest.is_empty() {
            cursor.hand_out(limit, probe_rows, refs);
        }
        while let Some(&newest) = cursor.newest.get(cursor.next) {
            if newest.is_null() {
                cursor.next += 1;
                continue;
            }
            if refs.len() >= limit {
                break;
            }
            let first = refs.len();
            let mut row = newest;
            while !row.is_null() {
                probe_rows.push(cursor.next as u32);
                refs.push(row);
                row = self.link(row).older;
            }
            if refs.len() <= limit {
                refs[first..].reverse();
                cursor.next += 1;
            } else {
                cursor.rest.extend(refs.drain(first..));
                probe_rows.truncate(first);
                cursor.hand_out(limit, probe_rows, refs);
            }
        }
        cursor.next < cursor.newest.len()
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

    /// The neighbours of a row that leaves its chain; whatever gets its number next has none.
    fn unlink(&mut self, row: RowRef) -> Link {
        let links = self.links.get_mut(row.slot());
        links.and_then(|links| links.get_mut(row.row())).map_or(Link::NONE, |link| std::mem::replace(link, Link::NONE))
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
        let mut cursor = index.start(&keys);
        assert!(!index.advance(&mut cursor, usize::MAX, &mut rows, &mut refs));
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

    proptest! {
        #[test]
        fn pieces_are_the_whole(
            chains in proptest::collection::vec(0_usize..9, 1..9),
            probes in proptest::collection::vec((0_u64..9, any::<bool>()), 0..20),
            limit in 1_usize..12,
        ) {
            let mut index = Index::new();
            let mut rows: Vec<(u64, RowRef)> = Vec::new();
            for (hash, length) in chains.iter().enumerate() {
                rows.extend((0..*length).map(|row| (hash as u64, RowRef::new(hash, row))));
            }
            rows.iter().for_each(|(hash, row)| index.insert(*hash, *row));
            let valid: Vec<bool> = probes.iter().map(|probe| probe.1).collect();
            let keys = KeyHashes { hashes: probes.iter().map(|probe| probe.0).collect(), valid: Some(valid.into()) };
            let expected: Vec<(u32, RowRef)> = probes.iter().enumerate().filter(|(_, probe)| probe.1).flat_map(|(at, probe)| {
                rows.iter().filter(|(hash, _)| *hash == probe.0).map(move |(_, row)| (at as u32, *row))
            }).collect();
            let (mut found, mut cursor) = (Vec::new(), index.start(&keys));
            loop {
                let (mut probe_rows, mut refs) = (Vec::new(), Vec::new());
                let may_go_on = index.advance(&mut cursor, limit, &mut probe_rows, &mut refs);
                prop_assert!(refs.len() <= limit && (refs.len() == limit || !may_go_on));
                found.extend(probe_rows.into_iter().zip(refs));
                let finished = expected.iter().filter(|(row, _)| (*row as usize) < cursor.finished_rows()).count();
                prop_assert!(found.len() >= finished && (finished == found.len() || may_go_on));
                prop_assert!(found.iter().all(|(row, _)| *row as usize <= cursor.finished_rows()));
                if !may_go_on {
                    break;
                }
            }
            prop_assert_eq!(cursor.finished_rows(), probes.len());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_number_is_used_again() {
        let mut index = Index::new();
        let [first, second, third] = [0, 1, 2].map(|row| RowRef::new(0, row));
        [first, second, third].iter().for_each(|row| index.insert(7, *row));
        index.remove(7, second);
        index.insert(8, second);
        assert_eq!((found(&index, 7), found(&index, 8)), (vec![first, third], vec![second]));
        index.replace(7, first, RowRef::new(1, 0));
        index.insert(9, first);
        assert_eq!((found(&index, 7), found(&index, 9)), (vec![RowRef::new(1, 0), third], vec![first]));
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
