//! `kaflowsql demo`: flights are replayed into an embedded broker, and come out enriched.

mod broker;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use self::broker::{EmbeddedBroker, Replay};
use super::arguments::DemoArguments;
use super::load::{declared_fields, plan_of, reported};
use super::progress::with_progress;
use super::service::Service;
use super::stop::stop_on_signals;
use crate::clock::Stopwatch;
use crate::config::{Pipeline, Settings, load_pipeline};
use crate::error::{Error, Result};
use crate::plan::{Catalog, Plan, Role};
use crate::source;
use crate::telemetry::{LogFormat, Metrics, start_logging};

/// The largest data file that is replayed: the embedded broker keeps 5 MiB a partition.
const FILE_BYTES_MAX: usize = 4 << 20;
/// How long the last rows may take to come out.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// How often to look whether the pipeline is ready.
const READY_STEP: Duration = Duration::from_millis(20);

/// Runs the demo.
pub(super) fn demo(arguments: &DemoArguments) -> Result<()> {
    start_logging("warn", LogFormat::Text)?;
    let stop = stop_on_signals()?;
    let pipeline = Arc::new(load_pipeline(&arguments.pipeline).map_err(reported)?);
    let mut settings = Settings::default();
    let plan = plan_of(&pipeline, &declared_fields(&pipeline), &settings, &Catalog::new()).map_err(reported)?;
    let broker = EmbeddedBroker::start(&topics(&pipeline, &plan))?;
    settings.kafka.brokers = vec![broker.address()];
    let facts = load_dimensions(&broker, arguments, &plan)?;
    let drive = file_of(arguments, &plan.tables[0].topic);
    let events = source::sample(&drive, usize::MAX, FILE_BYTES_MAX)?;
    eprintln!(
        "an embedded broker on {} holds {facts} rows of {} dimensions; {} {} events a second are replayed from {} and \
         run through {}\n(Ctrl-C ends it)",
        broker.address(),
        plan.tables.len() - 1,
        arguments.rate,
        plan.tables[0].topic,
        drive.display(),
        arguments.pipeline.display(),
    );
    let metrics = Arc::new(Metrics::new());
    let service = Service::new(Arc::clone(&pipeline), settings, Arc::clone(&metrics));
    let replay = Replay { topic: plan.tables[0].topic.clone(), events, rate: arguments.rate };
    let shown = watch(&broker, &service, &replay, arguments.rows, &stop);
    let tally = service.tally();
    let latency = shown?.summary();
    if let Some(tally) = tally {
        eprintln!("{tally}{latency}");
    }
    Ok(())
}

fn topics(pipeline: &Pipeline, plan: &Plan) -> Vec<String> {
    let read = plan.tables.iter().map(|table| table.topic.clone());
    read.chain([pipeline.output.topic.clone(), pipeline.output.dead_letter.clone()]).collect()
}

fn file_of(arguments: &DemoArguments, topic: &str) -> PathBuf {
    arguments.data.join(format!("{topic}.ndjson"))
}

fn load_dimensions(broker: &EmbeddedBroker, arguments: &DemoArguments, plan: &Plan) -> Result<usize> {
    let mut rows = 0;
    for table in plan.tables.iter().filter(|table| table.role == Role::Dimension) {
        let records = source::sample(&file_of(arguments, &table.topic), usize::MAX, FILE_BYTES_MAX)?;
        rows += records.len();
        broker.feed.produce(&table.topic, &records)?;
    }
    Ok(rows)
}

/// What was seen to come out.
#[derive(Debug, Default)]
struct Shown {
    rows: u64,
    /// From being sent to being read again, ms.
    latencies_ms: Vec<u64>,
}

impl Shown {
    fn summary(mut self) -> String {
        self.latencies_ms.sort_unstable();
        let at = |share: f64| {
            let place =
                ((self.latencies_ms.len() as f64 * share) as usize).min(self.latencies_ms.len().saturating_sub(1));
            self.latencies_ms.get(place).copied().unwrap_or_default()
        };
        if self.latencies_ms.is_empty() {
            return String::new();
        }
        format!("; from producer to consumer: median {} ms, p99 {} ms", at(0.5), at(0.99))
    }
}

/// Replays, runs and prints, each on its thread, until all is out, enough is out, or the user has seen enough.
fn watch(
    broker: &EmbeddedBroker,
    service: &Service,
    replay: &Replay,
    rows_max: Option<u64>,
    stop: &AtomicBool,
) -> Result<Shown> {
    let feed = &broker.feed;
    let mut rows = broker.read(&service.pipeline.output.topic)?;
    let shown = Mutex::new(Shown::default());
    let replayed = AtomicBool::new(false);
    let show = || (0, None, service.tally().map(|tally| tally.to_string()).unwrap_or_else(|| "loading".into()));
    let mut print = || -> Result<()> {
        let mut out = std::io::stdout().lock();
        let mut quiet = Stopwatch::start();
        while !stop.load(Ordering::Relaxed) {
            if let Some(row) = rows.next()? {
                writeln!(out, "{}", String::from_utf8_lossy(&row.value))
                    .map_err(|_| Error::Stop("stdout is closed".into()))?;
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.rows += 1;
                shown.latencies_ms.push(row.latency_ms);
                quiet = Stopwatch::start();
                if rows_max.is_some_and(|max| shown.rows >= max) {
                    break;
                }
            } else if replayed.load(Ordering::Relaxed)
                && (service.has_processed(replay.events.len() as u64) || quiet.elapsed() > DRAIN_PATIENCE)
            {
                break;
            }
        }
        Ok(())
    };
    let results = with_progress(show, || {
        thread::scope(|scope| {
            let running = scope.spawn(|| service.run(stop));
            let replaying = scope.spawn(|| {
                // Events that wait for the dimensions to be loaded would be no measure of latency.
                while !service.readiness().ready && !stop.load(Ordering::Relaxed) {
                    thread::sleep(READY_STEP);
                }
                let result = feed.replay(replay, stop);
                replayed.store(true, Ordering::Relaxed);
                result
            });
            let printed = print();
            stop.store(true, Ordering::Relaxed);
            [printed, replaying.join().unwrap_or_else(broke), running.join().unwrap_or_else(broke)]
        })
    });
    results.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(shown.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn broke(_: Box<dyn std::any::Any + Send>) -> Result<()> {
    Err(Error::Stop("a part of the demo broke down".into()))
}
