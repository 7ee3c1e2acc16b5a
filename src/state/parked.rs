//! Combinations that wait for what they lack (SEMANTICS 3.2, 3.3): found by what would wake them, by their driving
//! row, and by when their time is over.

use std::hint::black_box;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use xxhash_rust::xxh64::xxh64;

use super::due::Due;
use super::index::Index;
use super::rows::{Places, RowRef, Rows};
use super::slab::Slab;
use super::stored::Tuning;
use crate::shard::KeyHashes;

/// Rows to rewrite with each removal, beyond as many as it removes.
const REWRITTEN_ROWS: usize = 256;
/// Rows of a full chunk: combinations come and go, and only a full chunk is rewritten when most of it has gone.
const CHUNK_ROWS: usize = 1 << 13;
/// How many combinations have their cache misses overlap.
const BLOCK: usize = 256;
/// The end of the registrations of an entry.
const NONE: u32 = u32::MAX;

/// A parked combination. It stays the same while the combination is parked, and may name another one after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParkedId(pub(super) u32);

/// How long a combination waits, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The stream time at which it expires, ms since the epoch.
    pub deadline_ms: i64,
    /// When it was parked by the wall clock, ms since the epoch.
    pub parked_ms: i64,
    /// Partition and offset of its driving row.
    pub driver: (i32, i64),
    /// Whether it lacks an event row, so that it may have to give way to one that has it: only then does `of_driver` find it.
    pub is_partial: bool,
}

/// A key under which a dimension row wakes a combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waker {
    /// The combination: its row in the batch that is parked.
    pub entry: u32,
    /// The look-up that missed something.
    pub lookup: u32,
    /// The hash of the key that it looked up.
    pub hash: u64,
}

/// All parked combinations.
#[derive(Debug)]
pub struct Parked {
    columns: usize,
    rows: Rows,
    /// The entry of each row, by slot.
    owners: Vec<Vec<ParkedId>>,
    entries: Slab<Entry>,
    registrations: Slab<Registration>,
    /// For each look-up the registrations of each hash.
    wakers: Vec<Index>,
    /// The entries of each driving row, by its hash.
    drivers: Index,
    by_stream_time: Due,
    by_wall_clock: Due,
    /// How many were ever parked.
    parked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    waiting: Waiting,
    /// Its place in the order of parking.
    order: u64,
    /// `RowRef::NULL` if it is not parked any more.
    row: RowRef,
    /// The first of its registrations.
    first: u32,
}

/// That an entry is woken by a hash.
#[derive(Clone, Copy, Debug)]
struct Registration {
    hash: u64,
    lookup: u32,
    entry: ParkedId,
    /// The next of the entry.
    next: u32,
}

impl Parked {
    /// Nothing parked yet; combinations of columns (at least one) of these types, woken by this many look-ups.
    pub fn new(types: &[DataType], lookups: usize) -> Self {
        Self::with_tuning(types, lookups, Tuning { chunk_rows: CHUNK_ROWS, ..Tuning::default() })
    }

    pub(super) fn with_tuning(types: &[DataType], lookups: usize, tuning: Tuning) -> Self {
        assert!(!types.is_empty(), "BUG: a parked combination without a column");
        Parked {
            columns: types.len(),
            rows: Rows::new(types, tuning.chunk_rows, tuning.chunk_bytes),
            owners: Vec::new(),
            entries: Slab::default(),
            registrations: Slab::default(),
            wakers: (0..lookups).map(|_| Index::new()).collect(),
            drivers: Index::new(),
            by_stream_time: Due::default(),
            by_wall_clock: Due::default(),
            parked: 0,
        }
    }

