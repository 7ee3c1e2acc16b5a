//! The metrics of one topic of a pipeline.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::Families;
use super::window::Window;
use crate::clock::Clock;

/// Counters and gauges of a topic; cheap to update, once a batch.
pub struct TopicMetrics {
    pipeline: String,
    name: String,
    events: IntCounter,
    bytes: IntCounter,
    lookups: IntCounter,
    hits: IntCounter,
    tombstones: IntCounter,
    late: IntCounter,
    evictions: IntCounter,
    state_bytes: OnceLock<IntGauge>,
    state_entries: OnceLock<IntGauge>,
    loaded: OnceLock<IntGauge>,
    families: Arc<Families>,
    rate: Mutex<Window<2>>,
    clock: Clock,
}

impl TopicMetrics {
    pub(super) fn new(pipeline: &str, name: &str, families: &Arc<Families>, clock: Clock) -> Self {
        let counter = |family: &IntCounterVec| family.with_label_values(&[pipeline, name]);
        Self {
            pipeline: pipeline.to_string(),
            name: name.to_string(),
            events: counter(&families.events),
            bytes: counter(&families.bytes),
            lookups: counter(&families.lookups),
            hits: counter(&families.hits),
            tombstones: counter(&families.tombstones),
            late: counter(&families.late),
            evictions: counter(&families.evictions),
            state_bytes: OnceLock::new(),
            state_entries: OnceLock::new(),
            loaded: OnceLock::new(),
            families: Arc::clone(families),
            rate: Mutex::new(Window::new(clock.now_ms())),
            clock,
        }
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Records decoded so far.
    pub(super) fn events(&self) -> u64 {
        self.events.get()
    }

    /// So many records, of so many bytes together, were decoded (or rejected, or were tombstones).
    pub fn decoded(&self, records: usize, bytes: usize) {
        self.events.inc_by(records as u64);
        self.bytes.inc_by(bytes as u64);
    }

    /// So many rows were looked up in this topic's table, and so many found a match.
    pub fn lookup(&self, probed: usize, hit: usize) {
        self.lookups.inc_by(probed as u64);
        self.hits.inc_by(hit as u64);
    }

    /// So many records had a null value.
    pub fn tombstones(&self, records: usize) {
        self.tombstones.inc_by(records as u64);
    }

    /// So many rows were late.
    pub fn late(&self, rows: usize) {
        self.late.inc_by(rows as u64);
    }

    /// So many rows were forgotten.
    pub fn forgotten(&self, rows: usize) {
        self.evictions.inc_by(rows as u64);
    }

    /// The table now keeps so many rows, in so many bytes with its indexes.
    pub fn state(&self, entries: usize, bytes: usize) {
        self.set(&self.state_entries, &self.families.state_entries, entries as i64);
        self.set(&self.state_bytes, &self.families.state_bytes, bytes as i64);
    }

    /// Whether the dimension has been read to the end that it had at start.
    pub fn loaded(&self, loaded: bool) {
        self.set(&self.loaded, &self.families.loaded, i64::from(loaded));
    }

    /// So many records of this partition are not read yet. For a timer, not for every batch.
    pub fn lag(&self, partition: i32, records: i64) {
        self.families.lag.with_label_values(&[&self.pipeline, &self.name, &partition.to_string()]).set(records);
    }

    /// The partition is read by somebody else now.
    pub fn forget_lag(&self, partition: i32) {
        // An error says that it was not there.
        self.families.lag.remove_label_values(&[&self.pipeline, &self.name, &partition.to_string()]).ok();
    }

    /// Sets a gauge that is not there before, because 0 would be a claim.
    fn set(&self, gauge: &OnceLock<IntGauge>, family: &IntGaugeVec, value: i64) {
        gauge.get_or_init(|| family.with_label_values(&[&self.pipeline, &self.name])).set(value);
    }

    /// Sets the gauge of the hit rate, and returns it: unknown if nothing was looked up of late.
    pub(super) fn update_rate(&self) -> Option<f64> {
        let totals = [self.lookups.get(), self.hits.get()];
        // A hit can be counted between the two reads; a share above 1 would make no sense.
        let totals = [totals[0], totals[1].min(totals[0])];
        let share = self.rate.lock().unwrap_or_else(PoisonError::into_inner).look(self.clock.now_ms(), totals).share();
        if let Some(share) = share {
            self.families.hit_rate.with_label_values(&[&self.pipeline, &self.name]).set(share);
        }
        share
    }

    pub(super) fn snapshot(&self) -> TopicSnapshot {
        TopicSnapshot {
            topic: self.name.clone(),
            events: self.events.get(),
            bytes: self.bytes.get(),
            probed: self.lookups.get(),
            hits: self.hits.get(),
            hit_rate: self.update_rate(),
            tombstones: self.tombstones.get(),
        }
    }
}

/// Where a topic's counters stand.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSnapshot {
    /// Its name.
    pub topic: String,
    /// Records decoded.
    pub events: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Rows looked up in its table.
    pub probed: u64,
    /// Those of them that found a match.
    pub hits: u64,
    /// Their share, of late; unknown if none was looked up.
    pub hit_rate: Option<f64>,
    /// Records with a null value.
    pub tombstones: u64,
}
