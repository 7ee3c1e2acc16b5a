//! decode(encode(x)) = x, with serde_json and arrow-json as independent readers.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Encoder, row_json};
use crate::batch::EncodedBatch;

fn encode(columns: &[(&str, ArrayRef)], key: Option<usize>) -> EncodedBatch {
    let types: Vec<_> = columns.iter().map(|(name, array)| (name.to_string(), array.data_type().clone())).collect();
    let arrays: Vec<ArrayRef> = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    let rows = arrays.first().map_or(0, |array| array.len());
    let mut encoder = Encoder::new(&types, key);
    let first = encoder.encode(&arrays, (0..rows as i64).collect());
    let second = encoder.encode(&arrays, (0..rows as i64).collect());
    assert_eq!(first.values.arena(), second.values.arena(), "an encoder must not remember rows");
    first
}

fn objects(columns: &[(&str, ArrayRef)]) -> Vec<Value> {
    let encoded = encode(columns, None);
    assert_eq!(encoded.timestamps.len(), encoded.values.len());
    (0..encoded.values.len())
        .map(|row| {
            let bytes = encoded.values.get(row).unwrap();
            serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
        })
        .collect()
}

/// The values of a lone column.
fn cells(array: impl Array + 'static) -> Vec<Value> {
    objects(&[("x", Arc::new(array))]).into_iter().map(|mut object| object["x"].take()).collect()
}

/// The text of a lone column's values, as it stands in the JSON.
fn texts(array: ArrayRef) -> Vec<String> {
    let encoded = encode(&[("x", array)], None);
    (0..encoded.values.len())
        .map(|row| {
            let text = std::str::from_utf8(encoded.values.get(row).unwrap()).unwrap();
            text.strip_prefix("{\"x\":").unwrap().strip_suffix('}').unwrap().to_string()
        })
        .collect()
}

/// Reads what was encoded with arrow-json, as the types that it was written from.
fn read_back(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let encoded = encode(columns, None);
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::new(Schema::new(fields))).build_decoder().unwrap();
    for row in 0..encoded.values.len() {
        let bytes = encoded.values.get(row).unwrap();
        assert_eq!(decoder.decode(bytes).unwrap(), bytes.len());
    }
    decoder.flush().unwrap().expect("some rows")
}

fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => prop::char::range('a', 'z'),
        1 => prop::char::range('\0', '\u{1f}'),
        1 => prop::sample::select(vec!['"', '\\', '/', '\u{7f}', '\u{2028}', '\u{feff}', 'é', '€', '𝄞']),
        1 => any::<char>(),
    ];
    prop::collection::vec(char, 0..40).prop_map(|chars| chars.into_iter().collect())
}

fn rows<T: Strategy>(cell: T) -> impl Strategy<Value = Vec<Option<T::Value>>>
where
    T::Value: Clone,
{
    prop::collection::vec(prop::option::of(cell), 1..12)
}

fn check_read_back(columns: &[(&str, ArrayRef)]) {
    let read = read_back(columns);
    for (place, (name, array)) in columns.iter().enumerate() {
        assert_eq!(read.column(place), array, "column {name}");
    }
}

/// `values` as the native numbers of a type, wrapped to its width.
fn primitive<T: ArrowPrimitiveType>(values: &[Option<i64>], convert: impl Fn(i64) -> T::Native) -> ArrayRef {
    Arc::new(values.iter().map(|value| value.map(&convert)).collect::<PrimitiveArray<T>>())
}

/// Instants of the years 0000 to 9999, in seconds; readers know no others.
fn second_of_four_digit_years(value: i64) -> i64 {
    value.rem_euclid(253_402_300_800 + 62_167_219_200) - 62_167_219_200
}

