//! Events with events, then with dimensions: a walk over base tables from the rows that are new, in bounded pieces, and WHERE
//! and SELECT on what it finds.

mod exists;
mod joined;
mod probe;
mod project;
mod results;
mod start;
mod steps;
mod unnest;
mod walker;

pub use joined::Joined;
pub use probe::verdicts as ask;
pub use project::{expired, project};
pub use results::{Counts, Failure, LookupCount, Origin, Output, ResultRows};
pub use start::{Given, Hidden, Start, State};
pub use steps::{Step, Steps};
pub use walker::{PIECE_ROWS, Sink, Walker};
