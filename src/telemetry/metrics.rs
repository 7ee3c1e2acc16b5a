//! The registry of metrics, and its text for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::pipeline::PipelineMetrics;
use super::waiting::WaitingFamilies;
use crate::clock::Clock;

pub(super) const PIPELINE: &[&str] = &["pipeline"];
const TOPIC: &[&str] = &["pipeline", "topic"];

/// Bounds of the buckets of durations: a look-up of a small batch takes 10 µs, a commit that goes wrong 10 s.
const SECONDS: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

const ROWS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    memory: IntGauge,
    clock: Clock,
    pipelines: Mutex<BTreeMap<String, Arc<PipelineMetrics>>>,
}

/// Every metric that is labelled by pipeline.
pub(super) struct Families {
    pub(super) events: IntCounterVec,
    pub(super) bytes: IntCounterVec,
    pub(super) events_per_second: GaugeVec,
    pub(super) lookups: IntCounterVec,
    pub(super) hits: IntCounterVec,
    pub(super) hit_rate: GaugeVec,
    pub(super) success_rate: GaugeVec,
    pub(super) processing: HistogramVec,
    pub(super) lookup: HistogramVec,
    pub(super) sql: HistogramVec,
    pub(super) commit: HistogramVec,
    pub(super) stage: HistogramVec,
    pub(super) batch_size: HistogramVec,
    pub(super) rows: IntCounterVec,
    pub(super) dead_letters: IntCounterVec,
    pub(super) skipped: IntCounterVec,
    pub(super) tombstones: IntCounterVec,
    pub(super) late: IntCounterVec,
    pub(super) state_bytes: IntGaugeVec,
    pub(super) state_entries: IntGaugeVec,
    pub(super) loaded: IntGaugeVec,
    pub(super) lag: IntGaugeVec,
    pub(super) evictions: IntCounterVec,
    pub(super) waiting: WaitingFamilies,
}

impl Metrics {
    /// No pipeline yet.
    pub fn new() -> Self {
        Self::with_clock(Clock::System)
    }

    /// With a clock of its own, by which rates are measured.
    pub fn with_clock(clock: Clock) -> Self {
        let registry = Registry::new();
        let families = Arc::new(Families::register(&registry));
        let memory = IntGauge::new("kaflowsql_memory_usage_bytes", "Resident memory of the process, bytes")
            .expect("BUG: a valid name");
        register(&registry, memory.clone());
        #[cfg(target_os = "linux")]
        register(&registry, prometheus::process_collector::ProcessCollector::for_self());
        Self { registry, families, memory, clock, pipelines: Mutex::default() }
    }

