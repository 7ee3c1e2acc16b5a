//! Single cases, each a sentence of SEMANTICS or a limit.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::shard::hash_keys;
use crate::state::stored::Tuning;
use crate::state::{Applied, DimensionSpec, DimensionTable, Matches, RowRef, Tombstones, Upserts};

const NO_TOMBSTONES: Tombstones = Tombstones { identity: &[], records: &[], partitions: &[], timestamps: &[] };

/// Columns `key` (the record's key, the identity), `city` and `value`; indexes on `key` and on `city`.
fn table(chunk_rows: usize) -> DimensionTable {
    let spec = DimensionSpec {
        columns: vec![DataType::BinaryView, DataType::Utf8View, DataType::Int64],
        identity: vec![0],
        indexes: vec![vec![0], vec![1]],
    };
    DimensionTable::with_tuning(spec, Tuning { chunk_rows, hash_keys, ..Tuning::default() })
}

fn keys(keys: &[&str]) -> ArrayRef {
    Arc::new(BinaryViewArray::from_iter_values(keys))
}

fn upsert_at(
    table: &mut DimensionTable,
    rows: &[(&str, Option<&str>, i64)],
    partition: i32,
    timestamp: i64,
) -> Applied {
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let columns: [ArrayRef; 3] = [
        keys(&names),
        Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
    ];
    let records: Vec<u32> = (0..rows.len() as u32).collect();
    let (partitions, timestamps) = (vec![partition; rows.len()], vec![timestamp; rows.len()]);
    let upserts = Upserts { columns: &columns, records: &records, partitions: &partitions, timestamps: &timestamps };
    table.apply(upserts, NO_TOMBSTONES)
}

fn upsert(table: &mut DimensionTable, rows: &[(&str, Option<&str>, i64)]) -> Applied {
    upsert_at(table, rows, 0, 0)
}

fn delete_at(table: &mut DimensionTable, names: &[&str], partition: i32, timestamp: i64) -> Applied {
    let empty: [ArrayRef; 3] = [keys(&[]), Arc::new(StringViewArray::new_null(0)), Arc::new(Int64Array::new_null(0))];
    let upserts = Upserts { columns: &empty, records: &[], partitions: &[], timestamps: &[] };
    let records: Vec<u32> = (0..names.len() as u32).collect();
    let (partitions, timestamps) = (vec![partition; names.len()], vec![timestamp; names.len()]);
    let identity = [keys(names)];
    let tombstones =
        Tombstones { identity: &identity, records: &records, partitions: &partitions, timestamps: &timestamps };
    table.apply(upserts, tombstones)
}

fn values(table: &DimensionTable, index: usize, key: ArrayRef) -> Vec<i64> {
    let mut matches = Matches::default();
    table.probe(index, &[key], &mut matches);
    table.gather(2, &matches.refs).as_primitive::<Int64Type>().values().to_vec()
}

fn in_city(table: &DimensionTable, city: &str) -> Vec<i64> {
    values(table, 1, Arc::new(StringViewArray::from(vec![city])))
}

#[test]
fn of_two_rows_the_later_is_current_and_counts_as_the_youngest() {
    let mut table = table(16);
    let rows = [("a", Some("Oslo"), 1), ("b", Some("Oslo"), 2), ("a", Some("Oslo"), 3), ("c", Some("Oslo"), 4)];
    assert_eq!(upsert(&mut table, &rows), Applied { inserted: 3, updated: 1, ..Applied::default() });
    assert_eq!(in_city(&table, "Oslo"), [2, 3, 4]);
    assert_eq!(upsert(&mut table, &[("b", Some("Oslo"), 5)]).updated, 1);
    assert_eq!(in_city(&table, "Oslo"), [3, 4, 5]);
    assert_eq!(values(&table, 0, keys(&["a"])), [3]);
    assert_eq!(table.rows(), 3);
}

#[test]
fn a_row_leaves_its_old_join_key() {
    let mut table = table(16);
    upsert(&mut table, &[("a", Some("Oslo"), 1), ("b", None, 2)]);
    upsert(&mut table, &[("a", Some("Bergen"), 3)]);
    assert!(in_city(&table, "Oslo").is_empty());
    assert_eq!(in_city(&table, "Bergen"), [3]);
    upsert(&mut table, &[("a", None, 4), ("b", Some("Bergen"), 5)]);
    assert_eq!(in_city(&table, "Bergen"), [5]);
    assert_eq!(values(&table, 0, keys(&["a", "b", "c"])), [4, 5]);
}

