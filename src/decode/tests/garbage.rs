//! Whatever comes in, the good records around it come out.

use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::{column, decode, event_table, field, values};
use crate::plan::Table;

fn table() -> Table {
    event_table(vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8View),
        field("score", DataType::Float64),
    ])
}

const GOOD: &[u8] = br#"{"id":1,"name":"a name of more than \n twelve","score":0.5}"#;

/// Decodes `garbage` between good records; returns what is said about it.
fn rejected(garbage: &[u8]) -> String {
    let batch = decode(&table(), &values([GOOD, garbage, GOOD, garbage]));
    assert_eq!(batch.records, [0, 2]);
    assert_eq!(column(&batch, 1), ["a name of more than \n twelve"; 2]);
    assert_eq!(batch.rejects[0].error, batch.rejects[1].error);
    batch.rejects[0].error.clone()
}

#[test]
fn ten_thousand_levels_of_nesting() {
    for (opening, closing) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", opening.repeat(10_000), closing.repeat(10_000));
        let error = rejected(format!("{{\"other\":{nested}}}").as_bytes());
        assert!(error.contains("at most 128 objects and lists within each other"), "{error}");
        rejected(format!("{{\"name\":{nested}}}").as_bytes());
        rejected(format!("{{\"other\":{}", opening.repeat(10_000)).as_bytes());
    }
    let nested = format!("{{\"other\":{}{}}}", "[".repeat(127), "]".repeat(127));
    assert_eq!(decode(&table(), &values([nested.as_bytes()])).rows, 1);
}

#[test]
fn a_record_of_twenty_megabytes_is_not_even_looked_at() {
    let record = format!("{{\"id\":1,\"name\":\"{}\"}}", "x".repeat(20 << 20));
    let error = rejected(record.as_bytes());
    assert_eq!(
        error,
        format!("expected at most 1048576 bytes (max_record_bytes) of key and value, found {}", record.len())
    );
    let table = Table { max_record_bytes: record.len(), ..table() };
    assert_eq!(decode(&table, &values([record.as_bytes()])).rows, 1);
    let table = Table { max_record_bytes: record.len() - 1, ..table };
    assert_eq!(decode(&table, &values([record.as_bytes()])).rows, 0);
}

#[test]
fn invalid_utf8_costs_the_record_that_has_it() {
    assert_eq!(rejected(b"{\"name\":\"a\xFFb\"}"), "byte 10: expected UTF-8, found `\\xffb\"`");
    assert_eq!(rejected(b"{\"other\":\"a\xC3\"}"), "byte 11: expected UTF-8, found `\\xc3\"`");
    // Overlong, a surrogate, beyond Unicode.
    for bytes in [b"\xC0\x80".as_slice(), b"\xED\xA0\x80", b"\xF4\x90\x80\x80"] {
        rejected(&[b"{\"name\":\"", bytes, b"\"}"].concat());
    }
    // What makes a character only together with the next record.
    let batch = decode(&table(), &values([b"{\"id\":1}\xC3".as_slice(), b"\xA9{\"id\":2}", GOOD]));
    assert_eq!(batch.records, [2]);
}

#[test]
fn truncated_records_of_every_length() {
    let whole: &[u8] = br#"{"id":-12.0e0,"name":"\u00e9\ud83d\ude00 b\\","score":1.5e-3,"other":{"a":[true,null,{"b":"c"}],"d":false}}"#;
    assert_eq!(decode(&table(), &values([whole])).rows, 1);
    for length in 0..whole.len() {
        rejected(&whole[..length]);
    }
}

#[test]
fn a_string_that_is_never_closed_does_not_make_reading_quadratic() {
    let records: Vec<&[u8]> = vec![br#"{"name":["}"#; 20_000];
    let other: Vec<&[u8]> = vec![br#"{"other":"}"#; 20_000];
    let nested: Vec<&[u8]> = vec![br#"{"other":{}"#; 20_000];
    for records in [records, other, nested] {
        assert_eq!(decode(&table(), &values(records)).rejects.len(), 20_000);
    }
}

#[test]
fn huge_numbers_and_names() {
    let digits = "9".repeat(900_000);
    assert!(rejected(format!("{{\"id\":{digits}}}").as_bytes()).len() < 300);
    assert!(rejected(format!("{{\"score\":{digits}}}").as_bytes()).len() < 300);
    assert!(rejected(format!("{{\"id\":1e{digits}}}").as_bytes()).len() < 300);
    assert!(rejected(format!("{{\"{digits}\":1,\"name\":2}}").as_bytes()).len() < 300);
    let tiny = format!("{{\"score\":0.{}1,\"id\":1{}e-900000}}", "0".repeat(9_000), "0".repeat(900_000));
    let batch = decode(&table(), &values([tiny.as_bytes()]));
    assert_eq!([column(&batch, 0), column(&batch, 2)], [["1"], ["0.0"]]);
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let batch = decode(&table(), &values([GOOD, &bytes, GOOD]));
        prop_assert!(batch.records.starts_with(&[0]) && batch.records.ends_with(&[2]));
    }

    #[test]
    fn random_bytes_of_json(text in r#"[\{\}\[\]":,\\ue0-9a-fnt\-\.E \n]{0,60}"#) {
        for record in [text.clone(), format!("{{{text}}}"), format!("{{\"other\":{text}}}"), format!("{{\"name\":\"{text}\"}}")] {
            let batch = decode(&table(), &values([GOOD, record.as_bytes(), GOOD]));
            prop_assert!(batch.records.starts_with(&[0]) && batch.records.ends_with(&[2]));
            let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&record);
            prop_assert!(object.is_ok() || batch.rows == 2, "{} is no JSON object", record);
        }
    }
}
