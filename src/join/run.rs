//! A driving batch through the look-ups to result rows.

use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::compute::concat;

use super::joined::Joined;
use super::lookup::{candidates, look_up};
use super::project::{failure, project};
use crate::clock::Stopwatch;
use crate::expression::Expression;
use crate::plan::{LookupKind, Plan};
use crate::state::{DimensionTable, Matches, RowRef};

/// Result rows, in order, and what failed.
#[derive(Debug, Default)]
pub struct Results {
    /// The pieces of each output column.
    pieces: Vec<Vec<ArrayRef>>,
    /// The driving row of each result row.
    pub driving_rows: Vec<u32>,
    /// Rows for which the SQL failed.
    pub failures: Vec<Failure>,
    /// What each look-up of the query found.
    pub lookups: Vec<LookupCount>,
    /// Driving rows that were joined, and those of them that found a match in every table.
    pub joined: (usize, usize),
    /// How long it took.
    pub timings: Timings,
}

/// A row for which the SQL failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its driving row.
    pub driving_row: u32,
    /// What it consisted of: named columns of one row.
    pub row: Vec<(String, ArrayRef)>,
    /// Why.
    pub error: String,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCount {
    /// Rows that looked something up.
    pub probed: usize,
    /// Of these, rows that found at least one match.
    pub hit: usize,
}

/// How long the parts took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Keys, probes and residuals.
    pub lookup: Duration,
    /// Conditions and SELECT, gathering included.
    pub sql: Duration,
}

impl Results {
    pub(super) fn push(&mut self, columns: Vec<ArrayRef>, driving_rows: Vec<u32>) {
        self.pieces.resize(columns.len(), Vec::new());
        for (pieces, column) in self.pieces.iter_mut().zip(columns) {
            pieces.push(column);
        }
        self.driving_rows.extend(driving_rows);
    }

    /// The output columns; none at all if there are no rows.
    pub fn columns(&self) -> Vec<ArrayRef> {
        let whole = |pieces: &Vec<ArrayRef>| match &pieces[..] {
            [piece] => piece.clone(),
            pieces => concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())
                .expect("BUG: pieces of one output column differ in type"),
        };
        self.pieces.iter().map(whole).collect()
    }
}

/// Joined rows that are computed at once: a batch whose keys have more matches is halved.
const FAN_OUT_MAX: usize = 1 << 18;

/// Runs the joins of a plan, batch by batch.
#[derive(Debug, Default)]
pub struct Joiner {
    matches: Matches,
}

impl Joiner {
    /// Joins the driving rows (`columns`, each of `rows` rows) with the dimensions as they now stand.
    pub fn run(
        &mut self,
        plan: &Plan,
        dimensions: &[DimensionTable],
        columns: &[ArrayRef],
        rows: usize,
        now_ns: i64,
    ) -> Results {
        let mut results = Results { lookups: vec![LookupCount::default(); plan.lookups.len()], ..Results::default() };
        let joined = Joined::new(plan, dimensions, columns, rows, now_ns);
        self.part(plan, dimensions, joined, &mut results);
        results
    }

    /// As `run`, for some of the rows; where a key, a residual or a condition fails, they are halved.
    fn part(&mut self, plan: &Plan, dimensions: &[DimensionTable], joined: Joined<'_>, results: &mut Results) {
        let rows = joined.rows();
        if rows == 0 {
            return;
        }
        let watch = Stopwatch::start();
        let mut attempt = joined.clone();
        match self.look_ups(plan, dimensions, &mut attempt) {
            Ok(counts) if rows == 1 || attempt.rows() <= FAN_OUT_MAX => {
                for (total, count) in results.lookups.iter_mut().zip(&counts) {
                    total.probed += count.probed;
                    total.hit += count.hit;
                }
                // Rows that WHERE has dropped before the first look-up were not joined.
                results.joined.0 += counts.first().map_or(attempt.rows(), |count| count.probed);
                results.joined.1 += attempt.matched_driving_rows();
                results.timings.lookup += watch.elapsed();
                let watch = Stopwatch::start();
                let conditions: Vec<&Expression> = plan.condition.iter().collect();
                project(attempt, plan, &conditions, results);
                results.timings.sql += watch.elapsed();
            }
            Err(_) if rows == 1 => self.one(plan, dimensions, joined, 0, results),
            Ok(_) | Err(_) => {
                let rows = rows as u32;
                for half in [0..rows / 2, rows / 2..rows] {
                    let mut part = joined.clone();
                    part.pick(&half.collect::<Vec<_>>());
                    self.part(plan, dimensions, part, results);
                }
            }
        }
    }

    /// A single row for which something failed, from look-up `next` on, one combination at a time: only what fails is
    /// lost. It has failed only if a result row would have come of it, so its condition is asked after the joins.
    fn one(
        &mut self,
        plan: &Plan,
        dimensions: &[DimensionTable],
        mut joined: Joined<'_>,
        next: usize,
        results: &mut Results,
    ) {
        let Some(lookup) = plan.lookups.get(next) else {
            let conditions: Vec<_> = plan.condition.iter().chain(&plan.events[0].condition).collect();
            return project(joined, plan, &conditions, results);
        };
        let found = match candidates(&mut joined, lookup, &dimensions[lookup.dimension], &mut self.matches) {
            Ok(found) => found,
            Err(error) => return results.failures.push(failure(joined, plan, error)),
        };
        let (mut held, mut failed) = (0, 0);
        for mut candidate in found {
            let holds = match &lookup.residual {
                Some(residual) => candidate.evaluate_condition(residual).map(|mask| mask.value(0)),
                None => Ok(true),
            };
            match holds {
                Ok(true) => {
                    held += 1;
                    self.one(plan, dimensions, candidate, next + 1, results);
                }
                Ok(false) => {}
                Err(error) => {
                    failed += 1;
                    results.failures.push(failure(candidate, plan, error));
                }
            }
        }
        results.lookups[next].probed += 1;
        results.lookups[next].hit += usize::from(held > 0);
        // Whether LEFT finds nothing is not known where a candidate has failed.
        if lookup.kind == LookupKind::Left && held + failed == 0 {
            joined.push_lookup(vec![RowRef::NULL]);
            self.one(plan, dimensions, joined, next + 1, results);
        }
    }

    fn look_ups(
        &mut self,
        plan: &Plan,
        dimensions: &[DimensionTable],
        joined: &mut Joined<'_>,
    ) -> Result<Vec<LookupCount>, String> {
        if let Some(condition) = &plan.events[0].condition {
            let mask = joined.evaluate_condition(condition)?;
            joined.keep(&mask);
        }
        let mut counts = Vec::with_capacity(plan.lookups.len());
        for lookup in &plan.lookups {
            let probed = joined.rows();
            let hit = look_up(joined, lookup, &dimensions[lookup.dimension], &mut self.matches)?;
            counts.push(LookupCount { probed, hit });
        }
        Ok(counts)
    }
}
