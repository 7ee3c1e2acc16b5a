//! Random histories: the table must answer as a map and a scan do, in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use crate::shard::{KeyHashes, hash_keys};
use crate::state::stored::Tuning;
use crate::state::{Applied, DimensionSpec, DimensionTable, Matches, RowRef, Tombstones, Upserts};

/// One row: a composite identity, three columns to join on, and a payload.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: Option<&'static str>,
    number: Option<i32>,
    text: Option<&'static str>,
    amount: Option<i64>,
    float: Option<f64>,
    payload: u16,
}

#[derive(Clone, Debug)]
enum Change {
    Upsert(Row),
    Tombstone(Option<&'static str>, Option<i32>),
}

#[derive(Clone, Debug)]
struct Record {
    change: Change,
    partition: i32,
    timestamp: i64,
}

const INDEXES: [&[usize]; 6] = [&[0, 1], &[2], &[3], &[3, 2], &[4], &[2]];

fn spec() -> DimensionSpec {
    let columns = vec![
        DataType::Utf8View,
        DataType::Int32,
        DataType::Utf8View,
        DataType::Int64,
        DataType::Float64,
        DataType::Utf8View,
    ];
    DimensionSpec { columns, identity: vec![0, 1], indexes: INDEXES.iter().map(|index| index.to_vec()).collect() }
}

fn rarely_null<T: Clone + std::fmt::Debug + 'static>(values: &'static [T]) -> impl Strategy<Value = Option<T>> {
    prop_oneof![12 => proptest::sample::select(values).prop_map(Some), 1 => Just(None)]
}

const NAMES: [&str; 4] =
    ["a", "b", "a name that is not inlined, ending in 1", "a name that is not inlined, ending in 2"];
const TEXTS: [&str; 4] =
    ["", "x", "a text that is not inlined, ending in 1", "a text that is not inlined, ending in 2"];
const NUMBERS: [i32; 4] = [1, 2, 3, -4];
const AMOUNTS: [i64; 3] = [0, 7, i64::MIN];
const FLOATS: [f64; 5] = [0.0, -0.0, 1.5, f64::NAN, -f64::NAN];

prop_compose! {
    fn row()(name in rarely_null(&NAMES), number in rarely_null(&NUMBERS), text in rarely_null(&TEXTS),
             amount in rarely_null(&AMOUNTS), float in rarely_null(&FLOATS), payload: u16) -> Row {
        Row { name, number, text, amount, float, payload }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => row().prop_map(Change::Upsert),
        1 => (rarely_null(&NAMES), rarely_null(&NUMBERS)).prop_map(|(name, number)| Change::Tombstone(name, number)),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (change(), prop_oneof![20 => Just(0), 1 => Just(1)], 0_i64..20).prop_map(|(change, partition, timestamp)| Record {
        change,
        partition,
        timestamp,
    })
}

pub(super) fn no_hash_at_all(columns: &[ArrayRef]) -> KeyHashes {
    let mut hashes = hash_keys(columns);
    hashes.hashes.fill(0);
    hashes
}

pub(super) fn three_hashes(columns: &[ArrayRef]) -> KeyHashes {
    let mut hashes = hash_keys(columns);
    hashes.hashes.iter_mut().for_each(|hash| *hash = *hash % 3 * 256);
    hashes
}

fn tuning() -> impl Strategy<Value = Tuning> {
    let hashes: [fn(&[ArrayRef]) -> KeyHashes; 3] = [hash_keys, no_hash_at_all, three_hashes];
    (proptest::sample::select(vec![2, 5, 16, 64]), proptest::sample::select(hashes.to_vec()))
        .prop_map(|(chunk_rows, hash_keys)| Tuning { chunk_rows, hash_keys, ..Tuning::default() })
}

fn payload(row: &Row) -> String {
    format!("a payload that is not inlined: {}", row.payload)
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    vec![
        Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.name))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.number))),
        // In another layout than it is kept.
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.text))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.amount))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.float))),
        Arc::new(StringViewArray::from_iter_values(rows.iter().map(payload))),
    ]
}

