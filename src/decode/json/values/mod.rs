//! The values of a column, one kind of type a file.

mod booleans;
mod bytes;
mod dates;
mod decimals;
mod floats;
mod integers;
mod lists;
mod strings;
mod structs;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;

pub use booleans::Booleans;
pub use bytes::{ByteViews, Bytes};
pub use dates::{Dates, Timestamps};
pub use decimals::Decimals;
pub use floats::Floats;
pub use integers::Integers;
pub use lists::Lists;
pub use strings::Strings;
pub use structs::Structs;

use super::views::Behind;

/// What the values of all kinds have in common. Which of them are NULL is the column's business.
pub trait Values {
    /// How many there are.
    fn len(&self) -> usize;

    /// Appends one that stands where the column is NULL.
    fn append_placeholder(&mut self);

    /// Forgets those from `rows` on, and what of one more was begun.
    fn truncate(&mut self, rows: usize);

    /// Makes room for `rows` more, at once and for no more than that.
    fn reserve(&mut self, rows: usize);

    /// The array of the values; none remain.
    fn finish(&mut self, nulls: Option<NullBuffer>, behind: &Behind) -> ArrayRef;
}
