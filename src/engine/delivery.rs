//! What a cut gives, on its way to the commit: encoded, and handed over in pieces of bounded size.

use crate::batch::{DeadLetter, Outcome};
use crate::clock::Stopwatch;
use crate::encode::Encoder;
use crate::error::Result;
use crate::join::ResultRows;

/// Rows that are encoded at once.
const ENCODED_ROWS_MAX: usize = 1 << 16;
/// Bytes of results and dead letters at which a piece is handed over.
const PIECE_BYTES: usize = 16 << 20;

/// Takes the pieces of an outcome.
pub type HandOver<'h> = &'h mut dyn FnMut(Outcome) -> Result<()>;

/// Collects the outcome of a cut.
pub struct Delivery<'d> {
    /// The piece that is being filled; the report is that of the whole cut.
    pub outcome: Outcome,
    encoder: &'d mut Encoder,
    hand_over: HandOver<'d>,
    bytes: usize,
    failed: Result<()>,
}

impl<'d> Delivery<'d> {
    /// Begins with what is known already.
    pub fn new(outcome: Outcome, encoder: &'d mut Encoder, hand_over: HandOver<'d>) -> Self {
        Self { outcome, encoder, hand_over, bytes: 0, failed: Ok(()) }
    }

    /// Adds result rows.
    pub fn results(&mut self, rows: &ResultRows) {
        let watch = Stopwatch::start();
        self.outcome.report.emitted += rows.timestamps.len() as u64;
        let mut first = 0;
        while first < rows.timestamps.len() {
            let count = (rows.timestamps.len() - first).min(ENCODED_ROWS_MAX);
            let columns: Vec<_> = rows.columns.iter().map(|column| column.slice(first, count)).collect();
            let encoded = self.encoder.encode(&columns, rows.timestamps[first..first + count].to_vec());
            first += encoded.timestamps.len();
            self.bytes += encoded.values.arena().len() + encoded.keys.arena().len();
            self.outcome.records.push(encoded);
            self.relieve();
        }
        self.outcome.report.durations.encode += watch.elapsed();
    }

    /// Adds a dead letter.
    pub fn letter(&mut self, letter: DeadLetter) {
        self.bytes += letter.value.as_ref().map_or(0, Vec::len) + letter.error.len();
        self.outcome.dead_letters.push(letter);
        self.relieve();
    }

    /// Hands a piece over if it is large enough.
    fn relieve(&mut self) {
        if self.bytes < PIECE_BYTES || self.failed.is_err() {
            return;
        }
        let records = std::mem::take(&mut self.outcome.records);
        let dead_letters = std::mem::take(&mut self.outcome.dead_letters);
        let piece = Outcome { records, dead_letters, is_partial: true, ..Outcome::default() };
        self.failed = (self.hand_over)(piece);
        self.bytes = 0;
    }

    /// Hands the last piece over.
    ///
    /// # Errors
    /// When a piece was not taken.
    pub fn finish(self) -> Result<()> {
        self.failed?;
        (self.hand_over)(self.outcome)
    }
}
