//! The join: applying dimension rows, probing them, gathering columns of what was found, and all that a query makes of
//! it but its encoding.
//!
//! `cargo bench --bench join` measures against a million keys, with `KEYS=10000000` against as many. Before it
//! measures it prints what the rows take in memory.

#[path = "common/batches.rs"]
mod batches;
mod common;
#[path = "common/pipeline.rs"]
mod pipeline;
#[path = "common/waiting.rs"]
mod waiting;
#[path = "common/walk.rs"]
mod walk;

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::DataType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::clock::Stopwatch;
use kaflowsql::decode::TableDecoder;
use kaflowsql::emit::Emitter;
use kaflowsql::state::{DimensionSpec, DimensionTable, EventSpec, EventTable, Matches, Origins, Tombstones, Upserts};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_SIZES: [usize; 5] = [1, 16, 256, 4096, 65536];
/// What a query selects: two texts, a whole number, two doubles.
const SELECTED: [usize; 5] = [1, 2, 4, 6, 7];

fn keys() -> u64 {
    std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000)
}

/// Numbers that look random, the same in every run (splitmix64).
fn scrambled(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn ids(numbers: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(numbers.map(|number| format!("user-{number:011}"))))
}

/// Rows of about 180 bytes as JSON.
fn rows(numbers: &[u64]) -> Vec<ArrayRef> {
    let texts = |text: fn(u64) -> String| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(numbers.iter().map(|number| text(*number))))
    };
    let integers = |integer: fn(u64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(numbers.iter().map(|number| integer(*number))))
    };
    let doubles = |double: fn(u64) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(numbers.iter().map(|number| double(*number))))
    };
    vec![
        ids(numbers.iter().copied()),
        texts(|number| format!("Ada Example {number:07}")),
        texts(|number| format!("ada.{number:07}@example.org")),
        texts(|number| format!("city {:03}", number % 500)),
        integers(|number| (number % 80) as i64),
        integers(|number| scrambled(number) as i64 >> 20),
        doubles(|number| number as f64 * 0.25),
        doubles(|number| scrambled(number) as f64 * 1e-9),
    ]
}

fn spec(indexes: Vec<Vec<usize>>) -> DimensionSpec {
    use DataType::{Float64, Int64, Utf8View};
    let columns = vec![Utf8View, Utf8View, Utf8View, Utf8View, Int64, Int64, Float64, Float64];
    DimensionSpec { columns, identity: vec![0], indexes }
}

fn apply(table: &mut DimensionTable, columns: &[ArrayRef]) {
    let count = columns[0].len();
    let records: Vec<u32> = (0..count as u32).collect();
    let upserts = Upserts { columns, records: &records, partitions: &vec![0; count], timestamps: &vec![0; count] };
    table.apply(upserts, Tombstones { identity: &[], records: &[], partitions: &[], timestamps: &[] });
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|pages| pages.split(' ').nth(1)?.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn loaded(keys: u64) -> DimensionTable {
    let before = resident_bytes();
    let mut table = DimensionTable::new(spec(vec![vec![0]]));
    let mut applying = std::time::Duration::ZERO;
    let numbers: Vec<u64> = (0..keys).collect();
    for numbers in numbers.chunks(4096) {
        let columns = rows(numbers);
        let watch = Stopwatch::start();
        apply(&mut table, &columns);
        applying += watch.elapsed();
    }
    drop(numbers);
    println!(
        "{} rows: {:.0} MB, of which the process gained {:.0} MB; {:.2} million rows/s applied",
        table.rows(),
        table.memory_bytes() as f64 / 1e6,
        resident_bytes().saturating_sub(before) as f64 / 1e6,
        keys as f64 / applying.as_secs_f64() / 1e6,
    );
    table
}

fn probe(criterion: &mut Criterion) {
    let keys = keys();
    let table = loaded(keys);
    // As many different batches as it takes to touch more than the caches hold; 19 of 20 keys are there.
    let batches = |size: usize| -> Vec<ArrayRef> {
        let count = ((1 << 20) / size).clamp(16, 1 << 16);
        let batch = |batch: usize| {
            let numbers = batch * size..(batch + 1) * size;
            ids(numbers.map(|number| scrambled(number as u64) % (keys * 20 / 19)))
        };
        (0..count).map(batch).collect()
    };
    let mut group = criterion.benchmark_group(format!("probe {keys} keys"));
    for size in BATCH_SIZES {
        let batches = batches(size);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("probe", size), |bencher| {
            let (mut matches, mut next) = (Matches::default(), batches.iter().cycle());
            bencher.iter(|| {
                let keys = next.next().expect("it is a cycle");
                table.probe(0, std::slice::from_ref(keys), &mut matches);
                black_box(&matches);
            });
        });
        group.bench_function(BenchmarkId::new("probe and gather 5", size), |bencher| {
            let (mut matches, mut next) = (Matches::default(), batches.iter().cycle());
            bencher.iter(|| {
                let keys = next.next().expect("it is a cycle");
                table.probe(0, std::slice::from_ref(keys), &mut matches);
                black_box(table.gather_columns(&SELECTED, &matches.refs))
            });
        });
    }
    group.finish();
}

