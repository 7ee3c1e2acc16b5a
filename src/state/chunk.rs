//! One chunk of rows: pieces that are merged as it fills, which moves no row, and the rows that are dead.

use arrow::array::{Array, ArrayRef};

use super::tight::tight;

/// A batch of at most so many rows,
const LOOSE_ROWS: usize = 16;
/// and bytes, shared buffers included, is first kept as it came,
const LOOSE_BYTES: usize = 1 << 16;
/// up to so many of them: a copy costs far more than its rows if they are few.
const LOOSE_PIECES: usize = 8;

/// Up to 65 536 rows of a table. While rows are added it is a few Arrow pieces, each more than twice as large as the
/// next (so there are at most 17, and a row is copied O(log) times), and behind them a few small batches; sealed, it is one.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pieces: Vec<Piece>,
    /// How many pieces, the last ones, are batches as they came.
    loose: usize,
    rows: usize,
    live: usize,
    dead: Vec<u64>,
}

/// Some consecutive rows of a chunk.
#[derive(Debug)]
struct Piece {
    columns: Vec<ArrayRef>,
    rows: usize,
    end: usize,
    bytes: usize,
}

impl Chunk {
    /// How many rows, the dead ones included.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows are not dead.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Whether more than half of the rows are dead.
    pub(super) fn is_worn(&self) -> bool {
        self.live * 2 < self.rows
    }

    /// Bytes of the rows in memory.
    pub(super) fn bytes(&self) -> usize {
        let columns: usize = self.pieces.iter().map(|piece| piece.bytes).sum();
        columns + self.dead.capacity() * size_of::<u64>()
    }

    /// Appends copies of rows that share nothing with `columns`, or, of a small batch and where `may_be_loose`, for a while
    /// these.
    pub(super) fn append(&mut self, columns: &[ArrayRef], may_be_loose: bool) {
        let rows = columns[0].len();
        self.rows += rows;
        self.live += rows;
        self.dead.resize(self.rows.div_ceil(64), 0);
        if may_be_loose && rows <= LOOSE_ROWS && self.loose < LOOSE_PIECES {
            let bytes = columns.iter().map(|column| column.get_array_memory_size()).sum();
            if bytes <= LOOSE_BYTES {
                self.pieces.push(Piece { columns: columns.to_vec(), rows, end: self.rows, bytes });
                self.loose += 1;
                return;
            }
        }
        let mut keep = self.pieces.len() - self.loose;
        let mut merged_rows = rows + self.pieces[keep..].iter().map(|piece| piece.rows).sum::<usize>();
        while keep > 0 && self.pieces[keep - 1].rows <= 2 * merged_rows {
            keep -= 1;
            merged_rows += self.pieces[keep].rows;
        }
        self.merge(keep, columns);
    }

    /// Merges all pieces into one: no row is added any more.
    pub(super) fn seal(&mut self) {
        if self.pieces.len() > 1 || self.loose > 0 {
            self.merge(0, &[]);
        }
        self.pieces.shrink_to_fit();
        self.dead.shrink_to_fit();
    }

