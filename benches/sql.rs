//! SQL above the joins: a filter and five expressions of typical kinds, on rows that are decoded already.

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;
#[path = "common/walk.rs"]
mod walk;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::decode::TableDecoder;
use kaflowsql::emit::Emitter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUERIES: [(&str, &str); 6] = [
    (
        "filter and five",
        "SELECT user_id, upper(merchant_id) AS merchant, amount * quantity * 1.19 AS total, \
           CASE WHEN amount > 900 THEN 'high' WHEN amount > 100 THEN 'middle' ELSE 'low' END AS class, \
           date_trunc('hour', created_at) AS hour, concat(user_id, '/', merchant_id) AS pair \
         FROM events WHERE quantity < 8 AND amount < 990",
    ),
    ("upper", "SELECT user_id, upper(merchant_id) AS a FROM events"),
    ("arithmetic", "SELECT user_id, amount * quantity * 1.19 AS a FROM events"),
    (
        "case",
        "SELECT user_id, CASE WHEN amount > 900 THEN 'high' WHEN amount > 100 THEN 'middle' ELSE 'low' END AS a FROM events",
    ),
    ("date_trunc", "SELECT user_id, date_trunc('hour', created_at) AS a FROM events"),
    ("concat", "SELECT user_id, concat(user_id, '/', merchant_id) AS a FROM events"),
];

fn sql(criterion: &mut Criterion) {
    for (place, (name, query)) in QUERIES.into_iter().enumerate() {
        let (plan, _) = pipeline::planned(query, "");
        let mut group = criterion.benchmark_group(format!("sql {name}"));
        // One expression alone: where there is work to do, to see which it is that costs.
        let sizes: &[usize] = if place == 0 { &[1, 16, 256, 4096, 65536] } else { &[4096] };
        for &size in sizes {
            let decoded = TableDecoder::new(&plan.tables[0]).decode(&common::events(size, 1_000_000));
            assert_eq!(decoded.rows, size);
            let mut emitter = Emitter::new(&plan);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    let results =
                        walk::run(&mut emitter, &plan, &[], &walk::start_of(black_box(&decoded.columns), size));
                    assert!(!results.is_empty());
                    results
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, sql);
criterion_main!(benches);
