//! `emission: immediate`: result rows leave when they are formed (SEMANTICS 3.1).

use super::Moment;
use crate::clock::Stopwatch;
use crate::expression::Expression;
use crate::join::{Counts, Failure, Joined, Output, Sink, Start, Steps, Walker, project};
use crate::plan::Plan;

/// WHERE and SELECT, then out.
pub(super) struct Leave<'w, 'o, 'p> {
    pub(super) conditions: Vec<&'p Expression>,
    pub(super) output: &'w mut Output<'o>,
    /// Rows of the start that found a match in every table, and the last of them.
    pub(super) matched: (usize, Option<u32>),
    /// How long WHERE and SELECT took.
    pub(super) sql: std::time::Duration,
}

impl<'w, 'o, 'p> Leave<'w, 'o, 'p> {
    /// Asks the conditions behind the joins, and this one on the driving row.
    pub(super) fn new(plan: &'p Plan, driving: Option<&'p Expression>, output: &'w mut Output<'o>) -> Self {
        let conditions = plan.condition.iter().chain(driving).collect();
        Self { conditions, output, matched: (0, None), sql: std::time::Duration::ZERO }
    }

    /// Adds what was measured.
    pub(super) fn count(self, walk: Stopwatch, counts: &mut Counts) {
        counts.joined.1 += self.matched.0;
        counts.sql += self.sql;
        counts.lookup += walk.elapsed().saturating_sub(self.sql);
    }
}

impl<'a> Sink<'a> for Leave<'_, '_, '_> {
    fn take(&mut self, joined: Joined<'a>) {
        let watch = Stopwatch::start();
        self.matched.0 += joined.matched_start_rows(&mut self.matched.1);
        project(joined, &self.conditions, self.output);
        self.sql += watch.elapsed();
    }

    fn fail(&mut self, failure: Failure) {
        self.output.failures.push(failure);
    }
}

/// Asks the condition on the driving row, if it can be asked now: where it fails for a row, or the driving row is not known
/// yet, it is asked at the end.
pub(super) fn keep_driving(joined: &mut Joined<'_>, event: usize, condition: &Expression) -> bool {
    if event != 0 {
        return false;
    }
    let mask = joined.evaluate_condition(condition);
    mask.map(|mask| joined.keep(&mask)).is_ok()
}

/// Takes new rows of an event table to their results.
pub(super) fn run(
    moment: Moment<'_>,
    start: &Start,
    steps: &Steps,
    ask_driving: bool,
    counts: &mut Counts,
    output: &mut Output<'_>,
) {
    let Moment { plan, state, .. } = moment;
    let watch = Stopwatch::start();
    let mut joined = Joined::new(plan, state, start, moment.now_ns());
    let event = start.new.expect("BUG: what is formed again waits, and nothing waits here");
    let condition = plan.events[0].condition.as_ref().filter(|_| ask_driving);
    let driving = condition.filter(|condition| !keep_driving(&mut joined, event, condition));
    let mut leave = Leave::new(plan, driving, output);
    if event == 0 {
        counts.joined.0 += joined.rows();
    }
    Walker { plan, state, inner_as_left: false, counts, sink: &mut leave }.walk(joined, &steps.all[event]);
    leave.count(watch, counts);
}
