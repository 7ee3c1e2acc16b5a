//! What the protocol promises, over random histories with crashes at random points: nothing lost, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use serde_json::{Value, json};

use super::{
    Change, Disk, End, EventTable, Kafka, Lookup, OnExpire, Partition, Passing, Place, Process, Record, Required,
    Smart, Snapshot, Spec,
};

/// Something that happens to the topics, or to a process.
#[derive(Clone, Debug)]
enum Step {
    Event {
        table: usize,
        partition: i32,
        a: Option<u8>,
        b: Option<u8>,
        behind_ms: i64,
    },
    Change {
        table: &'static str,
        identity: u8,
        level: Option<u8>,
        team: Option<u8>,
        is_tombstone: bool,
    },
    /// A process reads this share of what it has not read, in sixteenths.
    Cut {
        process: usize,
        sixteenths: i64,
    },
    /// What was read is committed; local state follows, or lags behind.
    Commit {
        process: usize,
        state_follows: bool,
    },
    /// A crash, or an aborted transaction: everything since the last commit is gone.
    Crash {
        process: usize,
        loses_disk: bool,
    },
    /// Partitions move: what is pending is committed first, or aborted.
    Rebalance {
        second: bool,
        commits: bool,
    },
    Advance {
        by_ms: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::weighted(0.9, 0..3_u8);
    let behind = prop_oneof![4 => 0..6_i64, 1 => 0..60_i64];
    let event = (0..3_usize, 0..2_i32, key(), key(), behind)
        .prop_map(|(table, partition, a, b, behind_ms)| Step::Event { table, partition, a, b, behind_ms });
    let change =
        (prop_oneof![Just("users"), Just("teams")], 0..3_u8, key(), key(), prop::bool::weighted(0.2)).prop_map(
            |(table, identity, level, team, is_tombstone)| Step::Change { table, identity, level, team, is_tombstone },
        );
    let process = || 0..2_usize;
    prop_oneof![
        10 => event,
        4 => change,
        6 => (process(), 1..=16_i64).prop_map(|(process, sixteenths)| Step::Cut { process, sixteenths }),
        3 => (process(), any::<bool>()).prop_map(|(process, state_follows)| Step::Commit { process, state_follows }),
        2 => (process(), any::<bool>()).prop_map(|(process, loses_disk)| Step::Crash { process, loses_disk }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(second, commits)| Step::Rebalance { second, commits }),
        1 => (0..50_i64).prop_map(|by_ms| Step::Advance { by_ms }),
    ]
}

/// How a history is run.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Equal keys are in equal partitions, and partitions move between two processes.
    copartitioned: bool,
    /// Crashes and moves of partitions are left out.
    calm: bool,
    /// Every dimension row is new, under an identity of its own, and there are no tombstones.
    additions: bool,
}

struct World<'s> {
    spec: &'s Spec,
    mode: Mode,
    kafka: Kafka,
    running: Vec<Running<'s>>,
    now_ms: i64,
    written: i64,
    /// Rows that were late when they were committed.
    late: BTreeSet<Place>,
}

struct Running<'s> {
    process: Process<'s>,
    pending: Option<Snapshot>,
    disk: Disk,
}