    /// The metrics of the pipeline `name`: the same each time.
    pub fn pipeline(&self, name: &str) -> Arc<PipelineMetrics> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(PipelineMetrics::new(name, &self.families, self.clock.clone()));
        Arc::clone(pipelines.entry(name.to_string()).or_insert_with(new))
    }

    /// Everything, in the text format of Prometheus.
    pub fn render(&self) -> String {
        for pipeline in self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).values() {
            pipeline.update_rates();
        }
        if let Some(bytes) = resident_bytes() {
            self.memory.set(bytes);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("BUG: a metric that is not text")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Families {
    fn register(registry: &Registry) -> Self {
        let counter = |name, help, labels| vector(registry, IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name, help, labels| vector(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        let rate = |name, help, labels| vector(registry, GaugeVec::new(Opts::new(name, help), labels));
        let histogram = |name, help, labels, bounds: &[f64]| {
            vector(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), labels))
        };
        Self {
            events: counter("kaflowsql_events_processed_total", "Records decoded", TOPIC),
            bytes: counter("kaflowsql_bytes_processed_total", "Bytes of the values of records decoded", TOPIC),
            events_per_second: rate("kaflowsql_events_per_second", "Records decoded per second, of late", PIPELINE),
            lookups: counter("kaflowsql_join_lookups_total", "Rows looked up in a table", TOPIC),
            hits: counter("kaflowsql_join_hits_total", "Rows looked up in a table that found a match", TOPIC),
            hit_rate: rate("kaflowsql_join_hit_rate", "Share of look-ups that found a match, of late, 0 to 1", TOPIC),
            success_rate: rate(
                "kaflowsql_join_success_rate",
                "Share of driving rows that found a match in every table, of late, 0 to 1",
                PIPELINE,
            ),
            processing: histogram(
                "kaflowsql_processing_duration_histogram",
                "Time from the cut of a batch until its output is acknowledged, seconds",
                PIPELINE,
                SECONDS,
            ),
            lookup: histogram("kaflowsql_join_lookup_duration", "Time of a batch's joins, seconds", PIPELINE, SECONDS),
            sql: histogram("kaflowsql_sql_execution_duration", "Time of a batch's SQL, seconds", PIPELINE, SECONDS),
            commit: histogram("kaflowsql_commit_duration", "Time of a commit, seconds", PIPELINE, SECONDS),
            stage: histogram(
                "kaflowsql_stage_duration",
                "Time of a batch in a stage, seconds",
                &["pipeline", "stage"],
                SECONDS,
            ),
            batch_size: histogram("kaflowsql_batch_size", "Records of a batch", PIPELINE, ROWS),
            rows: counter("kaflowsql_rows_emitted_total", "Result rows", PIPELINE),
            dead_letters: counter(
                "kaflowsql_dead_letters_total",
                "Records and rows sent to the dead letters, by the stage that rejected them",
                &["pipeline", "stage"],
            ),
            skipped: counter("kaflowsql_skipped_total", "Records and rows left out", &["pipeline", "reason"]),
            tombstones: counter("kaflowsql_tombstones_total", "Records with a null value", TOPIC),
            late: counter("kaflowsql_late_rows_total", "Rows older than the stream time and the lateness", TOPIC),
            state_bytes: gauge("kaflowsql_state_size_bytes", "Memory of a table's rows and indexes, bytes", TOPIC),
            state_entries: gauge("kaflowsql_state_entries_total", "Rows kept of a table", TOPIC),
            loaded: gauge(
                "kaflowsql_dimension_loaded",
                "1 once a dimension is read to its end at start, else 0",
                TOPIC,
            ),
            evictions: counter(
                "kaflowsql_state_evictions_total",
                "Event rows forgotten once no row can need them",
                TOPIC,
            ),
            waiting: WaitingFamilies::register(registry),
            lag: gauge(
                "kaflowsql_lag",
                "Records of a partition that are not read yet",
                &["pipeline", "topic", "partition"],
            ),
        }
    }
}

pub(super) fn vector<B: MetricVecBuilder + 'static>(
    registry: &Registry,
    created: prometheus::Result<MetricVec<B>>,
) -> MetricVec<B>
where
    MetricVec<B>: Collector,
{
    let vector = created.expect("BUG: a valid name and valid labels");
    register(registry, vector.clone());
    vector
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("BUG: a name that is taken");
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{SkipReason, Step};
    use super::*;
    use crate::batch::Stage;

    #[test]
    fn every_contract_name_is_there_once_it_is_set() {
        let clock = Clock::standing_at(0);
        let metrics = Metrics::with_clock(clock.clone());
        let pipeline = metrics.pipeline("flights");
        let users = pipeline.topic("users");
        users.decoded(100, 5_000);
        users.lookup(10, 9);
        users.tombstones(1);
        users.late(2);
        users.state(90, 4_096);
        users.loaded(true);
        users.lag(3, 17);
        pipeline.joined(10, 9);
        pipeline.emitted(10);
        pipeline.dead_letters(Stage::Decode, 4);
        pipeline.skipped(SkipReason::OnError, 5);
        pipeline.batch(100, Duration::from_millis(2));
        for step in Step::ALL {
            pipeline.stage(step, Duration::from_micros(20));
        }
        clock.advance_ms(2_000);
        let text = metrics.render();
        let expected = [
            "kaflowsql_events_processed_total{pipeline=\"flights\",topic=\"users\"} 100",
            "kaflowsql_bytes_processed_total{pipeline=\"flights\",topic=\"users\"} 5000",
            "kaflowsql_events_per_second{pipeline=\"flights\"} 50",
            "kaflowsql_join_success_rate{pipeline=\"flights\"} 0.9",
            "kaflowsql_join_hit_rate{pipeline=\"flights\",topic=\"users\"} 0.9",
            "kaflowsql_join_lookups_total{pipeline=\"flights\",topic=\"users\"} 10",
            "kaflowsql_join_hits_total{pipeline=\"flights\",topic=\"users\"} 9",
            "kaflowsql_processing_duration_histogram_bucket{pipeline=\"flights\",le=\"0.0025\"} 1",
            "kaflowsql_processing_duration_histogram_bucket{pipeline=\"flights\",le=\"0.001\"} 0",
            "kaflowsql_join_lookup_duration_count{pipeline=\"flights\"} 1",
            "kaflowsql_sql_execution_duration_count{pipeline=\"flights\"} 1",
            "kaflowsql_commit_duration_count{pipeline=\"flights\"} 1",
            "kaflowsql_stage_duration_bucket{pipeline=\"flights\",stage=\"encode\",le=\"0.000025\"} 1",
            "kaflowsql_batch_size_sum{pipeline=\"flights\"} 100",
            "kaflowsql_rows_emitted_total{pipeline=\"flights\"} 10",
            "kaflowsql_dead_letters_total{pipeline=\"flights\",stage=\"decode\"} 4",
            "kaflowsql_skipped_total{pipeline=\"flights\",reason=\"on_error\"} 5",
            "kaflowsql_tombstones_total{pipeline=\"flights\",topic=\"users\"} 1",
            "kaflowsql_late_rows_total{pipeline=\"flights\",topic=\"users\"} 2",
            "kaflowsql_state_size_bytes{pipeline=\"flights\",topic=\"users\"} 4096",
            "kaflowsql_state_entries_total{pipeline=\"flights\",topic=\"users\"} 90",
            "kaflowsql_dimension_loaded{pipeline=\"flights\",topic=\"users\"} 1",
            "kaflowsql_lag{partition=\"3\",pipeline=\"flights\",topic=\"users\"} 17",
        ];
        for line in expected {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        users.forget_lag(3);
        assert!(!metrics.render().contains("kaflowsql_lag{"));
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let metrics = Metrics::new();
        let pipeline = metrics.pipeline("p");
        pipeline.topic("events").decoded(1, 1);
        let text = metrics.render();
        for name in ["hit_rate{", "success_rate{", "dimension_loaded{", "state_size_bytes{", "lag{"] {
            assert!(!text.contains(name), "{name} in\n{text}");
        }
    }

    #[test]
    fn a_pipeline_is_made_once() {
        let metrics = Metrics::new();
        assert!(Arc::ptr_eq(&metrics.pipeline("a"), &metrics.pipeline("a")));
        assert!(!Arc::ptr_eq(&metrics.pipeline("a"), &metrics.pipeline("b")));
        assert!(Arc::ptr_eq(&metrics.pipeline("a").topic("t"), &metrics.pipeline("a").topic("t")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        let text = Metrics::new().render();
        let line = text.lines().find(|line| line.starts_with("kaflowsql_memory_usage_bytes ")).unwrap();
        assert!(line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() > 1e6);
        assert!(text.contains("process_cpu_seconds_total"));
    }
}
