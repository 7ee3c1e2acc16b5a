//! Any bytes as records of several tables. What is accepted is what serde_json accepts, and decodes as it does with
//! arrow-json; what is not costs only itself.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, UInt64Type};
use kaflowsql::batch::{DecodedBatch, RawBatch, TableId};
use kaflowsql::decode::TableDecoder;
use kaflowsql::plan::{Column, Identity, Role, Table};
use kaflowsql::source::RawBatchBuilder;
use serde_json::{Map, Value};

/// Ends a record; no JSON holds it.
const END: u8 = 0;
/// Ends the key of a record that has one.
const KEY_END: u8 = 1;

fn field(name: &str, data_type: DataType) -> Column {
    Column::Field { name: name.into(), data_type }
}

fn timestamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

fn list(data_type: DataType) -> DataType {
    DataType::List(Field::new("item", data_type, true).into())
}

fn table(columns: Vec<Column>) -> Table {
    Table {
        id: TableId(0),
        name: "t".into(),
        topic: "t".into(),
        role: Role::Event,
        columns,
        event_time: None,
        max_future_ms: 60_000,
        max_record_bytes: 1 << 16,
        identity: None,
        ttl_ms: Some(1),
    }
}

/// The fields that serde_json judges.
fn plain() -> Table {
    let fields = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8View),
        ("score", DataType::Float64),
        ("count", DataType::UInt64),
        ("is", DataType::Boolean),
    ];
    table(fields.into_iter().map(|(name, data_type)| field(name, data_type)).collect())
}

/// The fields that arrow-json judges.
fn nested() -> Table {
    let inner = [Field::new("a", DataType::Utf8View, true), Field::new("b", list(DataType::Float64), true)];
    let inner = DataType::Struct(inner.into_iter().collect());
    let fields = [
        ("b", DataType::Boolean),
        ("i", DataType::Int8),
        ("n", DataType::Int32),
        ("f", DataType::Float32),
        ("d", DataType::Decimal128(20, 4)),
        ("day", DataType::Date32),
        ("ms", timestamp(TimeUnit::Millisecond)),
        ("us", timestamp(TimeUnit::Microsecond)),
        ("l", list(list(DataType::Int32))),
        ("o", inner.clone()),
        ("lo", list(inner)),
    ];
    table(fields.into_iter().map(|(name, data_type)| field(name, data_type)).collect())
}

/// A dimension whose identity is made of columns.
fn dimension() -> Table {
    let columns = vec![field("id", DataType::Int64), Column::Key, field("name", DataType::Utf8View), Column::Offset];
    Table { role: Role::Dimension, identity: Some(Identity::Columns(vec![0, 2])), ttl_ms: None, ..table(columns) }
}

/// An event table with bytes, and with a time of its own that the query does not read.
fn timed() -> Table {
    let columns = vec![field("raw", DataType::Binary), Column::Identity, field("view", DataType::BinaryView)];
    Table { event_time: Some(field("at", timestamp(TimeUnit::Millisecond))), ..table(columns) }
}

/// Decodes the records that `bytes` are, behind the byte that says of which table.
pub fn check(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let table = match first % 4 {
        0 => plain(),
        1 => nested(),
        2 => dimension(),
        _ => timed(),
    };
    let records: Vec<_> = rest.split(|byte| *byte == END).map(parts).collect();
    let raw = raw(&records);
    let mut decoder = TableDecoder::new(&table);
    let together = decoder.decode(&raw);
    expect_whole(&table, &raw, &together);
    let again = decoder.decode(&raw);
    assert_eq!(together.columns, again.columns, "what the decoder has learned changes nothing");
    let alone: Vec<_> = records.iter().map(|record| decode(&table, std::slice::from_ref(record))).collect();
    for (column, array) in together.columns.iter().enumerate().filter(|(at, _)| table.columns[*at] != Column::Offset) {
        let rows: Vec<_> = alone.iter().map(|batch| batch.columns[column].as_ref()).collect();
        let rows = arrow::compute::concat(&rows).expect("columns of one type");
        assert_eq!(&rows, array, "one by one they come out as together");
    }
    for (record, batch) in records.iter().zip(&alone) {
        let Some(value) = record.1 else { continue };
        let object = expect_grammar(value, batch.rows == 1);
        match (first % 4, object) {
            _ if batch.rows == 0 => {}
            (0, Some(object)) => expect_values(batch, &object, value),
            (1, _) => expect_as_with_arrow(&table, batch, value),
            _ => {}
        }
    }
}

/// Key and value; nothing behind the key is a tombstone.
fn parts(record: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    match record.iter().position(|byte| *byte == KEY_END) {
        Some(end) if end + 1 == record.len() => (Some(&record[..end]), None),
        Some(end) => (Some(&record[..end]), Some(&record[end + 1..])),
        None => (None, Some(record)),
    }
}

/// The key and the value of a record.
type KeyAndValue<'r> = (Option<&'r [u8]>, Option<&'r [u8]>);