#[test]
fn upserts_and_tombstones_go_by_their_records() {
    let mut table = table(16);
    let columns = |names: &[&str]| -> [ArrayRef; 3] {
        let cities = StringViewArray::from_iter_values(names.iter().map(|_| "Oslo"));
        [keys(names), Arc::new(cities), Arc::new(Int64Array::from_iter_values(0..names.len() as i64))]
    };
    let applied = table.apply(
        Upserts { columns: &columns(&["a", "b", "a"]), records: &[1, 2, 5], partitions: &[0; 3], timestamps: &[0; 3] },
        Tombstones {
            identity: &[keys(&["a", "b", "a", "b"])],
            records: &[0, 3, 4, 6],
            partitions: &[0; 4],
            timestamps: &[0; 4],
        },
    );
    let expected = Applied { inserted: 3, deleted: 2, missing_deletes: 2, ..Applied::default() };
    assert_eq!(applied, expected);
    assert_eq!(in_city(&table, "Oslo"), [2]);
}

#[test]
fn of_two_partitions_the_later_timestamp_counts() {
    let mut table = table(16);
    upsert_at(&mut table, &[("a", Some("Oslo"), 1)], 0, 100);
    let ignored = upsert_at(&mut table, &[("a", Some("Oslo"), 2)], 1, 99);
    assert_eq!(ignored, Applied { conflicts: 1, ignored: 1, ..Applied::default() });
    assert_eq!(in_city(&table, "Oslo"), [1]);
    let counted = upsert_at(&mut table, &[("a", Some("Oslo"), 3)], 1, 101);
    assert_eq!(counted, Applied { updated: 1, conflicts: 1, ..Applied::default() });
    assert_eq!(in_city(&table, "Oslo"), [3]);
    // Within the partition the order counts, whatever the timestamp says.
    assert_eq!(upsert_at(&mut table, &[("a", Some("Oslo"), 4)], 1, 50).conflicts, 0);
    assert_eq!(in_city(&table, "Oslo"), [4]);
    assert_eq!(delete_at(&mut table, &["a"], 0, 49).ignored, 1);
    assert_eq!(delete_at(&mut table, &["a"], 0, 51), Applied { deleted: 1, conflicts: 1, ..Applied::default() });
    assert_eq!(table.rows(), 0);
}

#[test]
fn equal_timestamps_of_two_partitions_do_not_depend_on_the_order() {
    for order in [[0, 1], [1, 0]] {
        let mut table = table(16);
        for partition in order {
            upsert_at(&mut table, &[("a", Some("Oslo"), i64::from(partition))], partition, 7);
        }
        assert_eq!(in_city(&table, "Oslo"), [1]);
    }
}

#[test]
fn a_key_in_another_layout_is_found() {
    let mut table = table(16);
    upsert(&mut table, &[("a", Some("a city whose name is not inlined"), 1), ("b", Some("Oslo"), 2)]);
    let cities = StringArray::from(vec!["Oslo", "a city whose name is not inlined"]);
    assert_eq!(values(&table, 1, Arc::new(cities)), [2, 1]);
}

#[test]
fn a_row_and_a_probe_of_one_key_have_one_hash() {
    let table = table(16);
    let text = "a city whose name is not inlined";
    let rows: [ArrayRef; 3] =
        [keys(&["a", "b"]), Arc::new(StringViewArray::from(vec![Some(text), None])), Arc::new(Int64Array::new_null(2))];
    let of_rows = table.key_hashes(1, &rows);
    let probe = table.stored().start_probe(1, &[Arc::new(StringArray::from(vec![text, ""]))]);
    assert_eq!(of_rows.get(0), probe.hashes().get(0));
    assert_ne!(probe.hashes().get(0), probe.hashes().get(1));
    assert_eq!(of_rows.get(1), None);
    assert!(table.index_is_identity(0) && !table.index_is_identity(1));
}

#[test]
fn an_empty_batch_and_an_empty_table_are_fine() {
    let mut table = table(16);
    assert_eq!(upsert(&mut table, &[]), Applied::default());
    assert!(in_city(&table, "Oslo").is_empty());
    assert_eq!(delete_at(&mut table, &["a"], 0, 0).missing_deletes, 1);
    let mut matches = Matches::default();
    table.probe(0, &[keys(&[])], &mut matches);
    assert_eq!(matches, Matches::default());
    assert_eq!(table.gather(1, &[]).data_type(), &DataType::Utf8View);
    let nulls = table.gather_columns(&[0, 2], &[RowRef::NULL, RowRef::NULL]);
    assert!(nulls.iter().all(|column| column.null_count() == 2));
}

#[test]
fn gathering_mixes_rows_and_nulls() {
    let mut table = table(2);
    let rows: Vec<_> = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)].map(|(key, value)| (key, None, value)).into();
    upsert(&mut table, &rows);
    let mut matches = Matches::default();
    table.probe(0, &[keys(&["e", "a", "c"])], &mut matches);
    let refs = [matches.refs[0], RowRef::NULL, matches.refs[1], matches.refs[2], matches.refs[1], RowRef::NULL];
    let expected = Int64Array::from(vec![Some(5), None, Some(1), Some(3), Some(1), None]);
    assert_eq!(table.gather(2, &refs).as_ref(), &expected as &dyn Array);
}

