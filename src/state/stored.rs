//! Rows and the indexes over them: what dimension tables and event tables have in common.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::equality::{Candidates, retain_equal};
use super::index::{Cursor, Index};
use super::rows::{Places, RowRef, Rows};
use crate::shard::{KeyHashes, hash_keys};

/// The rows that match the keys of a probe, as pairs, by row of the probe. Rows that match one key stand in the order
/// in which they came, oldest first (an updated row of a dimension counts from its update); rewriting chunks does not
/// change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// The row of the probe; one that matches nothing does not appear.
    pub rows: Vec<u32>,
    /// The row of the table.
    pub refs: Vec<RowRef>,
}

impl Matches {
    /// Forgets all pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.refs.clear();
    }

    /// Keeps the pairs that are marked.
    pub fn retain(&mut self, wanted: &[bool]) {
        keep(&mut self.rows, wanted);
        keep(&mut self.refs, wanted);
    }
}

/// What tests change: small chunks are rewritten often, a bad hash collides often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// Rows of a full chunk, at most 65 536.
    pub(super) chunk_rows: usize,
    /// Bytes at which a chunk is full too: arrays with 32-bit offsets end at 2 GiB, and no batch comes near that.
    pub(super) chunk_bytes: usize,
    /// From key columns to hashes.
    pub(super) hash_keys: fn(&[ArrayRef]) -> KeyHashes,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { chunk_rows: 1 << 16, chunk_bytes: 1 << 29, hash_keys }
    }
}

/// The rows of a table and how they are found.
#[derive(Debug)]
pub struct Stored {
    pub(super) rows: Rows,
    /// Different sets of columns, each with its index.
    pub(super) keys: Vec<Key>,
    /// The place in `keys` of each index of the table's spec.
    pub(super) index_keys: Vec<usize>,
    pub(super) hash_keys: fn(&[ArrayRef]) -> KeyHashes,
}

/// Some columns of a table and the index over them.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) columns: Vec<usize>,
    pub(super) index: Index,
}

/// A probe under way. It holds as long as the table does not change.
#[derive(Debug)]
pub struct Probe {
    key: usize,
    /// In the types of the table.
    keys: Vec<ArrayRef>,
    hashes: KeyHashes,
    cursor: Cursor,
}

impl Probe {
    /// The hashes of the keys, the same as `Stored::key_hashes` of rows with equal keys.
    pub fn hashes(&self) -> &KeyHashes {
        &self.hashes
    }

    /// The first row of the probe that may still get matches: all before it have been given all theirs.
    pub fn finished_rows(&self) -> usize {
        self.cursor.finished_rows()
    }
}

impl Stored {
    /// No rows, of columns of these types. Keys over equal columns share an index; `first_key`, if there is one, is the
    /// first in `keys` though no index of the spec may be on it.
    pub(super) fn new(
        types: &[DataType],
        first_key: Option<Vec<usize>>,
        indexes: Vec<Vec<usize>>,
        tuning: Tuning,
    ) -> Self {
        let key = |columns| Key { columns, index: Index::new() };
        let mut keys: Vec<Key> = first_key.into_iter().map(key).collect();
        let mut index_keys = Vec::new();
        for columns in indexes {
            let place = keys.iter().position(|key| key.columns == columns);
            index_keys.push(place.unwrap_or_else(|| {
                keys.push(key(columns));
                keys.len() - 1
            }));
        }
        let rows = Rows::new(types, tuning.chunk_rows, tuning.chunk_bytes);
        Stored { rows, keys, index_keys, hash_keys: tuning.hash_keys }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.live()
    }

    /// Bytes of memory that rows and indexes take.
    pub fn memory_bytes(&self) -> usize {
        self.rows.bytes() + self.keys.iter().map(|key| key.index.bytes()).sum::<usize>()
    }

    /// Begins to find all rows whose key in the index (a place in the spec's `indexes`) equals one of `keys`, columns of
    /// one length. A key with a NULL matches nothing.
    pub fn start_probe(&self, index: usize, keys: &[ArrayRef]) -> Probe {
        let key = self.index_keys[index];
        let keys = self.as_stored(&self.keys[key].columns, keys);
        let hashes = (self.hash_keys)(&keys);
        let cursor = self.keys[key].index.start(&hashes);
        Probe { key, keys, hashes, cursor }
    }

    /// Finds the next matches, by row of the probe; a piece may end between the matches of one row. At most `limit` rows
    /// are looked at (at least one), so that a key with very many matches is worked off in pieces. `matches` is
    /// overwritten. Returns whether more may come; a piece before the last may be empty, where only hashes are equal.
    pub fn next_matches(&self, probe: &mut Probe, limit: usize, matches: &mut Matches) -> bool {
        let Probe { key, keys, cursor, .. } = probe;
        self.advance(*key, keys, cursor, limit, matches)
    }

