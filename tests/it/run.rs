//! The threads of a pipeline, with ends of a test's own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kaflowsql::batch::{Cut, DeadLetter, EncodedBatch, Position, Report, TableId};
use kaflowsql::clock::Clock;
use kaflowsql::commit::{Commit, Observer};
use kaflowsql::engine::{DecodeStage, Ends, JoinStage, run};
use kaflowsql::error::{Error, Result};
use kaflowsql::sink::Sink;
use kaflowsql::source::{Committer, Next, RawBatchBuilder, Source};

use crate::joins::engine::Planned;

/// One event, then nothing for ever.
struct FallsSilent(Option<Cut>);

impl Source for FallsSilent {
    fn next(&mut self) -> Result<Next> {
        Ok(self.0.take().map_or(Next::Idle, Next::Cut))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(Nowhere)
    }
}

struct Nowhere;

impl Committer for Nowhere {
    fn commit(&self, _: &[Position], _: bool) -> Result<()> {
        Ok(())
    }
}

impl Sink for Nowhere {
    fn write(&mut self, _: &EncodedBatch) -> Result<()> {
        Err(Error::Retry("the topic is gone".to_string()))
    }

    fn write_dead_letters(&mut self, _: &[DeadLetter]) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Observer for Nowhere {
    fn committed(&mut self, _: &Report, _: Duration, _: Duration) {}
}

/// What runs the pipeline must hear of it, to start it again; a source that has nothing to give tells nobody.
#[test]
fn a_failure_ends_the_run_though_the_source_is_silent() {
    let Planned { pipeline, plan } = Planned::of(
        "name: p\nquery: SELECT o.id FROM orders o\nsources: {orders: {schema: {id: int}}}\noutput: {topic: out}\n",
    );
    let mut batch = RawBatchBuilder::new(TableId(0));
    batch.push(None, Some(b"{\"id\":1}"), 0, 0, 0);
    let cut = Cut { batches: batch.take().into_iter().collect(), ..Cut::default() };
    let commit = Commit::new(Box::new(Nowhere), Arc::new(Nowhere), Box::new(Nowhere));
    let ends = Ends { source: Box::new(FallsSilent(Some(cut))), commit };
    let decode = DecodeStage::new(Arc::clone(&plan), pipeline.on_error);
    let join = JoinStage::new(plan, &pipeline, Clock::System);
    let ended = run(ends, decode, join, &AtomicBool::new(false));
    assert!(matches!(&ended, Err(Error::Retry(why)) if why == "the topic is gone"), "{ended:?}");
}