/// The rows that are current, with their origin and the time of their last change.
#[derive(Default)]
struct Model {
    rows: BTreeMap<(String, i32), Current>,
    changes: u64,
}

struct Current {
    row: Row,
    partition: i32,
    timestamp: i64,
    change: u64,
}

impl Model {
    fn apply(&mut self, records: &[Record]) -> Applied {
        let mut applied = Applied::default();
        for (place, record) in records.iter().enumerate() {
            self.changes += 1;
            let (name, number) = match &record.change {
                Change::Upsert(row) => (row.name, row.number),
                Change::Tombstone(name, number) => (*name, *number),
            };
            let (Some(name), Some(number)) = (name, number) else {
                applied.without_identity.push(place as u32);
                continue;
            };
            let identity = (name.to_owned(), number);
            let current = self.rows.get(&identity);
            if let Some(current) = current
                && current.partition != record.partition
            {
                applied.conflicts += 1;
                let is_later = record.timestamp > current.timestamp
                    || record.timestamp == current.timestamp && record.partition > current.partition;
                if !is_later {
                    applied.ignored += 1;
                    continue;
                }
            }
            match (&record.change, current.is_some()) {
                (Change::Upsert(_), false) => applied.inserted += 1,
                (Change::Upsert(_), true) => applied.updated += 1,
                (Change::Tombstone(..), true) => applied.deleted += 1,
                (Change::Tombstone(..), false) => applied.missing_deletes += 1,
            }
            if let Change::Upsert(row) = &record.change {
                let Record { partition, timestamp, .. } = *record;
                let current = Current { row: row.clone(), partition, timestamp, change: self.changes };
                self.rows.insert(identity, current);
            } else {
                self.rows.remove(&identity);
            }
        }
        applied
    }

    fn probe(&self, index: usize, probes: &[Row]) -> Vec<(u32, Row)> {
        let mut by_age: Vec<&Current> = self.rows.values().collect();
        by_age.sort_by_key(|current| current.change);
        let mut found = Vec::new();
        for (place, probe) in probes.iter().enumerate() {
            for current in &by_age {
                if INDEXES[index].iter().all(|column| is_equal(*column, &current.row, probe)) {
                    found.push((place as u32, current.row.clone()));
                }
            }
        }
        found
    }
}

fn is_equal(column: usize, left: &Row, right: &Row) -> bool {
    fn both<T: PartialEq>(left: Option<T>, right: Option<T>) -> bool {
        left.is_some() && left == right
    }
    match column {
        0 => both(left.name, right.name),
        1 => both(left.number, right.number),
        2 => both(left.text, right.text),
        3 => both(left.amount, right.amount),
        _ => {
            both(left.float, right.float) || left.float.is_some_and(f64::is_nan) && right.float.is_some_and(f64::is_nan)
        }
    }
}

fn apply(table: &mut DimensionTable, records: &[Record]) -> Applied {
    let (mut rows, mut upserted, mut names, mut numbers, mut deleted) = (vec![], vec![], vec![], vec![], vec![]);
    for (place, record) in records.iter().enumerate() {
        match &record.change {
            Change::Upsert(row) => {
                rows.push(row.clone());
                upserted.push(place as u32);
            }
            Change::Tombstone(name, number) => {
                names.push(*name);
                numbers.push(*number);
                deleted.push(place as u32);
            }
        }
    }
    let partitions = |of: &[u32]| of.iter().map(|place| records[*place as usize].partition).collect::<Vec<_>>();
    let timestamps = |of: &[u32]| of.iter().map(|place| records[*place as usize].timestamp).collect::<Vec<_>>();
    let identity: [ArrayRef; 2] = [Arc::new(StringViewArray::from_iter(names)), Arc::new(Int32Array::from(numbers))];
    table.apply(
        Upserts {
            columns: &columns(&rows),
            records: &upserted,
            partitions: &partitions(&upserted),
            timestamps: &timestamps(&upserted),
        },
        Tombstones {
            identity: &identity,
            records: &deleted,
            partitions: &partitions(&deleted),
            timestamps: &timestamps(&deleted),
        },
    )
}

