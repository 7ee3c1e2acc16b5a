//! Bytes in, bytes out, through the stages that `kaflowsql run` runs: events of 240 bytes, five of their ten fields
//! used, with a dimension of a million keys of which 95 % of the events find theirs. All on one core.
//!
//! The batch of one row is the fixed cost of a batch. With KAFLOWSQL_MEMORY=1 it prints first what a million dimension
//! rows of about 180 bytes, all their fields kept, take in memory.

#[path = "common/batches.rs"]
mod batches;
mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaflowsql::batch::{Cut, Outcome, RawBatch};
use kaflowsql::clock::Clock;
use kaflowsql::engine::{DecodeStage, JoinStage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 1_000_000;
/// So many events go round: what they look up is more than the caches hold.
const EVENTS: usize = 1 << 18;
const ENRICH: &str = "
    SELECT e.user_id, e.merchant_id, e.amount, e.quantity, e.created_at, u.name, u.city, u.score
    FROM events e LEFT JOIN users u ON e.user_id = u.user_id";
const ALL_COLUMNS: &str = "SELECT e.user_id, u.* EXCLUDE (user_id) FROM events e JOIN users u ON e.user_id = u.user_id";

struct Engine {
    decode: DecodeStage,
    join: JoinStage,
}

impl Engine {
    /// With the dimension loaded.
    fn new(query: &str) -> Self {
        let (plan, pipeline) = pipeline::planned(query);
        let decode = DecodeStage::new(std::sync::Arc::clone(&plan), pipeline.on_error);
        let mut engine = Self { decode, join: JoinStage::new(plan, &pipeline, Clock::System) };
        for first in (0..KEYS).step_by(4096) {
            engine.process(cut_of(&batches::users(first..KEYS.min(first + 4096))));
        }
        engine
    }

    /// How many records came out.
    fn process(&mut self, cut: Cut) -> usize {
        let decoded = self.decode.decode(cut).expect("no record is bad");
        let mut rows = 0;
        let count = &mut |outcome: Outcome| {
            rows += outcome.records.iter().map(|records| records.values.len()).sum::<usize>();
            Ok(())
        };
        self.join.process(decoded, count).expect("no row fails");
        rows
    }
}

fn engine(criterion: &mut Criterion) {
    if std::env::var_os("KAFLOWSQL_MEMORY").is_some() {
        print_memory();
    }
    let mut engine = Engine::new(ENRICH);
    let events = common::events(EVENTS, KEYS * 20 / 19);
    let mut group = criterion.benchmark_group("engine");
    for size in [1, 16, 256, 4096, 65536] {
        let cuts = batches::cut(&events, size);
        let mut next = cuts.iter().cycle();
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(
                || cut_of(next.next().expect("it is a cycle")),
                |cut| assert_eq!(engine.process(cut), size),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What a source hands over: one batch.
fn cut_of(batch: &RawBatch) -> Cut {
    Cut { batches: vec![batch.clone()], ..Cut::default() }
}

fn print_memory() {
    let bytes = batches::users(0..KEYS / 100).values.arena().len() as u64 / (KEYS / 100);
    let before = resident_bytes();
    let engine = Engine::new(ALL_COLUMNS);
    let gained = resident_bytes().saturating_sub(before);
    println!("{KEYS} dimension rows of {bytes} bytes: the process gained {:.0} MB", gained as f64 / 1e6);
    drop(engine);
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(|kilobytes| kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

criterion_group!(benches, engine);
criterion_main!(benches);