impl<'s> World<'s> {
    fn after(spec: &'s Spec, mode: Mode, steps: &[Step]) -> Self {
        let mut world = Self {
            spec,
            mode,
            kafka: Kafka::default(),
            running: Vec::new(),
            now_ms: 1_000_000,
            written: 0,
            late: BTreeSet::new(),
        };
        for assigned in [BTreeSet::from([0, 1]), BTreeSet::new()] {
            let process = Process::start(spec, &world.kafka, assigned, &Disk::default(), world.now_ms);
            world.running.push(Running { process, pending: None, disk: Disk::default() });
        }
        let ending = (0..2)
            .flat_map(|process| [Step::Cut { process, sixteenths: 16 }, Step::Commit { process, state_follows: true }]);
        for step in steps.iter().cloned().chain(ending) {
            world.step(step);
        }
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Event { table, partition, a, b, behind_ms } => {
                let table = table % self.spec.tables.len();
                let partition = if self.mode.copartitioned { i32::from(a.unwrap_or(0) % 2) } else { partition };
                self.written += 1;
                let time_ms = 3 * self.written - behind_ms;
                let value = json!({"id": self.written, "a": a, "b": b});
                let record = Record { time_ms, timestamp_ms: time_ms, value };
                self.kafka.logs.entry((table, partition)).or_default().push(record);
            }
            Step::Change { table, identity, level, team, is_tombstone } => {
                self.written += 1;
                let identity = if self.mode.additions { self.written as u8 } else { identity };
                let key = if self.mode.additions { self.written % 5 } else { i64::from(identity) };
                let row = (self.mode.additions || !is_tombstone)
                    .then(|| json!({"key": key, "level": level, "team": team, "id": self.written}));
                self.kafka.changes.push(Change { table, identity, row });
            }
            Step::Cut { process, sixteenths } => self.cut(process, sixteenths),
            Step::Commit { process, state_follows } => self.commit(process, state_follows),
            Step::Advance { by_ms } => self.now_ms += by_ms,
            _ if self.mode.calm => {}
            Step::Crash { process, loses_disk } => {
                let disk = std::mem::take(&mut self.running[process].disk);
                let disk = if loses_disk { Disk::default() } else { disk };
                let assigned = self.running[process].process.assigned().clone();
                self.start(process, assigned, disk);
            }
            Step::Rebalance { second, commits } => {
                let second = if self.mode.copartitioned && second { BTreeSet::from([1]) } else { BTreeSet::new() };
                let first = BTreeSet::from([0, 1]).difference(&second).copied().collect();
                for process in 0..2 {
                    if commits {
                        self.cut(process, 0);
                        self.commit(process, true);
                    }
                }
                for (process, assigned) in [first, second].into_iter().enumerate() {
                    let disk = self.running[process].disk.clone();
                    self.start(process, assigned, disk);
                }
            }
        }
    }

    fn start(&mut self, process: usize, assigned: BTreeSet<i32>, disk: Disk) {
        let started = Process::start(self.spec, &self.kafka, assigned, &disk, self.now_ms);
        self.running[process] = Running { process: started, pending: None, disk };
    }

    fn cut(&mut self, process: usize, sixteenths: i64) {
        let kafka = &self.kafka;
        let process = &mut self.running[process];
        let next = process.process.next.clone();
        let until = |partition: Partition, end: i64| {
            let next = next.get(&partition).copied().unwrap_or(0);
            next + (end - next) * sixteenths / 16
        };
        let of_process = kafka.logs.iter().filter(|(partition, _)| process.process.assigned().contains(&partition.1));
        let partitions: BTreeMap<_, _> = of_process
            .map(|(partition, log)| (*partition, until(*partition, log.len() as i64) == log.len() as i64))
            .collect();
        let at_end = partitions.values().all(|at_end| *at_end);
        let passing = Passing { now_ms: self.now_ms, at_end, partitions, stream_time_ms: None };
        process.process.cut(kafka, kafka.changes.len(), &until, &passing);
        process.pending = Some(process.process.snapshot());
    }

    fn commit(&mut self, process: usize, state_follows: bool) {
        let running = &mut self.running[process];
        let Some(snapshot) = running.pending.take() else { return };
        self.kafka.commit(running.process.assigned(), &snapshot);
        running.process.ends.clear();
        self.late.extend(&running.process.late);
        if state_follows {
            running.disk = snapshot.disk;
        }
    }

    /// Every combination that ended or waits, and how often.
    fn seen(&self) -> BTreeMap<Vec<Option<Place>>, usize> {
        let ended = self.kafka.ends.iter().map(|(places, _)| places.clone());
        let parked = self.kafka.journal.iter().map(|parked| super::places(&parked.rows));
        let mut seen = BTreeMap::new();
        for places in ended.chain(parked) {
            *seen.entry(places).or_insert(0) += 1;
        }
        seen
    }

    /// The yardstick: the batch join of all records, all joins taken as INNER, narrowed by 2.3.
    fn batch_join(&self) -> Vec<(Vec<Option<Place>>, Vec<Value>)> {
        let rows = |table: usize| {
            let logs = self.kafka.logs.iter().filter(move |((of, _), _)| *of == table);
            logs.flat_map(|(partition, log)| {
                log.iter().zip(0..).map(|(record, at)| ((partition.0, partition.1, at), record))
            })
        };
        let driving = rows(0).filter(|(_, record)| (self.spec.driving)(&record.value));
        let mut all: Vec<_> =
            driving.map(|(place, record)| (vec![Some(place)], vec![record.value.clone()], record.time_ms)).collect();
        for (number, table) in self.spec.tables.iter().enumerate().skip(1) {
            let mut longer = Vec::new();
            for (places, values, time_ms) in all {
                for (place, record) in rows(number) {
                    let apart_ms = record.time_ms - time_ms;
                    let is_alive = -table.ttl_ms <= apart_ms && apart_ms <= self.spec.tables[0].ttl_ms;
                    if is_alive && (table.on)(&values, &record.value) {
                        let places = [places.clone(), vec![Some(place)]].concat();
                        longer.push((places, [values.clone(), vec![record.value.clone()]].concat(), time_ms));
                    }
                }
            }
            all = longer;
        }
        all.into_iter().map(|(places, values, _)| (places, values)).collect()
    }

    fn is_on_time(&self, places: &[Option<Place>]) -> bool {
        places.iter().flatten().all(|place| !self.late.contains(place))
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    !left.is_null() && left == right
}

