//! Event rows into state (SEMANTICS 4.3), and what of them a walk starts with.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};

use super::decode::DecodedTable;
use super::dimensions::{compute_each, taken};
use super::held::Held;
use super::stream_time::{StreamTimes, Tick};
use crate::batch::{RawBatch, RowTimes};
use crate::expression::Expression;
use crate::join::{Given, Start};
use crate::plan::{Column, Plan};
use crate::state::{EventSpec, EventTable, Origins};

/// A chunk of rows ends after this part of the time for which rows are kept, so that they can be forgotten soon after.
const CHUNKS_A_TTL: i64 = 16;

/// The event tables of a plan.
pub struct Events {
    plan: Arc<Plan>,
    /// The tables; none if there is only one, whose rows nobody needs again.
    pub tables: Vec<EventTable>,
}

/// New rows of an event table.
pub struct NewRows {
    /// Its place in `Plan::events`.
    pub event: usize,
    /// Their records.
    pub raw: RawBatch,
    /// Of all rows that were decoded, those that follow: their places, ascending.
    kept: Vec<u32>,
    /// (partition, time, timestamp) of all rows that were decoded.
    ticks: Vec<Tick>,
    /// The record of each row.
    pub records: Vec<u32>,
    /// The columns that the plan keeps, then those that indexes need.
    columns: Vec<ArrayRef>,
    plain: usize,
    times: Vec<i64>,
    /// Rows for which an index's expression fails: the record, and why.
    pub failed: Vec<(u32, String)>,
    /// Whether the condition on the table's columns failed for a row, so that it must be asked again behind the joins.
    pub is_unsure: bool,
}

impl Events {
    /// Empty event tables.
    pub fn new(plan: &Arc<Plan>) -> Self {
        let is_joined = plan.events.len() > 1;
        let tables = if is_joined { plan.events.iter().map(|event| empty(plan, event)).collect() } else { Vec::new() };
        Self { plan: Arc::clone(plan), tables }
    }

    /// Rows that have been decoded: those that may matter, ready to be joined and remembered.
    pub fn rows(&self, event: usize, table: DecodedTable) -> NewRows {
        let DecodedTable { raw, rows, .. } = table;
        let plain = rows.columns.len();
        let of_record = |(&record, &time_ms): (&u32, &i64)| {
            (raw.partitions[record as usize], time_ms, raw.timestamps[record as usize])
        };
        let mut new = NewRows {
            event,
            kept: (0..rows.rows as u32).collect(),
            ticks: rows.records.iter().zip(&rows.times).map(of_record).collect(),
            raw,
            records: rows.records,
            columns: rows.columns,
            plain,
            times: rows.times,
            failed: Vec::new(),
            is_unsure: false,
        };
        if self.tables.is_empty() {
            return new;
        }
        if let Some(condition) = &self.plan.events[event].condition {
            self.scan(condition, &mut new);
        }
        let computed = compute_each(&self.plan.events[event].computed, &new.columns, new.records.len());
        for (row, error) in &computed.failed {
            new.failed.push((new.records[*row as usize], error.clone()));
        }
        if !computed.failed.is_empty() {
            new.take(&computed.good);
        }
        new.columns.extend(computed.columns);
        new
    }

    /// Keeps the rows for which the condition holds, and those for which it fails: whether it matters shows later.
    fn scan(&self, condition: &Expression, new: &mut NewRows) {
        let given =
            Start::of_event(new.event, self.plan.events.len(), new.records.len(), new.given(0, new.records.len()));
        let state = crate::join::State { events: &self.tables, dimensions: &[] };
        let joined = crate::join::Joined::new(&self.plan, state, &given, 0);
        let verdicts = crate::join::ask(joined, condition);
        new.is_unsure = verdicts.contains(&None);
        let kept: BooleanArray = verdicts.into_iter().map(|verdict| Some(verdict != Some(false))).collect();
        if kept.true_count() < kept.len() {
            let kept: Vec<u32> = kept.values().set_indices().map(|row| row as u32).collect();
            new.take(&kept);
        }
    }

    /// Remembers the rows `first..end`.
    pub fn append(&mut self, rows: &NewRows, first: usize, end: usize, held: Option<&mut Held>) {
        if self.tables.is_empty() || first == end {
            return;
        }
        if let Some(held) = held {
            let places = rows.records[first..end].iter().zip(&rows.times[first..end]);
            let RawBatch { partitions, offsets, .. } = &rows.raw;
            let place =
                |(&record, &time_ms): (&u32, &i64)| (partitions[record as usize], offsets[record as usize], time_ms);
            held.remember(rows.event, places.map(place));
        }
        let columns: Vec<_> = rows.columns.iter().map(|column| column.slice(first, end - first)).collect();
        let (partitions, offsets, timestamps) = rows.origins(first, end);
        let origins = Origins {
            partitions: &partitions,
            offsets: &offsets,
            timestamps: &timestamps,
            times: &rows.times[first..end],
        };
        self.tables[rows.event].append(&columns, origins);
    }

