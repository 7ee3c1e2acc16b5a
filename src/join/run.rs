//! A driving batch through the look-ups to result rows.

use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::compute::concat;

use super::joined::Joined;
use super::lookup::look_up;
use super::project::project;
use crate::clock::Stopwatch;
use crate::encode::row_json;
use crate::expression::Expression;
use crate::plan::Plan;
use crate::state::{DimensionTable, Matches};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its driving row.
    pub driving_row: u32,
    /// What it consisted of, as JSON.
    pub row: Vec<u8>,
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
        match self.look_ups(plan, dimensions, &mut attempt, true) {
            Ok(counts) => {
                for (total, count) in results.lookups.iter_mut().zip(counts) {
                    total.probed += count.probed;
                    total.hit += count.hit;
                }
                results.joined.0 += rows;
                results.joined.1 += attempt.matched_driving_rows();
                results.timings.lookup += watch.elapsed();
                let watch = Stopwatch::start();
                let conditions: Vec<&Expression> = plan.condition.iter().collect();
                project(attempt, plan, &conditions, results);
                results.timings.sql += watch.elapsed();
            }
            Err(_) if rows == 1 => self.one(plan, dimensions, joined, results),
            Err(_) => {
                let rows = rows as u32;
                for half in [0..rows / 2, rows / 2..rows] {
                    let mut part = joined.clone();
                    part.pick(&half.collect::<Vec<_>>());
                    self.part(plan, dimensions, part, results);
                }
            }
        }
    }

    /// A single driving row for which something failed: it has failed only if a result row would have come of it, so
    /// its condition is asked after the joins.
    fn one(&mut self, plan: &Plan, dimensions: &[DimensionTable], joined: Joined<'_>, results: &mut Results) {
        let mut attempt = joined.clone();
        match self.look_ups(plan, dimensions, &mut attempt, false) {
            Ok(_) => {
                let conditions: Vec<_> = plan.condition.iter().chain(&plan.driving_condition).collect();
                project(attempt, plan, &conditions, results);
            }
            Err(error) => {
                let mut joined = joined;
                let driving_row = joined.driving_row(0);
                let driving = plan.columns.iter().enumerate().filter_map(|(number, source)| {
                    let is_driving = matches!(source, crate::plan::ColumnSource::Driving(_));
                    let column = is_driving.then(|| joined.column(number).ok()).flatten()?;
                    Some((plan.names[number].clone(), column))
                });
                let row = row_json(&driving.collect::<Vec<_>>(), 0);
                results.failures.push(Failure { driving_row, row, error });
            }
        }
    }

    fn look_ups(
        &mut self,
        plan: &Plan,
        dimensions: &[DimensionTable],
        joined: &mut Joined<'_>,
        condition_first: bool,
    ) -> Result<Vec<LookupCount>, String> {
        if let Some(condition) = plan.driving_condition.as_ref().filter(|_| condition_first) {
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
