//! Laws: what may be changed about a history without changing what comes out.

mod garbage;
mod restarts;

use std::collections::BTreeMap;

use kaflowsql::batch::DeadLetter;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestError};

use crate::joins::engine::{Came, Engine, Planned, Record, ResultRow, START_MS};
use crate::oracle::history::{Change, Event, Row, Step, history, loaded_history};
use crate::oracle::runner;
use garbage::{Garbage, garbage, garbage_below};

/// Several matches, a chain, a residual and a condition; and SQL that fails for some rows, at every place where it can.
const PIPELINE: &str = "
name: laws
query: |
  SELECT e.id, u.name AS u, s.name AS s, 6 / e.n AS part, CAST(replace(replace(u.next, 'u4', 'x'), 'u', '') AS INT) AS next, 6 / (s.level - 1) AS share
  FROM events e
  LEFT JOIN users u ON e.b = u.team AND 6 / u.level <= 6
  LEFT JOIN shops s ON u.next = s.uid AND 6 / s.level <> e.n
  WHERE e.n >= 0 AND coalesce(u.next, 'u0') <> 'u3'
sources:
  events: {schema: {id: int, a: string, b: string, n: int}}
  users: {schema: {uid: string, team: string, level: int, next: string, name: string}}
  shops: {schema: {uid: string, team: string, level: int, next: string, name: string}}
output: {topic: out, key: id}
state: {dimensions: [users, {table: shops, key: [uid]}]}
";

/// The same without anything that can fail.
const CALM_PIPELINE: &str = "
name: laws
query: |
  SELECT e.id, e.a, u.name AS u, s.name AS s
  FROM events e
  LEFT JOIN users u ON e.a = u.uid AND u.level <= 2
  LEFT JOIN shops s ON s.uid = u.next
sources:
  events: {schema: {id: int, a: string, b: string, n: int}}
  users: {schema: {uid: string, team: string, level: int, next: string, name: string}}
  shops: {schema: {uid: string, team: string, level: int, next: string, name: string}}
output: {topic: out, key: a}
state: {dimensions: [{table: users, key: [uid]}, {table: shops, key: [uid]}]}
";

/// What came out: results in their order, and dead letters in any, for each stage gives its own.
fn came_out(came: &Came) -> (&[ResultRow], Vec<String>) {
    let mut letters: Vec<_> = came.dead_letters.iter().map(|letter| format!("{letter:?}")).collect();
    letters.sort();
    (&came.results, letters)
}

fn records(steps: &[Step]) -> Vec<Record> {
    steps.iter().map(|step| step.record(true)).collect()
}

