//! A pipeline on its real stages, one cut at a time: no threads, and a clock that stands still until it is moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use kaflowsql::batch::{Cut, DeadLetter, Headers, Outcome, PartitionState, Position, Report, TableId};
use kaflowsql::clock::Clock;
use kaflowsql::config::{Pipeline, parse_pipeline};
use kaflowsql::decode::infer;
use kaflowsql::engine::{DecodeStage, JoinStage};
use kaflowsql::error::Result;
use kaflowsql::plan::{Catalog, Emission, Fields, Place, Plan, parse, plan, tables_of};
use kaflowsql::source::RawBatchBuilder;

/// 2025-01-01T00:00:00Z: where the wall clock starts, ms since the epoch.
pub const START_MS: i64 = 1_735_689_600_000;

const PROCESS_TTL_MS: i64 = 3_600_000;

/// A record on its way into a table.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub table: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub partition: i32,
    pub timestamp_ms: i64,
    pub headers: Headers,
}

/// A result row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRow {
    pub key: Option<String>,
    pub value: String,
    pub timestamp_ms: i64,
}

/// A running pipeline.
pub struct Engine {
    plan: Arc<Plan>,
    clock: Clock,
    decode: DecodeStage,
    join: JoinStage,
    /// The next offset of each partition.
    offsets: BTreeMap<(TableId, i32), i64>,
    /// What the next cuts say about event partitions; nothing: those count that ever had a row.
    partitions: Vec<PartitionState>,
}

/// What a cut says besides its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passing {
    /// Whether all inputs are read to their ends.
    pub at_end: bool,
    /// What stream time is at least.
    pub stream_time_ms: Option<i64>,
}

/// What came of several cuts.
#[derive(Debug, Default)]
pub struct Came {
    pub results: Vec<ResultRow>,
    pub dead_letters: Vec<DeadLetter>,
    /// The report of each cut.
    pub reports: Vec<Report>,
}

/// A pipeline that can be started as often as one likes.
pub struct Planned {
    pub pipeline: Pipeline,
    pub plan: Arc<Plan>,
}

