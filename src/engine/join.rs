//! The second stage: dimension rows into state, event rows through the joins, result rows to bytes.

use std::cell::RefCell;
use std::sync::Arc;

use super::decode::{DecodedCut, DecodedTable};
use super::delivery::{Delivery, HandOver};
use super::dimensions::{Changes, Dimensions};
use super::events::{Events, NewRows};
use super::held::Held;
use super::reject::Rejection;
use super::stream_time::StreamTimes;
use crate::batch::{DeadLetter, Outcome, RawBatch, RowTimes, Stage, TableId};
use crate::clock::{Clock, Stopwatch};
use crate::config::{OnError, Pipeline};
use crate::emit::{Arrived, Emitter, Moment, Until};
use crate::encode::{Encoder, row_json};
use crate::error::Result;
use crate::join::{Counts, Failure, Origin, Output, State};
use crate::plan::Plan;

/// Rows that are forgotten in a batch, beyond a few times as many as it has.
const FORGOTTEN_ROWS: usize = 4096;

/// Event rows of a batch from which on the state is weighed again.
const WEIGHED_ROWS: usize = 256;

/// Joins decoded cuts.
pub struct JoinStage {
    plan: Arc<Plan>,
    rejection: Rejection,
    clock: Clock,
    dimensions: Dimensions,
    events: Events,
    times: StreamTimes,
    emitter: Emitter,
    encoder: Encoder,
    /// Whether the wall clock counts as after every row.
    trusts_times: bool,
    /// Where reading must begin again after a restart, if anything of event rows is remembered.
    held: Option<Held>,
    /// Told how far rows have come.
    row_times: Option<Arc<RowTimes>>,
}

impl JoinStage {
    /// A stage with empty state.
    pub fn new(plan: Arc<Plan>, pipeline: &Pipeline, clock: Clock) -> Self {
        let outputs: Vec<_> =
            plan.outputs.iter().map(|output| (output.name.clone(), output.data_type.clone())).collect();
        let lateness_ms = plan.events.iter().map(|event| event.lateness_ms);
        Self {
            rejection: Rejection { on_error: pipeline.on_error },
            clock,
            dimensions: Dimensions::new(&plan),
            events: Events::new(&plan),
            times: StreamTimes::new(lateness_ms, pipeline.events.idle_timeout_ms),
            emitter: Emitter::new(&plan),
            encoder: Encoder::new(&outputs, plan.key),
            trusts_times: false,
            held: Held::of(&plan),
            row_times: None,
            plan,
        }
    }

    /// From now on the wall clock counts as after every row: stream time is what rows say (for files).
    pub fn trust_times(&mut self) {
        self.trusts_times = true;
    }

    /// Tells `times`, from now on, how far rows have come.
    pub fn tell_times(&mut self, times: Arc<RowTimes>) {
        self.row_times = Some(times);
    }

    /// Processes a cut, in its order. What comes out is handed over in pieces of bounded size; the positions come with the
    /// last of them, which is there even if nothing came out.
    ///
    /// # Errors
    /// When a row fails under `on_error: fail`, or when `hand_over` fails.
    pub fn process(&mut self, cut: DecodedCut, hand_over: HandOver<'_>) -> Result<()> {
        let DecodedCut { batches, dead_letters, positions, partitions, at_end, begins_anew, stream_time_ms, report } =
            cut;
        if begins_anew {
            self.begin_anew();
        }
        let outcome = Outcome { dead_letters, positions, report, ..Outcome::default() };
        let now_ms = self.clock.now_ms();
        let wall_ms = if self.trusts_times { i64::MAX } else { now_ms };
        // The encoder is taken out while results go through it.
        let mut encoder = std::mem::replace(&mut self.encoder, Encoder::new(&[], None));
        let mut delivery = Delivery::new(outcome, &mut encoder, hand_over);
        let mut counts = Counts::new(self.plan.lookups.len());
        delivery.outcome.report.late = vec![0; self.plan.tables.len()];
        self.times.tell(&partitions, wall_ms);
        for table in batches.iter().filter(|table| table.rows.table.index() < self.plan.events.len()) {
            self.times.have_rows(table.rows.table.index(), &table.raw.partitions, wall_ms);
        }
        let (mut rows, mut dimensions_changed) = (0, false);
        let mut result = Ok(());
        for table in batches {
            rows += table.rows.rows;
            result = match table.rows.table.index().checked_sub(self.plan.events.len()) {
                Some(place) => {
                    dimensions_changed = true;
                    self.dimension(place, table, now_ms, &mut counts, &mut delivery)
                }
                None => self.event(table, (now_ms, wall_ms), &mut counts, &mut delivery),
            };
            if result.is_err() {
                break;
            }
        }
        // To add up what indexes take costs a microsecond: more than a small batch should pay.
        let is_time_to_weigh = !self.events.tables.is_empty() && !(1..WEIGHED_ROWS).contains(&rows);
        result = result.and_then(|()| {
            self.times.settle(wall_ms, stream_time_ms);
            self.expire(at_end, now_ms, &mut counts, &mut delivery)
        });
        let forgotten = self.events.forget(&self.times, 4 * rows + FORGOTTEN_ROWS, self.held.as_mut());
        if let Some(held) = &mut self.held {
            let read = std::mem::take(&mut delivery.outcome.positions);
            delivery.outcome.positions = held.positions(read, &partitions, self.emitter.oldest_drivers(now_ms));
        }
        self.report(counts, forgotten, dimensions_changed || is_time_to_weigh, &mut delivery);
        let finished = result.and_then(|()| delivery.finish());
        self.encoder = encoder;
        finished
    }

