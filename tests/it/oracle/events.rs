//! The engine against the protocol model: joins of events with events, and rows that wait, over random histories with
//! random batch borders; row for row.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use kaflowsql::batch::{Outcome, Stage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError};
use serde_json::{Value, json};

use super::event_queries::{self, Query};
use super::runner;
use crate::joins::engine::{self, Engine, Planned, Record, START_MS, results};
use crate::model::{Change, Disk, End, Kafka, Passing, Place, Process, Spec};

/// Histories that each query is asked.
const CASES: u32 = 400;

/// Something that happens: a record, a batch border, or time.
#[derive(Clone, Debug)]
pub enum Step {
    Event {
        table: usize,
        partition: i32,
        a: Option<u8>,
        b: Option<u8>,
        second: i64,
    },
    Change {
        table: &'static str,
        identity: u8,
        row: Option<(Option<u8>, Option<u8>, Option<u8>)>,
    },
    Cut,
    Advance {
        seconds: i64,
    },
    /// A batch without records: everything has been read.
    Idle,
    /// The same, and stream time is over.
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || option::weighted(0.9, 0..3_u8);
    let event = (0..3_usize, 0..2_i32, key(), key(), 0..14_i64)
        .prop_map(|(table, partition, a, b, second)| Step::Event { table, partition, a, b, second });
    let row = option::weighted(0.8, (key(), key(), key()));
    let change = (prop_oneof![Just("users"), Just("teams")], 0..3_u8, row)
        .prop_map(|(table, identity, row)| Step::Change { table, identity, row });
    prop_oneof![
        12 => event,
        4 => change,
        5 => Just(Step::Cut),
        1 => (0..40_i64).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Idle),
    ]
}

/// A history; times go up by three seconds an event, less up to fourteen.
fn history() -> impl Strategy<Value = Vec<Step>> {
    (vec(step(), 1..60), any::<bool>()).prop_map(|(mut steps, ends)| {
        steps.push(Step::Cut);
        steps.extend(ends.then_some(Step::End));
        let mut reached = 0;
        for step in &mut steps {
            if let Step::Event { second, .. } = step {
                reached += 3;
                *second = reached - *second;
            }
        }
        steps
    })
}

#[test]
fn engine_and_model_agree() {
    for (name, query) in event_queries::all() {
        let planned = Planned::of(query.yaml);
        let rows = Cell::new(0);
        let agreed = runner(CASES).run(&history(), |steps| {
            rows.set(rows.get() + agree(&planned, &query, &steps).map_err(TestCaseError::fail)?);
            Ok(())
        });
        match agreed {
            Ok(()) => assert!(rows.get() > CASES as usize, "{name}: only {} result rows were compared", rows.get()),
            Err(TestError::Fail(why, steps)) => panic!("{name}: {why}\n{steps:#?}"),
            Err(TestError::Abort(why)) => panic!("{name}: {why}"),
        }
    }
}

/// Whether engine and model say the same of a history; how many result rows were compared.
pub fn agree(planned: &Planned, query: &Query, steps: &[Step]) -> Result<usize, String> {
    let remembers = Spec { forgets: false, ..query.spec.clone() };
    Run::of(planned, query, &remembers).all(steps)
}

/// Engine and model side by side.
struct Run<'q> {
    query: &'q Query,
    engine: Engine,
    kafka: Kafka,
    model: Process<'q>,
    /// A model that forgets nothing. Where a late row meets what is forgotten, the two differ, and the engine may say what
    /// either says: it forgets rows together.
    remembers: Process<'q>,
    pending: Vec<Record>,
    now_ms: i64,
    written: u32,
    cuts: usize,
}

impl<'q> Run<'q> {
    fn of(planned: &Planned, query: &'q Query, remembers: &'q Spec) -> Self {
        let kafka = Kafka::default();
        let start = |spec| Process::start(spec, &kafka, BTreeSet::from([0, 1]), &Disk::default(), START_MS);
        let (model, remembers) = (start(&query.spec), start(remembers));
        let (engine, pending) = (Engine::new(planned), Vec::new());
        let mut run = Self { query, engine, kafka, model, remembers, pending, now_ms: START_MS, written: 0, cuts: 0 };
        run.advance(100_000);
        run
    }

    /// How many result rows were compared.
    fn all(mut self, steps: &[Step]) -> Result<usize, String> {
        let mut rows = 0;
        for step in steps {
            let passing = match step {
                Step::Event { table, partition, a, b, second } => {
                    self.event(table % self.query.spec.tables.len(), *partition, *a, *b, START_MS + 1000 * second);
                    continue;
                }
                Step::Change { table, identity, row } => {
                    self.change(table, *identity, *row);
                    continue;
                }
                Step::Advance { seconds } => {
                    self.advance(1000 * seconds);
                    continue;
                }
                Step::Cut => engine::Passing::default(),
                Step::Idle => engine::Passing { at_end: true, stream_time_ms: None },
                Step::End => engine::Passing { at_end: true, stream_time_ms: Some(i64::MAX) },
            };
            match self.compare(passing)? {
                Some(compared) => rows += compared,
                None => break,
            }
        }
        Ok(rows)
    }

    fn advance(&mut self, by_ms: i64) {
        self.engine.clock().advance_ms(by_ms);
        self.now_ms += by_ms;
    }

    fn event(&mut self, table: usize, partition: i32, a: Option<u8>, b: Option<u8>, time_ms: i64) {
        self.written += 1;
        let value = json!({"id": self.written, "a": a, "b": b});
        self.pending.push(Record {
            table: self.query.spec.tables[table].name.to_string(),
            value: Some(value.to_string().into_bytes()),
            partition,
            timestamp_ms: time_ms,
            ..Record::default()
        });
        let record = crate::model::Record { time_ms, timestamp_ms: time_ms, value };
        self.kafka.logs.entry((table, partition)).or_default().push(record);
    }

