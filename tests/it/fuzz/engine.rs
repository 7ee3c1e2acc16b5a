//! Any bytes as a history: the engine gives what the protocol model gives.

use std::sync::LazyLock;

use crate::joins::engine::Planned;
use crate::oracle::event_queries::{self, Query};
use crate::oracle::events::{Step, agree};

const STEPS_MAX: usize = 80;

/// Runs a history on the query that the first byte names.
pub fn check(bytes: &[u8]) {
    static QUERIES: LazyLock<Vec<(&'static str, Query, Planned)>> = LazyLock::new(|| {
        let planned = |(name, query): (&'static str, Query)| {
            let planned = Planned::of(query.yaml);
            (name, query, planned)
        };
        event_queries::all().into_iter().map(planned).collect()
    });
    let Some((&first, rest)) = bytes.split_first() else { return };
    let (name, query, planned) = &QUERIES[usize::from(first) % QUERIES.len()];
    let steps = steps(rest);
    if let Err(why) = agree(planned, query, &steps) {
        panic!("{name}: {why}\n{steps:#?}");
    }
}

/// Four bytes a step: what happens, keys, and times that go up, more or less.
fn steps(bytes: &[u8]) -> Vec<Step> {
    let mut second = 0_i64;
    let step = |bytes: &[u8]| {
        let [kind, keys, more, time] = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let key = |bits: u8| (bits & 3 < 3).then_some(bits & 3);
        match kind % 16 {
            0..8 => {
                second += i64::from(time % 8);
                // Some are late, few very late, few ahead.
                let behind = match time >> 3 {
                    0..20 => 0,
                    late @ 20..28 => 3 * (i64::from(late) - 19),
                    28..30 => 60,
                    _ => -20,
                };
                Step::Event {
                    table: usize::from(kind % 3),
                    partition: i32::from(more & 1),
                    a: key(keys),
                    b: key(keys >> 2),
                    second: second - behind,
                }
            }
            8..11 => Step::Change {
                table: if more & 1 == 0 { "users" } else { "teams" },
                identity: (more >> 1) % 3,
                row: (more >> 3 != 0).then(|| (key(keys), key(keys >> 2), key(keys >> 4))),
            },
            11..14 => Step::Cut,
            14 => Step::Advance { seconds: i64::from(time) / 4 },
            _ => Step::Idle,
        }
    };
    let mut steps: Vec<_> = bytes.chunks_exact(4).take(STEPS_MAX).map(step).collect();
    steps.push(Step::Cut);
    steps.extend((bytes.len() % 2 == 1).then_some(Step::End));
    steps
}
