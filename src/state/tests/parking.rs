//! Parked combinations: random histories against a list, and what removing gives back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Int64Type};
use proptest::prelude::*;

use crate::shard::{KeyHashes, hash_keys};
use crate::state::stored::Tuning;
use crate::state::{Parked, ParkedId, Waiting, Waker};

const LOOKUPS: usize = 2;

fn parked(chunk_rows: usize) -> Parked {
    let tuning = Tuning { chunk_rows, hash_keys, ..Tuning::default() };
    Parked::with_tuning(&[DataType::Int64, DataType::Utf8View], LOOKUPS, tuning)
}

fn text(value: i64) -> String {
    format!("a text that is not inlined: {value}")
}

/// Parks combinations with the values `first`, `first + 1`, …
fn park(parked: &mut Parked, first: i64, entries: &[Waiting], wakers: &[Waker]) -> Vec<ParkedId> {
    let values = first..first + entries.len() as i64;
    let columns: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter_values(values.clone())),
        Arc::new(StringViewArray::from_iter_values(values.map(text))),
    ];
    parked.park(&columns, entries, wakers)
}

fn values(parked: &Parked, ids: &[ParkedId]) -> Vec<i64> {
    let columns = parked.gather_all(ids);
    let values = columns[0].as_primitive::<Int64Type>().values().to_vec();
    let texts: Vec<String> = columns[1].as_string_view().iter().flatten().map(str::to_owned).collect();
    assert_eq!(texts, values.iter().copied().map(text).collect::<Vec<_>>());
    values
}

/// A combination of the model: its value is its place in the order of parking.
#[derive(Clone, Debug)]
struct Combination {
    id: ParkedId,
    value: i64,
    waiting: Waiting,
    wakers: Vec<(u32, u64)>,
}

/// A deadline, when it is parked, its driving row and its wakers, which may repeat.
type Arrival = (i64, i64, i64, Vec<(u32, u64)>);

#[derive(Clone, Debug)]
enum Step {
    Park(Vec<Arrival>),
    Remove(Vec<usize>),
    Rekey(usize, Vec<(u32, u64)>),
}

/// Two hashes of one shard, one of another, and one that a NULL has by chance.
const HASHES: [u64; 4] = [0, 256, 1, u64::MAX];

