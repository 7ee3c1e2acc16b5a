//! What joins remember: rows in Arrow chunks, found through indexes of hashed keys.

mod apply;
mod chunk;
mod equality;
mod gather;
mod heads;
mod index;
mod rows;
mod stored;
mod table;
mod tight;

pub use apply::{Applied, Tombstones, Upserts};
pub use rows::{Places, RowRef};
pub use stored::{Matches, Probe, Stored};
pub use table::{DimensionSpec, DimensionTable};

#[cfg(test)]
mod tests;
