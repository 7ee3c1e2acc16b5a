//! The engine against a naive join: random histories with random batch borders, row for row, in order.

#[cfg(test)]
mod duckdb;
pub mod event_queries;
pub mod events;
pub mod history;
mod naive;
mod queries;

use std::cell::Cell;

use history::{Step, history};
use naive::{Naive, Query};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::Value;

use crate::joins::engine::{Engine, Planned, results};

/// Histories that each query is asked.
const CASES: u32 = 250;

/// Runs of proptest that are the same every time; what fails is shrunk.
pub fn runner(cases: u32) -> TestRunner {
    let seed = RngSeed::Fixed(20_250_101);
    TestRunner::new(Config { cases, failure_persistence: None, rng_seed: seed, ..Config::default() })
}

#[test]
fn engine_and_naive_join_agree() {
    for (name, query) in queries::all() {
        let planned = Planned::of(query.yaml);
        let rows = Cell::new(0);
        let agreed = runner(CASES).run(&history(), |cuts| {
            rows.set(rows.get() + compare(&planned, &query, &cuts).map_err(TestCaseError::fail)?);
            Ok(())
        });
        match agreed {
            Ok(()) => assert!(rows.get() > CASES as usize, "{name}: only {} result rows were compared", rows.get()),
            Err(TestError::Fail(why, cuts)) => panic!("{name}: {why}\n{}", shown(&cuts, query.declared)),
            Err(TestError::Abort(why)) => panic!("{name}: {why}"),
        }
    }
}

fn compare(planned: &Planned, query: &Query, cuts: &[Vec<Step>]) -> Result<usize, String> {
    let (mut engine, mut naive) = (Engine::new(planned), Naive::default());
    let mut rows = 0;
    for (number, cut) in cuts.iter().enumerate() {
        let records: Vec<_> = cut.iter().map(|step| step.record(query.declared)).collect();
        let read = |record: &&crate::joins::engine::Record| engine.reads(&record.table);
        let records: Vec<_> = records.iter().filter(read).cloned().collect();
        let outcome = engine.cut(&records).map_err(|error| error.to_string())?;
        if !outcome.dead_letters.is_empty() {
            return Err(format!("batch {number}: dead letters: {:?}", outcome.dead_letters));
        }
        let value = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("{text}: {error}"));
        let actual = results(&outcome).iter().map(|row| value(&row.value)).collect::<Result<Vec<_>, _>>()?;
        let expected = naive.cut(query, cut);
        if actual != expected {
            let lines = |rows: &[Value]| rows.iter().map(|row| format!("\n    {row}")).collect::<String>();
            return Err(format!(
                "batch {number}:\n  the naive join says{}\n  the engine says{}",
                lines(&expected),
                lines(&actual)
            ));
        }
        rows += actual.len();
    }
    Ok(rows)
}

/// A history as a person would write it.
fn shown(cuts: &[Vec<Step>], declared: bool) -> String {
    let mut text = String::new();
    for step in cuts.iter().flat_map(|cut| cut.iter().map(Some).chain([None])) {
        let Some(record) = step.map(|step| step.record(declared)) else {
            text.push_str("cut\n");
            continue;
        };
        let bytes =
            |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or(b"(none)")).into_owned();
        let (key, value) = (bytes(&record.key), bytes(&record.value));
        text.push_str(&format!("{} key={key} partition={} {value}\n", record.table, record.partition));
    }
    text
}