fn event(name: &'static str, left: bool, on: fn(&[Value], &Value) -> bool) -> EventTable {
    EventTable { name, left, on, ttl_ms: 20, lateness_ms: 5 }
}

fn drives(ttl_ms: i64) -> EventTable {
    EventTable { ttl_ms, ..event("d", false, |_, _| true) }
}

/// Event joins alone: two tables, a star, and a chain with a residual.
fn event_joins(left: bool) -> Vec<Spec> {
    let by_a = |rows: &[Value], row: &Value| equal(&rows[0]["a"], &row["a"]);
    let by_next = |rows: &[Value], row: &Value| equal(&rows[1]["a"], &row["a"]) && rows[1]["b"] != row["b"];
    let tables = [
        vec![drives(12), event("s", left, by_a)],
        vec![drives(30), event("s", left, by_a), event("t", left, by_a)],
        vec![drives(30), event("s", left, by_a), event("t", left, by_next)],
    ];
    tables.into_iter().map(|tables| Spec { tables, ..spec() }).collect()
}

fn spec() -> Spec {
    Spec {
        tables: Vec::new(),
        lookups: Vec::new(),
        driving: |row| row["b"] != json!(2),
        condition: |_| true,
        select: |rows| json!({"ids": rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>()}),
        smart: None,
        idle_timeout_ms: 30,
        forgets: true,
    }
}

/// A chain of look-ups behind an event join; `level` is required of the second.
fn smart(left: bool, on_expire: OnExpire, max_wait_ms: i64) -> Spec {
    let lookup = |table, left, key| Lookup { table, left, key, column: "key", residual: |_, _| true };
    Spec {
        tables: event_joins(left).swap_remove(0).tables,
        lookups: vec![
            lookup("users", true, |rows| rows[0]["a"].clone()),
            Lookup {
                residual: |rows, row| row["level"].as_i64() <= rows[0]["id"].as_i64(),
                ..lookup("teams", false, |rows| rows[2]["team"].clone())
            },
        ],
        condition: |rows| rows[3]["level"] != json!(1),
        select: |rows| json!({"ids": [rows[0]["id"], rows[1]["id"]], "level": rows[3]["level"], "by": rows[2]["id"]}),
        smart: Some(Smart {
            require: vec![Required { output: "level", lookups: vec![0, 1], events: vec![] }],
            max_wait_ms,
            on_expire,
        }),
        ..spec()
    }
}

