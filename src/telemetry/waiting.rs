//! The metrics of combinations that wait for what they lack (SEMANTICS 3.2).

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::{PIPELINE, vector};
use crate::batch::Parked;

/// Stands for no combination that waits.
const NONE: i64 = i64::MAX;

/// These metrics of all pipelines.
pub(super) struct WaitingFamilies {
    parked: IntCounterVec,
    completed: IntCounterVec,
    withdrawn: IntCounterVec,
    expired: IntCounterVec,
    waiting: IntGaugeVec,
    age_seconds: IntGaugeVec,
}

impl WaitingFamilies {
    pub(super) fn register(registry: &Registry) -> Self {
        let counter = |name, help| vector(registry, IntCounterVec::new(Opts::new(name, help), PIPELINE));
        let gauge = |name, help| vector(registry, IntGaugeVec::new(Opts::new(name, help), PIPELINE));
        Self {
            parked: counter("kaflowsql_parked_total", "Combinations that began to wait for what they lack"),
            completed: counter("kaflowsql_completed_total", "Waiting combinations that became complete"),
            withdrawn: counter(
                "kaflowsql_withdrawn_total",
                "Waiting combinations that gave way to one with another event row",
            ),
            expired: counter("kaflowsql_expired_total", "Combinations whose max_wait was over"),
            waiting: gauge("kaflowsql_pending", "Combinations that wait for what they lack"),
            age_seconds: gauge("kaflowsql_pending_age_seconds", "How long the oldest of them has waited"),
        }
    }
}

/// What waits in a pipeline, and how it ends. The handles are made when something waits for the first time.
pub(super) struct WaitingMetrics {
    parked: IntCounter,
    completed: IntCounter,
    withdrawn: IntCounter,
    expired: IntCounter,
    waiting: IntGauge,
    age_seconds: IntGauge,
    /// Since when the oldest waits by the wall clock, ms since the epoch.
    oldest_ms: AtomicI64,
}

impl WaitingMetrics {
    pub(super) fn new(pipeline: &str, families: &WaitingFamilies) -> Self {
        let labels = &[pipeline];
        Self {
            parked: families.parked.with_label_values(labels),
            completed: families.completed.with_label_values(labels),
            withdrawn: families.withdrawn.with_label_values(labels),
            expired: families.expired.with_label_values(labels),
            waiting: families.waiting.with_label_values(labels),
            age_seconds: families.age_seconds.with_label_values(labels),
            oldest_ms: AtomicI64::new(NONE),
        }
    }

    /// A batch did this to them.
    pub(super) fn update(&self, parked: &Parked) {
        self.parked.inc_by(parked.parked);
        self.completed.inc_by(parked.completed);
        self.withdrawn.inc_by(parked.withdrawn);
        self.expired.inc_by(parked.expired);
        self.waiting.set(parked.waiting as i64);
        self.oldest_ms.store(parked.oldest_ms.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Brings the age of the oldest up to date.
    pub(super) fn look(&self, now_ms: i64) {
        let oldest_ms = self.oldest_ms.load(Ordering::Relaxed);
        let age_ms = if oldest_ms == NONE { 0 } else { now_ms.saturating_sub(oldest_ms).max(0) };
        self.age_seconds.set(age_ms / 1000);
    }
}
