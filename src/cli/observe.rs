//! What a run did, into the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::tally::Tally;
use crate::batch::{Report, Stage};
use crate::commit::Observer;
use crate::config::OnError;
use crate::plan::{Emission, Plan, Role};
use crate::telemetry::{PipelineMetrics, SkipReason, Step, TopicMetrics};

/// Keeps a pipeline's metrics, and its tally, current.
pub(super) struct MetricsObserver {
    metrics: Arc<PipelineMetrics>,
    /// By table.
    topics: Vec<Arc<TopicMetrics>>,
    roles: Vec<Role>,
    /// The table of each look-up.
    lookups: Vec<usize>,
    on_error: OnError,
    /// How many tables, from the first on, keep no rows.
    stateless: usize,
    is_smart: bool,
    tally: Tally,
}

impl MetricsObserver {
    /// For the tables of `plan`.
    pub(super) fn new(metrics: Arc<PipelineMetrics>, plan: &Plan, on_error: OnError, tally: Tally) -> Self {
        Self {
            topics: plan.tables.iter().map(|table| metrics.topic(&table.topic)).collect(),
            roles: plan.tables.iter().map(|table| table.role).collect(),
            lookups: plan.lookups.iter().map(|lookup| plan.dimensions[lookup.dimension].table.index()).collect(),
            stateless: usize::from(plan.events.len() == 1),
            is_smart: matches!(plan.emission, Emission::Smart(_)),
            metrics,
            on_error,
            tally,
        }
    }

    fn tables(&self, report: &Report) {
        for (place, topic) in self.topics.iter().enumerate() {
            topic.decoded(report.records[place] as usize, report.bytes[place] as usize);
            let tombstones = report.tombstones[place] as usize;
            topic.tombstones(tombstones);
            if self.roles[place] == Role::Event && tombstones > 0 {
                self.metrics.skipped(SkipReason::EventTombstone, tombstones);
            }
        }
        for (topic, &late) in self.topics.iter().zip(&report.late) {
            topic.late(late as usize);
        }
        for (&table, &(probed, hit)) in self.lookups.iter().zip(&report.lookups) {
            self.topics[table].lookup(probed as usize, hit as usize);
        }
        for (topic, &rows) in self.topics.iter().zip(&report.forgotten) {
            topic.forgotten(rows as usize);
        }
        for (topic, &(entries, bytes)) in self.topics.iter().zip(&report.state).skip(self.stateless) {
            topic.state(entries as usize, bytes as usize);
        }
    }
}

impl Observer for MetricsObserver {
    fn committed(&mut self, report: &Report, produce: Duration, commit: Duration) {
        self.tables(report);
        self.metrics.joined(report.joined.0 as usize, report.joined.1 as usize);
        self.metrics.emitted(report.emitted as usize);
        for &(stage, count) in &report.rejected {
            match self.on_error {
                _ if stage == Stage::Expire => self.metrics.dead_letters(stage, count as usize),
                OnError::DeadLetter => self.metrics.dead_letters(stage, count as usize),
                OnError::Skip | OnError::Fail => self.metrics.skipped(SkipReason::OnError, count as usize),
            }
        }
        if self.is_smart {
            self.metrics.waiting(&report.parked);
        }
        let durations = &report.durations;
        for (step, elapsed) in [
            (Step::Decode, durations.decode),
            (Step::Apply, durations.apply),
            (Step::Join, durations.lookup),
            (Step::Sql, durations.sql),
            (Step::Encode, durations.encode),
            (Step::Produce, produce),
            (Step::Commit, commit),
        ] {
            self.metrics.stage(step, elapsed);
        }
        // An empty cut says that time has passed.
        let records = report.records.iter().sum::<u64>() as usize;
        if let Some(since) = report.since.filter(|_| records > 0) {
            self.metrics.batch(records, since.elapsed());
        }
        self.tally.committed(report, produce, commit);
    }
}
