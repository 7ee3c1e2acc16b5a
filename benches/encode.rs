//! Result columns to JSON bytes: six fields a row, the key the first of them.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampMillisecondArray,
};
use arrow::datatypes::DataType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::encode::Encoder;

/// As in the process: with another one fresh memory would be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same numbers each time, with nothing regular about them.
fn number(row: usize) -> u64 {
    let mixed = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn columns(rows: usize) -> Vec<(String, ArrayRef)> {
    let ids = (0..rows).map(|row| Some(format!("order-{:08}", number(row) % 100_000_000)));
    let quantities = (0..rows).map(|row| (number(row) % 1_000) as i64);
    let amounts = (0..rows).map(|row| (number(row) % 1_000_000) as f64 / 100.0);
    let times = (0..rows).map(|row| 1_735_689_600_000 + (number(row) % 86_400_000) as i64);
    let names = (0..rows)
        .map(|row| (!number(row).is_multiple_of(10)).then(|| format!("Customer no. {}", number(row) % 10_000)));
    let flags = (0..rows).map(|row| Some(number(row).is_multiple_of(3)));
    vec![
        ("order_id".into(), Arc::new(ids.collect::<StringViewArray>()) as ArrayRef),
        ("quantity".into(), Arc::new(Int64Array::from_iter_values(quantities))),
        ("amount".into(), Arc::new(Float64Array::from_iter_values(amounts))),
        ("ordered_at".into(), Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("customer".into(), Arc::new(names.collect::<StringViewArray>())),
        ("express".into(), Arc::new(flags.collect::<BooleanArray>())),
    ]
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for rows in [1, 16, 256, 4096, 65536] {
        let columns = columns(rows);
        let types: Vec<(String, DataType)> =
            columns.iter().map(|(name, array)| (name.clone(), array.data_type().clone())).collect();
        let arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, array)| array).collect();
        let mut encoder = Encoder::new(&types, Some(0));
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| black_box(encoder.encode(black_box(&arrays), vec![0; rows])));
        });
    }
    group.finish();
}

/// Each type alone, 4 096 cells.
fn cells(criterion: &mut Criterion) {
    const ROWS: usize = 4096;
    let mut group = criterion.benchmark_group("encode_cell");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, array) in columns(ROWS) {
        let mut encoder = Encoder::new(&[(name.clone(), array.data_type().clone())], None);
        let arrays = [array];
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(encoder.encode(black_box(&arrays), vec![0; ROWS])));
        });
    }
    group.finish();
}

criterion_group!(benches, encode, cells);
criterion_main!(benches);