    /// Forgets rows that no row can need that is not late (SEMANTICS 4.3), at most about `rows_max` of each table; how many,
    /// by event table.
    pub fn forget(&mut self, times: &StreamTimes, rows_max: usize, mut held: Option<&mut Held>) -> Vec<u64> {
        let plan = Arc::clone(&self.plan);
        let forget = |(event, table): (usize, &mut EventTable)| {
            let Some(before_ms) = needed_from_ms(&plan, times, event) else { return 0 };
            if let Some(held) = &mut held {
                held.forget(event, before_ms);
            }
            table.forget(before_ms, rows_max) as u64
        };
        self.tables.iter_mut().enumerate().map(forget).collect()
    }
}

/// The time of the oldest row of an event table that a row of another table may still need.
pub(super) fn needed_from_ms(plan: &Plan, times: &StreamTimes, event: usize) -> Option<i64> {
    let ttl_ms = |event: usize| plan.events[event].ttl_ms;
    let others = (0..plan.events.len()).filter(|&other| other != event);
    let bounds = others.map(|other| {
        // A driving row is matched by what comes at most its ttl later; what matches a driving row that may still come is at
        // most its own ttl older; and what matched one that is there is needed for as long as that is.
        let lives_ms = match (event, other) {
            (0, _) => ttl_ms(0),
            (_, 0) => ttl_ms(event),
            _ => ttl_ms(event).saturating_add(ttl_ms(0)),
        };
        Some(times.late_before_ms(other)?.saturating_sub(lives_ms))
    });
    bounds.min().flatten()
}

impl NewRows {
    /// (partition, time, timestamp) of all rows that were decoded: those that don't matter otherwise let time pass too.
    pub fn ticks(&self) -> &[Tick] {
        &self.ticks
    }

    /// Tells how far each partition's rows have come.
    pub fn tell(&self, times: &RowTimes) {
        for rows in self.ticks.chunk_by(|left, right| left.0 == right.0) {
            let reached_ms = rows.iter().map(|(_, time_ms, _)| *time_ms).max().unwrap_or(i64::MIN);
            times.tell(self.raw.table, rows[0].0, reached_ms);
        }
    }

    /// The first of the rows that stood at `place` or later among all that were decoded.
    pub fn kept_from(&self, place: usize) -> usize {
        self.kept.partition_point(|kept| (*kept as usize) < place)
    }

    /// The rows `first..end` as the start of a walk.
    pub fn start(&self, events: usize, first: usize, end: usize) -> Start {
        Start::of_event(self.event, events, end - first, self.given(first, end))
    }

    fn given(&self, first: usize, end: usize) -> Given {
        let is_whole = first == 0 && end == self.records.len();
        // A slice is an allocation, which a batch of one row would feel.
        let part = |column: &ArrayRef| if is_whole { Arc::clone(column) } else { column.slice(first, end - first) };
        let columns = self.columns[..self.plain].iter().map(part).collect();
        let (partitions, offsets, timestamps) = self.origins(first, end);
        Given::new(columns, partitions, offsets, timestamps, self.times[first..end].to_vec())
    }

    fn origins(&self, first: usize, end: usize) -> (Vec<i32>, Vec<i64>, Vec<i64>) {
        let RawBatch { partitions, offsets, timestamps, .. } = &self.raw;
        let records = &self.records[first..end];
        if records.len() == partitions.len() {
            return (partitions.clone(), offsets.clone(), timestamps.clone());
        }
        let of = |values: &[i64]| records.iter().map(|&record| values[record as usize]).collect();
        (records.iter().map(|&record| partitions[record as usize]).collect(), of(offsets), of(timestamps))
    }

    fn take(&mut self, rows: &[u32]) {
        let indices = UInt32Array::from(rows.to_vec());
        self.columns = self.columns.iter().map(|column| taken(column, &indices)).collect();
        let of = |values: &[u32]| rows.iter().map(|&row| values[row as usize]).collect();
        self.kept = of(&self.kept);
        self.records = of(&self.records);
        self.times = rows.iter().map(|&row| self.times[row as usize]).collect();
    }
}

fn empty(plan: &Plan, event: &crate::plan::Event) -> EventTable {
    let table = &plan.tables[event.table.index()];
    let mut columns: Vec<_> = table.columns.iter().map(Column::data_type).collect();
    columns.extend(event.computed.iter().map(|expression| expression.data_type().clone()));
    let kept_ms = event.ttl_ms.saturating_add(if event.join.is_some() { 0 } else { event.lateness_ms });
    EventTable::new(EventSpec {
        columns,
        indexes: event.indexes.clone(),
        chunk_span_ms: (kept_ms / CHUNKS_A_TTL).max(1),
    })
}