fn raw(records: &[KeyAndValue<'_>]) -> RawBatch {
    let mut builder = RawBatchBuilder::new(TableId(0));
    for (offset, (key, value)) in records.iter().enumerate() {
        builder.push(*key, *value, 0, offset as i64, 1_735_689_600_000);
    }
    builder.take().expect("splitting gives at least one record")
}

fn decode(table: &Table, records: &[KeyAndValue<'_>]) -> DecodedBatch {
    let raw = raw(records);
    let batch = TableDecoder::new(table).decode(&raw);
    expect_whole(table, &raw, &batch);
    batch
}

/// What holds of every decoded batch.
fn expect_whole(table: &Table, raw: &RawBatch, batch: &DecodedBatch) {
    assert_eq!(batch.columns.len(), table.columns.len());
    for (array, column) in batch.columns.iter().zip(&table.columns) {
        assert_eq!((array.len(), array.data_type()), (batch.rows, &column.data_type()), "{}", column.name());
        array.to_data().validate_full().expect("a valid array");
    }
    for array in &batch.tombstone_identity {
        assert_eq!(array.len(), batch.tombstones.len());
        array.to_data().validate_full().expect("a valid array");
    }
    let rejects = batch.rejects.iter().map(|reject| reject.record);
    let mut all: Vec<_> = batch.records.iter().chain(&batch.tombstones).copied().chain(rejects).collect();
    all.sort_unstable();
    assert_eq!(all, (0..raw.len() as u32).collect::<Vec<_>>(), "each record is a row, a tombstone or a reject");
    assert_eq!(batch.times.len(), batch.rows);
    for reject in &batch.rejects {
        assert!(!reject.error.is_empty() && reject.error.len() < 600, "{}", reject.error);
    }
}

/// Where no fields are asked for, only the grammar counts. Gives the object, if serde_json has read one.
fn expect_grammar(value: &[u8], accepted: bool) -> Option<Map<String, Value>> {
    let is_good = decode(&table(Vec::new()), &[(None, Some(value))]).rows == 1;
    assert!(is_good || !accepted, "accepted with fields, not without");
    match serde_json::from_slice(value) {
        Ok(object) => {
            assert!(is_good || value.len() > 1 << 16, "good JSON was refused");
            Some(object)
        }
        // Limits of serde_json, not of the language.
        Err(error) if ["number out of range", "recursion limit"].iter().any(|it| error.to_string().contains(it)) => {
            None
        }
        Err(error) => {
            assert!(!is_good, "bad JSON was accepted: {error}");
            None
        }
    }
}

fn expect_values(batch: &DecodedBatch, object: &Map<String, Value>, value: &[u8]) {
    let expect = |column: usize, name: &str, same: &dyn Fn(&Value) -> bool| {
        let is_null = batch.columns[column].is_null(0);
        let agrees = match object.get(name) {
            None | Some(Value::Null) => is_null,
            Some(value) => !is_null && same(value),
        };
        assert!(agrees, "{name}: {:?} of {}", batch.columns[column], value.escape_ascii());
    };
    let id = batch.columns[0].as_primitive::<Int64Type>();
    let score = batch.columns[2].as_primitive::<Float64Type>();
    let count = batch.columns[3].as_primitive::<UInt64Type>();
    expect(0, "id", &|value| value.as_i64().map_or(value.as_f64() == Some(id.value(0) as f64), |it| it == id.value(0)));
    expect(1, "name", &|value| value.as_str() == Some(batch.columns[1].as_string_view().value(0)));
    // serde_json's quick reading may be off by the last bit.
    expect(2, "score", &|value| {
        value.as_f64().is_some_and(|value| (value - score.value(0)).abs() <= value.abs() * 1e-15)
    });
    expect(3, "count", &|value| {
        value.as_u64().map_or(value.as_f64() == Some(count.value(0) as f64), |it| it == count.value(0))
    });
    expect(4, "is", &|value| value.as_bool() == Some(batch.columns[4].as_boolean().value(0)));
}

/// Compares with arrow-json, if it accepts the record as well.
fn expect_as_with_arrow(table: &Table, batch: &DecodedBatch, value: &[u8]) {
    // It joins surrogates wrongly.
    let lower = value.to_ascii_lowercase();
    if lower.windows(3).any(|bytes| bytes == b"\\ud") {
        return;
    }
    let fields = table.columns.iter().map(|column| Field::new(column.name(), column.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut decoder = arrow_json::ReaderBuilder::new(schema).build_decoder().expect("arrow-json knows these types");
    let Ok(_) = decoder.decode(value) else { return };
    let Ok(Some(expected)) = decoder.flush() else { return };
    let expected: RecordBatch = expected;
    for ((actual, expected), column) in batch.columns.iter().zip(expected.columns()).zip(&table.columns) {
        assert_eq!(actual, expected, "{} of {}", column.name(), value.escape_ascii());
    }
}
