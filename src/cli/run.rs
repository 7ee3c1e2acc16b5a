//! `kaflowsql run`: pipelines against Kafka, until stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::arguments::RunArguments;
use super::load::{self, mistakes_offline, pipeline_files, reported};
use super::service::Service;
use super::stop::stop_on_signals;
use crate::config::{Pipeline, Settings, load_pipeline};
use crate::error::{Error, Result};
use crate::serve::{self, PipelineReadiness, Readiness};
use crate::telemetry::{LogFormat, Metrics, start_logging};

/// How often gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_millis(500);

/// Runs the service.
pub(super) fn run(arguments: &RunArguments) -> Result<()> {
    let settings = load::settings(arguments.config.as_deref())?;
    let format = if settings.logging.json { LogFormat::Json } else { LogFormat::Text };
    start_logging(settings.logging.level.name(), format)?;
    let pipelines = pipelines(arguments, &settings)?;
    let metrics = Arc::new(Metrics::new());
    let services: Vec<_> = pipelines
        .into_iter()
        .map(|pipeline| Arc::new(Service::new(Arc::new(pipeline), settings.clone(), Arc::clone(&metrics))))
        .collect();
    let stop = stop_on_signals()?;
    let readiness = Arc::new(Services(services.clone()));
    let server = serve::start(settings.http.listen, metrics, readiness)?;
    tracing::info!(
        "{} pipelines; metrics and health on http://{}; brokers {}",
        services.len(),
        server.address(),
        settings.kafka.brokers.join(", ")
    );
    let result = run_all(&services, &stop);
    server.stop();
    result
}

/// The pipelines that arguments name; the mistakes of all files are reported together.
fn pipelines(arguments: &RunArguments, settings: &Settings) -> Result<Vec<Pipeline>> {
    let mut pipelines = Vec::new();
    let mut reports = Vec::new();
    let mut names = BTreeSet::new();
    for file in pipeline_files(&arguments.pipelines)? {
        match load_pipeline(&file) {
            Ok(pipeline) if !names.insert(pipeline.name.clone()) => {
                reports.push(format!("{}: there is already a pipeline called `{}`", file.display(), pipeline.name));
            }
            Ok(pipeline) => {
                let mistakes = mistakes_offline(&pipeline, settings);
                if mistakes.is_fatal() {
                    reports.push(reported(mistakes).to_string());
                } else if !mistakes.is_empty() {
                    tracing::warn!(pipeline = pipeline.name, "{mistakes}");
                }
                pipelines.push(pipeline);
            }
            Err(mistakes) => reports.push(reported(mistakes).to_string()),
        }
    }
    if reports.is_empty() { Ok(pipelines) } else { Err(Error::Mistake(reports.join("\n"))) }
}

/// Runs each pipeline on threads of its own until all have ended. One that fails leaves the others running; the
/// process then ends with its error.
fn run_all(services: &[Arc<Service>], stop: &AtomicBool) -> Result<()> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                services.iter().for_each(|service| service.refresh_gauges());
                thread::park_timeout(GAUGES_EVERY);
            }
        });
        let running: Vec<_> = services
            .iter()
            .map(|service| {
                scope.spawn(move || {
                    let result = service.run(stop);
                    if let Err(error) = &result {
                        tracing::error!(pipeline = service.pipeline.name, "{error}");
                    }
                    result
                })
            })
            .collect();
        let results: Vec<Result<()>> = running
            .into_iter()
            .map(|service| service.join().unwrap_or_else(|_| Err(Error::Stop("a pipeline broke down".into()))))
            .collect();
        ended.store(true, Ordering::Relaxed);
        results.into_iter().collect()
    })
}

struct Services(Vec<Arc<Service>>);

impl Readiness for Services {
    fn pipelines(&self) -> Vec<PipelineReadiness> {
        self.0.iter().map(|service| service.readiness()).collect()
    }
}
