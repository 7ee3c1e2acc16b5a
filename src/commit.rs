//! The only place that knows the order of outputs and offsets: outputs first, acknowledged; then offsets.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Outcome, Report};
use crate::clock::Stopwatch;
use crate::error::Result;
use crate::sink::Sink;
use crate::source::Committer;

/// Commits outcomes, at least once: what was not acknowledged before a crash is read and written again.
pub struct Commit {
    sink: Box<dyn Sink>,
    committer: Arc<dyn Committer>,
    observer: Box<dyn Observer>,
}

/// Told of every outcome that arrived.
pub trait Observer: Send {
    /// An outcome was acknowledged, which took `produce`, and remembered, which took `commit`.
    fn committed(&mut self, report: &Report, produce: Duration, commit: Duration);
}

impl Commit {
    /// Writes to `sink`, remembers in `committer`, tells `observer`.
    pub fn new(sink: Box<dyn Sink>, committer: Arc<dyn Committer>, observer: Box<dyn Observer>) -> Self {
        Self { sink, committer, observer }
    }

    /// Writes an outcome, waits until it has arrived, and then remembers how far its records reached. Of an outcome in pieces
    /// all but the last are only written.
    ///
    /// # Errors
    /// When it did not arrive: then nothing of it is remembered.
    pub fn commit(&mut self, outcome: Outcome) -> Result<()> {
        let watch = Stopwatch::start();
        let is_partial = outcome.is_partial;
        for records in &outcome.records {
            self.sink.write(records)?;
        }
        if !outcome.dead_letters.is_empty() {
            self.sink.write_dead_letters(&outcome.dead_letters)?;
        }
        if is_partial {
            return Ok(());
        }
        self.sink.flush()?;
        let produce = watch.elapsed();
        self.committer.commit(&outcome.positions, false)?;
        self.observer.committed(&outcome.report, produce, watch.elapsed().saturating_sub(produce));
        Ok(())
    }

    /// Makes sure that all that was acknowledged is remembered; the run is over.
    ///
    /// # Errors
    /// When it could not be remembered: the records since then come again.
    pub fn finish(self) -> Result<()> {
        self.committer.commit(&[], true)
    }
}
