//! Result rows as JSON objects, straight into one arena.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::arena::Arena;
use super::column::{Column, field_prefixes};
use crate::batch::{EncodedBatch, Slices, SlicesBuilder, Span};

/// Of how many rows the texts are touched before they are written: what they take fits into the fastest cache.
const TOUCHED: usize = 64;

/// Bytes after which no row is added to an arena, which must stay below 4 GiB however large rows are.
const ARENA_BYTES: usize = 64 << 20;

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

    /// The rows of `columns` (as many as `timestamps`) as records: the first of them, as many as fit into an arena; at least
    /// one, if there is one.
    pub fn encode(&mut self, columns: &[ArrayRef], timestamps: Vec<i64>) -> EncodedBatch {
        let rows = timestamps.len();
        assert_eq!(columns.len(), self.prefixes.len(), "BUG: the result has other columns than the plan said");
        assert!(columns.iter().all(|column| column.len() == rows), "BUG: result columns of unequal length");
        let columns: Vec<Column> = columns.iter().map(Column::new).collect();
        let values = self.encode_values(&columns, rows);
        let keys = self.encode_keys(&columns, values.len());
        let mut timestamps = timestamps;
        timestamps.truncate(values.len());
        EncodedBatch { keys, values, timestamps }
    }

    fn encode_values(&mut self, columns: &[Column], rows: usize) -> Slices {
        let mut arena = Arena::with_capacity((rows * self.value_bytes_per_row).min(ARENA_BYTES));
        let mut spans = Vec::with_capacity(rows);
        for first in (0..rows).step_by(TOUCHED) {
            let block = first..rows.min(first + TOUCHED);
            columns.iter().for_each(|column| column.touch(block.clone()));
            for row in block {
                let start = arena.len();
                if start >= ARENA_BYTES {
                    break;
                }
                write_object(&mut arena, &self.prefixes, columns, row);
                spans.push(Span { start: start as u32, len: (arena.len() - start) as u32 });
            }
        }
        self.value_bytes_per_row = learnt(self.value_bytes_per_row, &arena, spans.len());
        finish(arena, spans)
    }

    fn encode_keys(&mut self, columns: &[Column], rows: usize) -> Slices {
        let Some(column) = self.key.map(|key| &columns[key]) else {
            let mut keys = SlicesBuilder::with_capacity(rows, 0);
            (0..rows).for_each(|_| keys.push(None));
            return keys.finish();
        };
        let absent = absent();
        let mut arena = Arena::with_capacity((rows * self.key_bytes_per_row).min(ARENA_BYTES));
        let mut spans = Vec::with_capacity(rows);
        for row in 0..rows {
            if column.is_null(row) {
                spans.push(absent);
                continue;
            }
            let start = arena.len();
            column.write_text(&mut arena, row);
            spans.push(Span { start: start as u32, len: (arena.len() - start) as u32 });
        }
        self.key_bytes_per_row = learnt(self.key_bytes_per_row, &arena, rows);
        finish(arena, spans)
    }
}

/// One row as a JSON object, for the dead letter of a row whose SQL fails.
pub fn row_json(columns: &[(String, ArrayRef)], row: usize) -> Vec<u8> {
    let prefixes = field_prefixes(columns.iter().map(|(name, _)| name.as_str()));
    let columns: Vec<Column> = columns.iter().map(|(_, array)| Column::new(&array.slice(row, 1))).collect();
    let mut out = Arena::default();
    write_object(&mut out, &prefixes, &columns, 0);
    out.finish()
}

#[inline]
fn write_object(out: &mut Arena, prefixes: &[Box<[u8]>], columns: &[Column], row: usize) {
    if prefixes.is_empty() {
        out.push(b'{');
    }
    for (prefix, column) in prefixes.iter().zip(columns) {
        out.extend_short(prefix);
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

/// The average of a batch and an eighth more, rounded up, so that the next batch fits where the last one did; one batch of
/// large rows is forgotten after some of small ones.
fn learnt(before: usize, arena: &Arena, rows: usize) -> usize {
    let average = arena.len().div_ceil(rows.max(1));
    (average + average.div_ceil(8)).max(before - before.div_ceil(8).min(before))
}

fn finish(arena: Arena, spans: Vec<Span>) -> Slices {
    assert!(arena.len() < u32::MAX as usize, "BUG: an arena of 4 GiB; batches are cut by bytes long before");
    SlicesBuilder::from_parts(arena.finish(), spans)
}

/// The span of a byte string that is not there, as `SlicesBuilder` writes it.
fn absent() -> Span {
    let mut one = SlicesBuilder::with_capacity(1, 0);
    one.push(None);
    one.finish().spans()[0]
}
