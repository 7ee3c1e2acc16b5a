//! One pipeline as a service: started, restarted after what may pass, and asked whether it is ready.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::kafka::{sink_config, source_config};
use super::load::{fields_of, plan_of, reported};
use super::observe::MetricsObserver;
use super::sample::topic_fields;
use super::tally::Tally;
use crate::clock::Clock;
use crate::commit::Commit;
use crate::config::{Pipeline, Settings};
use crate::engine::{DecodeStage, Ends, JoinStage, run};
use crate::error::{Error, Result};
use crate::plan::{Catalog, Fields, Plan};
use crate::serve::PipelineReadiness;
use crate::sink::kafka::KafkaSink;
use crate::source::Source;
use crate::source::kafka::{KafkaSource, LoadProgress};
use crate::telemetry::Metrics;

/// How long to wait before what failed is tried again: at first, and at most.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often waiting looks whether to stop.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// A pipeline that runs until it is stopped.
pub(super) struct Service {
    pub(super) pipeline: Arc<Pipeline>,
    settings: Settings,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    tally: OnceLock<Tally>,
}

/// What a service is doing.
enum State {
    /// It waits for this.
    Waiting(String),
    /// It reads; the progress knows whether dimensions are loaded.
    Running(Arc<LoadProgress>),
    /// It has ended; why, if it failed.
    Ended(Option<String>),
}

impl Service {
    /// A service that was not started yet.
    pub(super) fn new(pipeline: Arc<Pipeline>, settings: Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            pipeline,
            settings,
            metrics,
            state: Mutex::new(State::Waiting("starting".into())),
            tally: OnceLock::new(),
        }
    }

    /// Runs until `stop` is set, or until it can't go on.
    ///
    /// # Errors
    /// Why it can't go on.
    pub(super) fn run(&self, stop: &AtomicBool) -> Result<()> {
        let result = self.run_until(stop);
        let failure = result.as_ref().err().map(ToString::to_string);
        self.become_state(State::Ended(failure));
        result
    }

    fn run_until(&self, stop: &AtomicBool) -> Result<()> {
        let Some(plan) = self.plan(stop)? else { return Ok(()) };
        let plan = Arc::new(plan);
        let tally = self.tally.get_or_init(|| Tally::new(&plan)).clone();
        let mut pause = RETRY_AFTER.0;
        loop {
            let committed = tally.counts();
            match self.run_once(&plan, &tally, stop) {
                Err(Error::Retry(reason)) if !stop.load(Ordering::Relaxed) => {
                    if tally.counts() != committed {
                        pause = RETRY_AFTER.0;
                    }
                    tracing::warn!(pipeline = self.pipeline.name, "starting again in {pause:?}: {reason}");
                    self.wait(&reason, pause, stop);
                    pause = (pause * 2).min(RETRY_AFTER.1);
                }
                ended => {
                    tracing::info!(pipeline = self.pipeline.name, "{tally}");
                    return ended;
                }
            }
        }
    }

    /// One life of the pipeline: from empty state to its end.
    fn run_once(&self, plan: &Arc<Plan>, tally: &Tally, stop: &AtomicBool) -> Result<()> {
        let pipeline = &self.pipeline;
        let sink = match KafkaSink::open(&sink_config(&self.settings, pipeline)) {
            // Nothing was begun, so nothing is left undone.
            Err(Error::Retry(_)) if stop.load(Ordering::Relaxed) => return Ok(()),
            sink => sink?,
        };
        let row_times = Arc::default();
        let source = KafkaSource::open(&source_config(&self.settings, pipeline, plan, &row_times))?;
        self.become_state(State::Running(source.progress()));
        let metrics = self.metrics.pipeline(&pipeline.name);
        let observer = MetricsObserver::new(metrics, plan, pipeline.on_error, tally.clone());
        let commit = Commit::new(Box::new(sink), source.committer(), Box::new(observer));
        let decode = DecodeStage::new(Arc::clone(plan), pipeline.on_error);
        let mut join = JoinStage::new(Arc::clone(plan), pipeline, Clock::System);
        join.tell_times(row_times);
        run(Ends { source: Box::new(source), commit }, decode, join, stop)
    }

    /// Plans the pipeline. Tables that declare no columns are waited for; `None` if stopped meanwhile.
    fn plan(&self, stop: &AtomicBool) -> Result<Option<Plan>> {
        let mut sampler =
            |table: &str, topic: &str, event_time: Option<&str>| self.sample(table, topic, event_time, stop);
        let fields = match fields_of(&self.pipeline, &mut sampler) {
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(None),
            fields => fields?,
        };
        plan_of(&self.pipeline, &fields, &self.settings, &Catalog::new()).map(Some).map_err(reported)
    }

    fn sample(&self, table: &str, topic: &str, event_time: Option<&str>, stop: &AtomicBool) -> Result<Fields> {
        loop {
            let reason = match topic_fields(&self.settings, topic, event_time) {
                Ok(Some(fields)) => return Ok(fields),
                Ok(None) => {
                    format!("topic {topic} is empty: the columns of `{table}` are guessed from its first records")
                }
                // A topic that is missing may still be created.
                Err(Error::Retry(reason) | Error::Mistake(reason)) => reason,
                Err(other) => return Err(other),
            };
            tracing::info!(pipeline = self.pipeline.name, "waiting: {reason}");
            self.wait(&reason, RETRY_AFTER.0 * 4, stop);
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stop(reason));
            }
        }
    }

    fn wait(&self, reason: &str, pause: Duration, stop: &AtomicBool) {
        self.become_state(State::Waiting(reason.to_string()));
        let steps = pause.as_millis().div_ceil(WAIT_STEP.as_millis());
        for _ in 0..steps {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(WAIT_STEP);
        }
    }

    fn become_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether it processes events, or what it waits for.
    pub(super) fn readiness(&self) -> PipelineReadiness {
        let reason = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Waiting(reason) => Some(reason.clone()),
            State::Running(progress) => progress.not_ready(),
            State::Ended(failure) => Some(failure.clone().unwrap_or_else(|| "stopped".into())),
        };
        PipelineReadiness {
            name: self.pipeline.name.clone(),
            ready: reason.is_none(),
            reasons: reason.into_iter().collect(),
        }
    }

    /// What it did so far; `None` until it knows what to do.
    pub(super) fn tally(&self) -> Option<Tally> {
        self.tally.get().cloned()
    }

    /// Whether it has processed so many events.
    pub(super) fn has_processed(&self, events: u64) -> bool {
        self.tally.get().is_some_and(|tally| tally.counts().events >= events)
    }

    /// Brings the gauges up to date that nobody else does: lag, and what is loaded.
    pub(super) fn refresh_gauges(&self) {
        let progress = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Running(progress) => Arc::clone(progress),
            State::Waiting(_) | State::Ended(_) => return,
        };
        let metrics = self.metrics.pipeline(&self.pipeline.name);
        for dimension in progress.dimensions() {
            metrics.topic(&dimension.topic).loaded(dimension.is_loaded());
        }
        for lag in progress.lags() {
            metrics.topic(&lag.topic).lag(lag.partition, lag.offsets);
        }
    }
}