fn update(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group(format!("apply to {keys} keys"));
    for (name, indexes) in [("identity", vec![vec![0]]), ("identity and a city", vec![vec![0], vec![3]])] {
        let mut table = DimensionTable::new(spec(indexes));
        let numbers: Vec<u64> = (0..keys).collect();
        numbers.chunks(65536).for_each(|numbers| apply(&mut table, &rows(numbers)));
        for size in [1, 4096] {
            let batches: Vec<Vec<ArrayRef>> = (0..64)
                .map(|batch| {
                    let numbers = batch * size..(batch + 1) * size;
                    rows(&numbers.map(|number| scrambled(number) % keys).collect::<Vec<_>>())
                })
                .collect();
            group.throughput(Throughput::Elements(size));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let mut next = batches.iter().cycle();
                bencher.iter(|| apply(&mut table, next.next().expect("it is a cycle")));
            });
        }
    }
    group.finish();
}

/// The query of `benches/engine.rs`, and with an INNER join, a residual and a filter.
fn query(criterion: &mut Criterion) {
    let keys = keys();
    let selected =
        "SELECT e.user_id, e.merchant_id, e.amount, e.quantity, e.created_at, u.name, u.city, u.score FROM events e";
    for (name, joined) in [
        ("left", "LEFT JOIN users u ON e.user_id = u.user_id"),
        ("inner", "JOIN users u ON e.user_id = u.user_id"),
        ("left with residual", "LEFT JOIN users u ON e.user_id = u.user_id AND u.level > 20"),
        ("inner with filter", "JOIN users u ON e.user_id = u.user_id WHERE u.level > 20"),
    ] {
        let (plan, _) = pipeline::planned(&format!("{selected} {joined}"), batches::USERS);
        let types = plan.tables[1].columns.iter().map(|column| column.data_type()).collect();
        let mut users =
            DimensionTable::new(DimensionSpec { columns: types, identity: vec![0], indexes: vec![vec![0]] });
        let mut decoder = TableDecoder::new(&plan.tables[1]);
        for first in (0..keys).step_by(65536) {
            apply(&mut users, &decoder.decode(&batches::users(first..keys.min(first + 65536))).columns);
        }
        let users = [users];
        let events = common::events(1 << 18, keys * 20 / 19);
        let mut group = criterion.benchmark_group(format!("join {name}"));
        for size in BATCH_SIZES {
            let mut decoder = TableDecoder::new(&plan.tables[0]);
            let batches: Vec<_> = batches::cut(&events, size).iter().map(|raw| decoder.decode(raw).columns).collect();
            let (mut emitter, mut next) = (Emitter::new(&plan), batches.iter().cycle());
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    let columns = next.next().expect("it is a cycle");
                    black_box(walk::run(&mut emitter, &plan, &users, &walk::start_of(columns, size)))
                });
            });
        }
        group.finish();
    }
}

/// An event table of a key, a text and a number in which 1 million rows live: a batch comes, as many rows are forgotten.
fn events(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group(format!("events {keys} live"));
    for size in [1, 256, 4096] {
        let spec = EventSpec {
            columns: vec![DataType::Utf8View, DataType::Utf8View, DataType::Int64],
            indexes: vec![vec![0]],
            chunk_span_ms: keys as i64 / 16,
        };
        let mut table = EventTable::new(spec);
        let mut next = 0;
        let mut append = |table: &mut EventTable, columns: &[ArrayRef]| {
            let times: Vec<i64> = (next..next + columns[0].len() as i64).collect();
            next += times.len() as i64;
            let partitions = vec![0; times.len()];
            let origins = Origins { partitions: &partitions, offsets: &times, timestamps: &times, times: &times };
            table.append(columns, origins);
            next - keys as i64
        };
        let mut given = 0;
        let mut batch = |size: u64| {
            given += size;
            let columns = rows(&(given - size..given).map(|number| scrambled(number) >> 20).collect::<Vec<_>>());
            [0, 1, 4].map(|column| Arc::clone(&columns[column]))
        };
        for _ in 0..keys / 4096 {
            append(&mut table, &batch(4096));
        }
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("event_append", size), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..iterations {
                    let columns = batch(size);
                    let watch = Stopwatch::start();
                    let before = append(&mut table, &columns);
                    spent += watch.elapsed();
                    table.forget(before, 2 * size as usize);
                }
                spent
            });
        });
        group.bench_function(BenchmarkId::new("event_forget", size), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..iterations {
                    let before = append(&mut table, &batch(size));
                    let watch = Stopwatch::start();
                    black_box(table.forget(before, 2 * size as usize));
                    spent += watch.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, probe, update, query, events, waiting::parked);
criterion_main!(benches);
