//! The golden values were computed by an implementation of xxHash64 that shares no code with this one.

use std::sync::Arc;

use arrow::array::{
    BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray,
    StringArray, StringViewArray, StructArray, TimestampMillisecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{Field, Int8Type, Int64Type};

use super::*;

fn hash_one(columns: &[ArrayRef]) -> u64 {
    hash_keys(columns).get(0).expect("the key has no NULL")
}

fn hash_of(array: impl Array + 'static) -> u64 {
    hash_one(&[Arc::new(array)])
}

#[test]
fn hashes_never_change() {
    assert_eq!(hash_of(StringViewArray::from(vec![""])), 0xef46_db37_51d8_e999);
    assert_eq!(hash_of(StringViewArray::from(vec!["N14228"])), 0x1db1_7d3d_2cc5_5032);
    let long = "a string that is longer than thirty-two bytes";
    assert_eq!(hash_of(StringViewArray::from(vec![long])), 0xc857_e4b8_afd4_cd54);
    assert_eq!(hash_of(Int64Array::from(vec![42])), 0xb556_806f_b6d1_4353);
    assert_eq!(hash_of(Int64Array::from(vec![-1])), 0x85d1_36ad_b773_c6c9);
    assert_eq!(hash_of(UInt64Array::from(vec![u64::MAX])), 0x85d1_36ad_b773_c6c9);
    assert_eq!(hash_of(Float64Array::from(vec![0.0])), 0x34c9_6acd_cadb_1bbb);
    assert_eq!(hash_of(Float64Array::from(vec![1.5])), 0x49f7_b96b_6b5c_caf9);
    assert_eq!(hash_of(Float64Array::from(vec![f64::NAN])), 0xe9ad_b09f_ee12_2aac);
    assert_eq!(hash_of(Decimal128Array::from(vec![12345])), 0xba80_59e3_e301_75ad);
    assert_eq!(hash_of(Decimal128Array::from(vec![-1])), 0xa721_445d_6a57_c444);
    assert_eq!(hash_of(BooleanArray::from(vec![true])), 0x8a41_2781_1b21_e730);
    assert_eq!(hash_of(BooleanArray::from(vec![false])), 0xe934_a84a_db05_2768);
    assert_eq!(hash_of(Date32Array::from(vec![19000])), 0x014c_da74_cc74_81ce);
    assert_eq!(hash_of(TimestampMillisecondArray::from(vec![1_700_000_000_000])), 0x8507_cf79_5c8a_1262);
}

#[test]
fn composite_hashes_never_change() {
    let carrier: ArrayRef = Arc::new(StringViewArray::from(vec!["UA"]));
    let flight: ArrayRef = Arc::new(Int16Array::from(vec![1545]));
    let scheduled: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    assert_eq!(hash_one(&[carrier.clone(), flight.clone()]), 0x8a8a_6590_4b06_8773);
    assert_eq!(hash_one(&[carrier, flight, scheduled]), 0x0f5b_85c9_70c3_9975);
}

#[test]
fn nested_hashes_never_change() {
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["ab", "ab"]));
    let pairs = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int32, true)), numbers),
        (Arc::new(Field::new("t", DataType::Utf8View, true)), texts),
    ]);
    let hashes = hash_keys(&[Arc::new(pairs)]);
    assert!(hashes.valid.is_none(), "a NULL inside a value is not a NULL key");
    assert_eq!(hashes.hashes, [0x59c0_b5c2_7da9_e421, 0x62de_7660_0ea8_3dcd]);

    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None, Some(3)])]);
    assert_eq!(hash_of(list), 0xc9d5_af5d_e560_48d2);
}

#[test]
fn equal_integers_hash_equally_whatever_their_width() {
    let expected = hash_of(Int64Array::from(vec![42]));
    let others = [
        hash_of(Int8Array::from(vec![42])),
        hash_of(Int16Array::from(vec![42])),
        hash_of(Int32Array::from(vec![42])),
        hash_of(UInt8Array::from(vec![42])),
        hash_of(UInt16Array::from(vec![42])),
        hash_of(UInt32Array::from(vec![42])),
        hash_of(UInt64Array::from(vec![42])),
    ];
    assert_eq!(others, [expected; 7]);
    assert_eq!(hash_of(Int8Array::from(vec![-1])), hash_of(Int64Array::from(vec![-1])));
    assert_ne!(hash_of(UInt8Array::from(vec![255])), hash_of(Int8Array::from(vec![-1])));
}

#[test]
fn equal_texts_hash_equally_whatever_their_layout() {
    for text in ["", "short", "longer than twelve bytes", "a string that is longer than thirty-two bytes"] {
        let expected = hash_of(StringViewArray::from(vec![text]));
        assert_eq!(hash_of(StringArray::from(vec![text])), expected);
        assert_eq!(hash_of(LargeStringArray::from(vec![text])), expected);
        assert_eq!(hash_of(BinaryArray::from(vec![text.as_bytes()])), expected);
        assert_eq!(hash_of(BinaryViewArray::from(vec![text.as_bytes()])), expected);
        assert_eq!(hash_of(DictionaryArray::<Int8Type>::from_iter([text])), expected);
        let fixed = FixedSizeBinaryArray::try_from_iter([text.as_bytes()].into_iter()).expect("one size");
        assert_eq!(hash_of(fixed), expected);
    }
}

#[test]
fn floats_have_one_zero_and_one_nan() {
    assert_eq!(hash_of(Float64Array::from(vec![-0.0])), hash_of(Float64Array::from(vec![0.0])));
    assert_eq!(hash_of(Float64Array::from(vec![-f64::NAN])), hash_of(Float64Array::from(vec![f64::NAN])));
    assert_eq!(hash_of(Float32Array::from(vec![f32::NAN])), hash_of(Float64Array::from(vec![f64::NAN])));
    assert_eq!(hash_of(Float32Array::from(vec![0.5])), hash_of(Float64Array::from(vec![0.5])));
}

#[test]
fn a_null_in_any_column_leaves_no_hash() {
    let left: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None]));
    let right: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), None, None]));
    let hashes = hash_keys(&[left.clone(), right]);
    let valid: Vec<bool> = (0..4).map(|row| hashes.is_valid(row)).collect();
    assert_eq!(valid, [true, false, false, false]);
    assert_eq!(hashes.get(1), None);
    let nothing: ArrayRef = Arc::new(NullArray::new(4));
    assert!((0..4).all(|row| !hash_keys(&[left.clone(), nothing.clone()]).is_valid(row)));
    assert!(hash_keys(&[Arc::new(Int64Array::from(vec![1, 2]))]).valid.is_none());
}

#[test]
fn a_slice_hashes_as_its_rows_do() {
    let whole: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b", "longer than twelve bytes", "d"]));
    let part = hash_keys(&[whole.slice(1, 2)]);
    assert_eq!(part.hashes, hash_keys(&[whole]).hashes[1..3]);
}

#[test]
fn lists_of_different_borders_differ() {
    let texts = |parts: [&str; 2]| {
        let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        parts.into_iter().for_each(|part| builder.values().append_value(part));
        builder.append(true);
        hash_of(builder.finish())
    };
    assert_ne!(texts(["ab", "c"]), texts(["a", "bc"]));
}

#[test]
fn the_shard_is_the_low_byte() {
    assert_eq!(ShardId::of(0x1234_5678_9abc_def0), ShardId(0xf0));
    assert_eq!(ShardId::of(u64::MAX).index(), SHARDS - 1);
}
