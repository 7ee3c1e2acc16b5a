//! What an event–event join keeps: a rolling window through the whole engine (the long form is `examples/soak.rs`).

#[path = "../../benches/common/numbers.rs"]
mod numbers;
#[path = "../../benches/common/pipeline.rs"]
mod pipeline;
#[path = "../../benches/common/stages.rs"]
mod stages;
#[path = "../../benches/common/streams.rs"]
mod streams;

use kaflowsql::batch::{Cut, Outcome};

use numbers::Numbers;
use stages::{Stages, rows_of};
use streams::Streams;

const JOIN: &str =
    "SELECT o.user_id, o.amount, p.amount AS paid FROM orders o JOIN payments p ON o.user_id = p.user_id";

/// SEMANTICS 4.3: after the first window, rows and bytes stay what the ttl makes them; and 2.3: what is formed.
#[test]
fn a_rolling_window_keeps_what_its_ttl_says() {
    const RATE: u64 = 200;
    const TTL_MS: i64 = 10_000;
    let more = "window: 10s\nstate: { events: { lateness: 2s } }\n";
    let mut stages = Stages::new(pipeline::planned(JOIN, more));
    let mut streams = Streams::new(4096, RATE);
    let needed = RATE * (TTL_MS as u64 + 2_000) / 1000;
    let (mut formed, mut expected, mut greatest_bytes) = (0, 0, Vec::new());
    while streams.given[0] < 40 * 4096 {
        let first = streams.given[1];
        let report = stages.process(streams.cut(256), &mut |outcome| formed += rows_of(outcome));
        for payment in first..streams.given[1] {
            let after_ms = streams.time_ms(payment) - streams.time_ms(streams.key(1, payment));
            expected += usize::from((-TTL_MS..=TTL_MS).contains(&after_ms));
        }
        let window = (streams.given[0] / (4 * 4096)) as usize;
        greatest_bytes.resize(window + 1, 0);
        for (rows, bytes) in &report.state {
            greatest_bytes[window] = *bytes.max(&greatest_bytes[window]);
            // Forgotten by the chunk: a sixteenth more, and what one batch leaves for the next.
            let is_full = streams.given[0] > 2 * needed;
            assert!(!is_full || (needed - 128..needed * 9 / 8 + 512).contains(rows), "{rows} rows, not {needed}");
        }
    }
    assert_eq!(formed, expected, "all of whole blocks of keys");
    assert!(expected < 40 * 4096 && expected > 10 * 4096, "{expected} of 163840 are in time: some are not, most are");
    let (second, most) = (greatest_bytes[1], greatest_bytes[1..].iter().max().copied().unwrap_or(0));
    assert!(most <= second + second / 10, "{greatest_bytes:?} bytes at most, by the window");
}

/// A key with many matches is worked off in pieces of bounded size.
#[test]
fn a_hot_key_is_handed_over_in_pieces() {
    const PAYMENTS: u64 = 20_000;
    const ORDERS: u64 = 40;
    let mut stages = Stages::new(pipeline::planned(JOIN, "window: 1h\n"));
    let mut numbers = Numbers(7);
    let mut of_key = |table: usize, count: u64| {
        let records: Vec<_> = (0..count).map(|record| (record, 7, 1_742_000_000_000)).collect();
        Cut { batches: vec![streams::batch(table, &records, &mut numbers)], ..Cut::default() }
    };
    assert_eq!(stages.process(of_key(1, PAYMENTS), &mut |_| {}).emitted, 0);
    let (mut formed, mut greatest, mut pieces) = (0, 0, 0);
    let take = &mut |outcome: &Outcome| {
        formed += rows_of(outcome) as u64;
        greatest = outcome.records.iter().map(|records| records.values.arena().len()).sum::<usize>().max(greatest);
        pieces += 1;
    };
    let report = stages.process(of_key(0, ORDERS), take);
    assert_eq!((formed, report.emitted), (ORDERS * PAYMENTS, ORDERS * PAYMENTS));
    assert!(pieces > 2 && greatest < 24 << 20, "{pieces} pieces of up to {greatest} bytes");
}
