//! What a restart may change where event rows are remembered: rows may come again, none is lost.

use std::collections::BTreeMap;

use kaflowsql::batch::TableId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::check;
use crate::joins::engine::{Came, Engine, Planned, Record, START_MS};

/// Orders and payments that live for seconds.
macro_rules! pipeline {
    ($query:literal, $rest:literal) => {
        concat!(
            "name: restarts\nquery: ",
            $query,
            "\nsources:\n",
            "  orders: {schema: {id: int, k: string}}\n",
            "  payments: {schema: {id: int, k: string}}\n",
            "output: {topic: out}\n",
            "state: {events: {default_ttl: 8s, lateness: 1s}}\n",
            $rest
        )
    };
}

const INNER: &str = pipeline!("SELECT o.id AS o, p.id AS p FROM orders o JOIN payments p ON o.k = p.k", "");
const SMART: &str = pipeline!(
    "SELECT o.id AS o, p.id AS p FROM orders o LEFT JOIN payments p ON o.k = p.k",
    "emission: {type: smart, require: [p], max_wait: 20s}\n"
);

/// Records whose times never go back, so that none is late, in cuts.
fn history() -> impl Strategy<Value = Vec<Vec<Record>>> {
    let record = (any::<bool>(), 0..2_i32, 0..4_u8, 0..3_i64);
    vec(vec(record, 0..6), 1..30).prop_map(|cuts| {
        let (mut id, mut second) = (0, 0);
        let record = |(is_order, partition, key, pause): (bool, i32, u8, i64)| {
            id += 1;
            second += pause;
            Record {
                table: if is_order { "orders" } else { "payments" }.to_string(),
                value: Some(format!("{{\"id\":{id},\"k\":\"k{key}\"}}").into_bytes()),
                partition,
                timestamp_ms: START_MS + 1000 * second,
                ..Record::default()
            }
        };
        let mut record = record;
        cuts.into_iter().map(|cut| cut.into_iter().map(&mut record).collect()).collect()
    })
}

fn engine(planned: &Planned, offsets: BTreeMap<(TableId, i32), i64>) -> Engine {
    let engine = Engine::starting_at(planned, offsets);
    engine.clock().advance_ms(1_000_000);
    engine
}

fn counted(came: &[Came]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for row in came.iter().flat_map(|came| &came.results) {
        *counts.entry(row.value.as_str()).or_default() += 1;
    }
    counts
}

/// Takes cuts; what was committed is kept in `committed`.
fn run(engine: &mut Engine, cuts: &[Vec<Record>], committed: &mut BTreeMap<(TableId, i32), i64>) -> Came {
    let mut came = Came::default();
    for cut in cuts {
        let outcome = engine.cut(cut).expect("nothing stops it");
        for position in &outcome.positions {
            let before = committed.insert((position.table, position.partition), position.offset);
            assert!(before <= Some(position.offset), "a commit never goes back");
        }
        came.add(outcome);
    }
    came
}

#[test]
fn a_restart_loses_nothing() {
    for yaml in [INNER, SMART] {
        let planned = Planned::of(yaml);
        let advanced = std::cell::Cell::new(0);
        let (rows, _) = check(300, (history(), any::<Index>()), |(cuts, place)| {
            let whole = run(&mut engine(&planned, BTreeMap::new()), &cuts, &mut BTreeMap::new());
            let mut committed = BTreeMap::new();
            let (before, after) = cuts.split_at(place.index(cuts.len()));
            let first = run(&mut engine(&planned, BTreeMap::new()), before, &mut committed);
            advanced.set(advanced.get() + committed.values().sum::<i64>());
            // Read again from what was committed: the records of the first life behind it, then all others.
            let mut left = committed.clone();
            let again = |record: &&Record| {
                let table = TableId(u32::from(record.table == "payments"));
                let skipped = left.entry((table, record.partition)).or_default();
                *skipped -= 1;
                *skipped < 0
            };
            let again: Vec<Record> = before.iter().flatten().filter(again).cloned().collect();
            let mut second = engine(&planned, committed.clone());
            let replayed = run(&mut second, &[again], &mut committed);
            let rest = run(&mut second, after, &mut committed);
            let lives = [first, replayed, rest];
            let (expected, came) = (counted(std::slice::from_ref(&whole)), counted(&lives));
            for (row, count) in &expected {
                prop_assert!(came.get(row).is_some_and(|came| came >= count), "lost: {row}");
            }
            prop_assert_eq!(came.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            Ok((whole.results.len(), 0))
        });
        assert!(rows > 1000 && advanced.get() > 300, "{rows} rows, {} offsets: they prove little", advanced.get());
    }
}
