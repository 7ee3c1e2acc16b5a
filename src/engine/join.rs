//! The second stage: dimension rows into state, driving rows through the joins, result rows to bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};

use super::decode::{DecodedCut, DecodedTable};
use super::reject::Rejection;
use super::stream_time::StreamTime;
use crate::batch::{DeadLetter, Outcome, Report, Stage};
use crate::clock::{Clock, Stopwatch};
use crate::config::Pipeline;
use crate::encode::{Encoder, row_json};
use crate::error::Result;
use crate::join::Joiner;
use crate::plan::{Column, Dimension, Identity, Plan, Role};
use crate::state::{DimensionSpec, DimensionTable, Tombstones, Upserts};

/// Rows that are encoded into one arena, which must stay below 4 GiB however many matches a key has.
const ENCODED_ROWS_MAX: usize = 1 << 16;

/// Joins decoded cuts.
pub struct JoinStage {
    plan: Arc<Plan>,
    rejection: Rejection,
    clock: Clock,
    dimensions: Vec<DimensionTable>,
    /// What names the rows of each dimension, once a record was seen.
    identities: Vec<Option<Identity>>,
    joiner: Joiner,
    encoder: Encoder,
    stream_time: StreamTime,
}

impl JoinStage {
    /// A stage with empty state.
    pub fn new(plan: Arc<Plan>, pipeline: &Pipeline, clock: Clock) -> Self {
        let outputs: Vec<_> =
            plan.outputs.iter().map(|output| (output.name.clone(), output.data_type.clone())).collect();
        let dimensions: Vec<_> = plan.dimensions.iter().map(|dimension| empty(&plan, dimension, None)).collect();
        let ttl_ms = plan.tables[0].ttl_ms.unwrap_or(i64::MAX);
        let lateness_ms = pipeline.events.lateness_ms.unwrap_or(ttl_ms.min(60_000));
        Self {
            rejection: Rejection { on_error: pipeline.on_error },
            clock,
            identities: vec![None; dimensions.len()],
            dimensions,
            joiner: Joiner::default(),
            encoder: Encoder::new(&outputs, plan.key),
            stream_time: StreamTime::new(lateness_ms, pipeline.events.idle_timeout_ms),
            plan,
        }
    }

    /// Processes a cut, in its order. What comes out is handed over in pieces of bounded size; the positions come with the
    /// last of them, which is there even if nothing came out.
    ///
    /// # Errors
    /// When a row fails under `on_error: fail`, or when `hand_over` fails.
    pub fn process(&mut self, cut: DecodedCut, hand_over: &mut dyn FnMut(Outcome) -> Result<()>) -> Result<()> {
        let mut outcome = Outcome {
            records: Vec::new(),
            dead_letters: cut.dead_letters,
            positions: cut.positions,
            report: cut.report,
        };
        outcome.report.lookups = vec![(0, 0); self.plan.lookups.len()];
        let now_ms = self.clock.now_ms();
        let mut state_changed = false;
        for table in cut.batches {
            match self.plan.tables[table.rows.table.index()].role {
                Role::Dimension => {
                    let watch = Stopwatch::start();
                    self.apply(table, &mut outcome)?;
                    outcome.report.durations.apply += watch.elapsed();
                    state_changed = true;
                }
                Role::Event => self.drive(table, now_ms, &mut outcome)?,
            }
        }
        if state_changed {
            let size = |table: &DimensionTable| (table.rows() as u64, table.memory_bytes() as u64);
            let events = self.plan.events.iter().map(|_| (0, 0));
            outcome.report.state = events.chain(self.dimensions.iter().map(size)).collect();
        }
        hand_over(outcome)
    }

