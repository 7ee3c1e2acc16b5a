//! The rows of one table: chunks in numbered slots, and gathering from them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;

use super::chunk::Chunk;
use super::gather::gather;

/// Where a row of a table is: the slot of its chunk in the upper 16 bits, the row in the lower. It holds until the row
/// is superseded or its chunk rewritten, so never beyond one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RowRef(pub u32);

impl RowRef {
    /// No row: what a LEFT join finds when it finds nothing. Gathering it gives NULL. (The last slot is never used.)
    pub const NULL: RowRef = RowRef(u32::MAX);

    pub(super) fn new(slot: usize, row: usize) -> Self {
        RowRef((slot as u32) << 16 | row as u32)
    }

    /// Whether this is `NULL`.
    pub fn is_null(self) -> bool {
        self == Self::NULL
    }

    pub(super) fn slot(self) -> usize {
        (self.0 >> 16) as usize
    }

    pub(super) fn row(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// All rows of one table.
#[derive(Debug)]
pub(super) struct Rows {
    slots: Vec<Chunk>,
    free: Vec<usize>,
    /// The slot to which rows are added.
    open: Option<usize>,
    /// Sealed chunks of which more than half is dead, oldest first.
    worn: VecDeque<usize>,
    live: usize,
    dead: usize,
    chunk_rows: usize,
    chunk_bytes: usize,
    /// Whether small batches are kept as they come for a while.
    pub(super) keeps_small_batches: bool,
    /// One NULL of the type of each column.
    nulls: Vec<ArrayRef>,
}

/// Where some rows are, found once for all columns that are gathered from them. It holds as long as their `RowRef`s.
#[derive(Debug)]
pub struct Places {
    /// (slot, piece) of each piece in which one of the rows may be.
    pieces: Vec<(usize, usize)>,
    /// (place in `pieces`, row in that piece) of each row; one beyond the last piece stands for `RowRef::NULL`.
    pub(super) rows: Vec<(usize, usize)>,
    has_null: bool,
}

/// Consecutive rows of some columns; nothing is made where they are all of them.
pub(super) fn part(columns: &[ArrayRef], first: usize, rows: usize) -> Cow<'_, [ArrayRef]> {
    if first == 0 && columns.iter().all(|column| column.len() == rows) {
        return Cow::Borrowed(columns);
    }
    columns.iter().map(|column| column.slice(first, rows)).collect()
}

impl Rows {
    /// No rows yet, of columns of these types. A chunk is full with `chunk_rows` rows, or once it has `chunk_bytes`
    /// bytes.
    pub(super) fn new(types: &[DataType], chunk_rows: usize, chunk_bytes: usize) -> Self {
        Rows {
            slots: Vec::new(),
            free: Vec::new(),
            open: None,
            worn: VecDeque::new(),
            live: 0,
            dead: 0,
            chunk_rows,
            chunk_bytes,
            keeps_small_batches: false,
            nulls: types.iter().map(|data_type| new_null_array(data_type, 1)).collect(),
        }
    }

    /// How many rows are not dead.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// How many dead rows still take memory.
    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    /// Rows of a full chunk.
    pub(super) fn chunk_rows_max(&self) -> usize {
        self.chunk_rows
    }

    /// The type of a column.
    pub(super) fn data_type(&self, column: usize) -> &DataType {
        self.nulls[column].data_type()
    }

    /// How many chunks there are room for without more slots.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.slots.iter().map(|chunk| size_of::<Chunk>() + chunk.bytes()).sum()
    }

    /// Appends copies of rows; where they are now, in order.
    pub(super) fn append(&mut self, columns: &[ArrayRef]) -> Vec<RowRef> {
        let rows = columns[0].len();
        let mut refs = Vec::with_capacity(rows);
        while refs.len() < rows {
            let slot = self.open_slot();
            let start = self.slots[slot].rows();
            let count = (rows - refs.len()).min(self.chunk_rows - start);
            self.slots[slot].append(&part(columns, refs.len(), count), self.keeps_small_batches);
            refs.extend((start..start + count).map(|row| RowRef::new(slot, row)));
            if start + count == self.chunk_rows || self.slots[slot].bytes() >= self.chunk_bytes {
                self.seal();
            }
        }
        self.live += rows;
        refs
    }