    /// Replaces the pieces from `first` on, followed by the rows of `added` (if there are columns), by one.
    fn merge(&mut self, first: usize, added: &[ArrayRef]) {
        let old = self.pieces.split_off(first);
        let width = old.first().map_or(added.len(), |piece| piece.columns.len());
        let columns: Vec<ArrayRef> = (0..width)
            .map(|column| {
                let pieces = old.iter().map(|piece| &piece.columns[column]).chain(added.get(column));
                tight(&pieces.map(AsRef::as_ref).collect::<Vec<&dyn Array>>())
            })
            .collect();
        let bytes = columns.iter().map(|column| column.get_array_memory_size()).sum();
        self.pieces.push(Piece { rows: columns[0].len(), columns, end: self.rows, bytes });
        self.loose = 0;
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// A column of one piece.
    pub(super) fn column(&self, piece: usize, column: usize) -> &dyn Array {
        self.pieces[piece].columns[column].as_ref()
    }

    /// A column of all rows; the chunk is sealed.
    pub(super) fn sealed_column(&self, column: usize) -> &ArrayRef {
        debug_assert_eq!(self.pieces.len(), 1, "BUG: the chunk is not sealed");
        &self.pieces[0].columns[column]
    }

    /// The piece that holds a row, and the row's place in it.
    #[inline]
    pub(super) fn locate(&self, row: usize) -> (usize, usize) {
        let mut piece = 0;
        // The first piece is the largest by far: mostly this is one comparison.
        while row >= self.pieces[piece].end {
            piece += 1;
        }
        (piece, row + self.pieces[piece].rows - self.pieces[piece].end)
    }

    /// Marks a row as dead; it must be alive.
    pub(super) fn kill(&mut self, row: usize) {
        let bit = 1 << (row % 64);
        debug_assert!(self.dead[row / 64] & bit == 0, "BUG: row {row} is killed twice");
        self.dead[row / 64] |= bit;
        self.live -= 1;
    }

    /// The first `limit` rows that are not dead, ascending.
    pub(super) fn live_rows(&self, limit: usize) -> impl Iterator<Item = usize> {
        let words = self.dead.iter().enumerate().filter(|(_, word)| **word != u64::MAX);
        let rows = words
            .flat_map(|(place, word)| (0..64).filter(move |bit| word >> bit & 1 == 0).map(move |bit| place * 64 + bit));
        rows.take_while(|row| *row < self.rows).take(limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    fn columns(rows: std::ops::Range<i64>) -> Vec<ArrayRef> {
        let texts = rows.clone().map(|row| (row % 3 != 0).then(|| format!("a text that is not inlined: {row}")));
        vec![Arc::new(Int64Array::from_iter_values(rows)), Arc::new(StringViewArray::from_iter(texts))]
    }

    fn assert_rows_are_in_place(chunk: &Chunk) {
        for row in 0..chunk.rows() {
            let (piece, place) = chunk.locate(row);
            assert_eq!(chunk.column(piece, 0).as_primitive::<Int64Type>().value(place), row as i64);
            let text = chunk.column(piece, 1);
            assert_eq!(text.is_null(place), row % 3 == 0);
            if row % 3 != 0 {
                assert!(text.as_string_view().value(place).ends_with(&format!(": {row}")));
            }
        }
    }

    proptest! {
        #[test]
        fn merging_moves_no_row(sizes in proptest::collection::vec(1_i64..40, 1..60), may_be_loose in any::<bool>()) {
            let mut chunk = Chunk::default();
            for size in sizes {
                let start = chunk.rows() as i64;
                chunk.append(&columns(start..start + size), may_be_loose);
                assert_rows_are_in_place(&chunk);
                let merged = chunk.pieces.len() - chunk.loose;
                let loose_max = if may_be_loose { LOOSE_PIECES } else { 0 };
                prop_assert!(chunk.loose <= loose_max);
                let pieces: Vec<usize> = chunk.pieces[..merged].iter().map(|piece| piece.rows).collect();
                prop_assert!(pieces.windows(2).all(|pair| pair[0] > 2 * pair[1]), "{pieces:?}");
            }
            chunk.seal();
            prop_assert_eq!(chunk.pieces(), 1);
            assert_rows_are_in_place(&chunk);
        }
    }

    #[test]
    fn rows_of_a_large_batch_do_not_keep_it() {
        let mut chunk = Chunk::default();
        let large = columns(0..10_000);
        for row in 0..100 {
            chunk.append(&large.iter().map(|column| column.slice(row, 1)).collect::<Vec<_>>(), true);
            assert!(chunk.bytes() < 100 * 100, "{} bytes with {} rows", chunk.bytes(), row + 1);
        }
        assert_rows_are_in_place(&chunk);
        let mut chunk = Chunk::default();
        for row in 0..100 {
            chunk.append(&columns(row..row + 1), true);
        }
        chunk.seal();
        assert!(chunk.loose == 0 && chunk.pieces() == 1 && chunk.bytes() < 100 * 100);
        assert_rows_are_in_place(&chunk);
    }

    #[test]
    fn single_rows_are_copied_a_few_times_each() {
        let mut chunk = Chunk::default();
        let mut copied = 0;
        for row in 0..4096 {
            chunk.append(&columns(row..row + 1), false);
            copied += chunk.pieces.last().map_or(0, |piece| piece.rows);
            assert!(chunk.pieces() <= 12);
        }
        assert!(copied <= 4096 * 12, "{copied} copies");
    }

    #[test]
    fn the_dead_are_counted_and_skipped() {
        let mut chunk = Chunk::default();
        chunk.append(&columns(0..130), false);
        for row in (0..130).filter(|row| row % 64 != 5) {
            assert_eq!(chunk.is_worn(), chunk.live() < 65);
            chunk.kill(row);
        }
        assert_eq!(chunk.live(), 2);
        assert_eq!(chunk.live_rows(10).collect::<Vec<_>>(), [5, 69]);
        assert_eq!(chunk.live_rows(1).collect::<Vec<_>>(), [5]);
        chunk.append(&columns(130..133), false);
        assert_eq!(chunk.live_rows(10).collect::<Vec<_>>(), [5, 69, 130, 131, 132]);
    }
}
