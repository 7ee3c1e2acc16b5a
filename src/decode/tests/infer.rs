//! What is guessed from records must decode them.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::{decode, event_table, field, values};
use crate::decode::{Inferred, infer};

fn guess(records: &[&str], event_time: Option<&str>) -> Inferred {
    infer(records.iter().map(|record| record.as_bytes()), event_time)
}

fn types(records: &[&str]) -> Vec<(String, String)> {
    let inferred = guess(records, None);
    inferred.fields.iter().map(|(name, data_type)| (name.clone(), data_type.to_string())).collect()
}

#[test]
fn fields_come_in_the_order_in_which_they_were_seen() {
    let inferred = guess(&[r#"{"z":1,"a":"x"}"#, r#"{"m":true,"a":"y","z":2}"#], None);
    let names: Vec<_> = inferred.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert_eq!((inferred.records, inferred.unreadable, inferred.notes.len()), (2, 0, 0));
}

#[test]
fn kinds_become_types() {
    let one = |first: &str, second: &str| {
        let records = [format!("{{\"x\":{first}}}"), format!("{{\"x\":{second}}}")];
        let inferred = infer(records.iter().map(String::as_bytes), None);
        (inferred.fields[0].1.to_string(), inferred.notes.len())
    };
    let expect = |first, second, data_type: &str, notes| {
        assert_eq!(one(first, second), (data_type.to_string(), notes), "{first} and {second}");
        assert_eq!(one(second, first).0, data_type, "{second} and {first}");
    };
    expect("true", "null", "Boolean", 0);
    expect("1", "-9223372036854775808", "Int64", 0);
    expect("1", "1.0", "Float64", 0);
    expect("1", "1e3", "Float64", 0);
    expect("9007199254740993", "1.5", "Float64", 1);
    expect("1", "18446744073709551615", "UInt64", 1);
    expect("-1", "18446744073709551615", "Decimal128(38, 0)", 1);
    expect("1", "99999999999999999999999999999999999999", "Decimal128(38, 0)", 1);
    expect("1", "1000000000000000000000000000000000000000", "Float64", 0);
    expect("\"a\"", "null", "Utf8View", 0);
    expect("\"2013-01-01T00:00:00Z\"", "null", "Utf8View", 0);
    expect("null", "null", "Utf8View", 1);
    expect("1", "\"a\"", "Utf8View", 1);
    expect("{}", "[]", "Utf8View", 1);
    expect("[1,2]", "[null,1.5]", "List(Float64)", 0);
    expect("[]", "null", "List(Utf8View)", 1);
    expect("[[1]]", "[[],null]", "List(List(Int64))", 0);
}

#[test]
fn objects_become_structs_of_all_their_fields() {
    let fields = types(&[r#"{"o":{"a":1,"l":[{"b":"x"}]}}"#, r#"{"o":{"c":true,"l":[{"d":1.5},{}]}}"#]);
    let item = DataType::Struct(
        [Field::new("b", DataType::Utf8View, true), Field::new("d", DataType::Float64, true)].into_iter().collect(),
    );
    let object = DataType::Struct(
        [
            Field::new("a", DataType::Int64, true),
            Field::new("l", DataType::List(Field::new("item", item, true).into()), true),
            Field::new("c", DataType::Boolean, true),
        ]
        .into_iter()
        .collect(),
    );
    assert_eq!(fields, [("o".to_string(), object.to_string())]);
}

#[test]
fn the_event_time_is_an_instant_if_all_its_values_are() {
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let of = |values: &[&str]| {
        let records: Vec<String> = values.iter().map(|value| format!("{{\"at\":{value}}}")).collect();
        let inferred = infer(records.iter().map(String::as_bytes), Some("at"));
        (inferred.fields[0].1.clone(), inferred.notes.len())
    };
    assert_eq!(of(&["\"2013-01-01T00:00:00Z\"", "\"2013-01-01 00:00:00+01:00\""]), (utc.clone(), 0));
    assert_eq!(of(&["1357017300123", "1357017300124"]), (utc.clone(), 0));
    assert_eq!(of(&["1357017300", "1357017301"]), (utc, 1), "seconds are pointed at");
    assert_eq!(of(&["\"2013-01-01T00:00:00Z\"", "\"never\""]), (DataType::Utf8View, 1));
    assert_eq!(of(&["null"]).0, DataType::Utf8View);
    let elsewhere = guess(&[r#"{"x":1}"#], Some("at"));
    assert_eq!(elsewhere.notes.len(), 1);
}

#[test]
fn what_is_unreadable_is_counted_and_says_nothing() {
    let deep = format!("{{\"deep\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let inferred =
        guess(&["", "[1]", "{\"a\":1", "{\"a\":01}", "{\"a\":1} x", &deep, "{\"a\":\"\\ud800\"}", "{\"b\":1}"], None);
    assert_eq!((inferred.records, inferred.unreadable), (8, 7));
    assert_eq!(inferred.fields, [("b".to_string(), DataType::Int64)]);
    assert_eq!(inferred.notes, ["7 of 8 records are no JSON objects"]);
    assert_eq!(infer([b"{\"a\":\"\xFF\"}".as_slice()].into_iter(), None).unreadable, 1);
}

#[test]
fn what_was_inferred_decodes_the_records() {
    let records = [
        r#"{"id":18446744073709551615,"n":1,"o":{"p":[1,2.5,null],"q":{}},"when":"2013-01-01","\u0065":null}"#,
        r#"{"id":7,"n":-1,"o":null,"when":5,"\u0065":"x"}"#,
        r#" { } "#,
    ];
    let inferred = guess(&records, Some("when"));
    let columns = inferred.fields.iter().map(|(name, data_type)| field(name, data_type.clone())).collect();
    let batch = decode(&event_table(columns), &values(records.iter().map(|record| record.as_bytes())));
    assert_eq!(batch.rows, 3, "{:?}", batch.rejects);
}