proptest! {
    #[test]
    fn strings_of_every_type(strings in rows(text())) {
        let expected: Vec<Value> = strings.iter().map(|string| json!(string)).collect();
        prop_assert_eq!(&cells(StringArray::from(strings.clone())), &expected);
        prop_assert_eq!(&cells(LargeStringArray::from(strings.clone())), &expected);
        prop_assert_eq!(&cells(StringViewArray::from_iter(strings.iter())), &expected);
        let dictionary: DictionaryArray<Int32Type> = strings.iter().map(|string| string.as_deref()).collect();
        prop_assert_eq!(&cells(dictionary), &expected);
    }

    #[test]
    fn field_names(name in text()) {
        let rows = objects(&[(&name, Arc::new(Int64Array::from(vec![7])))]);
        prop_assert_eq!(&rows[0], &json!({ name: 7 }));
    }

    #[test]
    fn bytes_of_every_type(bytes in rows(prop::collection::vec(any::<u8>(), 0..20))) {
        let slices: Vec<Option<&[u8]>> = bytes.iter().map(|bytes| bytes.as_deref()).collect();
        let arrays: [ArrayRef; 3] = [
            Arc::new(BinaryArray::from(slices.clone())),
            Arc::new(LargeBinaryArray::from(slices.clone())),
            Arc::new(BinaryViewArray::from_iter(slices.iter())),
        ];
        for array in arrays {
            for (cell, bytes) in cells(array).iter().zip(&bytes) {
                prop_assert_eq!(&cell.as_str().map(|text| STANDARD.decode(text).unwrap()), bytes);
            }
        }
    }

    #[test]
    fn integers_and_booleans(values in rows(any::<i64>())) {
        check_read_back(&[
            ("boolean", Arc::new(values.iter().map(|value| value.map(|value| value % 2 == 0)).collect::<BooleanArray>())),
            ("i8", primitive::<Int8Type>(&values, |value| value as i8)),
            ("i16", primitive::<Int16Type>(&values, |value| value as i16)),
            ("i32", primitive::<Int32Type>(&values, |value| value as i32)),
            ("i64", primitive::<Int64Type>(&values, |value| value)),
            ("u8", primitive::<UInt8Type>(&values, |value| value as u8)),
            ("u16", primitive::<UInt16Type>(&values, |value| value as u16)),
            ("u32", primitive::<UInt32Type>(&values, |value| value as u32)),
            ("u64", primitive::<UInt64Type>(&values, |value| value as u64)),
        ]);
    }

    #[test]
    fn floats_bit_by_bit(bits in prop::collection::vec(any::<u64>(), 1..20), near in any::<i32>(), places in 0..8) {
        let mut doubles: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
        doubles.push(f64::from(near) / 10f64.powi(places));
        for (text, value) in texts(Arc::new(Float64Array::from(doubles.clone()))).iter().zip(&doubles) {
            serde_json::from_str::<Value>(text).unwrap();
            match value.is_finite() {
                true => prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text),
                false => prop_assert_eq!(text, "null"),
            }
        }
        let floats: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits as u32)).collect();
        for (text, value) in texts(Arc::new(Float32Array::from(floats.clone()))).iter().zip(&floats) {
            serde_json::from_str::<Value>(text).unwrap();
            match value.is_finite() {
                true => prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), value.to_bits(), "{}", text),
                false => prop_assert_eq!(text, "null"),
            }
        }
    }

    #[test]
    fn decimals(values in rows(any::<i64>()), scale in -5i8..18) {
        let narrow = |value: i64| i128::from(value % 10i64.pow(18));
        let decimals: Decimal128Array = values.iter().map(|value| value.map(narrow)).collect();
        let wide: Decimal256Array = values.iter().map(|value| value.map(|value| i256::from_i128(narrow(value)))).collect();
        if scale >= 0 {
            check_read_back(&[
                ("decimal", Arc::new(decimals.clone().with_precision_and_scale(38, scale).unwrap())),
                ("wide", Arc::new(wide.clone().with_precision_and_scale(76, scale).unwrap())),
            ]);
        }
        let decimal32 = primitive::<Decimal32Type>(&values, |value| (value % 1_000_000_000) as i32);
        let decimal64 = primitive::<Decimal64Type>(&values, |value| value % 1_000_000_000);
        let decimal128 = primitive::<Decimal128Type>(&values, |value| i128::from(value % 1_000_000_000));
        prop_assert_eq!(texts(Arc::new(decimal32.as_primitive::<Decimal32Type>().clone().with_precision_and_scale(9, scale.min(9)).unwrap())),
                        texts(Arc::new(decimal128.as_primitive::<Decimal128Type>().clone().with_precision_and_scale(38, scale.min(9)).unwrap())));
        prop_assert_eq!(texts(Arc::new(decimal64.as_primitive::<Decimal64Type>().clone().with_precision_and_scale(18, scale).unwrap())),
                        texts(Arc::new(decimal128.as_primitive::<Decimal128Type>().clone().with_precision_and_scale(38, scale).unwrap())));
    }

    #[test]
    fn times(values in rows(any::<i64>())) {
        const DAY: i64 = 86_400;
        let seconds = second_of_four_digit_years;
        let utc = |array: ArrayRef, unit| arrow::compute::cast(&array, &DataType::Timestamp(unit, Some("UTC".into()))).unwrap();
        let millis = primitive::<TimestampMillisecondType>(&values, |value| seconds(value) * 1_000 + value.rem_euclid(1_000));
        let micros = primitive::<TimestampMicrosecondType>(&values, |value| seconds(value) * 1_000_000 + value.rem_euclid(1_000_000));
        check_read_back(&[
            ("date32", primitive::<Date32Type>(&values, |value| seconds(value).div_euclid(DAY) as i32)),
            ("date64", primitive::<Date64Type>(&values, |value| seconds(value).div_euclid(DAY) * DAY * 1_000)),
            ("time_s", primitive::<Time32SecondType>(&values, |value| value.rem_euclid(DAY) as i32)),
            ("time_ms", primitive::<Time32MillisecondType>(&values, |value| value.rem_euclid(DAY * 1_000) as i32)),
            ("time_us", primitive::<Time64MicrosecondType>(&values, |value| value.rem_euclid(DAY * 1_000_000))),
            ("time_ns", primitive::<Time64NanosecondType>(&values, |value| value.rem_euclid(DAY * 1_000_000_000))),
            ("s", primitive::<TimestampSecondType>(&values, seconds)),
            ("ms", Arc::clone(&millis)),
            ("us", Arc::clone(&micros)),
            ("ns", primitive::<TimestampNanosecondType>(&values, |value| value)),
            ("ms_utc", utc(millis, TimeUnit::Millisecond)),
            ("us_utc", utc(micros, TimeUnit::Microsecond)),
        ]);
    }

    #[test]
    fn no_number_is_too_extreme_to_be_a_time(value in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)]) {
        let values = [Some(value)];
        let small = value as i32;
        let arrays: Vec<ArrayRef> = vec![
            primitive::<TimestampSecondType>(&values, |value| value),
            primitive::<TimestampMillisecondType>(&values, |value| value),
            primitive::<TimestampNanosecondType>(&values, |value| value),
            primitive::<Date32Type>(&values, |value| value as i32),
            primitive::<Date64Type>(&values, |value| value),
            primitive::<Time32SecondType>(&values, |value| value as i32),
            primitive::<Time64NanosecondType>(&values, |value| value),
            primitive::<DurationSecondType>(&values, |value| value),
            primitive::<DurationMillisecondType>(&values, |value| value),
            primitive::<DurationMicrosecondType>(&values, |value| value),
            primitive::<DurationNanosecondType>(&values, |value| value),
            Arc::new(IntervalYearMonthArray::from(vec![small])),
            Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(small, small)])),
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(small, small, value)])),
        ];
        for array in arrays {
            prop_assert!(cells(array)[0].is_string());
        }
    }

    #[test]
    fn nested(lists in rows(prop::collection::vec(prop::option::of((any::<i64>(), text())), 0..5)), skip in 0usize..3) {
        let expected: Vec<Value> = lists
            .iter()
            .map(|list| list.as_ref().map_or(Value::Null, |items| {
                items.iter().map(|item| item.as_ref().map_or(Value::Null, |(n, s)| json!({"n": n, "s \"": s}))).collect()
            }))
            .collect();
        let items: Vec<_> = lists.iter().flatten().flatten().cloned().collect();
        let fields = Fields::from(vec![Field::new("n", DataType::Int64, true), Field::new("s \"", DataType::Utf8View, true)]);
        let numbers: Int64Array = items.iter().map(|item| item.as_ref().map(|(n, _)| *n)).collect();
        let strings = StringViewArray::from_iter(items.iter().map(|item| item.as_ref().map(|(_, s)| s)));
        let nulls = items.iter().map(Option::is_some).collect::<Vec<_>>().into();
        let structs = StructArray::new(fields, vec![Arc::new(numbers), Arc::new(strings)], Some(nulls));
        let field = Arc::new(Field::new("item", structs.data_type().clone(), true));
        let offsets = OffsetBuffer::<i32>::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
        let present = lists.iter().map(Option::is_some).collect::<Vec<_>>().into();
        let list = ListArray::new(field, offsets, Arc::new(structs), Some(present));

        prop_assert_eq!(&cells(list.clone()), &expected);
        let skip = skip.min(list.len());
        prop_assert_eq!(&cells(list.slice(skip, list.len() - skip)), &expected[skip..]);
        check_read_back(&[("list", Arc::new(list.clone()))]);
        for other in [DataType::LargeList as fn(FieldRef) -> DataType, DataType::ListView, DataType::LargeListView] {
            let DataType::List(field) = list.data_type() else { unreachable!() };
            let cast = arrow::compute::cast(&list, &other(Arc::clone(field))).unwrap();
            prop_assert_eq!(&cells(cast.slice(skip, list.len() - skip)), &expected[skip..]);
        }
    }

    #[test]
    fn keys(strings in rows(text())) {
        let array: ArrayRef = Arc::new(StringViewArray::from_iter(strings.iter()));
        let encoded = encode(&[("a", Arc::new(Int64Array::from(vec![1; strings.len()]))), ("k", array)], Some(1));
        for (row, string) in strings.iter().enumerate() {
            prop_assert_eq!(encoded.keys.get(row), string.as_deref().map(str::as_bytes));
        }
    }
}

