//! Raw records: from Kafka, from files, from memory.

mod cut;
mod file;
pub mod kafka;
mod lines;
mod memory;

use std::sync::Arc;

use crate::batch::{Cut, Position};
use crate::error::Result;

pub use cut::{CutLimits, RawBatchBuilder};
pub use file::{FileInput, FileProgress, FileSource, TimesOf, sample};
pub use memory::{Commits, MemorySource};

/// Where a pipeline's records come from. All dimension records up to the ends at start come before any event record
/// (SEMANTICS 2.7).
pub trait Source: Send {
    /// The next cut. Waits a short while (about 100 ms) when there is nothing, so that its caller can look whether to
    /// stop.
    ///
    /// # Errors
    /// When reading can't go on: the broker refused, a file can't be read.
    fn next(&mut self) -> Result<Next>;

    /// What tells the source how far its records have been processed.
    fn committer(&self) -> Arc<dyn Committer>;
}

/// What a source has to give.
#[derive(Debug)]
pub enum Next {
    /// Records.
    Cut(Cut),
    /// Nothing now.
    Idle,
    /// Nothing ever again.
    End,
}

/// Remembers how far records have been processed. Called from another thread than the source's.
pub trait Committer: Send + Sync {
    /// Everything before `positions` is processed and its output acknowledged. `last`: the process is about to end, so
    /// wait until this and all before it is
    /// remembered.
    ///
    /// # Errors
    /// When it could not be remembered: the same records may come again.
    fn commit(&self, positions: &[Position], last: bool) -> Result<()>;
}