    fn apply(&mut self, table: DecodedTable, outcome: &mut Outcome) -> Result<()> {
        let place = table.rows.table.index() - 1;
        let dimension = &self.plan.dimensions[place];
        if self.identities[place] != table.identity {
            self.dimensions[place] = empty(&self.plan, dimension, table.identity.as_ref());
            self.identities[place] = table.identity.clone();
        }
        let DecodedTable { raw, rows, .. } = table;
        let (columns, records) = self.stored(place, &raw, rows.columns, rows.records, outcome)?;
        let of = |records: &[u32]| -> (Vec<i32>, Vec<i64>) {
            let each = records.iter().map(|&record| record as usize);
            each.map(|record| (raw.partitions[record], raw.timestamps[record])).unzip()
        };
        let (partitions, timestamps) = of(&records);
        let upserts =
            Upserts { columns: &columns, records: &records, partitions: &partitions, timestamps: &timestamps };
        let (partitions, timestamps) = of(&rows.tombstones);
        let tombstones = Tombstones {
            identity: &rows.tombstone_identity,
            records: &rows.tombstones,
            partitions: &partitions,
            timestamps: &timestamps,
        };
        let applied = self.dimensions[place].apply(upserts, tombstones);
        for &record in &applied.without_identity {
            let of = (&raw, self.plan.tables[place + 1].topic.as_str());
            let why = (Stage::Decode, "the record lacks the identity's key".to_string());
            let into = (&mut outcome.dead_letters, &mut outcome.report);
            self.rejection.reject(of, record as usize, None, why, into)?;
        }
        if applied.conflicts > 0 {
            tracing::warn!(
                dimension = self.plan.tables[place + 1].name,
                rows = applied.conflicts,
                "identities turn up in more than one partition: the later timestamp counts, and deletes can't be trusted"
            );
        }
        Ok(())
    }

    /// The stored columns of dimension rows: the decoded ones, then the expressions that indexes need, then the
    /// record's key if it names the rows. Rows for which an expression fails are rejected.
    fn stored(
        &self,
        place: usize,
        raw: &crate::batch::RawBatch,
        mut columns: Vec<ArrayRef>,
        mut records: Vec<u32>,
        outcome: &mut Outcome,
    ) -> Result<(Vec<ArrayRef>, Vec<u32>)> {
        let dimension = &self.plan.dimensions[place];
        let plain = self.plan.tables[place + 1].columns.len();
        if dimension.computed.is_empty() {
            return Ok((columns, records));
        }
        let compute = |columns: &[ArrayRef], rows: usize| -> std::result::Result<Vec<ArrayRef>, String> {
            let inputs = |inputs: &[usize]| inputs.iter().map(|&input| Arc::clone(&columns[input])).collect();
            dimension.computed.iter().map(|expression| expression.evaluate(inputs(expression.inputs()), rows)).collect()
        };
        if let Ok(computed) = compute(&columns, records.len()) {
            return Ok((with_computed(columns, computed, plain), records));
        }
        // Whether an expression fails for a row may depend on its neighbours: AND looks at the right side only if it has to.
        let mut good = Vec::new();
        let mut pieces: Vec<Vec<ArrayRef>> = vec![Vec::new(); dimension.computed.len()];
        for (row, &record) in records.iter().enumerate() {
            let one: Vec<_> = columns.iter().map(|column| column.slice(row, 1)).collect();
            match compute(&one, 1) {
                Ok(computed) => {
                    good.push(row as u32);
                    pieces.iter_mut().zip(computed).for_each(|(pieces, piece)| pieces.push(piece));
                }
                Err(error) => {
                    let of = (raw, self.plan.tables[place + 1].topic.as_str());
                    let into = (&mut outcome.dead_letters, &mut outcome.report);
                    self.rejection.reject(of, record as usize, None, (Stage::Sql, error), into)?;
                }
            }
        }
        let indices = UInt32Array::from(good.clone());
        columns = columns.iter().map(|column| taken(column, &indices)).collect();
        records = good.iter().map(|&row| records[row as usize]).collect();
        let computed = pieces.iter().zip(&dimension.computed).map(|(pieces, expression)| {
            let pieces: Vec<_> = pieces.iter().map(AsRef::as_ref).collect();
            match pieces[..] {
                [] => new_empty_array(expression.data_type()),
                _ => concat(&pieces).expect("BUG: pieces of one computed column differ in type"),
            }
        });
        let computed = computed.collect();
        Ok((with_computed(columns, computed, plain), records))
    }

