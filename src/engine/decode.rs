//! The first stage: raw records to rows, and the bad ones among them aside.

use std::sync::Arc;

use super::reject::Rejection;
use crate::batch::{Cut, DeadLetter, DecodedBatch, PartitionState, Position, RawBatch, Report, Stage, TableId};
use crate::clock::Stopwatch;
use crate::config::OnError;
use crate::decode::TableDecoder;
use crate::error::{Error, Result};
use crate::plan::{Column, Identity, IdentityRule, Plan, Table};

/// Decodes cuts.
pub struct DecodeStage {
    plan: Arc<Plan>,
    rejection: Rejection,
    decoders: Vec<Option<Decoder>>,
}

struct Decoder {
    decoder: TableDecoder,
    identity: Option<Identity>,
}

/// A decoded cut.
pub struct DecodedCut {
    /// Batches in the order of processing.
    pub batches: Vec<DecodedTable>,
    /// Dead letters so far.
    pub dead_letters: Vec<DeadLetter>,
    /// As in `Cut`.
    pub positions: Vec<Position>,
    /// As in `Cut`.
    pub partitions: Vec<PartitionState>,
    /// As in `Cut`.
    pub at_end: bool,
    /// As in `Cut`.
    pub begins_anew: bool,
    /// As in `Cut`.
    pub stream_time_ms: Option<i64>,
    /// What happened so far.
    pub report: Report,
}

/// The rows of one table, with the records that they were.
pub struct DecodedTable {
    /// The records.
    pub raw: RawBatch,
    /// The rows.
    pub rows: DecodedBatch,
    /// Of a dimension: what names its rows.
    pub identity: Option<Identity>,
}

impl DecodeStage {
    /// A stage for the tables of `plan`.
    pub fn new(plan: Arc<Plan>, on_error: OnError) -> Self {
        let decoders = plan.tables.iter().map(|_| None).collect();
        Self { plan, rejection: Rejection { on_error }, decoders }
    }

    /// Decodes a cut.
    ///
    /// # Errors
    /// When a dimension's rows can't be named, or a record is bad under `on_error: fail`.
    pub fn decode(&mut self, mut cut: Cut) -> Result<DecodedCut> {
        let tables = self.plan.tables.len();
        let counts = || vec![0; tables];
        let mut report = Report { records: counts(), bytes: counts(), tombstones: counts(), ..Report::default() };
        let mut dead_letters = Vec::new();
        let mut batches = Vec::with_capacity(cut.batches.len());
        let watch = Stopwatch::start();
        for raw in std::mem::take(&mut cut.batches).into_iter().filter(|raw| !raw.is_empty()) {
            let table = raw.table.index();
            let decoder = self.decoder_for(&raw)?;
            let mut rows = decoder.decoder.decode(&raw);
            let identity = decoder.identity.clone();
            report.records[table] += raw.len() as u64;
            report.bytes[table] += raw.values.arena().len() as u64;
            report.tombstones[table] += rows.tombstones.len() as u64;
            for reject in std::mem::take(&mut rows.rejects) {
                let of = (&raw, self.plan.tables[table].topic.as_str());
                let why = (Stage::Decode, reject.error);
                self.rejection.reject(of, reject.record as usize, None, why, (&mut dead_letters, &mut report))?;
            }
            batches.push(DecodedTable { raw, rows, identity });
        }
        report.durations.decode = watch.elapsed();
        let Cut { positions, partitions, at_end, begins_anew, stream_time_ms, .. } = cut;
        Ok(DecodedCut { batches, dead_letters, positions, partitions, at_end, begins_anew, stream_time_ms, report })
    }

    /// The decoder of a batch's table. What names a dimension's rows may depend on its first record (SEMANTICS 1.7).
    fn decoder_for(&mut self, raw: &RawBatch) -> Result<&mut Decoder> {
        let place = raw.table.index();
        if self.decoders[place].is_none() {
            let mut table = self.plan.tables[place].clone();
            table.identity = identity_of(&self.plan, raw.table, &table, raw.keys.get(0).is_some())?;
            if let Some(Identity::RecordKey(_)) = table.identity {
                table.columns.push(Column::Identity);
            }
            let decoder = TableDecoder::new(&table);
            self.decoders[place] = Some(Decoder { decoder, identity: table.identity });
        }
        Ok(self.decoders[place].as_mut().expect("BUG: the decoder was made above"))
    }
}

fn identity_of(plan: &Plan, id: TableId, table: &Table, has_key: bool) -> Result<Option<Identity>> {
    let Some(dimension) = plan.dimensions.iter().find(|dimension| dimension.table == id) else { return Ok(None) };
    match &dimension.identity {
        IdentityRule::Declared(columns) => Ok(Some(Identity::Columns(columns.clone()))),
        IdentityRule::RecordKeyOr(_) if has_key => Ok(Some(Identity::RecordKey(table.columns.len()))),
        IdentityRule::RecordKeyOr(Some(joined)) => Ok(Some(Identity::Columns(joined.clone()))),
        IdentityRule::RecordKeyOr(None) => Err(Error::Stop(format!(
            "the first record of dimension `{}` (topic {}) has no key, and the query joins it on more than one set of \
             columns or on an expression, so nothing says which row replaces which.\n\
             Declare its key: state.dimensions: [{{table: {}, key: [column, …]}}]",
            table.name, table.topic, table.name
        ))),
    }
}