    fn change(&mut self, table: &'static str, identity: u8, row: Option<(Option<u8>, Option<u8>, Option<u8>)>) {
        if !self.query.spec.lookups.iter().any(|lookup| lookup.table == table) {
            return;
        }
        self.written += 1;
        let row = row.map(|(key, level, team)| json!({"id": self.written, "key": key, "level": level, "team": team}));
        self.pending.push(Record {
            table: table.to_string(),
            key: Some(format!("i{identity}").into_bytes()),
            value: row.as_ref().map(|row| row.to_string().into_bytes()),
            timestamp_ms: self.now_ms,
            ..Record::default()
        });
        self.kafka.changes.push(Change { table, identity, row });
    }

    /// How many result rows were compared; none once a late row has met what is forgotten.
    fn compare(&mut self, passing: engine::Passing) -> Result<Option<usize>, String> {
        self.cuts += 1;
        // Of equal order within a batch: the changes of a table before those of the next, as the engine takes them.
        let (seen, was_late) = (self.changes_seen(), self.model.late.len());
        let order = |table: &str| self.query.spec.lookups.iter().position(|lookup| lookup.table == table);
        self.kafka.changes[seen..].sort_by_key(|change| order(change.table));
        let passing_of_model = Passing {
            now_ms: self.now_ms,
            at_end: passing.at_end,
            partitions: BTreeMap::new(),
            stream_time_ms: passing.stream_time_ms,
        };
        self.model.cut(&self.kafka, self.kafka.changes.len(), &|_, end| end, &passing_of_model);
        self.remembers.cut(&self.kafka, self.kafka.changes.len(), &|_, end| end, &passing_of_model);
        let outcome = self.engine.cut_with(&std::mem::take(&mut self.pending), passing);
        let outcome = outcome.map_err(|error| format!("batch {}: {error}", self.cuts))?;
        let ends = std::mem::take(&mut self.model.ends);
        let is_same = ends == std::mem::take(&mut self.remembers.ends);
        if !is_same || self.model.parked.len() != self.remembers.parked.len() {
            return Ok(None);
        }
        let expected = expected_rows(&self.kafka, &ends);
        let actual = actual_rows(&outcome)?;
        let said = |what: &str| {
            let lines = |rows: &[(Value, i64)]| rows.iter().map(|row| format!("\n    {row:?}")).collect::<String>();
            let (expected, actual) = (lines(&expected), lines(&actual));
            Err(format!("batch {}: {what}:\n  the model says{expected}\n  the engine says{actual}", self.cuts))
        };
        if sorted(&actual) != sorted(&expected) {
            return said("other rows");
        }
        // Of what one row of a chain's end forms, nothing says which comes first.
        let is_chain = self.query.yaml.contains("JOIN t ON s.");
        if actual != expected && !is_chain {
            return said("the same rows in another order");
        }
        let late = (self.model.late.len() - was_late) as u64;
        if outcome.report.late.iter().sum::<u64>() != late {
            return said(&format!("late rows {:?}, expected {late}", outcome.report.late));
        }
        if outcome.report.parked.waiting != self.model.parked.len() as u64 {
            return said(&format!("{:?}, expected {} to wait", outcome.report.parked, self.model.parked.len()));
        }
        let (letters, actual_letters) = (expected_letters(&ends), actual_letters(&outcome)?);
        if letters != actual_letters {
            return said(&format!("dead letters of driving rows {actual_letters:?}, expected {letters:?}"));
        }
        Ok(Some(expected.len()))
    }

    fn changes_seen(&self) -> usize {
        let pending = self.pending.iter().filter(|record| record.key.is_some()).count();
        self.kafka.changes.len() - pending
    }
}

/// Result rows with the timestamps of their driving records.
fn expected_rows(kafka: &Kafka, ends: &[(Vec<Option<Place>>, End)]) -> Vec<(Value, i64)> {
    let rows = ends.iter().flat_map(|(places, end)| {
        let (table, partition, at) = places[0].expect("it drives");
        let timestamp_ms = kafka.logs[&(table, partition)][at as usize].timestamp_ms;
        let rows = match end {
            End::Formed(rows) | End::Expired(rows) => &rows[..],
            End::Letters(_) | End::Withdrawn => &[],
        };
        rows.iter().map(move |row| (row.clone(), timestamp_ms))
    });
    rows.collect()
}

fn actual_rows(outcome: &Outcome) -> Result<Vec<(Value, i64)>, String> {
    let value = |text: &str| serde_json::from_str(text).map_err(|error| format!("{text}: {error}"));
    results(outcome).iter().map(|row| Ok((value(&row.value)?, row.timestamp_ms))).collect()
}

/// Partition and offset of the driving row of each dead letter, sorted.
fn expected_letters(ends: &[(Vec<Option<Place>>, End)]) -> Vec<(i32, i64)> {
    let mut letters = Vec::new();
    for (places, end) in ends {
        if let (End::Letters(rows), Some((_, partition, at))) = (end, places[0]) {
            letters.extend(rows.iter().map(|_| (partition, at)));
        }
    }
    letters.sort_unstable();
    letters
}

fn actual_letters(outcome: &Outcome) -> Result<Vec<(i32, i64)>, String> {
    if let Some(letter) = outcome.dead_letters.iter().find(|letter| letter.stage != Stage::Expire) {
        return Err(format!("a dead letter: {letter:?}"));
    }
    let mut letters: Vec<_> = outcome.dead_letters.iter().map(|letter| (letter.partition, letter.offset)).collect();
    letters.sort_unstable();
    Ok(letters)
}

fn sorted(rows: &[(Value, i64)]) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}