    /// Forgets all that is remembered of event tables: they are read again.
    fn begin_anew(&mut self) {
        self.events = Events::new(&self.plan);
        self.times.clear();
        self.emitter = Emitter::new(&self.plan);
        self.held = Held::of(&self.plan);
    }

    /// Applies a dimension's records; those that something waits for wake it, each at its place (SEMANTICS 2.4).
    fn dimension(
        &mut self,
        place: usize,
        table: DecodedTable,
        now_ms: i64,
        counts: &mut Counts,
        delivery: &mut Delivery<'_>,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        let (raw, changes) = self.dimensions.changes(place, table);
        let name = self.plan.dimensions[place].table;
        for (record, error) in &changes.rejected {
            self.reject(&raw, name, *record, None, (Stage::Sql, error.clone()), delivery)?;
        }
        let waking = self.emitter.woken_by(&self.plan, self.state(), place, &changes.columns);
        let mut first = 0;
        for end in super::segments::ends(&self.plan, place, &self.dimensions.tables, &changes, &waking) {
            let applied = self.dimensions.apply(place, &raw, &changes, (first, end));
            for &record in &applied.without_identity {
                let why = (Stage::Decode, "the record lacks the identity's key".to_string());
                self.reject(&raw, name, record, None, why, delivery)?;
            }
            if applied.conflicts > 0 {
                tracing::warn!(
                    dimension = self.plan.tables[name.index()].name,
                    rows = applied.conflicts,
                    "identities turn up in more than one partition: the later timestamp counts, and deletes can't be \
                     trusted"
                );
            }
            if !waking.is_empty() {
                self.wake(place, &changes, (first, end), now_ms, counts, delivery)?;
            }
            first = end;
        }
        delivery.outcome.report.durations.apply += watch.elapsed();
        Ok(())
    }

    /// Forms again what waits for the rows of the records `first..end`.
    fn wake(
        &mut self,
        place: usize,
        changes: &Changes,
        (first, end): (u32, u32),
        now_ms: i64,
        counts: &mut Counts,
        delivery: &mut Delivery<'_>,
    ) -> Result<()> {
        let start = changes.records.partition_point(|record| *record < first);
        let count = changes.records.partition_point(|record| *record < end) - start;
        let rows: Vec<_> = changes.columns.iter().map(|column| column.slice(start, count)).collect();
        let arrived = Arrived { dimension: place, rows: &rows };
        self.emit(now_ms, None, delivery, |emitter, moment, output| {
            emitter.wake(moment, arrived, counts, output);
        })
    }

    /// Joins the rows of an event table and remembers them. Where something waits that expires meanwhile, it does so at its
    /// place among the rows.
    fn event(
        &mut self,
        table: DecodedTable,
        (now_ms, wall_ms): (i64, i64),
        counts: &mut Counts,
        delivery: &mut Delivery<'_>,
    ) -> Result<()> {
        let event = table.rows.table.index();
        let rows = self.events.rows(event, table);
        if let Some(times) = &self.row_times {
            rows.tell(times);
        }
        for (record, error) in &rows.failed {
            self.reject(&rows.raw, TableId(event as u32), *record, None, (Stage::Sql, error.clone()), delivery)?;
        }
        let mut place = 0;
        while place < rows.ticks().len() {
            let first = rows.kept_from(place);
            let until = self.expiry(&rows, wall_ms);
            let before_ms = self.times.least_ms();
            let taken = self.times.advance(event, rows.ticks()[place..].iter().copied(), wall_ms, until);
            if self.held.is_some() {
                self.times.settle(wall_ms, None);
            }
            delivery.outcome.report.late[event] += taken.late;
            place += taken.rows;
            let end = rows.kept_from(place);
            self.events.append(&rows, first, end, self.held.as_mut());
            let start = rows.start(self.plan.events.len(), first, end);
            let is_multiple = self.plan.events.len() > 1;
            let ask_driving = !is_multiple || event != 0 || rows.is_unsure;
            let new = Some((event, &rows.raw, &rows.records[first..end]));
            self.emit(now_ms, new, delivery, |emitter, moment, output| {
                let moment = Moment { stream_time_ms: before_ms, ..moment };
                emitter.start(moment, &start, ask_driving, counts, output);
            })?;
            if until.is_some() {
                self.expire(false, now_ms, counts, delivery)?;
            }
        }
        Ok(())
    }

