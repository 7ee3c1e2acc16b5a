//! The metrics of one pipeline: handles that its stages update once a batch.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter};

use super::metrics::Families;
use super::topic::{TopicMetrics, TopicSnapshot};
use super::waiting::WaitingMetrics;
use super::window::Window;
use crate::batch::{Parked, Stage};
use crate::clock::Clock;

/// A part of a batch's life whose time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Raw records to columns.
    Decode,
    /// Rows into state.
    Apply,
    /// The joins.
    Join,
    /// WHERE and SELECT.
    Sql,
    /// Columns to bytes.
    Encode,
    /// Until the results are acknowledged.
    Produce,
    /// Until the positions are committed.
    Commit,
}

impl Step {
    /// All of them, in the order of a batch's life.
    pub const ALL: [Step; 7] =
        [Step::Decode, Step::Apply, Step::Join, Step::Sql, Step::Encode, Step::Produce, Step::Commit];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Step::Decode => "decode",
            Step::Apply => "apply",
            Step::Join => "join",
            Step::Sql => "sql",
            Step::Encode => "encode",
            Step::Produce => "produce",
            Step::Commit => "commit",
        }
    }
}

/// Why a record or a row was left out without becoming a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It is bad input, and the pipeline says `on_error: skip`.
    OnError,
    /// A null value in an event table.
    EventTombstone,
}

impl SkipReason {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            SkipReason::OnError => "on_error",
            SkipReason::EventTombstone => "event_tombstone",
        }
    }
}

/// The metrics of one pipeline.
pub struct PipelineMetrics {
    name: String,
    families: Arc<Families>,
    topics: Mutex<Vec<Arc<TopicMetrics>>>,
    steps: [Histogram; Step::ALL.len()],
    lookup: Histogram,
    sql: Histogram,
    commit: Histogram,
    processing: Histogram,
    batch_size: Histogram,
    rows: IntCounter,
    dead_letters: [(Stage, IntCounter); 5],
    skipped: [(SkipReason, IntCounter); 2],
    events_per_second: Gauge,
    rates: Mutex<Rates>,
    /// Under smart emission.
    waiting: OnceLock<WaitingMetrics>,
    clock: Clock,
}

struct Rates {
    events: Window<1>,
    /// Driving rows, and those of them that found a match in every table.
    joined: Window<2>,
    joined_totals: [u64; 2],
}

impl PipelineMetrics {
    pub(super) fn new(name: &str, families: &Arc<Families>, clock: Clock) -> Self {
        let now_ms = clock.now_ms();
        let label = &[name];
        let dead_letters = [Stage::Decode, Stage::Sql, Stage::Encode, Stage::Produce, Stage::Expire]
            .map(|stage| (stage, families.dead_letters.with_label_values(&[name, stage.name()])));
        let skipped = [SkipReason::OnError, SkipReason::EventTombstone]
            .map(|reason| (reason, families.skipped.with_label_values(&[name, reason.name()])));
        Self {
            name: name.to_string(),
            families: Arc::clone(families),
            topics: Mutex::default(),
            steps: Step::ALL.map(|step| families.stage.with_label_values(&[name, step.name()])),
            lookup: families.lookup.with_label_values(label),
            sql: families.sql.with_label_values(label),
            commit: families.commit.with_label_values(label),
            processing: families.processing.with_label_values(label),
            batch_size: families.batch_size.with_label_values(label),
            rows: families.rows.with_label_values(label),
            dead_letters,
            skipped,
            events_per_second: families.events_per_second.with_label_values(label),
            rates: Mutex::new(Rates {
                events: Window::new(now_ms),
                joined: Window::new(now_ms),
                joined_totals: [0, 0],
            }),
            waiting: OnceLock::new(),
            clock,
        }
    }

