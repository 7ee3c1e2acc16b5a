//! WHERE, UNNEST and SELECT on joined rows; rows for which they fail are found by halving.

use arrow::array::ArrayRef;

use super::joined::Joined;
use super::run::{Failure, Results};
use super::unnest::unnest;
use crate::expression::Expression;
use crate::plan::{ColumnSource, Part, Plan};

/// Adds the result rows of `joined` to `results`; a row that fails becomes a failure, alone (SEMANTICS 5.2).
/// `conditions`: what is asked before SELECT.
pub(super) fn project(mut joined: Joined<'_>, plan: &Plan, conditions: &[&Expression], results: &mut Results) {
    if joined.rows() == 0 {
        return;
    }
    let whole = joined.clone();
    match outputs(&mut joined, plan, conditions) {
        Ok(columns) => results.push(columns, joined.driving_rows()),
        Err(error) if whole.rows() == 1 => results.failures.push(failure(whole, plan, error)),
        Err(_) => {
            let rows = whole.rows() as u32;
            for half in [0..rows / 2, rows / 2..rows] {
                let mut part = whole.clone();
                part.pick(&half.collect::<Vec<_>>());
                project(part, plan, conditions, results);
            }
        }
    }
}

fn outputs(joined: &mut Joined<'_>, plan: &Plan, conditions: &[&Expression]) -> Result<Vec<ArrayRef>, String> {
    for condition in conditions {
        let mask = joined.evaluate_condition(condition)?;
        joined.keep(&mask);
    }
    unnest(joined, plan)?;
    plan.outputs.iter().map(|output| joined.evaluate(&output.expression)).collect()
}

/// The one row of `joined`, as far as it is joined and its columns can be had.
pub(super) fn failure(mut joined: Joined<'_>, plan: &Plan, error: String) -> Failure {
    let mut columns = Vec::new();
    for (number, source) in plan.columns.iter().enumerate() {
        let is_there = match source {
            ColumnSource::Stored { part: Part::Event(_), .. } => true,
            ColumnSource::Stored { part: Part::Lookup(lookup), .. } => joined.has_looked_up(*lookup),
            _ => false,
        };
        if is_there && let Ok(column) = joined.column(number) {
            columns.push((plan.names[number].clone(), column));
        }
    }
    Failure { driving_row: joined.driving_row(0), row: columns, error }
}