fn wakers() -> impl Strategy<Value = Vec<(u32, u64)>> {
    proptest::collection::vec((0..LOOKUPS as u32, proptest::sample::select(&HASHES[..])), 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    let entry = (0_i64..20, 0_i64..20, 0_i64..4, wakers());
    prop_oneof![
        3 => proptest::collection::vec(entry, 1..12).prop_map(Step::Park),
        3 => proptest::collection::vec(any::<usize>(), 0..16).prop_map(Step::Remove),
        2 => (any::<usize>(), wakers()).prop_map(|(which, wakers)| Step::Rekey(which, wakers)),
    ]
}

fn take_step(parked: &mut Parked, model: &mut Vec<Combination>, next: &mut i64, step: Step) {
    match step {
        Step::Park(batch) => {
            let entries: Vec<Waiting> = batch
                .iter()
                .map(|(deadline_ms, parked_ms, driver, _)| {
                    let driver = ((driver % 2) as i32, driver / 2);
                    Waiting { deadline_ms: *deadline_ms, parked_ms: *parked_ms, driver, is_partial: true }
                })
                .collect();
            let of_entry = |(entry, (.., wakers)): (usize, &Arrival)| {
                let waker = |(lookup, hash): &(u32, u64)| Waker { entry: entry as u32, lookup: *lookup, hash: *hash };
                wakers.iter().map(waker).collect::<Vec<_>>()
            };
            let wakers: Vec<Waker> = batch.iter().enumerate().rev().flat_map(of_entry).collect();
            let ids = park(parked, *next, &entries, &wakers);
            let numbered = ids.into_iter().zip(entries).zip(batch).zip(*next..);
            model.extend(numbered.map(|(((id, waiting), (.., wakers)), value)| Combination {
                id,
                value,
                waiting,
                wakers,
            }));
            *next = model.last().map_or(*next, |last| last.value + 1);
        }
        Step::Remove(which) => {
            let mut gone: Vec<ParkedId> = Vec::new();
            for which in which {
                if !model.is_empty() {
                    gone.push(model.remove(which % model.len()).id);
                }
            }
            parked.remove(&gone);
        }
        Step::Rekey(which, wakers) => {
            if !model.is_empty() {
                let which = which % model.len();
                parked.rekey(model[which].id, &wakers);
                model[which].wakers = wakers;
            }
        }
    }
}

fn assert_same_answers(parked: &mut Parked, model: &[Combination]) {
    let ids = |chosen: &dyn Fn(&Combination) -> bool| -> Vec<ParkedId> {
        model.iter().filter(|one| chosen(one)).map(|one| one.id).collect()
    };
    assert_eq!((parked.len(), parked.is_empty()), (model.len(), model.is_empty()));
    assert_eq!(parked.oldest_parked_ms(), model.iter().map(|one| one.waiting.parked_ms).min());
    let all: Vec<ParkedId> = ids(&|_| true);
    assert_eq!(values(parked, &all), model.iter().map(|one| one.value).collect::<Vec<_>>());
    assert!(model.iter().all(|one| parked.waiting(one.id) == &one.waiting));
    for driver in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0)] {
        assert_eq!(parked.of_driver(driver), ids(&|one| one.waiting.driver == driver));
    }
    // The last of the keys has a NULL.
    let hashes: Vec<u64> = [1, 0, 256, 7, u64::MAX, 1, 0].into();
    let valid = [true, true, true, true, true, true, false];
    let keys = KeyHashes { hashes: hashes.clone(), valid: Some(valid.to_vec().into()) };
    let mut found = vec![(9, ParkedId(9))];
    for lookup in 0..LOOKUPS as u32 {
        parked.woken(lookup as usize, &keys, &mut found);
        let mut expected = Vec::new();
        for (row, hash) in hashes.iter().enumerate().filter(|(row, _)| valid[*row]) {
            expected.extend(ids(&|one| one.wakers.contains(&(lookup, *hash))).into_iter().map(|id| (row as u32, id)));
        }
        assert_eq!(found, expected, "look-up {lookup}");
    }
    for (until, limit) in [(-1, 100), (5, 3), (12, 1000), (19, 0), (19, 8), (i64::MAX, usize::MAX)] {
        let due = |time: fn(&Combination) -> i64| -> Vec<ParkedId> {
            let mut due: Vec<&Combination> = model.iter().filter(|one| time(one) <= until).collect();
            due.sort_by_key(|one| (time(one), one.value));
            due.into_iter().take(limit).map(|one| one.id).collect()
        };
        for _ in 0..2 {
            assert_eq!(parked.due_by_stream_time(until, limit), due(|one| one.waiting.deadline_ms));
            assert_eq!(parked.due_by_wall_clock(until, limit), due(|one| one.waiting.parked_ms));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_is_parked_answers_as_a_list_does(
        chunk_rows in proptest::sample::select(vec![1, 2, 5, 16, 1 << 13]),
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let mut parked = parked(chunk_rows);
        let (mut model, mut next) = (Vec::new(), 0);
        for step in steps {
            take_step(&mut parked, &mut model, &mut next, step);
            assert_same_answers(&mut parked, &model);
        }
        parked.remove(&model.iter().map(|one| one.id).collect::<Vec<_>>());
        assert_same_answers(&mut parked, &[]);
    }
}

fn waiting(number: i64) -> Waiting {
    Waiting { deadline_ms: number + 1000, parked_ms: number, driver: (0, number / 2), is_partial: true }
}

/// Combinations with a waker each.
fn crowd(parked: &mut Parked, numbers: std::ops::Range<i64>, hash: fn(i64) -> u64) -> Vec<ParkedId> {
    let entries: Vec<Waiting> = numbers.clone().map(waiting).collect();
    let waker = |(entry, number)| Waker { entry: entry as u32, lookup: 1, hash: hash(number) };
    let wakers: Vec<Waker> = numbers.clone().enumerate().map(waker).collect();
    park(parked, numbers.start, &entries, &wakers)
}

#[test]
fn many_that_wait_for_one_key_come_and_go_in_constant_time() {
    let mut parked = parked(1 << 13);
    let ids: Vec<ParkedId> =
        (0..20).flat_map(|batch| crowd(&mut parked, batch * 5000..batch * 5000 + 5000, |_| 9)).collect();
    let mut found = Vec::new();
    parked.woken(1, &KeyHashes { hashes: vec![9], valid: None }, &mut found);
    assert!(found.iter().map(|(_, id)| id).eq(&ids));
    // From the oldest on: as far as can be from the head. A quadratic walk would take minutes.
    ids.chunks(100).for_each(|ids| parked.remove(ids));
    assert!(parked.is_empty());
}

#[test]
fn what_is_removed_takes_no_memory() {
    for is_all in [true, false] {
        let mut parked = parked(1 << 10);
        let empty = parked.memory_bytes();
        let ids: Vec<ParkedId> = (0..40)
            .flat_map(|batch| crowd(&mut parked, batch * 5000..batch * 5000 + 5000, |number| number as u64 * 977))
            .collect();
        let full = parked.memory_bytes();
        let (kept, gone) = ids.split_at(if is_all { 0 } else { 10 });
        gone.chunks(1000).for_each(|ids| parked.remove(ids));
        assert_eq!(values(&parked, kept), (0..kept.len() as i64).collect::<Vec<_>>());
        let left = parked.memory_bytes() - empty;
        assert!(
            full > 20_000_000 && left < full / 100 + if is_all { 0 } else { 6_000_000 },
            "{left} of {full} bytes left"
        );
        let more = crowd(&mut parked, 500_000..500_010, |_| 3);
        assert_eq!(values(&parked, &more), (500_000..500_010).collect::<Vec<_>>());
    }
}

#[test]
fn those_that_come_and_go_take_no_more_after_long() {
    let mut parked = parked(1 << 10);
    let (mut ids, mut early, mut late) = (std::collections::VecDeque::new(), 0, 0);
    for batch in 0..3000 {
        ids.extend(crowd(&mut parked, batch * 50..batch * 50 + 50, |number| number as u64 % 5000 * 977));
        if ids.len() > 2000 {
            // Some long before their time, the rest when they are due.
            let early: Vec<ParkedId> = (0..25).filter_map(|_| ids.remove(ids.len() / 2)).collect();
            parked.remove(&early);
            let due = parked.due_by_stream_time(i64::MAX, 25);
            assert_eq!(due, ids.drain(..25).collect::<Vec<_>>());
            parked.remove(&due);
        }
        if batch < 500 {
            early = early.max(parked.memory_bytes());
        } else {
            late = late.max(parked.memory_bytes());
        }
    }
    assert!(late <= early + early / 5, "{late} bytes, {early} at first");
}
