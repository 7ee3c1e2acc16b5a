//! Counts what a run did, for its progress line and its summary.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::batch::Report;
use crate::clock::Stopwatch;
use crate::commit::Observer;
use crate::plan::Plan;

/// What a run did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Records of the driving table.
    pub(super) events: u64,
    /// Records of dimensions.
    pub(super) dimension_records: u64,
    /// Result rows.
    pub(super) emitted: u64,
    /// Records and rows that could not be processed.
    pub(super) rejected: u64,
    /// Where and why the first of them was rejected.
    pub(super) first_rejection: Option<String>,
    /// For each look-up: rows that probed, and rows that found something.
    pub(super) lookups: Vec<(u64, u64)>,
}

/// Shared between the run that counts and the thread that shows.
#[derive(Clone)]
pub(super) struct Tally {
    tables: Arc<Vec<String>>,
    counts: Arc<Mutex<Counts>>,
    watch: Stopwatch,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let tables = plan.lookups.iter().map(|lookup| lookup.table.clone()).collect();
        Self { tables: Arc::new(tables), counts: Arc::default(), watch: Stopwatch::start() }
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.watch.elapsed()
    }
}

impl Observer for Tally {
    fn committed(&mut self, report: &Report, _produce: Duration, _commit: Duration) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.events += report.records.first().copied().unwrap_or_default();
        counts.dimension_records += report.records.iter().skip(1).sum::<u64>();
        counts.emitted += report.emitted;
        counts.rejected += report.rejected.iter().map(|(_, count)| count).sum::<u64>();
        if counts.first_rejection.is_none() {
            counts.first_rejection.clone_from(&report.first_rejection);
        }
        counts.lookups.resize(report.lookups.len(), (0, 0));
        for (total, found) in counts.lookups.iter_mut().zip(&report.lookups) {
            total.0 += found.0;
            total.1 += found.1;
        }
    }
}

/// "336 776 events in, 327 346 rows out, 0 rejected in 2.1 s (160 000 events/s); found: airlines 100.0 %, …"
impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        let seconds = self.elapsed().as_secs_f64().max(1e-9);
        write!(
            out,
            "{} events in, {} rows out, {} rejected in {seconds:.1} s ({} events/s)",
            grouped(counts.events),
            grouped(counts.emitted),
            grouped(counts.rejected),
            grouped((counts.events as f64 / seconds) as u64),
        )?;
        for (number, (table, (probed, hit))) in self.tables.iter().zip(&counts.lookups).enumerate() {
            let rate = if *probed == 0 { 0.0 } else { 100.0 * *hit as f64 / *probed as f64 };
            write!(out, "{} {table} {rate:.1} %", if number == 0 { "; found:" } else { "," })?;
        }
        Ok(())
    }
}

/// "12 345 678".
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1 000");
        assert_eq!(grouped(12_345_678), "12 345 678");
    }
}