impl Planned {
    /// A pipeline that is known to be right.
    #[track_caller]
    pub fn of(yaml: &str) -> Self {
        Self::read(yaml, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{yaml}"))
    }

    /// Reads and plans a pipeline; without one, what a person is told.
    pub fn read(yaml: &str, samples: &[Record]) -> std::result::Result<Self, String> {
        let pipeline =
            parse_pipeline("pipeline.yaml", yaml.to_string(), &|_| None).map_err(|mistakes| mistakes.to_string())?;
        let plan = Arc::new(plan_pipeline(&pipeline, samples)?);
        Ok(Self { pipeline, plan })
    }
}

/// Plans a pipeline; the columns of tables that declare none are guessed from `samples`.
pub fn plan_pipeline(pipeline: &Pipeline, samples: &[Record]) -> std::result::Result<Plan, String> {
    let mut fields: BTreeMap<String, Fields> = BTreeMap::new();
    let read = parse(&pipeline.query).map(|query| tables_of(&query)).unwrap_or_default();
    for table in read {
        let source = pipeline.sources.get(&table);
        let declared = source.and_then(|source| source.schema.clone());
        let of_table = || samples.iter().filter(|record| record.table == table);
        let guessed = || {
            let event_time = source.and_then(|source| source.event_time.as_deref());
            infer(of_table().filter_map(|record| record.value.as_deref()), event_time).fields
        };
        let known = declared.unwrap_or_else(guessed);
        if !known.is_empty() {
            fields.insert(table, known);
        }
    }
    plan(pipeline, &fields, PROCESS_TTL_MS, &Catalog::new()).map_err(|mistakes| {
        let lines = mistakes.into_iter().map(|mistake| {
            let place = match &mistake.place {
                Place::Query(span) => format!("query {}:{}", span.start.line, span.start.column),
                Place::Value(path) | Place::Key(path) => path.join("."),
            };
            let help = mistake.help.map(|help| format!("\n  help: {help}")).unwrap_or_default();
            format!("{place}: {}{help}", mistake.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

impl Engine {
    pub fn new(planned: &Planned) -> Self {
        let (plan, clock) = (Arc::clone(&planned.plan), Clock::standing_at(START_MS));
        Self {
            decode: DecodeStage::new(Arc::clone(&plan), planned.pipeline.on_error),
            join: JoinStage::new(Arc::clone(&plan), &planned.pipeline, clock.clone()),
            plan,
            clock,
            offsets: BTreeMap::new(),
            partitions: Vec::new(),
        }
    }

    /// Says which partitions of a table are read from now on, and whether each has been read to its end.
    pub fn set_partitions(&mut self, table: &str, partitions: &[(i32, bool)]) {
        let table = self.plan.tables.iter().find(|known| known.name == table).expect("the query reads the table").id;
        self.partitions.retain(|state| state.table != table);
        let states = partitions.iter().map(|&(partition, at_end)| PartitionState { table, partition, at_end });
        self.partitions.extend(states);
    }

    /// A pipeline that reads on at these offsets, by table and partition; elsewhere from the beginning.
    pub fn starting_at(planned: &Planned, offsets: BTreeMap<(TableId, i32), i64>) -> Self {
        Self { offsets, ..Self::new(planned) }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the query reads a table of this name.
    pub fn reads(&self, table: &str) -> bool {
        self.plan.tables.iter().any(|known| known.name == table)
    }

    /// Processes records as one cut, in the order of SEMANTICS 2.4: dimensions and then joined event tables in
    /// the order of the query, then the driving table; within a table by partition and offset.
    pub fn cut(&mut self, records: &[Record]) -> Result<Outcome> {
        self.cut_with(records, Passing::default())
    }

    /// The same, with more to say about time.
    pub fn cut_with(&mut self, records: &[Record], passing: Passing) -> Result<Outcome> {
        let Passing { at_end, stream_time_ms } = passing;
        let mut cut = Cut { partitions: self.partitions.clone(), at_end, stream_time_ms, ..Cut::default() };
        let (events, dimensions) = self.plan.tables.split_at(self.plan.events.len());
        let (driving, joined) = events.split_at(1);
        let tables = dimensions.iter().chain(joined).chain(driving);
        for table in tables {
            let mut of_table: Vec<&Record> = records.iter().filter(|record| record.table == table.name).collect();
            of_table.sort_by_key(|record| record.partition);
            let mut batch = RawBatchBuilder::new(table.id);
            for record in of_table {
                let offset = self.offsets.entry((table.id, record.partition)).or_default();
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                batch.push(key, value, record.partition, *offset, record.timestamp_ms);
                if !record.headers.is_empty() {
                    batch.push_headers(record.headers.clone());
                }
                *offset += 1;
            }
            cut.batches.extend(batch.take());
        }
        let driving = self.offsets.iter().filter(|((table, _), _)| table.index() < self.plan.events.len());
        let position = |(&(table, partition), &offset): (&(TableId, i32), &i64)| Position { table, partition, offset };
        cut.positions = driving.map(position).collect();
        let positions = cut.positions.clone();
        let mut outcome = Outcome::default();
        self.join.process(self.decode.decode(cut)?, &mut |piece| {
            outcome.records.extend(piece.records);
            outcome.dead_letters.extend(piece.dead_letters);
            outcome.positions = piece.positions;
            outcome.report = piece.report;
            Ok(())
        })?;
        if !records.is_empty() {
            let remembers = self.plan.events.len() > 1 || matches!(self.plan.emission, Emission::Smart(_));
            assert!(remembers || outcome.positions == positions, "a cut is committed as far as it was read");
        }
        Ok(outcome)
    }

    /// Processes records in cuts of these sizes; what is left over is one more cut.
    pub fn cuts(&mut self, records: &[Record], sizes: &[usize]) -> Came {
        let (mut came, mut rest) = (Came::default(), records);
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            if !now.is_empty() {
                came.add(self.cut(now).unwrap_or_else(|error| panic!("{error}")));
            }
        }
        came
    }
}

impl Came {
    /// Adds what came of one more cut.
    pub fn add(&mut self, outcome: Outcome) {
        self.results.extend(results(&outcome));
        self.dead_letters.extend(outcome.dead_letters);
        self.reports.push(outcome.report);
    }

    /// Late rows, tombstones, and rejected records and rows of all cuts.
    pub fn counts(&self) -> [u64; 3] {
        let reports = self.reports.iter().map(|report| {
            [
                report.late.iter().sum::<u64>(),
                report.tombstones.iter().sum(),
                report.rejected.iter().map(|(_, count)| count).sum(),
            ]
        });
        reports.fold([0; 3], |all, one| std::array::from_fn(|place| all[place] + one[place]))
    }
}

/// The result rows of a cut, in order.
pub fn results(outcome: &Outcome) -> Vec<ResultRow> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("results are UTF-8");
    let mut rows = Vec::new();
    for batch in &outcome.records {
        assert_eq!(batch.keys.len(), batch.values.len(), "a key for each value, absent or not");
        for row in 0..batch.values.len() {
            let value = text(batch.values.get(row).expect("a result is never a tombstone"));
            rows.push(ResultRow { key: batch.keys.get(row).map(text), value, timestamp_ms: batch.timestamps[row] });
        }
    }
    assert_eq!(outcome.report.emitted, rows.len() as u64, "what is counted is what comes out");
    rows
}
