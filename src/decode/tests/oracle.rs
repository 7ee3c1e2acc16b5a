//! Two oracles: arrow-json says what good records decode to, serde_json says which records are good.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{check, decode, event_table, field, values};
use crate::batch::DecodedBatch;
use crate::decode::TableDecoder;
use crate::plan::{Column, Table};

/// A type, and JSON that is of this type.
fn typed(depth: u32) -> BoxedStrategy<(DataType, BoxedStrategy<String>)> {
    let scalar = prop_oneof![
        Just((DataType::Boolean, any::<bool>().prop_map(|value| value.to_string()).boxed())),
        Just((DataType::Int8, any::<i8>().prop_map(|value| value.to_string()).boxed())),
        Just((DataType::Int32, any::<i32>().prop_map(|value| format!("{value}.0")).boxed())),
        Just((DataType::Int64, any::<i64>().prop_map(|value| value.to_string()).boxed())),
        Just((DataType::Int64, (-1000i64..1000).prop_map(|value| value.to_string()).boxed())),
        Just((DataType::UInt16, any::<u16>().prop_map(|value| value.to_string()).boxed())),
        Just((DataType::UInt64, any::<u64>().prop_map(|value| value.to_string()).boxed())),
        Just((DataType::Float64, r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?".boxed())),
        Just((DataType::Float32, r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?([eE][-+]?[0-9])?".boxed())),
        Just((DataType::Decimal128(20, 4), r#"(-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,4})?)"#.boxed())),
        Just((DataType::Decimal128(20, 4), r#""-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,4})?""#.boxed())),
        Just((DataType::Utf8View, string().boxed())),
        Just((DataType::Date32, r#""[0-9]{4}-(0[1-9]|1[0-2])-([01][1-9]|2[0-8])""#.boxed())),
        time_unit(),
    ];
    if depth == 0 {
        return scalar.boxed();
    }
    let list = typed(depth - 1).prop_map(|(data_type, json)| {
        let list = DataType::List(Field::new("item", data_type, true).into());
        let elements = prop::collection::vec(or_null(json), 0..4);
        (list, elements.prop_map(|elements| format!("[{}]", elements.join(" , "))).boxed())
    });
    let object = prop::collection::vec(typed(depth - 1), 1..4).prop_map(|fields| {
        let (types, jsons): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let names = |count: usize| (0..count).map(|place| format!("f{place}"));
        let fields = names(types.len()).zip(types).map(|(name, data_type)| Field::new(name, data_type, true));
        (DataType::Struct(fields.collect()), object(names(jsons.len()).zip(jsons).collect()).boxed())
    });
    prop_oneof![4 => scalar, 1 => list, 1 => object].boxed()
}

fn time_unit() -> BoxedStrategy<(DataType, BoxedStrategy<String>)> {
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let json = r#""(19[0-9][0-9]|20[0-9][0-9])-(0[1-9]|1[0-2])-([01][1-9]|2[0-8])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[-+](0[0-9]|1[0-4]):[0-5][0-9])?""#;
    let json = prop_oneof![json, "-?[1-9][0-9]{0,15}"].boxed();
    let unit = prop::sample::select(units.to_vec());
    unit.prop_map(move |unit| (DataType::Timestamp(unit, Some("UTC".into())), json.clone())).boxed()
}

/// A string in any spelling: characters as they are, or as escapes.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ -!#-\\[\\]-~]{1,9}",
        1 => "[é☃😀\u{7f}\u{80}\u{2028}]",
        1 => r#"\\["\\/bfnrt]"#,
        // Not beyond plane 1, where arrow-json 59.3 joins surrogates wrongly.
        1 => r"\\u(00[0-9a-fA-F]{2}|[1-9a-cA-C][0-9a-f]{3}|d83[c-e]\\ud[c-f]0[0-9a-f])",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn or_null(json: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop_oneof![8 => json, 1 => Just("null".to_string())]
}

/// Objects with these fields: in any order, some missing, some that nobody asked for.
fn object(fields: Vec<(String, BoxedStrategy<String>)>) -> impl Strategy<Value = String> {
    let mut present: Vec<BoxedStrategy<Option<String>>> = Vec::new();
    for (name, json) in fields {
        let pair = (or_null(json), r"[ \n]{0,2}")
            .prop_map(move |(json, space)| format!("{space}\"{name}\"{space}:{space}{json}"));
        present.push(prop_oneof![6 => pair.prop_map(Some), 1 => Just(None)].boxed());
    }
    for number in 0..2 {
        let pair = anything().prop_map(move |json| format!("\"unasked{number}\":{json}"));
        present.push(prop_oneof![1 => pair.prop_map(Some), 1 => Just(None)].boxed());
    }
    let shuffled = present.prop_flat_map(|pairs| Just(pairs.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle());
    shuffled.prop_map(|pairs| format!("{{{}}}", pairs.join(",")))
}

/// Any JSON value.
fn anything() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![Just("null".to_string()), Just("true".into()), string(), r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?"];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
            prop::collection::vec((string(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} :{value}")).collect();
                format!("{{ {} }}", fields.join(","))
            }),
        ]
    })
}

/// A table of random fields, and records of it.
fn records() -> impl Strategy<Value = (Vec<Column>, Vec<String>)> {
    prop::collection::vec(typed(2), 1..6).prop_flat_map(|fields| {
        let (types, jsons): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let names =
            |count: usize| (0..count).map(|place| format!("a_field_of_number_{place}").split_off(13 * (place % 2)));
        let columns: Vec<Column> =
            names(types.len()).zip(types).map(|(name, data_type)| field(&name, data_type)).collect();
        let records = prop::collection::vec(object(names(jsons.len()).zip(jsons).collect()), 1..20);
        (Just(columns), records)
    })
}

/// What arrow-json decodes.
fn decode_with_arrow(columns: &[Column], records: &[String]) -> Vec<ArrayRef> {
    let fields = columns.iter().map(|column| Field::new(column.name(), column.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut decoder = arrow_json::ReaderBuilder::new(schema).build_decoder().unwrap();
    decoder.decode(records.join("\n").as_bytes()).unwrap();
    let batch: Option<RecordBatch> = decoder.flush().unwrap();
    batch.unwrap().columns().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn good_records_decode_as_with_arrow_json((columns, records) in records()) {
        let table = event_table(columns);
        let raw = values(records.iter().map(String::as_bytes));
        let mut decoder = TableDecoder::new(&table);
        let expected = decode_with_arrow(&table.columns, &records);
        for _ in 0..2 {
            let batch = decoder.decode(&raw);
            check(&table, &raw, &batch);
            prop_assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
            for (actual, expected) in batch.columns.iter().zip(&expected) {
                prop_assert_eq!(actual, expected);
            }
        }
        // One by one they come out as together.
        let alone: Vec<DecodedBatch> = records.iter().map(|record| decode(&table, &values([record.as_bytes()]))).collect();
        for (column, expected) in expected.iter().enumerate() {
            let rows: Vec<_> = alone.iter().map(|batch| batch.columns[column].as_ref()).collect();
            prop_assert_eq!(&arrow::compute::concat(&rows).unwrap(), expected);
        }
    }
}

/// How one byte goes wrong.
#[derive(Clone, Debug)]
enum Damage {
    Replace(u8),
    Insert(u8),
    Remove,
    Cut,
    Double,
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![3 => prop::sample::select(b"{}[]\",:\\ue0123-+. ntf\n\x1f\x7f\x80\xff".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        byte().prop_map(Damage::Replace),
        byte().prop_map(Damage::Insert),
        Just(Damage::Remove),
        Just(Damage::Cut),
        Just(Damage::Double),
    ]
}

fn damaged(record: &str, place: usize, damage: &Damage) -> Vec<u8> {
    let mut bytes = record.as_bytes().to_vec();
    let place = place % bytes.len();
    match damage {
        Damage::Replace(byte) => bytes[place] = *byte,
        Damage::Insert(byte) => bytes.insert(place, *byte),
        Damage::Remove => drop(bytes.remove(place)),
        Damage::Cut => bytes.truncate(place),
        Damage::Double => bytes.extend_from_within(place..),
    }
    bytes
}

/// The record as serde_json reads it; numbers beyond doubles, which it can't hold, are its own affair.
fn serde(record: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(record)
}

fn damage_table() -> Table {
    event_table(vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8View),
        field("score", DataType::Float64),
    ])
}

fn damage_record() -> impl Strategy<Value = String> {
    let fields = vec![
        ("id".to_string(), any::<i32>().prop_map(|id| id.to_string()).boxed()),
        ("name".to_string(), string().boxed()),
        ("score".to_string(), r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?([eE][-+]?[0-9]{1,2})?".boxed()),
    ];
    object(fields)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn damaged_records_are_judged_as_by_serde_json(
        record in damage_record(), place in any::<usize>(), damage in damage(), good in damage_record(),
    ) {
        // The decoder has just learned from the record as it was.
        let whole = record;
        let record = damaged(&whole, place, &damage);
        let batch_of = |table: &Table| decode(table, &values([whole.as_bytes(), &record, good.as_bytes()]));
        let shown = String::from_utf8_lossy(&record);

        // Without fields, only the grammar counts.
        let grammar = batch_of(&event_table(vec![]));
        match serde(&record) {
            Ok(_) => prop_assert_eq!(grammar.rows, 3, "{} is good: {:?}", shown, grammar.rejects),
            Err(error) if error.to_string().contains("number out of range") => {}
            Err(error) => prop_assert_eq!(&grammar.records, &[0, 2], "{} is bad: {}", shown, error),
        }

        // With fields, what is accepted has the values that serde_json finds.
        let batch = batch_of(&damage_table());
        prop_assert!(batch.records.starts_with(&[0]) && batch.records.ends_with(&[2]));
        if batch.rows == 3 {
            let object = serde(&record);
            prop_assert!(grammar.rows == 3, "{}", shown);
            if let Ok(object) = object {
                prop_assert!(agrees(&batch, 1, &object), "{} {:?}", shown, batch.columns);
            }
        }
    }
}

fn agrees(batch: &DecodedBatch, row: usize, object: &Map<String, Value>) -> bool {
    use arrow::array::Array;
    let id = batch.columns[0].as_primitive::<Int64Type>();
    let name = batch.columns[1].as_string_view();
    let score = batch.columns[2].as_primitive::<Float64Type>();
    let is = |key: &str, is_null: bool, same: &dyn Fn(&Value) -> bool| match object.get(key) {
        None | Some(Value::Null) => is_null,
        Some(value) => !is_null && same(value),
    };
    is("id", id.is_null(row), &|value| value.as_f64() == Some(id.value(row) as f64))
        && is("name", name.is_null(row), &|value| value.as_str() == Some(name.value(row)))
        && is("score", score.is_null(row), &|value| {
            // serde_json's quick reading may be off by the last bit.
            value.as_f64().is_some_and(|value| (value - score.value(row)).abs() <= value.abs() * 1e-15)
        })
}
