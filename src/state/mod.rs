//! What joins remember: rows in Arrow chunks, found through indexes of hashed keys.

mod apply;
mod chunk;
mod due;
mod equality;
mod event_table;
mod gather;
mod heads;
mod index;
mod parked;
mod rows;
mod slab;
mod stored;
mod table;
mod tight;

pub use apply::{Applied, Tombstones, Upserts};
pub use event_table::{EventSpec, EventTable, Origins};
pub use parked::{Parked, ParkedId, Waiting, Waker};
pub use rows::{Places, RowRef};
pub use stored::{Matches, Probe, Stored};
pub use table::{DimensionSpec, DimensionTable};

#[cfg(test)]
mod tests;
