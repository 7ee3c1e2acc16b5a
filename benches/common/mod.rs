//! What benchmarks are fed with: the same in every run and on every machine.

pub mod numbers;

use kaflowsql::batch::{RawBatch, SlicesBuilder, TableId};
use numbers::{Numbers, event};

/// `count` events of the table 0, each a JSON object of 10 fields in 240 bytes or a few more or less; `user_id` is one of
/// `keys`, `user-0` to `user-<keys - 1>`, and the record's key.
pub fn events(count: usize, keys: u64) -> RawBatch {
    let mut numbers = Numbers(42);
    raw(count, |number, values, record_keys| {
        let user = numbers.below(keys);
        values.push(Some(event(number as u64, user, &mut numbers).as_bytes()));
        record_keys.push(Some(format!("user-{user}").as_bytes()));
    })
}

/// `count` records of the table 0 that `push` makes: it gets their number, their values and their keys.
pub fn raw(count: usize, mut push: impl FnMut(usize, &mut SlicesBuilder, &mut SlicesBuilder)) -> RawBatch {
    let (mut values, mut keys) = (SlicesBuilder::default(), SlicesBuilder::default());
    for number in 0..count {
        push(number, &mut values, &mut keys);
    }
    RawBatch {
        table: TableId(0),
        values: values.finish(),
        keys: keys.finish(),
        partitions: vec![0; count],
        offsets: (0..count as i64).collect(),
        timestamps: vec![1_742_000_000_000; count],
        headers: Vec::new(),
    }
}
