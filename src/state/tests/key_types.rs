//! Every type that a key may have: rows find themselves, and nothing else.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, i256};

use crate::shard::{KeyHashes, hash_keys};
use crate::state::stored::Tuning;
use crate::state::{DimensionSpec, DimensionTable, Matches, Tombstones, Upserts};

fn one_hash(columns: &[ArrayRef]) -> KeyHashes {
    let mut hashes = hash_keys(columns);
    hashes.hashes.fill(1);
    hashes
}

/// Three different values and a NULL of each type.
fn every_type() -> Vec<ArrayRef> {
    let texts = [Some("short"), Some("longer than the twelve bytes of a view"), Some(""), None];
    let bytes = texts.map(|text| text.map(str::as_bytes));
    let numbers = [Some(1_i8), Some(-1), Some(0), None];
    let structs = StructArray::new(
        vec![Field::new("number", DataType::Int8, true), Field::new("text", DataType::Utf8View, true)].into(),
        vec![
            Arc::new(Int8Array::from(vec![Some(1), None, Some(1), None])),
            Arc::new(StringViewArray::from(vec![Some("a"), Some("a"), None, None])),
        ],
        Some(vec![true, true, true, false].into()),
    );
    let lists = || [Some(vec![Some(1), None]), Some(vec![Some(1)]), Some(vec![]), None];
    let fixed_lists = [Some(vec![Some(1), None]), Some(vec![Some(1), Some(1)]), Some(vec![None, None]), None];
    let fixed = bytes.map(|bytes| bytes.map(|bytes| [bytes.len() as u8; 3]));
    let long = numbers.map(|number| number.map(i64::from));
    vec![
        Arc::new(Int8Array::from(numbers.to_vec())),
        Arc::new(Int16Array::from_iter(numbers.map(|number| number.map(i16::from)))),
        Arc::new(Int32Array::from_iter(numbers.map(|number| number.map(i32::from)))),
        Arc::new(Int64Array::from_iter(long)),
        Arc::new(UInt8Array::from(vec![Some(1), Some(255), Some(0), None])),
        Arc::new(UInt16Array::from(vec![Some(1), Some(255), Some(0), None])),
        Arc::new(UInt32Array::from(vec![Some(1), Some(255), Some(0), None])),
        Arc::new(UInt64Array::from(vec![Some(1), Some(u64::MAX), Some(0), None])),
        Arc::new(Float32Array::from(vec![Some(1.5), Some(f32::NAN), Some(0.0), None])),
        Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), Some(0.0), None])),
        Arc::new(Decimal128Array::from(vec![Some(150), Some(-150), Some(0), None])),
        Arc::new(Decimal256Array::from(vec![Some(i256::ONE), Some(i256::MINUS_ONE), Some(i256::ZERO), None])),
        Arc::new(Date32Array::from_iter(numbers.map(|number| number.map(i32::from)))),
        Arc::new(Date64Array::from_iter(long)),
        Arc::new(Time64MicrosecondArray::from_iter(long)),
        Arc::new(TimestampMillisecondArray::from_iter(long).with_timezone("UTC")),
        Arc::new(TimestampNanosecondArray::from_iter(long)),
        Arc::new(DurationSecondArray::from_iter(long)),
        Arc::new(StringViewArray::from_iter(texts)),
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(BinaryViewArray::from_iter(bytes)),
        Arc::new(BinaryArray::from_iter(bytes)),
        Arc::new(LargeBinaryArray::from_iter(bytes)),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 3).expect("one size")),
        Arc::new(DictionaryArray::<Int8Type>::from_iter(texts)),
        Arc::new(structs),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists())),
        Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists())),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(fixed_lists, 2)),
    ]
}

#[test]
fn rows_of_every_type_find_themselves_only() {
    for (keys, hash_keys) in
        every_type().into_iter().flat_map(|keys| [(keys.clone(), hash_keys as _), (keys, one_hash as _)])
    {
        let spec = DimensionSpec {
            columns: vec![DataType::Int64, keys.data_type().clone()],
            identity: vec![0],
            indexes: vec![vec![1]],
        };
        let mut table = DimensionTable::with_tuning(spec, Tuning { chunk_rows: 3, hash_keys, ..Tuning::default() });
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![10, 11, 12, 13]));
        let upserts =
            Upserts { columns: &[ids, keys.clone()], records: &[0, 1, 2, 3], partitions: &[0; 4], timestamps: &[0; 4] };
        let none = Tombstones { identity: &[], records: &[], partitions: &[], timestamps: &[] };
        assert_eq!(table.apply(upserts, none).inserted, 4);

        let mut matches = Matches::default();
        table.probe(0, std::slice::from_ref(&keys), &mut matches);
        assert_eq!(matches.rows, [0, 1, 2], "{}", keys.data_type());
        assert_eq!(table.gather(0, &matches.refs).as_ref(), &Int64Array::from(vec![10, 11, 12]) as &dyn Array);
        assert_eq!(table.gather(1, &matches.refs).as_ref(), keys.slice(0, 3).as_ref());
    }
}

#[test]
fn rows_of_every_type_have_an_identity() {
    for keys in every_type() {
        let spec = DimensionSpec { columns: vec![keys.data_type().clone()], identity: vec![0], indexes: vec![vec![0]] };
        let mut table = DimensionTable::new(spec);
        let none = Tombstones { identity: &[], records: &[], partitions: &[], timestamps: &[] };
        let upserts = Upserts {
            columns: std::slice::from_ref(&keys),
            records: &[0, 1, 2, 3],
            partitions: &[0; 4],
            timestamps: &[0; 4],
        };
        let first = table.apply(upserts, none);
        assert_eq!((first.inserted, first.without_identity.as_slice()), (3, [3].as_slice()), "{}", keys.data_type());
        assert_eq!(table.apply(upserts, none).updated, 3);
        assert_eq!(table.rows(), 3);

        let nothing = Upserts { columns: &[keys.slice(0, 0)], records: &[], partitions: &[], timestamps: &[] };
        let deletes = Tombstones { identity: &[keys.slice(1, 1)], records: &[0], partitions: &[0], timestamps: &[0] };
        assert_eq!(table.apply(nothing, deletes).deleted, 1);
        let mut matches = Matches::default();
        table.probe(0, &[keys], &mut matches);
        assert_eq!(matches.rows, [0, 2]);
    }
}
