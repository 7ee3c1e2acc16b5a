//! One shard of an index: a hash table from the hash of a key to the newest row that has it.

use super::rows::RowRef;

/// The fewest entries a table of at least one row has room for.
const ENTRIES_MIN: usize = 4;

/// Linear probing in one array of entries of twelve bytes, at most three quarters full. A look-up is mostly one cache
/// miss, whose address is known beforehand, so that the misses of many look-ups can be made to overlap; this is why it
/// is not hashbrown's, which takes two, one after the other.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// A power of two of them, or none.
    entries: Vec<Entry>,
    occupied: usize,
}

/// A hash and the newest row that has it; `RowRef::NULL` marks a free entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The two halves of the hash: an aligned `u64` would cost another four bytes.
    hash: [u32; 2],
    head: RowRef,
}

impl Entry {
    const FREE: Entry = Entry { hash: [0; 2], head: RowRef::NULL };

    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) | u64::from(self.hash[1]) << 32
    }
}

fn halves(hash: u64) -> [u32; 2] {
    [hash as u32, (hash >> 32) as u32]
}

impl Heads {
    /// Bytes in memory, without those of the struct.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// Where the search for a hash begins. All hashes of a shard end in the same byte.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 8) as usize & (self.entries.len() - 1)
    }

    /// Reads what `get` will read first, and returns something of it.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        if self.entries.is_empty() { 0 } else { self.entries[self.home(hash)].head.0 }
    }

    /// The newest row of a hash, or `RowRef::NULL`.
    #[inline]
    pub(super) fn get(&self, hash: u64) -> RowRef {
        if self.entries.is_empty() { RowRef::NULL } else { self.entries[self.find(hash)].head }
    }

    /// The newest row of a hash, to be set; a new entry holds `RowRef::NULL` and must be set.
    pub(super) fn entry(&mut self, hash: u64) -> &mut RowRef {
        if (self.occupied + 1) * 4 > self.entries.len() * 3 {
            self.resize((self.entries.len() * 2).max(ENTRIES_MIN));
        }
        let at = self.find(hash);
        if self.entries[at].head.is_null() {
            self.occupied += 1;
            self.entries[at].hash = halves(hash);
        }
        &mut self.entries[at].head
    }

    /// Removes a hash, which must be there, and closes the gap: moves back each following entry that would no longer be
    /// found (Knuth, The Art of Computer Programming 6.4, algorithm R).
    pub(super) fn remove(&mut self, hash: u64) {
        let mask = self.entries.len() - 1;
        let mut gap = self.find(hash);
        debug_assert!(!self.entries[gap].head.is_null(), "BUG: {hash:#x} is not in the index");
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            if self.entries[at].head.is_null() {
                break;
            }
            let home = self.home(self.entries[at].hash());
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.entries[gap] = self.entries[at];
                gap = at;
            }
        }
        self.entries[gap] = Entry::FREE;
        self.occupied -= 1;
        // Far below the load at which it grows, so that growing and shrinking do not take turns.
        if self.occupied * 8 < self.entries.len() && self.entries.len() > ENTRIES_MIN {
            self.resize(self.entries.len() / 2);
        }
    }

    /// The entry of a hash, or the free one where it would be.
    #[inline]
    fn find(&self, hash: u64) -> usize {
        let mask = self.entries.len() - 1;
        let mut at = self.home(hash);
        while !self.entries[at].head.is_null() && self.entries[at].hash != halves(hash) {
            at = (at + 1) & mask;
        }
        at
    }

    fn resize(&mut self, entries: usize) {
        let old = std::mem::replace(&mut self.entries, vec![Entry::FREE; entries]);
        for entry in old.into_iter().filter(|entry| !entry.head.is_null()) {
            let at = self.find(entry.hash());
            self.entries[at] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_has_twelve_bytes() {
        assert_eq!(size_of::<Entry>(), 12);
    }

    proptest! {
        /// Of hashes that crowd together and hashes that wrap around the end.
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u64..40, 0_u64..3), 1..400)) {
            let mut heads = Heads::default();
            let mut model: HashMap<u64, RowRef> = HashMap::new();
            for (place, (is_insert, low, high)) in steps.into_iter().enumerate() {
                let home = if low == 39 { 0xff_ffff } else { low * 7 % 40 };
                let hash = home << 8 | high << 40;
                if is_insert {
                    *heads.entry(hash) = RowRef(place as u32);
                    model.insert(hash, RowRef(place as u32));
                } else if model.remove(&hash).is_some() {
                    heads.remove(hash);
                }
                prop_assert_eq!(heads.occupied, model.len());
                prop_assert!(heads.occupied * 4 <= heads.entries.len() * 3);
                for (hash, row) in &model {
                    prop_assert_eq!(heads.get(*hash), *row);
                }
                prop_assert_eq!(heads.get(u64::MAX), RowRef::NULL);
                prop_assert_eq!(heads.get(hash), model.get(&hash).copied().unwrap_or(RowRef::NULL));
            }
        }
    }

    #[test]
    fn it_shrinks_when_it_empties() {
        let mut heads = Heads::default();
        (0..10_000).for_each(|hash| *heads.entry(hash << 8) = RowRef(1));
        assert!(heads.bytes() >= 10_000 * size_of::<Entry>());
        (0..10_000).for_each(|hash| heads.remove(hash << 8));
        assert!(heads.bytes() <= 8 * size_of::<Entry>());
        assert_eq!(heads.get(0), RowRef::NULL);
    }
}
