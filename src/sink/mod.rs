//! Bytes out: the mirror of source.

mod file;
pub mod kafka;
mod memory;

use crate::batch::{DeadLetter, EncodedBatch};
use crate::error::Result;

pub use file::{FileSink, Output, is_closed_pipe};
pub use memory::{Collected, CollectedRecord, MemorySink};

/// Where a pipeline's results and dead letters go.
pub trait Sink: Send {
    /// Takes result records over, in order; they may still be on their way when this returns.
    ///
    /// # Errors
    /// When the sink can't go on; what it took over may or may not have arrived.
    fn write(&mut self, records: &EncodedBatch) -> Result<()>;

    /// Takes dead letters over.
    ///
    /// # Errors
    /// As for `write`.
    fn write_dead_letters(&mut self, letters: &[DeadLetter]) -> Result<()>;

    /// Waits until everything that was taken over has arrived for good; the results that the other side
    /// will never take (too large, say) have then arrived as dead letters.
    ///
    /// # Errors
    /// When something did not arrive: nothing of it may be committed.
    fn flush(&mut self) -> Result<()>;
}
