//! The stages that `kaflowsql run` runs, one after the other on one thread.

use std::sync::Arc;

use kaflowsql::batch::{Cut, Outcome, Report};
use kaflowsql::clock::Clock;
use kaflowsql::config::Pipeline;
use kaflowsql::engine::{DecodeStage, JoinStage};
use kaflowsql::plan::Plan;

/// Bytes in, bytes out.
pub struct Stages {
    decode: DecodeStage,
    join: JoinStage,
}

impl Stages {
    /// With empty state.
    pub fn new((plan, pipeline): (Arc<Plan>, Pipeline)) -> Self {
        let decode = DecodeStage::new(Arc::clone(&plan), pipeline.on_error);
        Self { decode, join: JoinStage::new(plan, &pipeline, Clock::System) }
    }

    /// Processes a cut; `take` gets what comes out, in pieces.
    pub fn process(&mut self, cut: Cut, take: &mut dyn FnMut(&Outcome)) -> Report {
        let decoded = self.decode.decode(cut).expect("no record is bad");
        let mut report = Report::default();
        let hand_over = &mut |mut outcome: Outcome| {
            take(&outcome);
            if !outcome.is_partial {
                report = std::mem::take(&mut outcome.report);
            }
            Ok(())
        };
        self.join.process(decoded, hand_over).expect("no row fails");
        report
    }
}

/// How many result rows there are in a piece.
pub fn rows_of(outcome: &Outcome) -> usize {
    outcome.records.iter().map(|records| records.values.len()).sum()
}
