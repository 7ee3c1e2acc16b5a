//! The rules of SEMANTICS that a decoder keeps.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, TimeUnit};

use super::{check, column, decode, errors, event_table, field, raw, shown, values};
use crate::decode::{TableDecoder, supports};
use crate::plan::{Column, Identity, Role, Table};

fn instant(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

fn timed_table(columns: Vec<Column>, unit: TimeUnit) -> Table {
    Table { event_time: Some(field("at", instant(unit))), ..event_table(columns) }
}

#[test]
fn columns_of_the_record_stand_beside_those_of_its_value() {
    let table = event_table(vec![
        Column::Offset,
        field("id", DataType::Int64),
        Column::Key,
        Column::Topic,
        Column::Partition,
        Column::Timestamp,
    ]);
    let batch = decode(
        &table,
        &raw([
            (Some(b"k0".as_slice()), Some(b"{\"id\":1}".as_slice())),
            (Some(b"bad"), Some(b"{\"id\":x}")),
            (None, Some(b"{}")),
            (Some(b"a key of more than twelve bytes"), Some(b"{\"id\":3}")),
        ]),
    );
    assert_eq!(column(&batch, 0), ["100", "102", "103"]);
    assert_eq!(column(&batch, 1), ["1", "NULL", "3"]);
    assert_eq!(column(&batch, 2), ["k0", "NULL", "a key of more than twelve bytes"]);
    assert_eq!(column(&batch, 3), ["orders"; 3]);
    assert_eq!(column(&batch, 4), ["0", "0", "1"]);
    assert_eq!(column(&batch, 5), ["1970-01-01T00:00:01Z", "1970-01-01T00:00:01.002Z", "1970-01-01T00:00:01.003Z"]);
    assert_eq!((batch.records, batch.times), (vec![0, 2, 3], vec![1000, 1002, 1003]));
}

#[test]
fn a_key_must_be_text_only_where_it_is_asked_for() {
    let records = || raw([(Some(b"\xFF".as_slice()), Some(b"{}".as_slice())), (Some("é".as_bytes()), Some(b"{}"))]);
    assert_eq!(decode(&event_table(vec![Column::Offset]), &records()).rows, 2);
    let batch = decode(&event_table(vec![Column::Key]), &records());
    assert_eq!(column(&batch, 0), ["é"]);
    assert_eq!(errors(&batch), ["the query uses _key: expected a key in UTF-8, found `\\xff`"]);
    // Together they would be one character.
    let halves = raw([(Some(b"\xC3".as_slice()), Some(b"{}".as_slice())), (Some(b"\xA9"), Some(b"{}"))]);
    assert_eq!(decode(&event_table(vec![Column::Key]), &halves).rejects.len(), 2);
}

#[test]
fn views_point_into_the_arena_and_short_ones_let_it_go() {
    let table = event_table(vec![field("long", DataType::Utf8View), field("short", DataType::Utf8View)]);
    let raw = values([br#"{"long":"a text of more than twelve bytes","short":"a\tb"}"#.as_slice()]);
    let batch = decode(&table, &raw);
    let [long, short] = [0, 1].map(|column| batch.columns[column].as_string_view());
    assert!(long.data_buffers()[0].ptr_eq(raw.values.arena()), "nothing was copied");
    assert!(short.data_buffers().is_empty());
}

#[test]
fn event_time_is_the_time_of_the_row_in_any_unit() {
    for (unit, value) in [
        (TimeUnit::Second, "-1"),
        (TimeUnit::Millisecond, "-1000"),
        (TimeUnit::Microsecond, "-999001"),
        (TimeUnit::Nanosecond, "-999000001"),
        (TimeUnit::Millisecond, "\"1969-12-31T23:59:59Z\""),
    ] {
        let record = format!("{{\"at\":{value}}}");
        let table = timed_table(vec![], unit);
        assert_eq!(decode(&table, &values([record.as_bytes()])).times, [-1000], "{value} {unit:?}");
    }
}

#[test]
fn event_time_may_also_be_a_column() {
    let at = field("at", instant(TimeUnit::Millisecond));
    let table = timed_table(vec![field("id", DataType::Int64), at], TimeUnit::Millisecond);
    let batch = decode(&table, &values([br#"{"at":5,"id":7}"#.as_slice()]));
    assert_eq!([column(&batch, 0), column(&batch, 1)], [["7"], ["1970-01-01T00:00:00.005Z"]]);
    assert_eq!(batch.times, [5]);
}

#[test]
fn event_time_that_is_null_unreadable_or_too_far_ahead_is_bad_input() {
    let table = timed_table(vec![field("id", DataType::Int64)], TimeUnit::Millisecond);
    let batch = decode(
        &table,
        &values([
            br#"{"id":0,"at":61000}"#.as_slice(),
            br#"{"id":1,"at":61002}"#,
            br#"{"id":2}"#,
            br#"{"id":3,"at":null}"#,
            br#"{"id":4,"at":"soon"}"#,
            br#"{"id":5,"at":1}"#,
        ]),
    );
    assert_eq!((column(&batch, 0), &batch.times[..]), (vec!["0".to_string(), "5".into()], &[61000, 1][..]));
    assert_eq!(
        errors(&batch),
        [
            "field `at`: expected an event time at most 60000 ms (max_future) ahead of the record's timestamp, found \
             61002, which is 60001 ms ahead of 1001",
            "field `at`: expected an instant: it is the event time of this table's rows",
            "field `at`: expected an instant: it is the event time of this table's rows",
            "field `at`, byte 13: expected an instant, as a string in RFC 3339 or a number of ms since 1970, found `\"soon\"`",
        ]
    );
    let seconds = timed_table(vec![], TimeUnit::Second);
    let beyond = decode(&seconds, &values([br#"{"at":9223372036854775807}"#.as_slice()]));
    assert_eq!(beyond.rejects.len(), 1);
}

#[test]
fn rows_of_a_dimension_need_their_identity() {
    let columns = vec![field("a", DataType::Utf8View), field("b", DataType::Int64), field("c", DataType::Int64)];
    let table = Table { role: Role::Dimension, identity: Some(Identity::Columns(vec![2, 0])), ..event_table(columns) };
    let batch = decode(
        &table,
        &values([
            br#"{"a":"x","c":1}"#.as_slice(),
            br#"{"a":"x","b":1}"#,
            br#"{"a":null,"c":1}"#,
            br#"{"a":"y","c":2}"#,
        ]),
    );
    assert_eq!(column(&batch, 0), ["x", "y"]);
    assert_eq!(
        errors(&batch),
        ["c", "a"]
            .map(|name| format!("field `{name}`: expected a value: it is of the identity of this dimension's rows"))
    );
    let table = Table {
        role: Role::Dimension,
        identity: Some(Identity::RecordKey(0)),
        ..event_table(vec![Column::Identity, field("a", DataType::Int64)])
    };
    let value = Some(b"{\"a\":1}".as_slice());
    let batch = decode(&table, &raw([(Some(b"\xFF".as_slice()), value), (None, value), (Some(b""), value)]));
    assert_eq!(column(&batch, 0), ["ff", ""]);
    assert_eq!(
        errors(&batch),
        ["expected a key: it is the identity of this dimension's rows, and the record has none"]
    );
}

#[test]
fn one_bad_record_costs_one_record_wherever_it_stands() {
    let list = DataType::List(Field::new("item", DataType::Utf8View, true).into());
    let of_struct = DataType::Struct(
        [Field::new("p", DataType::Float64, true), Field::new("q", list.clone(), true)].into_iter().collect(),
    );
    let columns = vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8View),
        field("tags", list),
        field("place", of_struct),
        field("flag", DataType::Boolean),
        field("bytes", DataType::Binary),
    ];
    let table = event_table(columns);
    let good = |id: usize| {
        format!(
            r#"{{"id":{id},"name":"name \u00e9 of number {id}","tags":["t{id}",null,"a longer tag of number {id}\n"],"place":{{"p":{id}.5,"q":["r"]}},"flag":{},"bytes":"SGVsbG8="}}"#,
            id.is_multiple_of(2)
        )
    };
    // Each fails after it has left something in as many columns as possible.
    let bad = [
        r#"{"id":9,"name":"x\ny and more and more","tags":["a","b\u0041cccccccccccccccccc",3]}"#,
        r#"{"flag":true,"id":9,"name":"x","tags":[null],"place":{"p":1,"q":["a",null,"b",{}]}}"#,
        r#"{"flag":null,"bytes":"SGVsbG8=","place":{"q":[]},"id":1e99}"#,
        r#"{"flag":true,"bytes":"SGVsbG8=","place":null,"id":1,"name":null,"tags":null,"id":2}"#,
        r#"{"flag":true,"bytes":"SGVsbG8=","place":null,"id":1,"name":"unclosed}"#,
        "\u{FEFF}{}",
    ];
    let expected = decode(&table, &values((0..5).map(good).collect::<Vec<_>>().iter().map(String::as_bytes)));
    assert_eq!(expected.rows, 5);
    for bad in bad {
        for place in 0..=5 {
            let mut records: Vec<String> = (0..5).map(good).collect();
            records.insert(place, bad.to_string());
            let mut decoder = TableDecoder::new(&table);
            let raw = values(records.iter().map(String::as_bytes));
            for _ in 0..2 {
                let batch = decoder.decode(&raw);
                check(&table, &raw, &batch);
                assert_eq!(batch.rejects.len(), 1, "{bad}");
                assert_eq!(batch.rejects[0].record as usize, place, "{bad}");
                assert_eq!(batch.columns, expected.columns, "{bad} at {place}");
            }
        }
    }
}

#[test]
fn batches_follow_each_other_whatever_their_sizes() {
    let table = event_table(vec![field("id", DataType::Int64), field("name", DataType::Utf8View)]);
    let mut decoder = TableDecoder::new(&table);
    for count in [0, 1, 300, 0, 64, 65, 1] {
        let records: Vec<String> =
            (0..count).map(|id| format!(r#"{{"id":{id},"name":"the name \t of {id}"}}"#)).collect();
        let raw = values(records.iter().map(String::as_bytes));
        let batch = decoder.decode(&raw);
        check(&table, &raw, &batch);
        assert_eq!(column(&batch, 0), (0..count).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(column(&batch, 1), (0..count).map(|id| format!("the name \t of {id}")).collect::<Vec<_>>());
    }
}

#[test]
fn tombstones_of_events_are_only_listed() {
    let table = event_table(vec![field("id", DataType::Int64)]);
    let batch =
        decode(&table, &raw([(None, None), (Some(b"k".as_slice()), Some(b"{}".as_slice())), (Some(b"\xFF"), None)]));
    assert_eq!((batch.tombstones, batch.records, batch.tombstone_identity.len()), (vec![0, 2], vec![1], 0));
}

#[test]
fn fields_that_must_be_there_are_asked_for() {
    let inner = Field::new("must", DataType::Int64, false);
    let table = event_table(vec![field("s", DataType::Struct([inner].into_iter().collect()))]);
    let batch =
        decode(&table, &values([br#"{"s":{"must":1}}"#.as_slice(), br#"{"s":{}}"#, br#"{"s":{"must":null}}"#, b"{}"]));
    assert_eq!(column(&batch, 0), ["{must: 1}", "NULL"]);
    assert_eq!(
        errors(&batch),
        [
            "field `s.must`, byte 6: expected a value: the schema says that there is one, found `}`",
            "field `s.must`, byte 13: expected a value: the schema says that there is one, found `null`",
        ]
    );
}

#[test]
fn records_that_say_nothing_of_their_fields_are_rows_all_the_same() {
    let batch = decode(&event_table(vec![]), &values([b"{}".as_slice(), b"{\"a\":[1]}", b"{\"a\":[1}"]));
    assert_eq!((batch.rows, batch.columns.len(), batch.rejects.len()), (2, 0, 1));
    let empty = DataType::Struct(Vec::<Field>::new().into());
    let batch = decode(&event_table(vec![field("e", empty)]), &values([b"{\"e\":{\"a\":1}}".as_slice(), b"{}"]));
    assert_eq!(column(&batch, 0), ["{}", "NULL"]);
}

#[test]
fn types_that_are_not_decoded_are_known_beforehand() {
    for yes in [DataType::Int8, DataType::Decimal128(38, 10), DataType::Utf8View, instant(TimeUnit::Nanosecond)] {
        assert!(supports(&yes), "{yes}");
        assert!(supports(&DataType::List(Field::new("item", yes, true).into())));
    }
    for no in [DataType::Utf8, DataType::Float16, DataType::Decimal256(40, 2), DataType::Null, DataType::Date64] {
        assert!(!supports(&no), "{no}");
        assert!(!supports(&DataType::Struct([Field::new("x", no, true)].into_iter().collect())));
    }
}

#[test]
fn shared_arenas_are_read_only_where_the_batch_is() {
    use crate::batch::{SlicesBuilder, Span};
    let arena = b"\xFF\xFE{\"id\":1}\xFF{\"id\":2}\xFF".to_vec();
    let spans = vec![Span { start: 2, len: 8 }, Span { start: 11, len: 8 }];
    let mut raw = values([b"".as_slice(), b""]);
    raw.values = SlicesBuilder::from_parts(arena, spans);
    let batch = decode(&event_table(vec![field("id", DataType::Int64)]), &raw);
    assert_eq!(column(&batch, 0), ["1", "2"]);
    assert_eq!(shown(&batch.columns[0], 1), "2");
    assert!(batch.columns[0].nulls().is_none());
}