    fn drive(&mut self, table: DecodedTable, now_ms: i64, outcome: &mut Outcome) -> Result<()> {
        let DecodedTable { raw, rows, .. } = table;
        let report = &mut outcome.report;
        let times = rows
            .records
            .iter()
            .zip(&rows.times)
            .map(|(&record, &time_ms)| (raw.partitions[record as usize], time_ms, raw.timestamps[record as usize]));
        report.late = vec![0; self.plan.tables.len()];
        report.late[0] += self.stream_time.advance(times, now_ms);
        let now_ns = now_ms.saturating_mul(1_000_000);
        let results = self.joiner.run(&self.plan, &self.dimensions, &rows.columns, rows.rows, now_ns);
        for (total, found) in report.lookups.iter_mut().zip(&results.lookups) {
            total.0 += found.probed as u64;
            total.1 += found.hit as u64;
        }
        report.joined.0 += results.joined.0 as u64;
        report.joined.1 += results.joined.1 as u64;
        report.durations.lookup += results.timings.lookup;
        report.durations.sql += results.timings.sql;
        report.emitted += results.driving_rows.len() as u64;
        let into: (&mut Vec<DeadLetter>, &mut Report) = (&mut outcome.dead_letters, report);
        self.reject_failures(&raw, &rows.records, &results.failures, into)?;
        if !results.driving_rows.is_empty() {
            let watch = Stopwatch::start();
            let of_record = |&row: &u32| raw.timestamps[rows.records[row as usize] as usize];
            let timestamps: Vec<i64> = results.driving_rows.iter().map(of_record).collect();
            let columns = results.columns();
            for (number, timestamps) in timestamps.chunks(ENCODED_ROWS_MAX).enumerate() {
                let slice = |column: &ArrayRef| column.slice(number * ENCODED_ROWS_MAX, timestamps.len());
                let columns: Vec<_> = columns.iter().map(slice).collect();
                outcome.records.push(self.encoder.encode(&columns, timestamps.to_vec()));
            }
            outcome.report.durations.encode += watch.elapsed();
        }
        Ok(())
    }

    fn reject_failures(
        &self,
        raw: &crate::batch::RawBatch,
        records: &[u32],
        failures: &[crate::join::Failure],
        (letters, report): (&mut Vec<DeadLetter>, &mut Report),
    ) -> Result<()> {
        let topic = self.plan.tables[0].topic.as_str();
        for failure in failures {
            let record = records[failure.driving_row as usize] as usize;
            let why = (Stage::Sql, failure.error.clone());
            self.rejection.reject(
                (raw, topic),
                record,
                Some(row_json(&failure.row, 0)),
                why,
                (&mut *letters, &mut *report),
            )?;
        }
        Ok(())
    }
}

/// Computed columns stand behind the plain ones, and before the record's key.
fn with_computed(mut columns: Vec<ArrayRef>, computed: Vec<ArrayRef>, plain: usize) -> Vec<ArrayRef> {
    let key = columns.split_off(plain.min(columns.len()));
    columns.extend(computed);
    columns.extend(key);
    columns
}

fn taken(column: &ArrayRef, rows: &UInt32Array) -> ArrayRef {
    take(column.as_ref(), rows, None).expect("BUG: rows to take lie within the column")
}

fn empty(plan: &Plan, dimension: &Dimension, identity: Option<&Identity>) -> DimensionTable {
    let table = &plan.tables[dimension.table.index()];
    let mut columns: Vec<_> = table.columns.iter().map(Column::data_type).collect();
    columns.extend(dimension.computed.iter().map(|expression| expression.data_type().clone()));
    let identity = match identity {
        Some(Identity::Columns(columns)) => columns.clone(),
        Some(Identity::RecordKey(_)) => {
            columns.push(Column::Identity.data_type());
            vec![columns.len() - 1]
        }
        // No record was seen yet: the table is empty, and made anew with the first.
        None => vec![0],
    };
    DimensionTable::new(DimensionSpec { columns, identity, indexes: dimension.indexes.clone() })
}
