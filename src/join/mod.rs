//! Events with dimensions: look-ups in the order of the query, then WHERE and SELECT on what they gave.

mod joined;
mod lookup;
mod project;
mod run;
mod unnest;

pub use run::{Failure, Joiner, LookupCount, Results, Timings};
