//! What comes of a walk.

use std::time::Duration;

use arrow::array::ArrayRef;

use crate::batch::Stage;

/// Result rows.
#[derive(Debug)]
pub struct ResultRows {
    /// The output columns.
    pub columns: Vec<ArrayRef>,
    /// The timestamp of each row's driving record, ms since the epoch.
    pub timestamps: Vec<i64>,
}

/// A row that does not come out, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its SQL failed, or its time was over.
    pub stage: Stage,
    /// The record that is to blame: the driving one, as far as the walk came to it.
    pub origin: Origin,
    /// What the row consisted of: named columns of one row.
    pub row: Vec<(String, ArrayRef)>,
    /// Why.
    pub error: String,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// That of this row of the start.
    Start(u32),
    /// A driving record of an earlier batch.
    Earlier {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its timestamp, ms since the epoch.
        timestamp: i64,
    },
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCount {
    /// Rows that looked something up.
    pub probed: usize,
    /// Of these, rows that found at least one match.
    pub hit: usize,
}

/// Figures of a walk.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// What each look-up of the query found.
    pub lookups: Vec<LookupCount>,
    /// Driving rows that were joined, and those of them that found a match in every table.
    pub joined: (usize, usize),
    /// Keys, probes and residuals.
    pub lookup: Duration,
    /// Conditions and SELECT, gathering included.
    pub sql: Duration,
}

impl Counts {
    /// Nothing yet, for a plan with so many look-ups.
    pub fn new(lookups: usize) -> Self {
        Self { lookups: vec![LookupCount::default(); lookups], ..Self::default() }
    }
}

/// Where results and failures go.
pub struct Output<'o> {
    /// Takes result rows, in their order.
    pub take: &'o mut dyn FnMut(ResultRows),
    /// Takes rows that do not come out.
    pub fail: &'o mut dyn FnMut(Failure),
}
