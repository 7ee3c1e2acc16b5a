//! A dimension table: the current row of each identity (SEMANTICS 1.7), found by any of its join keys.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::equality::{Candidates, retain_equal};
use super::index::Index;
use super::rows::{Places, RowRef, Rows};
use crate::shard::{KeyHashes, hash_keys};

/// What a dimension table keeps, and how it is found.
#[derive(Clone, Debug)]
pub struct DimensionSpec {
    /// Types of the columns that are kept, those of computed join keys included.
    pub columns: Vec<DataType>,
    /// The columns (places in `columns`, at least one) that name a row: no two rows are equal in all of them.
    pub identity: Vec<usize>,
    /// The columns of each join key; one that equals `identity`, or another, costs nothing.
    pub indexes: Vec<Vec<usize>>,
}

/// The rows that match the keys of a probe, as pairs, by row of the probe. Rows that match one key stand in the order
/// in which they were applied, oldest first (an updated row counts from its update); rewriting chunks does not change
/// it.
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

/// A dimension table in memory.
#[derive(Debug)]
pub struct DimensionTable {
    /// The columns of the spec, then the partition and the timestamp of each row's record.
    pub(super) rows: Rows,
    /// The identity first, then the other join keys.
    pub(super) keys: Vec<Key>,
    /// The place in `keys` of each index of the spec.
    index_keys: Vec<usize>,
    pub(super) columns: usize,
    pub(super) hash_keys: fn(&[ArrayRef]) -> KeyHashes,
}

/// Some columns of a table and the index over them.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) columns: Vec<usize>,
    pub(super) index: Index,
}

impl DimensionTable {
    /// An empty table.
    pub fn new(spec: DimensionSpec) -> Self {
        Self::with_tuning(spec, Tuning::default())
    }

    pub(super) fn with_tuning(spec: DimensionSpec, tuning: Tuning) -> Self {
        assert!(!spec.identity.is_empty(), "BUG: a dimension without an identity");
        let mut keys = vec![Key { columns: spec.identity, index: Index::new() }];
        let mut index_keys = Vec::new();
        for columns in spec.indexes {
            let place = keys.iter().position(|key| key.columns == columns);
            index_keys.push(place.unwrap_or_else(|| {
                keys.push(Key { columns, index: Index::new() });
                keys.len() - 1
            }));
        }
        let columns = spec.columns.len();
        let types: Vec<DataType> = spec.columns.into_iter().chain([DataType::Int32, DataType::Int64]).collect();
        let rows = Rows::new(&types, tuning.chunk_rows, tuning.chunk_bytes);
        DimensionTable { rows, keys, index_keys, columns, hash_keys: tuning.hash_keys }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.live()
    }

    /// Bytes of memory that rows and indexes take.
    pub fn memory_bytes(&self) -> usize {
        self.rows.bytes() + self.keys.iter().map(|key| key.index.bytes()).sum::<usize>()
    }

    /// Finds all rows whose key in the index (a place in the spec's `indexes`) equals one of `keys`, columns of one
    /// length and of the types of the index's columns. A key with a NULL matches nothing. `matches` is overwritten.
    pub fn probe(&self, index: usize, keys: &[ArrayRef], matches: &mut Matches) {
        let key = self.index_keys[index];
        let keys = self.as_stored(&self.keys[key].columns, keys);
        let hashes = (self.hash_keys)(&keys);
        self.find(key, &keys, &hashes, matches);
    }

    pub(super) fn find(&self, key: usize, keys: &[ArrayRef], hashes: &KeyHashes, matches: &mut Matches) {
        matches.clear();
        let Key { columns, index } = &self.keys[key];
        index.probe(hashes, &mut matches.rows, &mut matches.refs);
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

    /// Rewrites at most `rows_max` rows of chunks that are more than half dead, oldest chunk first, and frees those of
    /// which nothing is left. `apply` does this too, in proportion to its batch, so that at most about half of the rows
    /// in memory are dead. References to rows do not outlive it.
    pub fn compact_step(&mut self, rows_max: usize) {
        let mut rows_left = rows_max;
        while let Some((slot, refs)) = self.rows.worn(rows_left) {
            rows_left -= refs.len();
            if !refs.is_empty() {
                self.move_rows(&refs);
            }
            if !self.rows.release_worn() {
                return;
            }
            for key in &mut self.keys {
                key.index.forget_slot(slot);
            }
        }
    }

    /// Appends rows once more, and lets the indexes refer to the copies, in the same order among equal keys.
    fn move_rows(&mut self, old: &[RowRef]) {
        let places = self.rows.locate(old);
        // The hidden columns too.
        let columns: Vec<ArrayRef> = (0..self.columns + 2).map(|column| self.rows.gather(column, &places)).collect();
        let new = self.rows.append(&columns);
        for Key { columns: of_key, index } in &mut self.keys {
            let hashes = (self.hash_keys)(&chosen(of_key, &columns));
            index.touch(&hashes.hashes);
            for (place, (old, new)) in old.iter().zip(&new).enumerate() {
                if let Some(hash) = hashes.get(place) {
                    index.replace(hash, *old, *new);
                }
            }
        }
        self.rows.kill(old);
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
