//! Whether memory stays what SEMANTICS 4.3 says, on one thread through the stages that `kaflowsql run` runs:
//!
//! - an hour of event time of two topics that are joined within a minute, 50 million events;
//! - 400 million result rows of a key with 100 000 matches, formed by one batch.
//!
//! `cargo run --release --example soak` prints memory and rows as it goes, and fails if they grow or a result is missing.
//! With `short` behind it, it is a tenth of that.

#[path = "../benches/common/memory.rs"]
mod memory;
#[path = "../benches/common/numbers.rs"]
mod numbers;
#[path = "../benches/common/pipeline.rs"]
mod pipeline;
#[path = "../benches/common/stages.rs"]
mod stages;
#[path = "../benches/common/streams.rs"]
mod streams;

use kaflowsql::batch::Cut;
use kaflowsql::clock::Stopwatch;

use memory::resident_bytes;
use numbers::Numbers;
use stages::{Stages, rows_of};
use streams::Streams;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAID: &str = "
    SELECT o.user_id, o.merchant_id, o.amount, o.quantity, o.created_at,
           p.merchant_id AS bank, p.amount AS paid, p.created_at AS paid_at
    FROM orders o JOIN payments p ON o.user_id = p.user_id";
const TTL_MS: i64 = 60_000;
/// How late a row may be without being late: what a minute of ttl makes it if nothing is said.
const LATENESS_MS: i64 = 60_000;
const SECONDS: u64 = 3600;
const MIB: f64 = (1 << 20) as f64;

fn main() {
    let part = if std::env::args().any(|argument| argument == "short") { 10 } else { 1 };
    window(25_000_000 / part);
    hot_key(100_000, 4096 / part);
}

/// `records` of each topic in an hour.
fn window(records: u64) {
    let mut stages = Stages::new(pipeline::planned(PAID, "window: 1m\n"));
    let rate = records / SECONDS;
    // A little more than the ttl, so that some payments come too late, or too early.
    let block = (rate * TTL_MS as u64 / 1000).next_power_of_two();
    let mut streams = Streams::new(block, rate);
    let live = rate * (TTL_MS + LATENESS_MS) as u64 / 1000;
    let (mut formed, mut expected, mut watch) = (0, 0, Stopwatch::start());
    let mut resident: Vec<u64> = Vec::new();
    println!("{rate} events a second and topic for an hour; {live} rows a topic may be needed at a time");
    while streams.given[0] < records {
        let first = streams.given[1];
        let report = stages.process(streams.cut(4096), &mut |outcome| formed += rows_of(outcome));
        expected += (first..streams.given[1]).filter(|payment| is_in_time(&streams, *payment)).count();
        let minutes = |record: u64| record / (rate * 300);
        if minutes(streams.given[0]) == minutes(streams.given[0] - 2048) {
            continue;
        }
        let rows: Vec<u64> = report.state.iter().map(|(rows, _)| *rows).collect();
        let bytes: u64 = report.state.iter().map(|(_, bytes)| *bytes).sum();
        resident.push(resident_bytes());
        println!(
            "{:>2} min of event time: {:>4.0} MiB resident, {:>4.0} MiB of state, {:?} rows, {formed} formed, {:.0} events/s",
            minutes(streams.given[0]) * 5,
            *resident.last().expect("one was pushed") as f64 / MIB,
            bytes as f64 / MIB,
            rows,
            2.0 * (rate * 300) as f64 / watch.elapsed().as_secs_f64(),
        );
        watch = Stopwatch::start();
        for of_table in rows {
            // A chunk is forgotten as a whole: a sixteenth of the time more, and what a batch leaves for the next.
            assert!(of_table >= live - 4096 && of_table <= live * 9 / 8 + 8192, "{of_table} rows, not {live}");
        }
    }
    // A payment whose order is still to come has formed nothing yet, and is in `expected`.
    let orders = streams.given[0];
    let to_come = orders.saturating_sub(block)..orders;
    let missing =
        to_come.filter(|payment| streams.key(1, *payment) >= orders && is_in_time(&streams, *payment)).count();
    assert_eq!(formed, expected - missing, "result rows");
    let (least, greatest) = (resident[0], resident.iter().copied().max().unwrap_or(0));
    println!("{formed} result rows as expected; memory grew by {:.1} MiB", (greatest - least) as f64 / MIB);
    assert!(greatest <= least + least / 10, "memory grew from {least} to {greatest} bytes");
}

/// Whether a payment and its order match (SEMANTICS 2.3).
fn is_in_time(streams: &Streams, payment: u64) -> bool {
    let after_ms = streams.time_ms(payment) - streams.time_ms(streams.key(1, payment));
    (-TTL_MS..=TTL_MS).contains(&after_ms)
}

/// A batch of orders of one key, for which there are so many payments.
fn hot_key(payments: u64, orders: u64) {
    let mut stages = Stages::new(pipeline::planned(PAID, "window: 1h\n"));
    let mut numbers = Numbers(7);
    let mut of_key = |table: usize, range: std::ops::Range<u64>| {
        let records: Vec<_> = range.map(|record| (record, 7, 1_742_000_000_000)).collect();
        Cut { batches: vec![streams::batch(table, &records, &mut numbers)], ..Cut::default() }
    };
    for first in (0..payments).step_by(4096) {
        stages.process(of_key(1, first..payments.min(first + 4096)), &mut |_| {});
    }
    let (before, watch) = (resident_bytes(), Stopwatch::start());
    let (mut formed, mut pieces, mut greatest) = (0, 0, 0);
    let take = &mut |outcome: &kaflowsql::batch::Outcome| {
        formed += rows_of(outcome) as u64;
        pieces += 1;
        greatest = greatest.max(resident_bytes());
    };
    let report = stages.process(of_key(0, 0..orders), take);
    let seconds = watch.elapsed().as_secs_f64();
    println!(
        "{orders} orders of a key with {payments} payments: {formed} rows in {pieces} pieces, {:.0} rows/s; {:.0} MiB resident \
         before, {:.0} MiB at most",
        formed as f64 / seconds,
        before as f64 / MIB,
        greatest as f64 / MIB,
    );
    assert_eq!((formed, report.emitted), (orders * payments, orders * payments), "result rows");
    assert!(greatest < before + (256 << 20), "memory grew from {before} to {greatest} bytes");
}
