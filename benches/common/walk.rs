//! All that a query makes of decoded rows but their bytes.

use arrow::array::ArrayRef;
use kaflowsql::emit::{Emitter, Moment};
use kaflowsql::join::{Counts, Given, Output, ResultRows, Start, State};
use kaflowsql::plan::Plan;
use kaflowsql::state::DimensionTable;

/// Driving rows with all that is known of them.
pub fn start_of(columns: &[ArrayRef], rows: usize) -> Start {
    let given = Given::new(columns.to_vec(), vec![0; rows], vec![0; rows], vec![0; rows], vec![0; rows]);
    Start::of_event(0, 1, rows, given)
}

/// The result rows of a start, for a plan of one event table.
pub fn run(emitter: &mut Emitter, plan: &Plan, dimensions: &[DimensionTable], start: &Start) -> Vec<ResultRows> {
    let moment =
        Moment { plan, state: State { events: &[], dimensions }, now_ms: 1_742_000_000_000, stream_time_ms: None };
    let mut results = Vec::new();
    let take = &mut |rows| results.push(rows);
    let fail = &mut |failure| panic!("no row fails: {failure:?}");
    let mut output = Output { take, fail };
    emitter.start(moment, start, true, &mut Counts::new(plan.lookups.len()), &mut output);
    results
}