    /// A batch did this to combinations that wait. Called under smart emission only: elsewhere nothing can wait.
    pub fn waiting(&self, parked: &Parked) {
        self.waiting.get_or_init(|| WaitingMetrics::new(&self.name, &self.families.waiting)).update(parked);
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The metrics of `topic`, the same each time: to be asked for at start-up and kept.
    pub fn topic(&self, topic: &str) -> Arc<TopicMetrics> {
        let mut topics = self.lock_topics();
        if let Some(known) = topics.iter().find(|known| known.name() == topic) {
            return Arc::clone(known);
        }
        let new = Arc::new(TopicMetrics::new(&self.name, topic, &self.families, self.clock.clone()));
        topics.push(Arc::clone(&new));
        new
    }

    /// A batch of so many records took so long, from its cut until its output was acknowledged.
    pub fn batch(&self, records: usize, elapsed: Duration) {
        self.batch_size.observe(records as f64);
        self.processing.observe(elapsed.as_secs_f64());
    }

    /// A batch spent so long in this step.
    pub fn stage(&self, step: Step, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        self.steps[step as usize].observe(seconds);
        match step {
            Step::Join => self.lookup.observe(seconds),
            Step::Sql => self.sql.observe(seconds),
            Step::Commit => self.commit.observe(seconds),
            Step::Decode | Step::Apply | Step::Encode | Step::Produce => {}
        }
    }

    /// So many driving rows were joined, and so many of them found a match in every table.
    pub fn joined(&self, driving_rows: usize, matched_rows: usize) {
        let totals = &mut self.lock_rates().joined_totals;
        totals[0] += driving_rows as u64;
        totals[1] += matched_rows as u64;
    }

    /// So many result rows came out.
    pub fn emitted(&self, rows: usize) {
        self.rows.inc_by(rows as u64);
    }

    /// This stage rejected so many records or rows, and they became dead letters.
    pub fn dead_letters(&self, stage: Stage, letters: usize) {
        if let Some((_, counter)) = self.dead_letters.iter().find(|(known, _)| *known == stage) {
            counter.inc_by(letters as u64);
        }
    }

    /// So many records or rows were left out.
    pub fn skipped(&self, reason: SkipReason, records: usize) {
        if let Some((_, counter)) = self.skipped.iter().find(|(known, _)| *known == reason) {
            counter.inc_by(records as u64);
        }
    }

    /// Where the counters stand, for progress lines. Rates are of the last ten seconds.
    pub fn snapshot(&self) -> Snapshot {
        let (events_per_second, success_rate) = self.update_rates();
        Snapshot {
            events: self.events(),
            events_per_second,
            success_rate,
            rows: self.rows.get(),
            dead_letters: self.dead_letters.iter().map(|(_, counter)| counter.get()).sum(),
            skipped: self.skipped.iter().map(|(_, counter)| counter.get()).sum(),
            batches: self.processing.get_sample_count(),
            topics: self.lock_topics().iter().map(|topic| topic.snapshot()).collect(),
        }
    }

    /// Sets the gauges of rates. Called when somebody looks, because nobody else needs them.
    pub(super) fn update_rates(&self) -> (f64, Option<f64>) {
        let now_ms = self.clock.now_ms();
        let events = self.events();
        let mut rates = self.lock_rates();
        let events_per_second = rates.events.look(now_ms, [events]).per_second();
        let joined_totals = rates.joined_totals;
        let success_rate = rates.joined.look(now_ms, joined_totals).share();
        drop(rates);
        self.events_per_second.set(events_per_second);
        if let Some(rate) = success_rate {
            self.families.success_rate.with_label_values(&[&self.name]).set(rate);
        }
        for topic in self.lock_topics().iter() {
            topic.update_rate();
        }
        if let Some(waiting) = self.waiting.get() {
            waiting.look(now_ms);
        }
        (events_per_second, success_rate)
    }

    fn events(&self) -> u64 {
        self.lock_topics().iter().map(|topic| topic.events()).sum()
    }

    fn lock_topics(&self) -> MutexGuard<'_, Vec<Arc<TopicMetrics>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a pipeline's counters stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Records decoded, of all topics.
    pub events: u64,
    /// The same per second, of late.
    pub events_per_second: f64,
    /// Share of driving rows that found a match in every table, of late; unknown if none was joined.
    pub success_rate: Option<f64>,
    /// Result rows.
    pub rows: u64,
    /// Dead letters of all stages.
    pub dead_letters: u64,
    /// Records and rows left out.
    pub skipped: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Each topic, in the order in which they were first named.
    pub topics: Vec<TopicSnapshot>,
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn a_snapshot_tells_totals_and_recent_rates() {
        let clock = Clock::standing_at(1_000);
        let metrics = Metrics::with_clock(clock.clone());
        let pipeline = metrics.pipeline("p");
        let (flights, planes) = (pipeline.topic("flights"), pipeline.topic("planes"));
        planes.decoded(50, 500);
        flights.decoded(100, 1_000);
        planes.lookup(100, 25);
        pipeline.joined(100, 25);
        pipeline.emitted(99);
        pipeline.dead_letters(Stage::Sql, 1);
        pipeline.dead_letters(Stage::Decode, 2);
        pipeline.skipped(SkipReason::EventTombstone, 3);
        pipeline.batch(150, Duration::from_millis(1));
        clock.advance_ms(3_000);
        let first = pipeline.snapshot();
        assert_eq!((first.events, first.rows, first.dead_letters, first.skipped, first.batches), (150, 99, 3, 3, 1));
        assert_eq!((first.events_per_second, first.success_rate), (50.0, Some(0.25)));
        let names: Vec<&str> = first.topics.iter().map(|topic| topic.topic.as_str()).collect();
        assert_eq!(names, ["flights", "planes"]);
        assert_eq!((first.topics[1].probed, first.topics[1].hits, first.topics[1].hit_rate), (100, 25, Some(0.25)));
        assert_eq!(first.topics[0].hit_rate, None);

        clock.advance_ms(20_000);
        planes.lookup(100, 100);
        let second = pipeline.snapshot();
        assert_eq!((second.events, second.events_per_second), (150, 0.0));
        assert_eq!((second.topics[1].hits, second.topics[1].hit_rate), (125, Some(1.0)));
        assert_eq!(second.success_rate, None);
    }

    #[test]
    fn what_waits_is_counted_and_ages() {
        let clock = Clock::standing_at(1_000);
        let metrics = Metrics::with_clock(clock.clone());
        let pipeline = metrics.pipeline("p");
        assert!(!metrics.render().contains("kaflowsql_pending"), "nothing can wait");
        let parked = Parked { parked: 3, completed: 1, expired: 1, waiting: 1, oldest_ms: Some(900), withdrawn: 0 };
        pipeline.waiting(&parked);
        clock.advance_ms(5_000);
        let page = metrics.render();
        for line in [
            "kaflowsql_parked_total{pipeline=\"p\"} 3",
            "kaflowsql_completed_total{pipeline=\"p\"} 1",
            "kaflowsql_expired_total{pipeline=\"p\"} 1",
            "kaflowsql_pending{pipeline=\"p\"} 1",
            "kaflowsql_pending_age_seconds{pipeline=\"p\"} 5",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        pipeline.waiting(&Parked::default());
        assert!(metrics.render().contains("kaflowsql_pending_age_seconds{pipeline=\"p\"} 0"));
    }

    #[test]
    fn steps_stand_in_their_own_place() {
        for (place, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, place);
        }
    }
}
