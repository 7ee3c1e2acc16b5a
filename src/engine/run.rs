//! The threads of a pipeline: read, decode, join, commit; a cut is in each of them at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::decode::{DecodeStage, DecodedCut};
use super::join::JoinStage;
use crate::batch::{Cut, Outcome};
use crate::clock::Stopwatch;
use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::source::{Next, Source};

/// How many cuts may wait between two stages: one more would only add latency.
const WAITING_MAX: usize = 1;

/// Where a pipeline reads and writes.
pub struct Ends {
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// What becomes of results.
    pub commit: Commit,
}

/// Runs a pipeline until its source ends or `stop` is set; then what was read is finished and committed.
///
/// # Errors
/// The first that any stage met. What was not committed is read again by the next run.
pub fn run(ends: Ends, mut decode: DecodeStage, mut join: JoinStage, stop: &AtomicBool) -> Result<()> {
    let Ends { mut source, mut commit } = ends;
    // The source outlives the scope: what it closes when dropped is needed by the last commit.
    let source = source.as_mut();
    let (to_decode, cuts) = bounded::<(Stopwatch, Cut)>(WAITING_MAX);
    let (to_join, decoded) = bounded::<DecodedCut>(WAITING_MAX);
    let (to_commit, outcomes) = bounded::<Outcome>(WAITING_MAX);
    // A source that has nothing to give would not notice that nobody listens any more.
    let over = AtomicBool::new(false);
    let over = &over;
    thread::scope(|scope| {
        let stages = [
            spawn(scope, "read", move || read(source, &to_decode, &[stop, over])),
            spawn(scope, "decode", move || {
                pass(&cuts, &to_join, |(since, cut)| {
                    let mut decoded = decode.decode(cut)?;
                    decoded.report.since = Some(since);
                    Ok(decoded)
                })
            }),
            spawn(scope, "join", move || {
                for cut in decoded {
                    let mut is_heard = true;
                    join.process(cut, &mut |outcome| {
                        is_heard &= to_commit.send(outcome).is_ok();
                        Ok(())
                    })?;
                    if !is_heard {
                        break;
                    }
                }
                Ok(())
            }),
        ];
        let committed = outcomes.iter().try_for_each(|outcome| commit.commit(outcome));
        // A stage that failed has closed its channels, which ends the others; on an error here `outcomes` must be
        // closed for the same reason.
        drop(outcomes);
        over.store(true, Ordering::Relaxed);
        let mut results: Vec<Result<()>> = stages.into_iter().map(finish).collect();
        results.insert(0, committed);
        let failed = results.into_iter().find_map(Result::err);
        // What was committed is remembered, also on the way out.
        let remembered = commit.finish();
        failed.map_or(remembered, Err)
    })
}

type Stage<'scope> = thread::ScopedJoinHandle<'scope, Result<()>>;

fn spawn<'scope, F>(scope: &'scope thread::Scope<'scope, '_>, name: &str, stage: F) -> Stage<'scope>
where
    F: FnOnce() -> Result<()> + Send + 'scope,
{
    thread::Builder::new().name(name.to_string()).spawn_scoped(scope, stage).expect("BUG: a thread can't be started")
}

fn finish(stage: Stage<'_>) -> Result<()> {
    let name = stage.thread().name().unwrap_or_default().to_string();
    stage.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Error::Stop(format!("the {name} stage broke down: {}", text.unwrap_or("no reason given"))))
    })
}

fn read(source: &mut dyn Source, to_decode: &Sender<(Stopwatch, Cut)>, stops: &[&AtomicBool]) -> Result<()> {
    while !stops.iter().any(|stop| stop.load(Ordering::Relaxed)) {
        match source.next()? {
            Next::Cut(cut) => {
                if to_decode.send((Stopwatch::start(), cut)).is_err() {
                    break;
                }
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    Ok(())
}

fn pass<In, Out>(from: &Receiver<In>, to: &Sender<Out>, mut stage: impl FnMut(In) -> Result<Out>) -> Result<()> {
    for input in from {
        // A closed channel means that a later stage has failed, and says why.
        if to.send(stage(input)?).is_err() {
            break;
        }
    }
    Ok(())
}