#[test]
fn lists_of_fixed_size_and_maps() {
    let numbers = vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)])];
    let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(numbers, 2);
    assert_eq!(cells(pairs.clone()), [json!([1, null]), json!(null), json!([3, 4])]);
    assert_eq!(cells(pairs.slice(1, 2)), [json!(null), json!([3, 4])]);

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("a\n");
    map.values().append_value(1);
    map.keys().append_value("b");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    assert_eq!(cells(map.finish()), [json!({"a\n": 1, "b": null}), json!(null), json!({})]);

    let mut map = MapBuilder::new(None, Int32Builder::new(), Float64Builder::new());
    map.keys().append_value(-7);
    map.values().append_value(f64::NAN);
    map.append(true).unwrap();
    assert_eq!(cells(map.finish()), [json!({"-7": null})]);
}

#[test]
fn rare_types() {
    assert_eq!(cells(NullArray::new(2)), [json!(null), json!(null)]);
    assert_eq!(cells(StructArray::new_empty_fields(1, None)), [json!({})]);
    let bytes = FixedSizeBinaryArray::try_from_iter([[0u8, 255], [1, 2]].iter()).unwrap();
    assert_eq!(cells(bytes), [json!("AP8="), json!("AQI=")]);
    let halves = Float16Array::from_iter_values(
        [1.5f32, f32::INFINITY].map(<Float16Type as ArrowPrimitiveType>::Native::from_f32),
    );
    assert_eq!(cells(halves), [json!(1.5), json!(null)]);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec![Some("a"), None]))
        .unwrap();
    assert_eq!(cells(runs), [json!("a"), json!("a"), json!(null)]);
    let mut union = UnionBuilder::new_dense();
    union.append::<Int32Type>("n", 1).unwrap();
    assert_eq!(cells(union.build().unwrap()), [json!("{n=1}")]);
    let zoned = TimestampMillisecondArray::from(vec![0]).with_timezone("+02:00");
    assert_eq!(cells(zoned), [json!("1970-01-01T00:00:00Z")]);
}