    /// Where to pause among the rows of an event table because something expires whose place among them matters.
    fn expiry(&self, rows: &NewRows, wall_ms: i64) -> Option<Until> {
        let expiry = self.emitter.expiry(rows.event)?;
        let others_ms = self.times.least_of_others_ms(rows.event, wall_ms)?;
        Some(Until { others_ms, before_ms: self.times.least_ms(), ..expiry })
    }

    fn expire(&mut self, at_end: bool, now_ms: i64, counts: &mut Counts, delivery: &mut Delivery<'_>) -> Result<()> {
        self.emit(now_ms, None, delivery, |emitter, moment, output| emitter.expire(moment, at_end, counts, output))
    }

    fn state(&self) -> State<'_> {
        State { events: &self.events.tables, dimensions: &self.dimensions.tables }
    }

    /// Lets the emitter work: result rows go to `delivery`, and so do rows that fail. `new`: the event table of the rows that
    /// the walk starts from, their records, and which of these each row is.
    ///
    /// # Errors
    /// When a row fails under `on_error: fail`.
    fn emit(
        &mut self,
        now_ms: i64,
        new: Option<(usize, &RawBatch, &[u32])>,
        delivery: &mut Delivery<'_>,
        work: impl FnOnce(&mut Emitter, Moment<'_>, &mut Output<'_>),
    ) -> Result<()> {
        let state = State { events: &self.events.tables, dimensions: &self.dimensions.tables };
        let moment = Moment { plan: &self.plan, state, now_ms, stream_time_ms: self.times.least_ms() };
        let (plan, rejection) = (&self.plan, self.rejection);
        let delivery = RefCell::new(delivery);
        let mut stopped = Ok(());
        let take = &mut |rows| delivery.borrow_mut().results(&rows);
        let fail = &mut |failure| {
            if stopped.is_ok() {
                stopped = reject_failure(plan, rejection, new, failure, &mut delivery.borrow_mut());
            }
        };
        work(&mut self.emitter, moment, &mut Output { take, fail });
        stopped
    }

    fn reject(
        &self,
        raw: &RawBatch,
        table: TableId,
        record: u32,
        value: Option<Vec<u8>>,
        why: (Stage, String),
        delivery: &mut Delivery<'_>,
    ) -> Result<()> {
        let of = (raw, self.plan.tables[table.index()].topic.as_str());
        let mut letters = Vec::new();
        self.rejection.reject(of, record as usize, value, why, (&mut letters, &mut delivery.outcome.report))?;
        letters.into_iter().for_each(|letter| delivery.letter(letter));
        Ok(())
    }

    fn report(&mut self, counts: Counts, forgotten: Vec<u64>, weighs: bool, delivery: &mut Delivery<'_>) {
        let report = &mut delivery.outcome.report;
        report.lookups = counts.lookups.iter().map(|found| (found.probed as u64, found.hit as u64)).collect();
        report.joined = (counts.joined.0 as u64, counts.joined.1 as u64);
        report.durations.lookup += counts.lookup;
        // Encoding is done where SELECT hands its rows over, and has its own figure.
        report.durations.sql += counts.sql.saturating_sub(report.durations.encode);
        report.parked = self.emitter.take_counts();
        if weighs {
            let mut events: Vec<_> = self
                .events
                .tables
                .iter()
                .map(|table| table.stored())
                .map(|table| (table.rows(), table.memory_bytes()))
                .collect();
            events.resize(self.plan.events.len(), (0, 0));
            let dimensions = self.dimensions.tables.iter().map(|table| (table.rows(), table.memory_bytes()));
            let sizes = events.into_iter().chain(dimensions);
            report.state = sizes.map(|(rows, bytes)| (rows as u64, bytes as u64)).collect();
        }
        report.forgotten = forgotten;
    }
}

/// Puts a row that does not come out where it belongs; `new` as for `JoinStage::emit`.
fn reject_failure(
    plan: &Plan,
    rejection: Rejection,
    new: Option<(usize, &RawBatch, &[u32])>,
    failure: Failure,
    delivery: &mut Delivery<'_>,
) -> Result<()> {
    let Failure { stage, origin, row, error } = failure;
    let value = row_json(&row, 0);
    // That its time is over is no mistake of a row: `on_expire` has decided.
    let rejection = match stage {
        Stage::Expire => Rejection { on_error: OnError::DeadLetter },
        _ => rejection,
    };
    let mut letters = Vec::new();
    let into = (&mut letters, &mut delivery.outcome.report);
    match (origin, new) {
        (Origin::Start(row), Some((event, raw, records))) => {
            let of = (raw, plan.tables[event].topic.as_str());
            rejection.reject(of, records[row as usize] as usize, Some(value), (stage, error), into)?;
        }
        (Origin::Earlier { partition, offset, timestamp }, _) => {
            let topic = plan.tables[0].topic.clone();
            let value = Some(value);
            let (key, headers) = (None, Vec::new());
            let letter = DeadLetter { key, value, headers, topic, partition, offset, timestamp, stage, error };
            rejection.reject_letter(letter, into)?;
        }
        (Origin::Start(_), None) => unreachable!("BUG: what is formed again knows its driving record"),
    }
    letters.into_iter().for_each(|letter| delivery.letter(letter));
    Ok(())
}
