//! Where the items of a row lie, whatever kind of list it is.

use std::ops::Range;

use arrow::buffer::{OffsetBuffer, ScalarBuffer};

/// The items of each row in the array of all items.
pub(super) enum Items {
    /// From each offset to the next.
    Offsets(OffsetBuffer<i32>),
    /// The same, in more than 2³¹ items.
    LargeOffsets(OffsetBuffer<i64>),
    /// This many a row.
    Fixed(usize),
    /// Offsets and lengths.
    Views(ScalarBuffer<i32>, ScalarBuffer<i32>),
    /// The same, in more than 2³¹ items.
    LargeViews(ScalarBuffer<i64>, ScalarBuffer<i64>),
}

impl Items {
    #[inline]
    pub(super) fn of_row(&self, row: usize) -> Range<usize> {
        match self {
            Items::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Items::LargeOffsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Items::Fixed(len) => row * len..(row + 1) * len,
            Items::Views(offsets, lengths) => {
                let start = offsets[row] as usize;
                start..start + lengths[row] as usize
            }
            Items::LargeViews(offsets, lengths) => {
                let start = offsets[row] as usize;
                start..start + lengths[row] as usize
            }
        }
    }
}