/// Upserts `range.start % keys`, … with the number as the value.
fn churn(table: &mut DimensionTable, range: Range<usize>, keys: usize, batch: usize) {
    let numbers: Vec<usize> = range.collect();
    for numbers in numbers.chunks(batch) {
        let names: Vec<String> =
            numbers.iter().map(|number| format!("a key that is not inlined {}", number % keys)).collect();
        let rows: Vec<_> =
            names.iter().zip(numbers).map(|(name, number)| (name.as_str(), Some("Oslo"), *number as i64)).collect();
        upsert(table, &rows);
    }
}

#[test]
fn dead_rows_give_their_memory_and_slots_back() {
    let mut table = table(64);
    churn(&mut table, 0..1000, 1000, 50);
    let before = table.memory_bytes();
    let slots = table.stored.rows.slots();
    churn(&mut table, 1000..100_000, 1000, 50);
    assert_eq!(table.rows(), 1000);
    assert_eq!(in_city(&table, "Oslo"), (99_000..100_000).collect::<Vec<i64>>());
    assert!(table.stored.rows.slots() <= 2 * slots + 2, "{} slots, {slots} before", table.stored.rows.slots());
    assert!(table.memory_bytes() < 3 * before, "{} bytes, {before} before", table.memory_bytes());

    let all: Vec<String> = (0..1000).map(|number| format!("a key that is not inlined {number}")).collect();
    delete_at(&mut table, &all.iter().map(String::as_str).collect::<Vec<_>>(), 0, 0);
    assert_eq!((table.rows(), in_city(&table, "Oslo")), (0, vec![]));
    assert!(table.memory_bytes() < before / 4, "{} bytes of nothing", table.memory_bytes());
}

#[test]
fn one_batch_rewrites_a_bounded_number_of_rows() {
    let mut table = table(1 << 12);
    churn(&mut table, 0..1 << 12, 1 << 12, 1 << 12);
    assert_eq!(table.stored.rows.slots(), 1);
    // More than half of the chunk dies at once, so the rest is to be moved; then a row at a time.
    let doomed: Vec<String> = (0..2049).map(|number| format!("a key that is not inlined {number}")).collect();
    delete_at(&mut table, &doomed.iter().map(String::as_str).collect::<Vec<_>>()[..2048], 0, 0);
    assert_eq!(table.stored.rows.worn(usize::MAX), None);
    delete_at(&mut table, &[&doomed[2048]], 0, 0);
    let mut steps = 0;
    while let Some((_, refs)) = table.stored.rows.worn(usize::MAX) {
        assert!(refs.len() >= 2047 - (steps + 1) * 257, "{} left after {steps} steps", refs.len());
        let expected: Vec<i64> = (2049..4096).collect();
        assert_eq!(in_city(&table, "Oslo"), expected);
        delete_at(&mut table, &["not there"], 0, 0);
        steps += 1;
    }
    assert_eq!(steps, 7);
    assert_eq!(in_city(&table, "Oslo"), (2049..4096).collect::<Vec<i64>>());
}

#[test]
fn a_full_chunk_has_no_row_that_looks_like_null() {
    assert!(RowRef::NULL.is_null());
    assert!(!RowRef::new(65_534, 65_535).is_null());
    assert_eq!((RowRef::new(65_534, 65_535).slot(), RowRef::new(65_534, 65_535).row()), (65_534, 65_535));
}

#[test]
fn a_chunk_of_many_bytes_is_full() {
    let spec = DimensionSpec {
        columns: vec![DataType::BinaryView, DataType::Utf8View, DataType::Int64],
        identity: vec![0],
        indexes: vec![vec![0], vec![1]],
    };
    let mut table = DimensionTable::with_tuning(spec, Tuning { chunk_bytes: 1 << 14, ..Tuning::default() });
    churn(&mut table, 0..1000, 1000, 10);
    assert!((5..50).contains(&table.stored.rows.slots()), "{} slots", table.stored.rows.slots());
    assert_eq!(in_city(&table, "Oslo"), (0..1000).collect::<Vec<i64>>());
}

#[test]
fn seventy_thousand_rows_need_two_chunks() {
    let spec = DimensionSpec { columns: vec![DataType::Int64], identity: vec![0], indexes: vec![vec![0]] };
    let mut table = DimensionTable::new(spec);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..70_000));
    let records: Vec<u32> = (0..70_000).collect();
    let upserts = Upserts {
        columns: std::slice::from_ref(&numbers),
        records: &records,
        partitions: &vec![0; 70_000],
        timestamps: &vec![0; 70_000],
    };
    assert_eq!(table.apply(upserts, NO_TOMBSTONES).inserted, 70_000);
    let mut matches = Matches::default();
    table.probe(0, std::slice::from_ref(&numbers), &mut matches);
    assert_eq!(matches.rows, records);
    assert_eq!(matches.refs[65_535], RowRef::new(0, 65_535));
    assert_eq!(matches.refs[65_536], RowRef::new(1, 0));
    assert_eq!(table.gather(0, &matches.refs).as_ref(), numbers.as_ref());
}
