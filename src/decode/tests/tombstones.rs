//! What keys say about tombstones of dimensions (SEMANTICS 1.8).

use arrow::datatypes::{DataType, TimeUnit};

use super::{decode, errors, event_table, field, raw, shown};
use crate::batch::DecodedBatch;
use crate::plan::{Column, Identity, Role, Table};

fn dimension(columns: Vec<Column>, identity: Identity) -> Table {
    Table { role: Role::Dimension, identity: Some(identity), ..event_table(columns) }
}

/// Tombstones with these keys.
fn removed(table: &Table, keys: &[&[u8]]) -> DecodedBatch {
    decode(table, &raw(keys.iter().map(|key| (Some(*key), None))))
}

/// What a key says to a dimension whose identity is one field of that type: a value, or `!` and why not.
fn said(data_type: &DataType, key: &str) -> String {
    let table =
        dimension(vec![field("other", DataType::Int64), field("id", data_type.clone())], Identity::Columns(vec![1]));
    let batch = removed(&table, &[b"junk that is next to it", key.as_bytes(), b"9 and this too"]);
    let reject = batch.rejects.iter().find(|reject| reject.record == 1);
    match reject {
        Some(reject) => format!(
            "! {}",
            reject.error.strip_prefix("the key of a tombstone must say which row it removes: ").unwrap()
        ),
        None => {
            let row = batch.tombstones.iter().position(|record| *record == 1).unwrap();
            shown(&batch.tombstone_identity[0], row)
        }
    }
}

#[test]
fn a_key_of_one_column_is_plain_text_or_json() {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    for (data_type, key, expected) in [
        (DataType::Utf8View, "abc", "abc"),
        (DataType::Utf8View, "", ""),
        (DataType::Utf8View, " a \\n", " a \\n"),
        (DataType::Utf8View, "a text of more than twelve bytes", "a text of more than twelve bytes"),
        (DataType::Utf8View, "42", "42"),
        (DataType::Utf8View, "null", "null"),
        (DataType::Utf8View, "\"abc\"", "abc"),
        (DataType::Utf8View, "\"a\\u0062c, and more than twelve\"", "abc, and more than twelve"),
        (DataType::Utf8View, "{\"id\":\"abc\"}", "abc"),
        (DataType::Utf8View, " {\"schema\":{},\"id\":\"abc\"} ", "abc"),
        (DataType::Int64, "42", "42"),
        (DataType::Int64, "-42", "-42"),
        (DataType::Int64, "\"42\"", "42"),
        (DataType::Int64, "{\"id\":42}", "42"),
        (DataType::UInt8, "255", "255"),
        (DataType::Boolean, "true", "true"),
        (DataType::Float64, "1.5", "1.5"),
        (DataType::Decimal128(5, 2), "1.5", "1.50"),
        (DataType::Decimal128(5, 2), "\"1.5\"", "1.50"),
        (DataType::Date32, "2013-01-31", "2013-01-31"),
        (DataType::Date32, "\"2013-01-31\"", "2013-01-31"),
        (instant.clone(), "2013-01-01T05:15:00Z", "2013-01-01T05:15:00Z"),
        (instant.clone(), "1357017300123", "2013-01-01T05:15:00.123Z"),
        (instant, "\"2013-01-01T05:15:00Z\"", "2013-01-01T05:15:00Z"),
        (DataType::BinaryView, "SGVsbG8=", "48656c6c6f"),
        (DataType::Binary, "SGVsbG8=", "48656c6c6f"),
        (
            DataType::Int64,
            "abc",
            "! field `id`, byte 0: expected a whole number from -9223372036854775808 to 9223372036854775807, found `abc`",
        ),
        (DataType::Int64, "42x", "! field `id`, byte 2: expected nothing after the value, found `x`"),
        (
            DataType::Int64,
            "",
            "! field `id`, byte 0: expected a whole number from -9223372036854775808 to 9223372036854775807, found the end of the record",
        ),
        (
            DataType::Int64,
            "1.5",
            "! field `id`, byte 0: expected a whole number from -9223372036854775808 to 9223372036854775807, found `1.5`",
        ),
        (DataType::Int64, "{\"id\":null}", "! field `id`, byte 0: expected a value of this column, found `{\"id\"`"),
        (DataType::Int64, "{\"key\":42}", "! field `id`, byte 0: expected a value of this column, found `{\"key\"`"),
        (DataType::Utf8View, "{\"id\":42}", "! field `id`, byte 6: expected a string, found `42`"),
        (
            DataType::Utf8View,
            "{abc",
            "! byte 3: expected `}` as the last byte of the record (is it cut off?), found `c`",
        ),
        (
            DataType::Utf8View,
            "\"abc",
            "! field `id`, byte 0: expected a string that is closed before the record ends, found `\"abc`",
        ),
        (DataType::Utf8View, "\"abc\"d", "! byte 5: expected nothing after the string, found `d`"),
        (DataType::Date32, "yesterday", "! field `id`, byte 0: expected a date, YYYY-MM-DD, found `yesterday`"),
    ] {
        assert_eq!(said(&data_type, key), expected, "{data_type} {key}");
    }
}

