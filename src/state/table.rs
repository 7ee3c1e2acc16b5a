//! A dimension table: the current row of each identity (SEMANTICS 1.7), found by any of its join keys.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::rows::{Places, RowRef};
use super::stored::{Key, Matches, Stored, Tuning, chosen};
use crate::shard::KeyHashes;

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

/// A dimension table in memory.
#[derive(Debug)]
pub struct DimensionTable {
    /// The columns of the spec, then the partition and the timestamp of each row's record. The identity is the first key,
    /// then come the other join keys.
    pub(super) stored: Stored,
    pub(super) columns: usize,
}

impl DimensionTable {
    /// An empty table.
    pub fn new(spec: DimensionSpec) -> Self {
        Self::with_tuning(spec, Tuning::default())
    }

    pub(super) fn with_tuning(spec: DimensionSpec, tuning: Tuning) -> Self {
        assert!(!spec.identity.is_empty(), "BUG: a dimension without an identity");
        let columns = spec.columns.len();
        let types: Vec<DataType> = spec.columns.into_iter().chain([DataType::Int32, DataType::Int64]).collect();
        DimensionTable { stored: Stored::new(&types, Some(spec.identity), spec.indexes, tuning), columns }
    }

    /// Its rows and how they are found.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.stored.rows()
    }

    /// Bytes of memory that rows and indexes take.
    pub fn memory_bytes(&self) -> usize {
        self.stored.memory_bytes()
    }

    /// Whether an index (a place in the spec's `indexes`) is on the identity: at most one row matches a key.
    pub fn index_is_identity(&self, index: usize) -> bool {
        self.stored.index_keys[index] == 0
    }

    /// The hashes of the keys in an index of some rows, given as the table's columns in order; `Probe::hashes` of equal
    /// keys are the same.
    pub fn key_hashes(&self, index: usize, columns: &[ArrayRef]) -> KeyHashes {
        self.stored.key_hashes(index, columns)
    }

    /// Finds all rows whose key in the index (a place in the spec's `indexes`) equals one of `keys`, columns of one
    /// length and of the types of the index's columns. A key with a NULL matches nothing. `matches` is overwritten.
    pub fn probe(&self, index: usize, keys: &[ArrayRef], matches: &mut Matches) {
        let mut probe = self.stored.start_probe(index, keys);
        self.stored.next_matches(&mut probe, usize::MAX, matches);
    }

    /// Finds rows, once for all columns that are gathered from them.
    pub fn locate(&self, refs: &[RowRef]) -> Places {
        self.stored.locate(refs)
    }

    /// One column of located rows; NULL for `RowRef::NULL`.
    pub fn gather_at(&self, column: usize, places: &Places) -> ArrayRef {
        self.stored.gather_at(column, places)
    }

    /// One column of some rows; NULL for `RowRef::NULL`.
    pub fn gather(&self, column: usize, refs: &[RowRef]) -> ArrayRef {
        self.stored.gather(column, refs)
    }

    /// Several columns of the same rows, which costs less than one after the other.
    pub fn gather_columns(&self, columns: &[usize], refs: &[RowRef]) -> Vec<ArrayRef> {
        self.stored.gather_columns(columns, refs)
    }

    /// Rewrites at most `rows_max` rows of chunks that are more than half dead, oldest chunk first, and frees those of
    /// which nothing is left. `apply` does this too, in proportion to its batch, so that at most about half of the rows
    /// in memory are dead. References to rows do not outlive it.
    pub fn compact_step(&mut self, rows_max: usize) {
        let mut rows_left = rows_max;
        while let Some((slot, refs)) = self.stored.rows.worn(rows_left) {
            rows_left -= refs.len();
            if !refs.is_empty() {
                self.move_rows(&refs);
            }
            if !self.stored.rows.release_worn() {
                return;
            }
            self.stored.forget_slot(slot);
        }
    }

    /// Appends rows once more, and lets the indexes refer to the copies, in the same order among equal keys.
    fn move_rows(&mut self, old: &[RowRef]) {
        let Stored { rows, keys, hash_keys, .. } = &mut self.stored;
        let places = rows.locate(old);
        // The hidden columns too.
        let columns: Vec<ArrayRef> = (0..self.columns + 2).map(|column| rows.gather(column, &places)).collect();
        let new = rows.append(&columns);
        for Key { columns: of_key, index } in keys {
            let hashes = hash_keys(&chosen(of_key, &columns));
            index.touch(&hashes.hashes);
            for (place, (old, new)) in old.iter().zip(&new).enumerate() {
                if let Some(hash) = hashes.get(place) {
                    index.replace(hash, *old, *new);
                }
            }
        }
        rows.kill(old);
    }
}
