//! Bytes in, bytes out, through the stages that `kaflowsql run` runs, all on one core: events of 240 bytes, five of their
//! ten fields used.
//!
//! `engine`: with a dimension of a million keys of which 95 % of the events find theirs. The batch of one row is the fixed
//! cost of a batch. With KAFLOWSQL_MEMORY=1 it prints first what a million dimension rows of about 180 bytes, all their
//! fields kept, take in memory. `event_join`: two topics with each other, a million rows of each alive. `smart`: events
//! whose dimension row comes later; what it takes more than `immediate` is what waiting costs.

#[path = "common/batches.rs"]
mod batches;
mod common;
#[path = "common/memory.rs"]
mod memory;
#[path = "common/pipeline.rs"]
mod pipeline;
#[path = "common/stages.rs"]
mod stages;
#[path = "common/streams.rs"]
mod streams;

use std::cell::LazyCell;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::batch::{Cut, RawBatch, SlicesBuilder, TableId};

use common::numbers::{self, Numbers};
use memory::resident_bytes;
use stages::{Stages, rows_of};
use streams::Streams;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 1_000_000;
/// So many events go round: what they look up is more than the caches hold.
const EVENTS: usize = 1 << 18;
/// Events of a batch whose users come later.
const LATE: u64 = 4096;
const ENRICH: &str = "
    SELECT e.user_id, e.merchant_id, e.amount, e.quantity, e.created_at, u.name, u.city, u.score
    FROM events e LEFT JOIN users u ON e.user_id = u.user_id";
const ALL_COLUMNS: &str = "SELECT e.user_id, u.* EXCLUDE (user_id) FROM events e JOIN users u ON e.user_id = u.user_id";
const PAID: &str = "
    SELECT o.user_id, o.merchant_id, o.amount, o.quantity, o.created_at,
           p.merchant_id AS bank, p.amount AS paid, p.created_at AS paid_at
    FROM orders o JOIN payments p ON o.user_id = p.user_id";

/// With the dimension loaded.
fn loaded(query: &str) -> Stages {
    let mut stages = Stages::new(pipeline::planned(query, batches::USERS));
    for first in (0..KEYS).step_by(4096) {
        process(&mut stages, cut_of(&batches::users(first..KEYS.min(first + 4096))));
    }
    stages
}

fn engine(criterion: &mut Criterion) {
    if std::env::var_os("KAFLOWSQL_MEMORY").is_some() {
        print_memory();
    }
    let mut stages = LazyCell::new(|| loaded(ENRICH));
    let events = common::events(EVENTS, KEYS * 20 / 19);
    let mut group = criterion.benchmark_group("engine");
    for size in [1, 16, 256, 4096, 65536] {
        let cuts = batches::cut(&events, size);
        let mut next = cuts.iter().cycle();
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(
                || cut_of(next.next().expect("it is a cycle")),
                |cut| assert_eq!(process(&mut stages, cut), size),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A million rows a side live (and those of another minute that late rows may need). A batch is half orders, half payments.
fn event_join(criterion: &mut Criterion) {
    let mut running = LazyCell::new(|| {
        let mut stages = Stages::new(pipeline::planned(PAID, "window: 1000s\n"));
        let mut streams = Streams::new(1 << 19, 1000);
        while streams.given[0] < KEYS * 5 / 4 {
            process(&mut stages, streams.cut(4096));
        }
        (stages, streams)
    });
    let mut group = criterion.benchmark_group("engine/event_join");
    for size in [1, 256, 4096] {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let (stages, streams) = &mut *running;
            let (mut formed, given) = (0, streams.given[0]);
            bencher.iter_batched(|| streams.cut(size), |cut| formed += process(stages, cut), BatchSize::PerIteration);
            let orders = (streams.given[0] - given) as usize;
            assert!(formed.abs_diff(orders) < 1 << 19, "{formed} rows of {orders} orders that have a payment each");
        });
    }
    group.finish();
}

/// Each iteration: 4096 events whose users are not there yet, the users of as many earlier events, and the end of those
/// users of still earlier ones. Under `smart` the earlier events leave now, under `immediate` they have left with NULL.
fn smart(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/smart");
    for waiting in [LATE, 1 << 20] {
        for emission in ["immediate", "smart, require: [name]"] {
            let mut running = LazyCell::new(|| {
                let more = format!("{}emission: {{ type: {emission} }}\nwindow: 100000s\n", batches::USERS);
                let mut stages = Stages::new(pipeline::planned(ENRICH, &more));
                let ready = waiting + 2 * LATE;
                for first in (0..ready).step_by(LATE as usize) {
                    process(&mut stages, late_users(first, waiting));
                }
                (stages, ready)
            });
            group.throughput(Throughput::Elements(LATE));
            let name = emission.split(',').next().unwrap_or_default();
            group.bench_function(BenchmarkId::new(name, waiting), |bencher| {
                let (stages, first) = &mut *running;
                let cut = || {
                    *first += LATE;
                    late_users(*first - LATE, waiting)
                };
                let process = |cut| assert_eq!(process(stages, cut) as u64, LATE);
                bencher.iter_batched(cut, process, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

/// `LATE` events from the user `first` on; the users of as many events before the last `waiting`, and the end of those before.
fn late_users(first: u64, waiting: u64) -> Cut {
    let mut batches = Vec::new();
    if let Some(gone) = first.checked_sub(waiting + LATE) {
        batches.push(users_gone(gone..gone + LATE));
    }
    if let Some(here) = first.checked_sub(waiting) {
        batches.push(batches::users(here..here + LATE));
    }
    batches.push(events_of(first..first + LATE));
    Cut { batches, ..Cut::default() }
}

/// An event of each of the users `range`.
fn events_of(range: std::ops::Range<u64>) -> RawBatch {
    let mut numbers = Numbers(range.start);
    let mut events = common::raw((range.end - range.start) as usize, |place, values, keys| {
        let user = range.start + place as u64;
        values.push(Some(numbers::event(user, user, &mut numbers).as_bytes()));
        keys.push(Some(format!("user-{user}").as_bytes()));
    });
    events.offsets = range.map(|user| user as i64).collect();
    events
}

/// Tombstones of the users `range`.
fn users_gone(range: std::ops::Range<u64>) -> RawBatch {
    let mut values = SlicesBuilder::default();
    range.clone().for_each(|_| values.push(None));
    let users = common::raw((range.end - range.start) as usize, |place, _, keys| {
        keys.push(Some(format!("user-{}", range.start + place as u64).as_bytes()));
    });
    RawBatch { table: TableId(1), values: values.finish(), ..users }
}

/// How many records came out.
fn process(stages: &mut Stages, cut: Cut) -> usize {
    let mut rows = 0;
    stages.process(cut, &mut |outcome| rows += rows_of(outcome));
    rows
}

/// What a source hands over: one batch.
fn cut_of(batch: &RawBatch) -> Cut {
    Cut { batches: vec![batch.clone()], ..Cut::default() }
}

fn print_memory() {
    let bytes = batches::users(0..KEYS / 100).values.arena().len() as u64 / (KEYS / 100);
    let before = resident_bytes();
    let stages = loaded(ALL_COLUMNS);
    let gained = resident_bytes().saturating_sub(before);
    println!("{KEYS} dimension rows of {bytes} bytes: the process gained {:.0} MB", gained as f64 / 1e6);
    drop(stages);
}

criterion_group!(benches, engine, event_join, smart);
criterion_main!(benches);
