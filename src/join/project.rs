//! WHERE, UNNEST and SELECT on joined rows; rows for which they fail are found by halving.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Int32Type;

use super::joined::Joined;
use super::results::{Failure, Origin, Output, ResultRows};
use super::start::Hidden;
use super::unnest::unnest;
use crate::batch::Stage;
use crate::expression::Expression;
use crate::plan::{ColumnSource, Part};

/// Gives the result rows of `joined` to `output`; a row that fails becomes a failure, alone (SEMANTICS 5.2).
/// `conditions`: what is asked before SELECT.
pub fn project(mut joined: Joined<'_>, conditions: &[&Expression], output: &mut Output<'_>) {
    if joined.rows() == 0 {
        return;
    }
    let whole = joined.clone();
    match ask_and_unnest(&mut joined, conditions) {
        Ok(()) => select(joined, output),
        Err(error) if whole.rows() == 1 => (output.fail)(failure(whole, error)),
        Err(_) => whole.halves().into_iter().for_each(|half| project(half, conditions, output)),
    }
}

fn ask_and_unnest(joined: &mut Joined<'_>, conditions: &[&Expression]) -> Result<(), String> {
    for condition in conditions {
        let mask = joined.evaluate_condition(condition)?;
        joined.keep(&mask);
    }
    unnest(joined)
}

/// SELECT: an element of a list that fails fails alone.
fn select(mut joined: Joined<'_>, output: &mut Output<'_>) {
    if joined.rows() == 0 {
        return;
    }
    let whole = joined.clone();
    match outputs(&mut joined) {
        Ok(columns) => (output.take)(ResultRows { columns, timestamps: joined.hidden_i64(0, Hidden::Timestamp) }),
        Err(error) if whole.rows() == 1 => (output.fail)(failure(whole, error)),
        Err(_) => whole.halves().into_iter().for_each(|half| select(half, output)),
    }
}

fn outputs(joined: &mut Joined<'_>) -> Result<Vec<ArrayRef>, String> {
    let plan = joined.plan();
    plan.outputs.iter().map(|output| joined.evaluate(&output.expression)).collect()
}

/// Result rows of combinations whose time is over, each as a failure (SEMANTICS 3.3); `error` says what they lack.
pub fn expired(mut joined: Joined<'_>, error: &str, output: &mut Output<'_>) {
    if joined.rows() == 0 {
        return;
    }
    let whole = joined.clone();
    match unnest(&mut joined).and_then(|()| outputs(&mut joined)) {
        Ok(columns) => {
            for row in 0..joined.rows() {
                let names = joined.plan().outputs.iter().map(|output| output.name.clone());
                let cells = names.zip(columns.iter().map(|column| column.slice(row, 1))).collect();
                let (origin, error) = (origin(&joined.range(row, row + 1)), error.to_string());
                (output.fail)(Failure { stage: Stage::Expire, origin, row: cells, error });
            }
        }
        Err(error) if whole.rows() == 1 => (output.fail)(failure(whole, error)),
        Err(_) => whole.halves().into_iter().for_each(|half| expired(half, error, output)),
    }
}

/// The one row of `joined`, as far as it is joined and its columns can be had.
pub(super) fn failure(mut joined: Joined<'_>, error: String) -> Failure {
    let plan = joined.plan();
    let mut columns = Vec::new();
    for (number, source) in plan.columns.iter().enumerate() {
        let is_there = match source {
            ColumnSource::Stored { part, .. } => joined.has(*part),
            _ => false,
        };
        if is_there && let Ok(column) = joined.column(number) {
            columns.push((plan.names[number].clone(), column));
        }
    }
    Failure { stage: Stage::Sql, origin: origin(&joined), row: columns, error }
}

/// The record to which the one row of `joined` goes back.
fn origin(joined: &Joined<'_>) -> Origin {
    if joined.new_event() == Some(0) || !joined.has(Part::Event(0)) {
        return Origin::Start(joined.start_row(0));
    }
    Origin::Earlier {
        partition: joined.hidden(0, Hidden::Partition).as_primitive::<Int32Type>().value(0),
        offset: joined.hidden_i64(0, Hidden::Offset)[0],
        timestamp: joined.hidden_i64(0, Hidden::Timestamp)[0],
    }
}