/// Checks a property on random histories; it must have been asked of this many combinations.
fn check(cases: u32, least: usize, property: impl Fn(Vec<Step>) -> Result<usize, TestCaseError>) {
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(20_250_101), ..Config::default() };
    let asked = std::cell::Cell::new(0);
    let held = TestRunner::new(config).run(&vec(step(), 1..80), |steps| {
        asked.set(asked.get() + property(steps)?);
        Ok(())
    });
    match held {
        Ok(()) => assert!(asked.get() >= least, "asked of {} combinations only", asked.get()),
        Err(TestError::Fail(why, steps)) => panic!("{why}\n{steps:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

const MODES: [Mode; 3] = [
    Mode { copartitioned: false, calm: true, additions: false },
    Mode { copartitioned: false, calm: false, additions: false },
    Mode { copartitioned: true, calm: false, additions: false },
];

fn every_combination_ends_once(world: &World) -> Result<usize, TestCaseError> {
    let (seen, whole) = (world.seen(), world.batch_join());
    if let Some((places, times)) = seen.iter().find(|(_, times)| **times > 1) {
        return Err(TestCaseError::fail(format!("{places:?} came {times} times")));
    }
    for (places, _) in whole.iter().filter(|(places, _)| world.is_on_time(places)) {
        prop_assert!(seen.contains_key(places), "lost: {places:?}");
    }
    let known: BTreeSet<_> = whole.iter().map(|(places, _)| places).collect();
    let full = |places: &&Vec<Option<Place>>| places.iter().all(Option::is_some);
    for places in seen.keys().filter(full) {
        prop_assert!(known.contains(places), "no batch join gives {places:?}");
    }
    Ok(whole.len())
}

#[test]
fn event_joins_lose_nothing_and_repeat_nothing() {
    for (left, mode) in [false, true].into_iter().flat_map(|left| MODES.map(|mode| (left, mode))) {
        for spec in event_joins(left) {
            check(300, 300, |steps| every_combination_ends_once(&World::after(&spec, mode, &steps)));
        }
    }
}

#[test]
fn a_null_row_comes_out_only_where_nothing_was_found() {
    // Of two tables: `(d, NULL)` comes out once, or never where `d` was the last of its combination.
    let spec = event_joins(true).swap_remove(0);
    check(300, 500, |steps| {
        let world = World::after(&spec, MODES[1], &steps);
        let seen = world.seen();
        for (&(table, partition), log) in world.kafka.logs.iter().filter(|((table, _), _)| *table == 0) {
            for (at, record) in (0..).zip(log) {
                let place = Some((table, partition, at));
                let came = seen.keys().any(|places| places[0] == place);
                prop_assert_eq!(came, (spec.driving)(&record.value), "a driving row is never lost under LEFT");
            }
        }
        Ok(seen.len())
    });
}

#[test]
fn what_is_forgotten_nobody_misses() {
    for (left, mode) in [false, true].into_iter().flat_map(|left| MODES.map(|mode| (left, mode))) {
        for (forgets, remembers) in event_joins(left).into_iter().zip(event_joins(left)) {
            let remembers = Spec { forgets: false, ..remembers };
            let forgot = std::cell::Cell::new(0);
            check(600, 400, |steps| {
                let with = World::after(&forgets, mode, &steps);
                let without = World::after(&remembers, mode, &steps);
                let kept = |world: &World| world.running.iter().map(|it| it.process.remembered()).sum::<usize>();
                forgot.set(forgot.get() + kept(&without) - kept(&with));
                prop_assert_eq!(&with.late, &without.late);
                let on_time = |world: &World| {
                    let mut ends = world.kafka.ends.clone();
                    ends.retain(|(places, _)| world.is_on_time(places));
                    ends.sort_by(|left, right| left.0.cmp(&right.0));
                    ends
                };
                let (with, without) = (on_time(&with), on_time(&without));
                prop_assert_eq!(&with, &without);
                Ok(with.len())
            });
            assert!(forgot.get() > 500, "only {} rows were forgotten", forgot.get());
        }
    }
}

#[test]
fn parked_combinations_end_once_whatever_happens() {
    let policies = [OnExpire::Drop, OnExpire::Emit, OnExpire::DeadLetter];
    for (left, on_expire) in [false, true].into_iter().flat_map(|left| policies.map(|policy| (left, policy))) {
        for max_wait_ms in [15, 1_000_000] {
            let spec = smart(left, on_expire, max_wait_ms);
            for mode in MODES {
                check(100, 300, |steps| {
                    let world = World::after(&spec, mode, &steps);
                    for (places, end) in &world.kafka.ends {
                        let rows = match end {
                            End::Formed(rows) => rows,
                            _ => continue,
                        };
                        let lacks = rows.iter().any(|row| row["level"].is_null());
                        prop_assert!(!lacks, "{places:?} came out before it was complete: {rows:?}");
                    }
                    let seen = world.seen();
                    for (old, _) in world.kafka.ends.iter().filter(|(_, end)| *end == End::Withdrawn) {
                        let gave_way = seen.keys().any(|new| new[0] == old[0] && new[1].is_some());
                        prop_assert!(old[1].is_none() && gave_way, "{old:?} was withdrawn by nothing");
                    }
                    for parked in world.kafka.journal.iter().filter(|parked| parked.rows[1].is_none()) {
                        let driving = &super::places(&parked.rows)[0];
                        let gave_way = seen.keys().any(|places| places[0] == *driving && places[1].is_some());
                        prop_assert!(!gave_way, "{driving:?} waits without a row that it has");
                    }
                    every_combination_ends_once(&world)
                });
            }
        }
    }
}

#[test]
fn smart_rows_equal_the_yardstick_when_dimensions_only_grow() {
    let spec = smart(false, OnExpire::Drop, i64::MAX / 4);
    for mode in MODES {
        let mode = Mode { additions: true, ..mode };
        let formed_rows = std::cell::Cell::new(0);
        check(300, 500, |steps| {
            // A key that several rows have may be complete before its last row is there; the yardstick wants one row a key.
            let mut keys = BTreeSet::new();
            let written = std::cell::Cell::new(0);
            let first = |step: &Step| match step {
                Step::Event { .. } => {
                    written.set(written.get() + 1);
                    true
                }
                Step::Change { table, .. } => {
                    let is_new = keys.insert((*table, (written.get() + 1) % 5));
                    written.set(written.get() + i64::from(is_new));
                    is_new
                }
                _ => true,
            };
            let mut steps = steps;
            let mut first = first;
            steps.retain(|step| first(step));
            let world = World::after(&spec, mode, &steps);
            // Formed from what every dimension holds in the end.
            let mut expected = Vec::new();
            for (places, values) in world.batch_join().into_iter().filter(|(places, _)| world.is_on_time(places)) {
                let rows = spec.lookups.iter().fold(vec![values], |rows, lookup| {
                    let look_up = |before: Vec<Value>| {
                        let key = (lookup.key)(&before);
                        let of_table = world.kafka.changes.iter().filter(|change| change.table == lookup.table);
                        let found = of_table
                            .filter_map(|change| change.row.clone())
                            .find(|row| equal(&key, &row[lookup.column]) && (lookup.residual)(&before, row));
                        [before, vec![found.unwrap_or(Value::Null)]].concat()
                    };
                    rows.into_iter().map(look_up).collect()
                });
                for row in rows {
                    let is_complete = !row[2].is_null() && !row[3]["level"].is_null();
                    if is_complete && (spec.condition)(&row) {
                        expected.push((places.clone(), (spec.select)(&row)));
                    }
                }
            }
            let ends = world.kafka.ends.iter().filter(|(places, _)| world.is_on_time(places));
            let mut actual: Vec<_> = ends
                .flat_map(|(places, end)| match end {
                    End::Formed(rows) => rows.iter().map(|row| (places.clone(), row.clone())).collect(),
                    _ => Vec::new(),
                })
                .collect();
            expected.sort_by(|left, right| left.0.cmp(&right.0));
            actual.sort_by(|left, right| left.0.cmp(&right.0));
            formed_rows.set(formed_rows.get() + actual.len());
            prop_assert_eq!(actual, expected);
            Ok(world.batch_join().len())
        });
        assert!(formed_rows.get() > 100, "only {} rows came out", formed_rows.get());
    }
}

#[test]
fn a_partition_that_moves_is_judged_by_what_was_forgotten_of_it() {
    // One instance has come to 100 with partition 1 and forgot a row of it; another is at 10 with partition 0. Whoever
    // gets both must not take a row of partition 1 for one that is on time: its match is gone.
    let spec = event_joins(false).swap_remove(0);
    let row = |time_ms| Record { time_ms, timestamp_ms: time_ms, value: json!({"id": 1, "a": 1, "b": 1}) };
    let mut kafka = Kafka::default();
    kafka.logs.insert((1, 1), vec![row(10)]);
    kafka.logs.insert((0, 1), vec![row(100)]);
    kafka.logs.insert((0, 0), vec![row(10)]);
    let passing = Passing { now_ms: 1_000, ..Passing::default() };
    for assigned in [BTreeSet::from([1]), BTreeSet::from([0])] {
        let mut process = Process::start(&spec, &kafka, assigned.clone(), &Disk::default(), 1_000);
        process.cut(&kafka, 0, &|_, end| end, &passing);
        kafka.commit(&assigned, &process.snapshot());
    }
    assert_eq!(kafka.offsets[&(1, 1)].oldest_needed, 1, "the row at 10 is forgotten");
    kafka.logs.get_mut(&(0, 1)).expect("it has a row").push(row(25));
    let mut process = Process::start(&spec, &kafka, BTreeSet::from([0, 1]), &Disk::default(), 1_000);
    process.cut(&kafka, 0, &|_, end| end, &passing);
    assert!(process.late.contains(&(0, 1, 1)) && process.ends.is_empty());
}