    /// How many combinations are parked.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is parked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that they take, with all that finds them.
    pub fn memory_bytes(&self) -> usize {
        let owners: usize = self.owners.iter().map(|owners| owners.capacity() * size_of::<ParkedId>()).sum();
        let indexes = self.wakers.iter().chain([&self.drivers]).map(Index::bytes).sum::<usize>();
        let slabs = self.entries.bytes() + self.registrations.bytes();
        self.rows.bytes() + owners + indexes + slabs + self.by_stream_time.bytes() + self.by_wall_clock.bytes()
    }

    /// Since when the one that waits longest by the wall clock waits, ms since the epoch.
    pub fn oldest_parked_ms(&self) -> Option<i64> {
        self.by_wall_clock.first()
    }

    /// The least deadline by stream time.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.by_stream_time.first()
    }

    /// A combination's place in the order of parking.
    pub fn place(&self, id: ParkedId) -> u64 {
        self.entries.get(id.0).order
    }

    /// Parks combinations, one a row of `columns`, each with its `entries`. `wakers` may repeat and stand in any order.
    pub fn park(&mut self, columns: &[ArrayRef], entries: &[Waiting], wakers: &[Waker]) -> Vec<ParkedId> {
        let rows = self.rows.append(columns);
        let ids: Vec<ParkedId> = rows.iter().zip(entries).map(|(row, waiting)| self.enter(*row, *waiting)).collect();
        let drivers = entries.iter().map(|waiting| hash_driver(waiting.driver)).collect();
        let numbers: Vec<RowRef> = ids.iter().map(|id| RowRef(id.0)).collect();
        let valid = Some(entries.iter().map(|waiting| waiting.is_partial).collect::<Vec<_>>().into());
        self.drivers.insert_all(&KeyHashes { hashes: drivers, valid }, &numbers);
        let mut sorted;
        let wakers = if wakers.is_sorted_by(|left, right| left < right) {
            wakers
        } else {
            sorted = wakers.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            &sorted
        };
        for block in wakers.chunks(BLOCK) {
            let touch = |waker: &Waker| self.wakers[waker.lookup as usize].touch_one(waker.hash);
            black_box(block.iter().fold(0, |touched, waker| touched ^ touch(waker)));
            for Waker { entry, lookup, hash } in block {
                self.register(ids[*entry as usize], *lookup, *hash);
            }
        }
        ids
    }

    fn enter(&mut self, row: RowRef, waiting: Waiting) -> ParkedId {
        let order = self.parked;
        self.parked += 1;
        let id = ParkedId(self.entries.insert(Entry { waiting, order, row, first: NONE }));
        self.own(row, id);
        self.by_stream_time.push(waiting.deadline_ms, order, id);
        self.by_wall_clock.push(waiting.parked_ms, order, id);
        id
    }

    fn own(&mut self, row: RowRef, id: ParkedId) {
        if self.owners.len() <= row.slot() {
            self.owners.resize_with(row.slot() + 1, Vec::new);
        }
        debug_assert_eq!(self.owners[row.slot()].len(), row.row(), "BUG: rows are added in order");
        self.owners[row.slot()].push(id);
    }

    fn register(&mut self, id: ParkedId, lookup: u32, hash: u64) {
        let next = self.entries.get(id.0).first;
        let number = self.registrations.insert(Registration { hash, lookup, entry: id, next });
        self.entries.get_mut(id.0).first = number;
        self.wakers[lookup as usize].insert(hash, RowRef(number));
    }

    fn unregister(&mut self, id: ParkedId) {
        let mut number = std::mem::replace(&mut self.entries.get_mut(id.0).first, NONE);
        while number != NONE {
            let Registration { hash, lookup, next, .. } = *self.registrations.get(number);
            self.wakers[lookup as usize].remove(hash, RowRef(number));
            if let Some(page) = self.registrations.remove(number) {
                self.wakers.iter_mut().for_each(|index| index.forget_slot(page));
            }
            number = next;
        }
    }

    /// Replaces what wakes a combination; its place in the order of parking stays.
    pub fn rekey(&mut self, id: ParkedId, wakers: &[(u32, u64)]) {
        self.unregister(id);
        let mut wakers = wakers.to_vec();
        wakers.sort_unstable();
        wakers.dedup();
        for (lookup, hash) in wakers {
            self.register(id, lookup, hash);
        }
    }

    /// Which combinations wait for one of the keys in a look-up: (row of `hashes`, combination) pairs by row, and for one
    /// row in the order of parking. Nothing for a key with a NULL. `found` is overwritten.
    pub fn woken(&self, lookup: usize, hashes: &KeyHashes, found: &mut Vec<(u32, ParkedId)>) {
        found.clear();
        if self.is_empty() {
            return;
        }
        let (mut rows, mut numbers) = (Vec::new(), Vec::new());
        let mut cursor = self.wakers[lookup].start(hashes);
        self.wakers[lookup].advance(&mut cursor, usize::MAX, &mut rows, &mut numbers);
        found.extend(rows.iter().zip(&numbers).map(|(row, number)| (*row, self.registrations.get(number.0).entry)));
        // Those that were given other wakers since stand behind younger ones.
        let place = |(row, id): &(u32, ParkedId)| (*row, self.entries.get(id.0).order);
        if !found.is_sorted_by_key(place) {
            found.sort_unstable_by_key(place);
        }
    }

    /// The combinations of a driving row (partition and offset) that lack an event row, in the order of parking.
    pub fn of_driver(&self, driver: (i32, i64)) -> Vec<ParkedId> {
        if self.is_empty() {
            return Vec::new();
        }
        let keys = KeyHashes { hashes: vec![hash_driver(driver)], valid: None };
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        self.drivers.advance(&mut self.drivers.start(&keys), usize::MAX, &mut rows, &mut found);
        let ids = found.into_iter().map(|row| ParkedId(row.0));
        ids.filter(|id| self.waiting(*id).driver == driver).collect()
    }

    /// Partition and offset of the driving row of each, in no order.
    pub fn drivers(&self) -> impl Iterator<Item = (i32, i64)> {
        self.entries.values().filter(|entry| !entry.row.is_null()).map(|entry| entry.waiting.driver)
    }

    /// How long a combination waits, and for whom.
    pub fn waiting(&self, id: ParkedId) -> &Waiting {
        &self.entries.get(id.0).waiting
    }

    /// Finds the rows of combinations, once for all columns that are gathered from them.
    pub fn locate(&self, ids: &[ParkedId]) -> Places {
        self.rows.locate(&self.refs(ids))
    }

    /// One column of located combinations.
    pub fn gather_at(&self, column: usize, places: &Places) -> ArrayRef {
        self.rows.gather(column, places)
    }

    /// One column of some combinations.
    pub fn gather(&self, column: usize, ids: &[ParkedId]) -> ArrayRef {
        self.gather_at(column, &self.locate(ids))
    }

    /// All columns of some combinations.
    pub fn gather_all(&self, ids: &[ParkedId]) -> Vec<ArrayRef> {
        let places = self.locate(ids);
        (0..self.columns).map(|column| self.gather_at(column, &places)).collect()
    }

    fn refs(&self, ids: &[ParkedId]) -> Vec<RowRef> {
        ids.iter().map(|id| self.entries.get(id.0).row).collect()
    }

    /// Combinations whose deadline is at most `now_ms`, by deadline and then in the order of parking, at most `limit` of
    /// them. They stay parked: asked again without removing them, it gives the same.
    pub fn due_by_stream_time(&mut self, now_ms: i64, limit: usize) -> Vec<ParkedId> {
        self.by_stream_time.until(now_ms, limit, is_parked(&self.entries))
    }

    /// Combinations that were parked at `parked_until_ms` or before, by the wall clock and then in the order of parking
    /// (which is the same unless the clock went back), at most `limit` of them. They stay parked.
    pub fn due_by_wall_clock(&mut self, parked_until_ms: i64, limit: usize) -> Vec<ParkedId> {
        self.by_wall_clock.until(parked_until_ms, limit, is_parked(&self.entries))
    }

    /// Ends the wait of combinations, each of which is parked and named once.
    pub fn remove(&mut self, ids: &[ParkedId]) {
        self.rows.kill(&self.refs(ids));
        for ids in ids.chunks(BLOCK) {
            self.touch(ids);
            ids.iter().for_each(|id| self.leave(*id));
        }
        let entries = &self.entries;
        self.by_stream_time.forget(entries.len(), is_parked(entries));
        self.by_wall_clock.forget(entries.len(), is_parked(entries));
        if entries.len() == 0 {
            self.rows.clear();
            self.owners.clear();
        } else {
            self.compact_step(ids.len() + REWRITTEN_ROWS);
        }
    }

    fn leave(&mut self, id: ParkedId) {
        self.unregister(id);
        let entry = self.entries.get_mut(id.0);
        entry.row = RowRef::NULL;
        let Waiting { driver, is_partial, .. } = entry.waiting;
        if is_partial {
            self.drivers.remove(hash_driver(driver), RowRef(id.0));
        }
        if let Some(page) = self.entries.remove(id.0) {
            self.drivers.forget_slot(page);
        }
    }

    /// Reads what their removal will read first: entries, then what these lead to, then what that leads to, each time a loop
    /// that does little but miss the cache.
    fn touch(&self, ids: &[ParkedId]) {
        let entries = || ids.iter().map(|id| self.entries.get(id.0));
        black_box(entries().fold(0, |touched, entry| touched ^ entry.first));
        let registrations = || {
            let first = entries().map(|entry| entry.first).filter(|first| *first != NONE);
            first.map(|first| self.registrations.get(first))
        };
        let driver = |entry: &Entry| self.drivers.touch_one(hash_driver(entry.waiting.driver));
        black_box(entries().fold(0, |touched, entry| touched ^ driver(entry)));
        black_box(registrations().fold(0, |touched, registration| touched ^ registration.lookup));
        let waker = |of: &Registration| self.wakers[of.lookup as usize].touch_one(of.hash);
        black_box(registrations().fold(0, |touched, registration| touched ^ waker(registration)));
    }

    /// Gives back chunks of which nothing is left. Where more than half of all rows are dead, rewrites up to `rows_max` rows of
    /// chunks of which more than half are: what comes and goes in turn is not copied for it.
    fn compact_step(&mut self, rows_max: usize) {
        let mut rows_left = rows_max;
        loop {
            while let Some(slot) = self.rows.release_dead() {
                self.owners[slot] = Vec::new();
            }
            if rows_left == 0 || self.rows.dead() <= self.rows.live() + self.rows.chunk_rows_max() {
                return;
            }
            let Some((_, old)) = self.rows.worn(rows_left) else { return };
            rows_left -= old.len();
            self.move_rows(&old);
        }
    }

    fn move_rows(&mut self, old: &[RowRef]) {
        let places = self.rows.locate(old);
        let columns: Vec<ArrayRef> = (0..self.columns).map(|column| self.rows.gather(column, &places)).collect();
        let new = self.rows.append(&columns);
        for (old, new) in old.iter().zip(&new) {
            let id = self.owners[old.slot()][old.row()];
            self.entries.get_mut(id.0).row = *new;
            self.own(*new, id);
        }
        self.rows.kill(old);
    }
}

/// Whether the combination that was parked as the `order`th is still parked: its number may be another's by now.
fn is_parked(entries: &Slab<Entry>) -> impl Fn(u64, ParkedId) -> bool {
    |order, id| entries.try_get(id.0).is_some_and(|entry| entry.order == order && !entry.row.is_null())
}

fn hash_driver((partition, offset): (i32, i64)) -> u64 {
    xxh64(&offset.to_le_bytes(), partition as u64)
}
