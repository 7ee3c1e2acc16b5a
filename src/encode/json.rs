//! Result rows as JSON objects, straight into one arena.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::column::{Column, field_prefixes};
use crate::batch::{EncodedBatch, Slices, SlicesBuilder};

/// Turns result columns into record keys and values.
///
/// NULL is written as `null`, and so are NaN and the infinities, for which JSON has no number. Decimals are numbers with
/// all their digits; a reader that keeps only doubles rounds them. Bytes are base64. A timestamp is RFC 3339 in
/// UTC, `Z` at its end, or without `Z` where its type has no zone; spans of time are ISO 8601 durations. A map is an
/// object, keys in the order of the map.
#[derive(Debug)]
pub struct Encoder {
    prefixes: Vec<Box<[u8]>>,
    key: Option<usize>,
    value_bytes_per_row: usize,
    key_bytes_per_row: usize,
}

impl Encoder {
    /// For columns of these names and types; `key` is the place of the one that becomes the record's key.
    pub fn new(columns: &[(String, DataType)], key: Option<usize>) -> Self {
        let prefixes = field_prefixes(columns.iter().map(|(name, _)| name.as_str()));
        let names: usize = prefixes.iter().map(|prefix| prefix.len()).sum();
        let cells: usize = columns.iter().map(|(_, data_type)| bytes_guess(data_type)).sum();
        let key_bytes_per_row = key.map_or(0, |key| bytes_guess(&columns[key].1));
        Self { prefixes, key, value_bytes_per_row: names + cells + 2, key_bytes_per_row }
    }

    /// The rows of `columns` (as many as `timestamps`) as records.
    pub fn encode(&mut self, columns: &[ArrayRef], timestamps: Vec<i64>) -> EncodedBatch {
        let rows = timestamps.len();
        assert_eq!(columns.len(), self.prefixes.len(), "BUG: the result has other columns than the plan said");
        assert!(columns.iter().all(|column| column.len() == rows), "BUG: result columns of unequal length");
        let columns: Vec<Column> = columns.iter().map(Column::new).collect();
        let values = self.encode_values(&columns, rows);
        let keys = self.encode_keys(&columns, rows);
        EncodedBatch { keys, values, timestamps }
    }

    fn encode_values(&mut self, columns: &[Column], rows: usize) -> Slices {
        let mut values = SlicesBuilder::with_capacity(rows, rows * self.value_bytes_per_row);
        for row in 0..rows {
            values.push_with(|out| write_object(out, &self.prefixes, columns, row));
        }
        self.value_bytes_per_row = self.value_bytes_per_row.max(bytes_per_row(&values));
        values.finish()
    }

    fn encode_keys(&mut self, columns: &[Column], rows: usize) -> Slices {
        let mut keys = SlicesBuilder::with_capacity(rows, rows * self.key_bytes_per_row);
        match self.key.map(|key| &columns[key]) {
            None => (0..rows).for_each(|_| keys.push(None)),
            Some(column) => (0..rows).for_each(|row| match column.is_null(row) {
                true => keys.push(None),
                false => keys.push_with(|out| column.write_text(out, row)),
            }),
        }
        self.key_bytes_per_row = self.key_bytes_per_row.max(bytes_per_row(&keys));
        keys.finish()
    }
}

/// One row as a JSON object, for the dead letter of a row whose SQL fails.
pub fn row_json(columns: &[(String, ArrayRef)], row: usize) -> Vec<u8> {
    let prefixes = field_prefixes(columns.iter().map(|(name, _)| name.as_str()));
    let columns: Vec<Column> = columns.iter().map(|(_, array)| Column::new(&array.slice(row, 1))).collect();
    let mut out = Vec::new();
    write_object(&mut out, &prefixes, &columns, 0);
    out
}

#[inline]
fn write_object(out: &mut Vec<u8>, prefixes: &[Box<[u8]>], columns: &[Column], row: usize) {
    if prefixes.is_empty() {
        out.push(b'{');
    }
    for (prefix, column) in prefixes.iter().zip(columns) {
        out.extend_from_slice(prefix);
        column.write_json(out, row);
    }
    out.push(b'}');
}

/// A first guess of a cell's length, so that the arena need not grow; batches then teach better.
fn bytes_guess(data_type: &DataType) -> usize {
    match data_type {
        DataType::Boolean => 5,
        data_type if data_type.is_numeric() => 10,
        data_type if data_type.is_temporal() => 26,
        _ => 24,
    }
}

/// The average of a batch and an eighth more, rounded up, so that the next batch fits where the last one did.
fn bytes_per_row(slices: &SlicesBuilder) -> usize {
    let average = slices.bytes().div_ceil(slices.len().max(1));
    average + average.div_ceil(8)
}