/// Checks a law, and says how many result rows and dead letters it was checked on.
fn check<T: std::fmt::Debug>(
    cases: u32,
    histories: impl Strategy<Value = T>,
    law: impl Fn(T) -> Result<(usize, usize), TestCaseError>,
) -> (usize, usize) {
    let seen = std::cell::Cell::new((0, 0));
    let held = runner(cases).run(&histories, |history| {
        let (rows, letters) = law(history)?;
        let (all_rows, all_letters) = seen.get();
        seen.set((all_rows + rows, all_letters + letters));
        Ok(())
    });
    match held {
        Ok(()) => seen.get(),
        Err(TestError::Fail(why, history)) => panic!("{why}\n{history:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn batch_borders_change_nothing() {
    let planned = Planned::of(PIPELINE);
    let sizes = vec(1..9_usize, 0..20);
    let (rows, letters) = check(300, (loaded_history(), sizes), |((changes, events), sizes)| {
        let mut all = records(&changes);
        all.extend(records(&events).into_iter().map(|record| Record { partition: 0, ..record }));
        let whole = Engine::new(&planned).cuts(&all, &[]);
        for sizes in [sizes, vec![1; all.len()]] {
            let parts = Engine::new(&planned).cuts(&all, &sizes);
            prop_assert_eq!(came_out(&whole), came_out(&parts), "batches of {:?}", sizes);
        }
        Ok((whole.results.len(), whole.dead_letters.len()))
    });
    assert!(rows > 300 && letters > 300, "{rows} rows and {letters} dead letters prove little");
}

#[test]
fn rows_of_a_batch_do_not_fail_together() {
    // Each row in a pipeline run of its own, with the same dimensions.
    let planned = Planned::of(PIPELINE);
    let (rows, letters) = check(100, loaded_history(), |(changes, events)| {
        let (changes, events) = (records(&changes), records(&events));
        let mut together = Engine::new(&planned);
        together.cuts(&changes, &[]);
        let together = together.cuts(&events, &[]);
        let (mut results, mut reasons) = (Vec::new(), Vec::new());
        for event in &events {
            let mut alone = Engine::new(&planned);
            alone.cuts(&changes, &[]);
            let alone = alone.cuts(std::slice::from_ref(event), &[]);
            results.extend(alone.results);
            reasons.extend(alone.dead_letters.into_iter().map(reason));
        }
        prop_assert_eq!(sorted(together.results.clone()), sorted(results));
        let (rows, letters) = (together.results.len(), together.dead_letters.len());
        let mut together: Vec<_> = together.dead_letters.into_iter().map(reason).collect();
        together.sort();
        reasons.sort();
        prop_assert_eq!(together, reasons);
        Ok((rows, letters))
    });
    assert!(rows > 100 && letters > 100, "{rows} rows and {letters} dead letters prove little");
}

/// A dead letter without its offset.
fn reason(letter: DeadLetter) -> (Option<Vec<u8>>, String) {
    (letter.value, letter.error)
}

fn sorted(mut rows: Vec<ResultRow>) -> Vec<ResultRow> {
    rows.sort_by(|left, right| (&left.key, &left.value).cmp(&(&right.key, &right.value)));
    rows
}

#[test]
fn splitting_the_driving_rows_over_partitions_changes_only_their_order() {
    let planned = Planned::of(PIPELINE);
    let (rows, letters) = check(200, loaded_history(), |(changes, events)| {
        let (changes, events) = (records(&changes), records(&events));
        let run = |events: &[Record]| {
            let mut engine = Engine::new(&planned);
            engine.cuts(&changes, &[]);
            engine.cuts(events, &[5])
        };
        let split = run(&events);
        let joined: Vec<_> = events.iter().map(|record| Record { partition: 0, ..record.clone() }).collect();
        let joined = run(&joined);
        prop_assert_eq!(sorted(split.results.clone()), sorted(joined.results));
        let (rows, letters) = (split.results.len(), split.dead_letters.len());
        let reasons = |letters: Vec<DeadLetter>| {
            let mut reasons: Vec<_> = letters.into_iter().map(reason).collect();
            reasons.sort();
            reasons
        };
        prop_assert_eq!(reasons(split.dead_letters), reasons(joined.dead_letters));
        Ok((rows, letters))
    });
    assert!(rows > 200 && letters > 200, "{rows} rows and {letters} dead letters prove little");
}

/// The same step under other keys: none of them meets a key of the history.
fn elsewhere(step: Step) -> Step {
    let moved = |number: Option<u8>| number.map(|number| number + 100);
    match step {
        Step::Event(event) => Step::Event(Event { id: event.id + 1000, a: moved(event.a), b: moved(event.b), ..event }),
        Step::Change(Change { table, identity, row }) => {
            let row = row.map(|row| Row { uid: moved(row.uid), team: moved(row.team), next: moved(row.next), ..row });
            Step::Change(Change { table, identity: identity + 100, row })
        }
    }
}

#[test]
fn interleaving_of_other_keys_changes_nothing() {
    let planned = Planned::of(CALM_PIPELINE);
    let others = vec((any::<Index>(), any::<Index>()), 0..40);
    let (rows, _) = check(200, (history(), history(), others), |(cuts, other_cuts, places)| {
        let alone: Vec<Vec<Record>> = cuts.iter().map(|cut| records(cut)).collect();
        let mut mixed = alone.clone();
        for (step, (cut, place)) in other_cuts.into_iter().flatten().zip(places) {
            let cut = cut.index(mixed.len());
            let place = place.index(mixed[cut].len() + 1);
            mixed[cut].insert(place, elsewhere(step).record(true));
        }
        let of_history = |row: &ResultRow| {
            let value: serde_json::Value = serde_json::from_str(&row.value).expect("results are JSON");
            value["id"].as_i64() < Some(1000)
        };
        let alone = run(&planned, &alone);
        let mut mixed = run(&planned, &mixed);
        mixed.results.retain(of_history);
        prop_assert_eq!(&alone.results, &mixed.results);
        Ok((alone.results.len(), 0))
    });
    assert!(rows > 1000, "{rows} rows prove little");
}

fn run(planned: &Planned, cuts: &[Vec<Record>]) -> Came {
    let (mut engine, mut came) = (Engine::new(planned), Came::default());
    for cut in cuts {
        came.add(engine.cut(cut).expect("bad input does not stop a pipeline"));
    }
    came
}

/// Puts a record that is garbage into a history.
fn spoiled(cuts: &[Vec<Record>], (cut, place): (Index, Index), table: &str, garbage: &Garbage) -> Vec<Vec<Record>> {
    let mut spoiled = cuts.to_vec();
    let cut = cut.index(spoiled.len());
    let place = place.index(spoiled[cut].len() + 1);
    spoiled[cut].insert(place, bad_record(table, garbage));
    spoiled
}

fn bad_record(table: &str, garbage: &Garbage) -> Record {
    Record {
        table: table.to_string(),
        key: Some(b"bad".to_vec()),
        value: Some(garbage.value.clone()),
        // A partition of its own, so that the offsets of the others stay what they are.
        partition: 7,
        timestamp_ms: START_MS,
        headers: vec![("trace".to_string(), Some(b"7".to_vec()))],
    }
}

fn expect_spoiled(good: &Came, spoiled: Came, table: &str, garbage: &Garbage) -> Result<(), TestCaseError> {
    prop_assert_eq!(&good.results, &spoiled.results, "{}", &garbage.what);
    let [letter] = &spoiled.dead_letters[..] else {
        return Err(TestCaseError::fail(format!("{}: {} dead letters", garbage.what, spoiled.dead_letters.len())));
    };
    prop_assert_eq!((&*letter.topic, letter.partition, letter.offset, letter.stage.name()), (table, 7, 0, "decode"));
    prop_assert_eq!(letter.key.as_deref(), Some(&b"bad"[..]));
    prop_assert!(letter.value.as_deref() == Some(&garbage.value), "{}: the value was touched", &garbage.what);
    prop_assert_eq!(&letter.headers[..], &[("trace".to_string(), Some(b"7".to_vec()))]);
    prop_assert!(letter.error.contains(garbage.reason), "{}: {}", &garbage.what, &letter.error);
    prop_assert!(letter.error.len() < 400, "{}: a reason of {} bytes", &garbage.what, letter.error.len());
    Ok(())
}

#[test]
fn one_bad_record_changes_nothing_for_the_good_ones() {
    let planned = Planned::of(CALM_PIPELINE);
    let table = prop_oneof![Just("events"), Just("users"), Just("shops")];
    let bad = table.prop_flat_map(|table| (Just(table), garbage(first_field(table))));
    let (rows, _) =
        check(400, (history(), (any::<Index>(), any::<Index>()), bad), |(cuts, place, (table, garbage))| {
            let cuts: Vec<Vec<Record>> = cuts.iter().map(|cut| records(cut)).collect();
            let good = run(&planned, &cuts);
            expect_spoiled(&good, run(&planned, &spoiled(&cuts, place, table, &garbage)), table, &garbage)?;
            Ok((good.results.len(), 0))
        });
    assert!(rows > 1000, "{rows} rows prove little");
}

fn first_field(table: &str) -> &'static str {
    if table == "events" { "id" } else { "uid" }
}

#[test]
fn every_kind_of_garbage_has_its_reason_in_every_table() {
    let planned = Planned::of(CALM_PIPELINE);
    let event = |id| Step::Event(Event { id, partition: 0, a: Some(1), b: None, n: None }).record(true);
    let user = Row { uid: Some(1), team: None, level: Some(1), next: None };
    let user = Step::Change(Change { table: "users", identity: 1, row: Some(user) }).record(true);
    let cuts = [vec![event(1), user, event(2)], vec![event(3)]];
    let good = run(&planned, &cuts);
    assert_eq!(good.results.len(), 3);
    let mut kinds = BTreeMap::new();
    for table in ["events", "users", "shops"] {
        for garbage in garbage_below(20_000_000, first_field(table)) {
            for place in 0..=cuts[0].len() {
                let mut with_garbage = cuts.to_vec();
                with_garbage[0].insert(place, bad_record(table, &garbage));
                let checked = expect_spoiled(&good, run(&planned, &with_garbage), table, &garbage);
                checked.unwrap_or_else(|why| panic!("{table}, place {place}: {why}"));
            }
            *kinds.entry(garbage.what).or_insert(0) += 1;
        }
    }
    assert!(kinds.len() >= 12 && kinds.values().all(|tables| *tables == 3), "{kinds:?}");
}