    /// Finds all matches at once.
    pub(super) fn find(&self, key: usize, keys: &[ArrayRef], hashes: &KeyHashes, matches: &mut Matches) {
        let mut cursor = self.keys[key].index.start(hashes);
        self.advance(key, keys, &mut cursor, usize::MAX, matches);
    }

    fn advance(&self, key: usize, keys: &[ArrayRef], cursor: &mut Cursor, limit: usize, matches: &mut Matches) -> bool {
        matches.clear();
        let Key { columns, index } = &self.keys[key];
        let may_go_on = index.advance(cursor, limit, &mut matches.rows, &mut matches.refs);
        let places = self.rows.locate(&matches.refs);
        let mut equal = vec![true; matches.refs.len()];
        for (column, probe) in columns.iter().zip(keys) {
            let stored = self.rows.pieces(*column, &places);
            let candidates =
                Candidates { stored: &stored, stored_rows: &places.rows, probe, probe_rows: &matches.rows };
            retain_equal(&candidates, &mut equal);
        }
        if equal.contains(&false) {
            keep(&mut matches.rows, &equal);
            keep(&mut matches.refs, &equal);
        }
        may_go_on
    }

    /// The hashes of the keys in an index of some rows, given as the table's columns in order. They are those of a probe
    /// with equal keys.
    pub fn key_hashes(&self, index: usize, columns: &[ArrayRef]) -> KeyHashes {
        let of_key = &self.keys[self.index_keys[index]].columns;
        (self.hash_keys)(&self.as_stored(of_key, &chosen(of_key, columns)))
    }

    /// The hashes of some keys of a probe, the same as `key_hashes` of rows with equal keys.
    pub fn probe_hashes(&self, index: usize, keys: &[ArrayRef]) -> KeyHashes {
        (self.hash_keys)(&self.as_stored(&self.keys[self.index_keys[index]].columns, keys))
    }

    /// Finds rows, once for all columns that are gathered from them.
    pub fn locate(&self, refs: &[RowRef]) -> Places {
        self.rows.locate(refs)
    }

    /// One column of located rows; NULL for `RowRef::NULL`.
    pub fn gather_at(&self, column: usize, places: &Places) -> ArrayRef {
        self.rows.gather(column, places)
    }

    /// One column of some rows; NULL for `RowRef::NULL`.
    pub fn gather(&self, column: usize, refs: &[RowRef]) -> ArrayRef {
        self.gather_at(column, &self.locate(refs))
    }

    /// Several columns of the same rows, which costs less than one after the other.
    pub fn gather_columns(&self, columns: &[usize], refs: &[RowRef]) -> Vec<ArrayRef> {
        let places = self.locate(refs);
        columns.iter().map(|column| self.gather_at(*column, &places)).collect()
    }

    /// Adds rows, whose columns these are, to the indexes from `first_key` on; one with a NULL in its key is in none.
    pub(super) fn add_to_indexes(&mut self, first_key: usize, columns: &[ArrayRef], refs: &[RowRef]) {
        for Key { columns: of_key, index } in &mut self.keys[first_key..] {
            let hashes = (self.hash_keys)(&chosen(of_key, columns));
            index.insert_all(&hashes, refs);
        }
    }

    /// Removes rows from the indexes from `first_key` on; `column` gives a column of theirs.
    pub(super) fn remove_from_indexes(
        &mut self,
        first_key: usize,
        column: impl Fn(&Rows, usize) -> ArrayRef,
        refs: &[RowRef],
    ) {
        for Key { columns, index } in &mut self.keys[first_key..] {
            let keys: Vec<ArrayRef> = columns.iter().map(|number| column(&self.rows, *number)).collect();
            let hashes = (self.hash_keys)(&keys);
            index.remove_all(&hashes, refs);
        }
    }

    /// Frees what the indexes keep for the rows of a slot, none of which is in an index.
    pub(super) fn forget_slot(&mut self, slot: usize) {
        for key in &mut self.keys {
            key.index.forget_slot(slot);
        }
    }

    /// `arrays` in the types of the table's columns `columns`: text may come in another layout than it is kept.
    pub(super) fn as_stored(&self, columns: &[usize], arrays: &[ArrayRef]) -> Vec<ArrayRef> {
        assert_eq!(columns.len(), arrays.len(), "BUG: a key or row with another number of columns than the table's");
        let types = columns.iter().map(|column| self.rows.data_type(*column));
        arrays.iter().zip(types).map(|(array, data_type)| as_type(array, data_type)).collect()
    }
}

fn as_type(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    if array.data_type() == data_type {
        return array.clone();
    }
    cast(array, data_type).expect("BUG: the planner gives both sides of a join key one type")
}

/// The arrays of a key.
pub(super) fn chosen(columns: &[usize], arrays: &[ArrayRef]) -> Vec<ArrayRef> {
    columns.iter().map(|column| arrays[*column].clone()).collect()
}

fn keep<T>(values: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    values.retain(|_| wanted.next() == Some(&true));
}