    /// The slot of a chunk to which rows can be added.
    fn open_slot(&mut self) -> usize {
        *self.open.get_or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                assert!(self.slots.len() < RowRef::NULL.slot(), "a table has more than four billion rows");
                self.slots.push(Chunk::default());
                self.slots.len() - 1
            })
        })
    }

    /// The slot to which rows are being added, and how many rows its chunk has.
    pub(super) fn open(&self) -> Option<(usize, usize)> {
        self.open.map(|slot| (slot, self.slots[slot].rows()))
    }

    /// How many rows go into the same chunk next, unless they are very large.
    pub(super) fn room(&self) -> usize {
        self.chunk_rows - self.open().map_or(0, |(_, rows)| rows)
    }

    /// How many rows a chunk has, the dead ones included.
    pub(super) fn chunk_rows(&self, slot: usize) -> usize {
        self.slots[slot].rows()
    }

    /// Consecutive rows of a sealed chunk, without a copy.
    pub(super) fn slice(&self, slot: usize, column: usize, rows: &Range<usize>) -> ArrayRef {
        self.slots[slot].sealed_column(column).slice(rows.start, rows.len())
    }

    /// Lets no row be added to the open chunk any more.
    pub(super) fn seal(&mut self) {
        if let Some(slot) = self.open.take() {
            self.slots[slot].seal();
            if self.slots[slot].is_worn() {
                self.worn.push_back(slot);
            }
        }
    }

    /// Marks rows as dead; all must be alive.
    pub(super) fn kill(&mut self, refs: &[RowRef]) {
        for row in refs {
            let chunk = &mut self.slots[row.slot()];
            let was_worn = chunk.is_worn();
            chunk.kill(row.row());
            if chunk.is_worn() && !was_worn && self.open != Some(row.slot()) {
                self.worn.push_back(row.slot());
            }
        }
        self.live -= refs.len();
        self.dead += refs.len();
    }

    /// A slot whose chunk is to be rewritten, and the first `limit` rows that are alive in it.
    pub(super) fn worn(&self, limit: usize) -> Option<(usize, Vec<RowRef>)> {
        let slot = *self.worn.front()?;
        Some((slot, self.slots[slot].live_rows(limit).map(|row| RowRef::new(slot, row)).collect()))
    }

    /// Gives back the memory of the worn chunk that comes first, if all of it is dead, and its slot for reuse.
    pub(super) fn release_worn(&mut self) -> bool {
        self.release_dead().is_some()
    }

    /// The same; which slot it was.
    pub(super) fn release_dead(&mut self) -> Option<usize> {
        let slot = *self.worn.front().filter(|slot| self.slots[**slot].live() == 0)?;
        self.worn.pop_front();
        self.dead -= self.slots[slot].rows();
        self.slots[slot] = Chunk::default();
        self.free.push(slot);
        Some(slot)
    }

    /// Forgets all rows and gives back what they took.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.worn.clear();
        self.open = None;
        self.live = 0;
        self.dead = 0;
    }

    /// Finds rows, once for all columns that are gathered from them.
    pub(super) fn locate(&self, refs: &[RowRef]) -> Places {
        const UNSEEN: u32 = u32::MAX;
        let mut first_piece = vec![UNSEEN; self.slots.len()];
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut rows = Vec::with_capacity(refs.len());
        let mut has_null = false;
        for row in refs {
            if row.is_null() {
                has_null = true;
                rows.push((usize::MAX, 0));
                continue;
            }
            let slot = row.slot();
            if first_piece[slot] == UNSEEN {
                first_piece[slot] = pieces.len() as u32;
                pieces.extend((0..self.slots[slot].pieces()).map(|piece| (slot, piece)));
            }
            let (piece, place) = self.slots[slot].locate(row.row());
            rows.push((first_piece[slot] as usize + piece, place));
        }
        if has_null {
            let null_piece = pieces.len();
            rows.iter_mut().filter(|(piece, _)| *piece == usize::MAX).for_each(|(piece, _)| *piece = null_piece);
        }
        Places { pieces, rows, has_null }
    }

    /// One column of the pieces that `places` speaks of.
    pub(super) fn pieces(&self, column: usize, places: &Places) -> Vec<&dyn Array> {
        let pieces = places.pieces.iter().map(|(slot, piece)| self.slots[*slot].column(*piece, column));
        pieces.chain(places.has_null.then(|| self.nulls[column].as_ref())).collect()
    }

    /// One column of located rows; NULL for `RowRef::NULL`.
    pub(super) fn gather(&self, column: usize, places: &Places) -> ArrayRef {
        if places.rows.is_empty() {
            return self.nulls[column].slice(0, 0);
        }
        gather(&self.pieces(column, places), &places.rows)
    }
}
