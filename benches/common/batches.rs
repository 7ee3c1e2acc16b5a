//! The dimension that benchmarks join, and batches of any size.

use kaflowsql::batch::{RawBatch, Slices, SlicesBuilder, TableId};

use crate::common;

/// That `users` is a dimension.
pub const USERS: &str = "state: { dimensions: [{ table: users, key: [user_id] }] }\n";

/// The rows `range` of `users`, table 1: JSON of about 180 bytes each.
pub fn users(range: std::ops::Range<u64>) -> RawBatch {
    let count = (range.end - range.start) as usize;
    let raw = common::raw(count, |place, values, keys| {
        let number = range.start + place as u64;
        let scrambled = common::numbers::Numbers(number).next();
        let value = format!(
            r#"{{"user_id":"user-{number}","name":"Ada Example {number:07}","email":"ada.example.{number:07}@mail.example.org","city":"city {:03}","level":{},"since":{},"score":{},"balance":{}.{:02}}}"#,
            number % 500,
            number % 80,
            scrambled >> 36,
            number as f64 * 0.25,
            scrambled % 10_000,
            scrambled % 100,
        );
        values.push(Some(value.as_bytes()));
        keys.push(Some(format!("user-{number}").as_bytes()));
    });
    RawBatch { table: TableId(1), ..raw }
}

/// The records of a batch as batches of `size`, the last ones left out if they are fewer.
pub fn cut(raw: &RawBatch, size: usize) -> Vec<RawBatch> {
    let part = |slices: &Slices, first: usize| {
        let mut part = SlicesBuilder::default();
        (first..first + size).for_each(|record| part.push(slices.get(record)));
        part.finish()
    };
    let batch = |number: usize| {
        let range = number * size..(number + 1) * size;
        RawBatch {
            table: raw.table,
            values: part(&raw.values, range.start),
            keys: part(&raw.keys, range.start),
            partitions: raw.partitions[range.clone()].to_vec(),
            offsets: raw.offsets[range.clone()].to_vec(),
            timestamps: raw.timestamps[range].to_vec(),
            headers: Vec::new(),
        }
    };
    (0..raw.len() / size).map(batch).collect()
}
