//! `emission: immediate`: result rows leave when they are formed (SEMANTICS 3.1).

use super::Moment;
use crate::clock::Stopwatch;
use crate::expression::Expression;
use crate::join::{Counts, Failure, Joined, Output, Sink, Start, Steps, Walker, ask, project};
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
    /// Asks this condition on the driving row, and then those behind the joins.
    pub(super) fn new(plan: &'p Plan, driving: Option<&'p Expression>, output: &'w mut Output<'o>) -> Self {
        let conditions = driving.into_iter().chain(&plan.condition).collect();
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
        if joined.new_event() == Some(0) {
            self.matched.0 += joined.matched_start_rows(&mut self.matched.1);
        }
        project(joined, &self.conditions, self.output);
        self.sql += watch.elapsed();
    }

    fn fail(&mut self, failure: Failure) {
        (self.output.fail)(failure);
    }
}

/// Rows of a walk that share whether the condition on their driving row is still to be asked.
pub(super) type Part<'a> = (Joined<'a>, bool);

/// The rows of a start, as far as the condition on the driving row lets them be joined.
pub(super) fn parts<'a>(moment: Moment<'a>, start: &'a Start, ask_driving: bool, counts: &mut Counts) -> Vec<Part<'a>> {
    let Moment { plan, state, .. } = moment;
    let joined = Joined::new(plan, state, start, moment.now_ns());
    let condition = plan.events[0].condition.as_ref().filter(|_| ask_driving);
    let parts = asked(joined, start.new.unwrap_or_default(), condition);
    if start.new == Some(0) {
        counts.joined.0 += parts.iter().map(|(joined, _)| joined.rows()).sum::<usize>();
    }
    parts
}

/// Asks the condition on the driving row, if it is known. What fails is kept, in parts of their own: it has failed only if a
/// result row would have come of it, so it is asked again behind the joins.
fn asked<'a>(mut joined: Joined<'a>, event: usize, condition: Option<&Expression>) -> Vec<Part<'a>> {
    let Some(condition) = condition else { return vec![(joined, false)] };
    if event != 0 {
        return vec![(joined, true)];
    }
    let whole = joined.clone();
    if let Ok(mask) = joined.evaluate_condition(condition) {
        joined.keep(&mask);
        return vec![(joined, false)];
    }
    let verdicts = ask(whole.clone(), condition);
    let rows: Vec<u32> = (0..whole.rows() as u32).filter(|&row| verdicts[row as usize] != Some(false)).collect();
    let fails = |row: u32| verdicts[row as usize].is_none();
    let parts = rows.chunk_by(|left, right| fails(*left) == fails(*right));
    let part = |rows: &[u32]| {
        let mut part = whole.clone();
        part.pick(rows);
        (part, fails(rows[0]))
    };
    parts.map(part).collect()
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
    let event = start.new.expect("BUG: what is formed again waits, and nothing waits here");
    for (joined, fails) in parts(moment, start, ask_driving, counts) {
        let watch = Stopwatch::start();
        let driving = plan.events[0].condition.as_ref().filter(|_| fails);
        let mut leave = Leave::new(plan, driving, output);
        Walker { plan, state, inner_as_left: false, counts, sink: &mut leave }.walk(joined, &steps.all[event]);
        leave.count(watch, counts);
    }
}
