//! Columns that are not in a record's value: its key, topic, partition, offset and timestamp.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, TimestampMillisecondArray};
use arrow::buffer::{Buffer, NullBuffer};

use super::json::{Behind, Text, Views};
use crate::batch::{RawBatch, Slices};
use crate::plan::Column;

/// The column of `records` of `raw` that `column` is; it must not be a field. Keys must have been checked, by
/// `is_text` for `Column::Key`.
pub fn column(column: &Column, topic: &str, raw: &RawBatch, records: &[u32]) -> ArrayRef {
    let records = records.iter().map(|record| *record as usize);
    match column {
        Column::Field { name, .. } => unreachable!("BUG: the field {name} is decoded from the value"),
        Column::Key => {
            let (mut views, nulls) = views_of_keys(&raw.keys, records);
            // SAFETY: the keys of `records` are UTF-8, by this function's contract; the views are of the keys' arena.
            unsafe { views.finish_strings(&Behind::new(raw.keys.arena(), Vec::new()), nulls) }
        }
        Column::Identity => {
            let (mut views, nulls) = views_of_keys(&raw.keys, records);
            // SAFETY: the views are of the keys' arena.
            unsafe { views.finish_bytes(&Behind::new(raw.keys.arena(), Vec::new()), nulls) }
        }
        Column::Topic => {
            let mut views = Views::default();
            views.reserve(records.len());
            records.for_each(|_| views.push_slice(&Text::of_all(topic.as_bytes()), 0, topic.len()));
            // SAFETY: all views are of `topic`, which is a string.
            unsafe { views.finish_strings(&Behind::new(&Buffer::from(topic.as_bytes()), Vec::new()), None) }
        }
        Column::Partition => Arc::new(Int32Array::from_iter_values(records.map(|record| raw.partitions[record]))),
        Column::Offset => Arc::new(Int64Array::from_iter_values(records.map(|record| raw.offsets[record]))),
        Column::Timestamp => {
            let timestamps = records.map(|record| raw.timestamps[record]);
            Arc::new(TimestampMillisecondArray::from_iter_values(timestamps).with_timezone("UTC"))
        }
    }
}

fn views_of_keys(keys: &Slices, records: impl ExactSizeIterator<Item = usize>) -> (Views, Option<NullBuffer>) {
    let text = Text::of_all(keys.arena());
    let rows = records.len();
    let mut views = Views::default();
    views.reserve(rows);
    let mut nulls = super::json::Bits::default();
    for (row, record) in records.enumerate() {
        let span = keys.spans()[record];
        if span.is_absent() {
            nulls.set(row);
            views.push_empty();
        } else {
            views.push_slice(&text, span.start as usize, (span.start + span.len) as usize);
        }
    }
    let nulls = nulls.finish_nulls(rows);
    (views, nulls)
}