#[test]
fn a_key_of_several_columns_is_an_object() {
    let columns = vec![field("a", DataType::Utf8View), field("x", DataType::Int64), field("b", DataType::Int64)];
    let table = dimension(columns, Identity::Columns(vec![2, 0]));
    let batch = removed(
        &table,
        &[
            br#"{"a":"one","b":1}"#,
            br#"{"a":"two"}"#,
            b"three",
            br#"{"b":4,"a":"four","c":[]}"#,
            br#"{"b":4,"a":"four"}}"#,
        ],
    );
    assert_eq!(batch.tombstones, [0, 3]);
    let shown = |row| [0, 1].map(|column| shown(&batch.tombstone_identity[column], row));
    assert_eq!([shown(0), shown(1)], [["1", "one"], ["4", "four"]], "in the order of the identity");
    assert_eq!(
        errors(&batch),
        [
            "field `b`, byte 0: expected a value of this column, found `{\"a\"`",
            "byte 0: expected a JSON object, found `three`",
            "byte 18: expected nothing after the object, found `}`",
        ]
        .map(|error| format!("the key of a tombstone must say which row it removes: {error}"))
    );
}

#[test]
fn a_key_may_be_the_identity_itself() {
    let table = dimension(vec![field("a", DataType::Int64), Column::Identity], Identity::RecordKey(1));
    let records = [(Some(b"\xFFk".as_slice()), None), (Some(b"k"), Some(b"{\"a\":1}".as_slice())), (None, None)];
    let batch = decode(&table, &raw(records));
    assert_eq!((&batch.tombstones[..], batch.rows), (&[0][..], 1));
    assert_eq!(shown(&batch.tombstone_identity[0], 0), "ff6b");
    assert_eq!(
        errors(&batch),
        ["a tombstone needs a key that says what it removes: this record has neither value nor key"]
    );
}

#[test]
fn the_text_of_the_key_may_be_the_identity() {
    let table = dimension(vec![Column::Key], Identity::Columns(vec![0]));
    let batch = removed(&table, &[b"abc", b"\xFF", b"{"]);
    assert_eq!(batch.tombstones, [0, 2]);
    assert_eq!([0, 1].map(|row| shown(&batch.tombstone_identity[0], row)), ["abc", "{"]);
    assert_eq!(errors(&batch), ["the key of a tombstone must say which row it removes: expected UTF-8, found `\\xff`"]);
}

#[test]
fn tombstones_and_rows_do_not_mix() {
    let table = dimension(vec![field("id", DataType::Utf8View)], Identity::Columns(vec![0]));
    let value = Some(br#"{"id":"a row \u0041 of more than twelve"}"#.as_slice());
    let key = Some(br#""a key \u0041 of more than twelve""#.as_slice());
    let batch = decode(&table, &raw([(key, value), (key, None), (None, value), (key, None)]));
    assert_eq!((&batch.records[..], &batch.tombstones[..]), (&[0, 2][..], &[1, 3][..]));
    assert_eq!([0, 1].map(|row| shown(&batch.columns[0], row)), ["a row A of more than twelve"; 2]);
    assert_eq!([0, 1].map(|row| shown(&batch.tombstone_identity[0], row)), ["a key A of more than twelve"; 2]);
}
