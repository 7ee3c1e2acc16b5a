//! The tables of `testdata/codec`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::{column, decode, event_table, field, values};

/// What of a golden table doesn't come out as it says, line by line.
fn differences(golden: &str, decode: impl Fn(&str) -> String) -> String {
    let mut differences = String::new();
    let mut count = 0;
    // A text with a line break in it goes on in the next line.
    let golden = golden.replace("\nb, ", "\u{1}b, ");
    for line in golden.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (input, expected) = line.rsplit_once('|').unwrap();
        let actual = decode(input.strip_suffix(' ').unwrap_or(input));
        let expected = expected.trim().replace('\u{1}', "\n");
        if actual != expected {
            differences += &format!("{input}\n  expected {expected}\n  actual   {actual}\n");
        }
        count += 1;
    }
    assert!(count > 30, "the golden table is there");
    differences
}

#[test]
fn values_come_out_as_their_types() {
    let differences = differences(include_str!("../../../testdata/codec/values.txt"), |input| {
        let (data_type, json) = input.split_once(" | ").unwrap();
        let record = format!("{{\"x\":{json}}}");
        let table = event_table(vec![field("x", parse_type(data_type))]);
        let batch = decode(&table, &values([record.as_bytes()]));
        match batch.rejects.first() {
            Some(reject) => format!("! {}", reject.error),
            None => column(&batch, 0).concat(),
        }
    });
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn records_are_good_or_bad_as_a_whole() {
    let table = event_table(vec![field("id", DataType::Int64), field("name", DataType::Utf8View)]);
    let differences = differences(include_str!("../../../testdata/codec/records.txt"), |input| {
        let symbols = [("␀", "\0"), ("␉", "\t"), ("␊", "\n"), ("␍", "\r")];
        let record = symbols.iter().fold(input.to_string(), |text, (symbol, byte)| text.replace(symbol, byte));
        let batch = decode(&table, &values([record.as_bytes()]));
        match batch.rejects.first() {
            Some(reject) => format!("! {}", reject.error),
            None => [column(&batch, 0), column(&batch, 1)].concat().join(", "),
        }
    });
    assert!(differences.is_empty(), "{differences}");
}

/// Reads a type as the golden tables write it.
fn parse_type(text: &str) -> DataType {
    let (name, arguments) = match text.split_once('(') {
        Some((name, arguments)) => (name, arguments.strip_suffix(')').unwrap()),
        None => (text, ""),
    };
    let utc: Option<Arc<str>> = arguments.contains("UTC").then(|| "UTC".into());
    match name {
        "Boolean" => DataType::Boolean,
        "Int8" => DataType::Int8,
        "Int16" => DataType::Int16,
        "Int32" => DataType::Int32,
        "Int64" => DataType::Int64,
        "UInt8" => DataType::UInt8,
        "UInt16" => DataType::UInt16,
        "UInt32" => DataType::UInt32,
        "UInt64" => DataType::UInt64,
        "Float32" => DataType::Float32,
        "Float64" => DataType::Float64,
        "Utf8View" => DataType::Utf8View,
        "BinaryView" => DataType::BinaryView,
        "Binary" => DataType::Binary,
        "Date32" => DataType::Date32,
        "Decimal128" => {
            let (precision, scale) = arguments.split_once(", ").unwrap();
            DataType::Decimal128(precision.parse().unwrap(), scale.parse().unwrap())
        }
        "Timestamp" => {
            let units = [("ms", TimeUnit::Millisecond), ("s", TimeUnit::Second), ("µs", TimeUnit::Microsecond)];
            let unit = units.iter().find(|(unit, _)| arguments.split(',').next() == Some(unit));
            DataType::Timestamp(unit.map_or(TimeUnit::Nanosecond, |(_, unit)| *unit), utc)
        }
        "List" => DataType::List(Field::new("item", parse_type(arguments), true).into()),
        "Struct" => {
            let fields = arguments.split(", ").map(|field| {
                let (name, data_type) = field.split_once(": ").unwrap();
                Field::new(name, parse_type(data_type), true)
            });
            DataType::Struct(fields.collect())
        }
        other => panic!("no type {other}"),
    }
}