fn texts(columns: &[ArrayRef], row: usize) -> Vec<String> {
    let text = |column: &ArrayRef| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(column, row).expect("it has a text"),
    };
    columns.iter().map(text).collect()
}

/// What a probe finds by a few candidates at a time.
fn in_pieces(table: &DimensionTable, index: usize, keys: &[ArrayRef], limit: usize) -> Matches {
    let (mut all, mut piece) = (Matches::default(), Matches::default());
    let mut probe = table.stored().start_probe(index, keys);
    loop {
        let may_go_on = table.stored().next_matches(&mut probe, limit, &mut piece);
        assert!(piece.refs.len() <= limit);
        all.rows.extend_from_slice(&piece.rows);
        all.refs.extend_from_slice(&piece.refs);
        assert!(all.rows.iter().all(|row| *row as usize <= probe.finished_rows()));
        if !may_go_on {
            assert_eq!(probe.finished_rows(), keys[0].len());
            return all;
        }
    }
}

fn assert_same_answers(table: &DimensionTable, model: &Model, probes: &[Row]) {
    assert_eq!(table.rows(), model.rows.len());
    let probe_columns = columns(probes);
    let mut matches = Matches::default();
    for (index, key) in INDEXES.iter().enumerate() {
        let keys: Vec<ArrayRef> = key.iter().map(|column| probe_columns[*column].clone()).collect();
        table.probe(index, &keys, &mut matches);
        assert_eq!(in_pieces(table, index, &keys, 3), matches, "index {index} over columns {key:?}");
        let gathered = table.gather_columns(&[0, 1, 2, 3, 4, 5], &matches.refs);
        let found: Vec<_> = matches.rows.iter().enumerate().map(|(at, row)| (*row, texts(&gathered, at))).collect();
        let expected: Vec<_> =
            model.probe(index, probes).into_iter().map(|(place, row)| (place, texts(&columns(&[row]), 0))).collect();
        assert_eq!(found, expected, "index {index} over columns {key:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn the_table_answers_as_the_model_does(
        tuning in tuning(),
        batches in proptest::collection::vec(proptest::collection::vec(record(), 0..40), 1..25),
        probes in proptest::collection::vec(row(), 0..20),
    ) {
        let mut table = DimensionTable::with_tuning(spec(), tuning);
        let mut model = Model::default();
        for batch in &batches {
            prop_assert_eq!(apply(&mut table, batch), model.apply(batch));
            assert_same_answers(&table, &model, &probes);
        }
    }

    #[test]
    fn batch_borders_and_rewriting_change_nothing(
        records in proptest::collection::vec(record(), 1..200),
        probes in proptest::collection::vec(row(), 1..20),
        size in 1_usize..30,
    ) {
        let mut at_once = DimensionTable::new(spec());
        apply(&mut at_once, &records);
        let mut in_parts = DimensionTable::with_tuning(spec(), Tuning { chunk_rows: 4, ..Tuning::default() });
        for batch in records.chunks(size) {
            apply(&mut in_parts, batch);
            in_parts.compact_step(usize::MAX);
        }
        let probe_columns = columns(&probes);
        for (index, key) in INDEXES.iter().enumerate() {
            let keys: Vec<ArrayRef> = key.iter().map(|column| probe_columns[*column].clone()).collect();
            let answers = [&at_once, &in_parts].map(|table| {
                let mut matches = Matches::default();
                table.probe(index, &keys, &mut matches);
                let payloads = table.gather(5, &matches.refs);
                (matches.rows, payloads)
            });
            prop_assert_eq!(&answers[0], &answers[1]);
        }
        prop_assert_eq!(at_once.gather(0, &[RowRef::NULL]).null_count(), 1);
    }
}
