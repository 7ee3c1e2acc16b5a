//! Bytes to columns: `cargo bench --bench decode`.

mod common;

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{AsArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::batch::{RawBatch, TableId};
use kaflowsql::decode::TableDecoder;
use kaflowsql::plan::{Column, Role, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 5] = [1, 16, 256, 4096, 65536];

fn table(fields: &[(&str, DataType)]) -> Table {
    let columns =
        fields.iter().map(|(name, data_type)| Column::Field { name: (*name).into(), data_type: data_type.clone() });
    Table {
        id: TableId(0),
        name: "events".into(),
        topic: "events".into(),
        role: Role::Event,
        columns: columns.collect(),
        event_time: None,
        max_future_ms: i64::MAX,
        max_record_bytes: 1 << 20,
        identity: None,
        ttl_ms: Some(3_600_000),
    }
}

/// Five of the ten fields of an event.
fn event_table() -> Table {
    table(&[
        ("user_id", DataType::Utf8View),
        ("merchant_id", DataType::Utf8View),
        ("amount", DataType::Float64),
        ("quantity", DataType::Int64),
        ("created_at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
    ])
}

/// Events as other producers write them: with spaces, escapes, a nested object and a list.
fn nested(count: usize) -> RawBatch {
    let events = common::events(count, 1_000_000);
    common::raw(count, |number, values, keys| {
        let event = std::str::from_utf8(events.values.get(number).unwrap_or_default()).unwrap_or_default();
        let user = number % 1000;
        let nested = format!(
            r#"{{"note": "line one\nand \"two\" of \u00fcser {user}", "device": {{"os": "linux", "version": [6, {user}, 0], "rooted": false}}, "tags": ["a", "b{user}"], {}"#,
            &event[1..]
        );
        values.push(Some(nested.as_bytes()));
        keys.push(None);
    })
}

fn nested_table() -> Table {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let of = |data_type| DataType::List(Arc::new(field("item", data_type)));
    let device = DataType::Struct(
        [field("os", DataType::Utf8View), field("version", of(DataType::Int32))].into_iter().collect(),
    );
    table(&[
        ("note", DataType::Utf8View),
        ("device", device),
        ("tags", of(DataType::Utf8View)),
        ("user_id", DataType::Utf8View),
        ("amount", DataType::Decimal128(12, 2)),
    ])
}

fn decode_with_arrow(schema: &Arc<Schema>, raw: &RawBatch) -> usize {
    let reader = arrow_json::ReaderBuilder::new(Arc::clone(schema)).with_batch_size(raw.len());
    let mut decoder = reader.build_decoder().expect("the schema is one that arrow-json knows");
    for record in 0..raw.len() {
        decoder.decode(raw.values.get(record).unwrap_or_default()).expect("the records are good");
    }
    decoder.flush().expect("the records are good").map_or(0, |batch| batch.num_rows())
}

fn group(criterion: &mut Criterion, name: &str, table: &Table, records: impl Fn(usize) -> RawBatch) {
    let fields = table.columns.iter().map(|column| Field::new(column.name(), column.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut group = criterion.benchmark_group(name);
    for size in SIZES {
        let raw = records(size);
        group.throughput(Throughput::Elements(size as u64));
        let mut decoder = TableDecoder::new(table);
        group.bench_with_input(BenchmarkId::new("decode", size), &raw, |bencher, raw| {
            bencher.iter(|| {
                let batch = decoder.decode(black_box(raw));
                assert_eq!(batch.rows, size);
                batch
            });
        });
        group.bench_with_input(BenchmarkId::new("arrow-json", size), &raw, |bencher, raw| {
            bencher.iter(|| assert_eq!(decode_with_arrow(&schema, black_box(raw)), size));
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let bytes = common::events(4096, 1_000_000).values.arena().len() / 4096;
    println!("an event has {bytes} bytes");
    group(criterion, "events", &event_table(), |count| common::events(count, 1_000_000));
    group(criterion, "nested", &nested_table(), nested);
    let all = table(&[]);
    group(criterion, "skipped", &all, |count| common::events(count, 1_000_000));
}

/// What it would cost to let Arrow check the texts that the decoder has checked: the price of its `new_unchecked`.
fn views(criterion: &mut Criterion) {
    let batch = TableDecoder::new(&event_table()).decode(&common::events(4096, 1_000_000));
    let column = batch.columns[1].as_string_view().clone();
    assert!(!column.data_buffers().is_empty(), "the texts are long");
    let mut group = criterion.benchmark_group("views");
    group.throughput(Throughput::Elements(4096));
    group.bench_function("checked again", |bencher| {
        let parts = || column.clone().into_parts();
        bencher.iter_batched(
            parts,
            |(views, buffers, nulls)| StringViewArray::new(views, buffers, nulls),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, decode, views);
criterion_main!(benches);