#[test]
fn keys_of_other_types() {
    let key = |array: ArrayRef| {
        let encoded = encode(&[("k", array)], Some(0));
        encoded.keys.get(0).map(<[u8]>::to_vec)
    };
    assert_eq!(key(Arc::new(Int64Array::from(vec![-5]))).unwrap(), b"-5");
    assert_eq!(key(Arc::new(Float64Array::from(vec![f64::NAN]))).unwrap(), b"NaN");
    assert_eq!(key(Arc::new(BooleanArray::from(vec![true]))).unwrap(), b"true");
    assert_eq!(key(Arc::new(BinaryArray::from(vec![&b"\xff\x00"[..]]))).unwrap(), b"\xff\x00");
    assert_eq!(
        key(Arc::new(TimestampMillisecondArray::from(vec![1]).with_timezone("UTC"))).unwrap(),
        b"1970-01-01T00:00:00.001Z"
    );
    let pair = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec!["x\""])) as ArrayRef,
    )]);
    assert_eq!(key(Arc::new(pair)).unwrap(), b"{\"a\":\"x\\\"\"}");
    assert_eq!(key(Arc::new(Int64Array::from(vec![None]))), None);
    assert_eq!(key(Arc::new(NullArray::new(1))), None);
}

#[test]
fn no_column_and_no_row() {
    let mut encoder = Encoder::new(&[], None);
    let encoded = encoder.encode(&[], vec![5, 6]);
    assert_eq!(encoded.values.get(1), Some(&b"{}"[..]));
    assert_eq!(encoded.keys.get(0), None);
    assert_eq!(encoded.timestamps, [5, 6]);
    assert!(encoder.encode(&[], vec![]).values.is_empty());
}

#[test]
fn one_row_for_a_dead_letter() {
    let columns: Vec<(String, ArrayRef)> = vec![
        ("a".into(), Arc::new(Int64Array::from(vec![1, 2]))),
        ("b".into(), Arc::new(StringArray::from(vec![Some("x"), None]))),
    ];
    assert_eq!(row_json(&columns, 1), b"{\"a\":2,\"b\":null}");
    assert_eq!(row_json(&[], 0), b"{}");
}
