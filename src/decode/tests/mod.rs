//! What the decoder promises, from outside: rules, garbage, and two oracles.

mod garbage;
mod golden;
mod infer;
mod oracle;
mod rules;
mod tombstones;

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::TableDecoder;
use crate::batch::{DecodedBatch, RawBatch, SlicesBuilder, TableId};
use crate::plan::{Column, Role, Table};

/// An event table of the topic `orders`.
fn event_table(columns: Vec<Column>) -> Table {
    Table {
        id: TableId(3),
        name: "o".into(),
        topic: "orders".into(),
        role: Role::Event,
        columns,
        event_time: None,
        max_future_ms: 60_000,
        max_record_bytes: 1 << 20,
        identity: None,
        ttl_ms: Some(1),
    }
}

fn field(name: &str, data_type: DataType) -> Column {
    Column::Field { name: name.into(), data_type }
}

/// Records with the offsets 100, 101, … and the timestamps 1000, 1001, ….
fn raw<'a>(records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>) -> RawBatch {
    let (mut keys, mut values) = (SlicesBuilder::default(), SlicesBuilder::default());
    for (key, value) in records {
        keys.push(key);
        values.push(value);
    }
    let count = keys.len() as i64;
    RawBatch {
        table: TableId(3),
        keys: keys.finish(),
        values: values.finish(),
        partitions: (0..count).map(|record| record as i32 % 2).collect(),
        offsets: (100..100 + count).collect(),
        timestamps: (1000..1000 + count).collect(),
        headers: Vec::new(),
    }
}

/// Records without keys.
fn values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> RawBatch {
    raw(values.into_iter().map(|value| (None, Some(value))))
}

fn decode(table: &Table, raw: &RawBatch) -> DecodedBatch {
    let batch = TableDecoder::new(table).decode(raw);
    check(table, raw, &batch);
    batch
}

/// What holds of every decoded batch.
fn check(table: &Table, raw: &RawBatch, batch: &DecodedBatch) {
    assert_eq!(batch.columns.len(), table.columns.len());
    for (array, column) in batch.columns.iter().zip(&table.columns) {
        assert_eq!(array.len(), batch.rows, "{}", column.name());
        assert_eq!(array.data_type(), &column.data_type(), "{}", column.name());
        array.to_data().validate_full().unwrap();
    }
    for array in &batch.tombstone_identity {
        assert_eq!(array.len(), batch.tombstones.len());
        array.to_data().validate_full().unwrap();
    }
    assert_eq!([batch.records.len(), batch.times.len()], [batch.rows; 2]);
    let rejects: Vec<u32> = batch.rejects.iter().map(|reject| reject.record).collect();
    for ascending in [&batch.records, &batch.tombstones, &rejects] {
        assert!(ascending.is_sorted_by(|left, right| left < right));
    }
    let mut all = [&batch.records[..], &batch.tombstones, &rejects].concat();
    all.sort_unstable();
    assert_eq!(all, (0..raw.len() as u32).collect::<Vec<_>>(), "each record is a row, a tombstone or a reject");
    assert!(batch.rejects.iter().all(|reject| reject.error.len() < 600), "errors are short");
}

/// The value of `row`, as text.
fn shown(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::new().with_null("NULL").with_display_error(false);
    ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string()
}

/// All values of a column, as text.
fn column(batch: &DecodedBatch, column: usize) -> Vec<String> {
    let array = &batch.columns[column];
    (0..array.len()).map(|row| shown(array, row)).collect()
}

/// The errors of a batch.
fn errors(batch: &DecodedBatch) -> Vec<&str> {
    batch.rejects.iter().map(|reject| reject.error.as_str()).collect()
}
