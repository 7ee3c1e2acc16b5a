//! Event tables: random histories against a list, and what forgetting gives back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use proptest::prelude::*;

use super::histories::{no_hash_at_all, three_hashes};
use crate::shard::hash_keys;
use crate::state::stored::Tuning;
use crate::state::{EventSpec, EventTable, Matches, Origins};

const SPAN_MS: i64 = 100;
const NAMES: [&str; 4] =
    ["a", "b", "a name that is not inlined, ending in 1", "a name that is not inlined, ending in 2"];

/// A row: two columns to join on, and its time; its place in the history is its offset and its value.
#[derive(Clone, Debug)]
struct Row {
    name: Option<&'static str>,
    number: Option<i32>,
    time: i64,
}

/// Columns `name`, `number`, `all` (1 in every row) and `value`; indexes on each but the last, and on two at once.
fn table(tuning: Tuning) -> EventTable {
    let spec = EventSpec {
        columns: vec![DataType::Utf8View, DataType::Int32, DataType::Int32, DataType::Int64],
        indexes: vec![vec![0], vec![1], vec![1, 0], vec![2], vec![0]],
        chunk_span_ms: SPAN_MS,
    };
    EventTable::with_tuning(spec, tuning)
}

fn append(table: &mut EventTable, first: i64, rows: &[Row]) {
    let offsets: Vec<i64> = (first..).take(rows.len()).collect();
    let columns: [ArrayRef; 4] = [
        // In another layout than it is kept.
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.name))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.number))),
        Arc::new(Int32Array::from(vec![1; rows.len()])),
        Arc::new(Int64Array::from(offsets.clone())),
    ];
    let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
    let timestamps: Vec<i64> = rows.iter().map(|row| row.time + 5).collect();
    let partitions: Vec<i32> = offsets.iter().map(|offset| (offset % 3) as i32).collect();
    let origins = Origins { partitions: &partitions, offsets: &offsets, timestamps: &timestamps, times: &times };
    let refs = table.append(&columns, origins);
    let values = table.stored().gather(3, &refs);
    assert_eq!(values.as_primitive::<Int64Type>().values().to_vec(), offsets);
}

/// The (row of the probe, value) of what matches, by a few candidates at a time.
fn found(table: &EventTable, index: usize, keys: &[ArrayRef], limit: usize) -> Vec<(u32, i64)> {
    let (mut all, mut matches) = (Vec::new(), Matches::default());
    let mut probe = table.stored().start_probe(index, keys);
    let mut may_go_on = true;
    while may_go_on {
        may_go_on = table.stored().next_matches(&mut probe, limit, &mut matches);
        let values = table.stored().gather(3, &matches.refs);
        all.extend(matches.rows.iter().copied().zip(values.as_primitive::<Int64Type>().values().iter().copied()));
    }
    all
}

/// The values of all rows, in the order in which they came.
fn all_values(table: &EventTable) -> Vec<i64> {
    found(table, 3, &[Arc::new(Int32Array::from(vec![1]))], 7).into_iter().map(|(_, value)| value).collect()
}

fn assert_same_answers(table: &EventTable, model: &[(i64, Row)]) {
    let names: Vec<Option<&str>> = NAMES.iter().copied().map(Some).chain([None]).collect();
    let numbers = [Some(1), Some(2), None, Some(1), Some(2)];
    let name_column: ArrayRef = Arc::new(StringViewArray::from(names.clone()));
    let number_column: ArrayRef = Arc::new(Int32Array::from(numbers.to_vec()));
    let expected = |is_match: &dyn Fn(usize, &Row) -> bool| -> Vec<(u32, i64)> {
        let of_probe = |probe: usize| {
            model.iter().filter(move |(_, row)| is_match(probe, row)).map(move |(value, _)| (probe as u32, *value))
        };
        (0..names.len()).flat_map(of_probe).collect()
    };
    let same_name = |probe: usize, row: &Row| row.name.is_some() && row.name == names[probe];
    let same_number = |probe: usize, row: &Row| row.number.is_some() && row.number == numbers[probe];
    let both = |probe: usize, row: &Row| same_name(probe, row) && same_number(probe, row);
    for index in [0, 4] {
        assert_eq!(found(table, index, std::slice::from_ref(&name_column), 4), expected(&same_name));
    }
    assert_eq!(found(table, 1, std::slice::from_ref(&number_column), 1000), expected(&same_number));
    assert_eq!(found(table, 2, &[number_column, name_column], 3), expected(&both));
    assert_eq!(table.rows(), model.len());
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Row>),
    Forget(i64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = prop_oneof![9 => proptest::sample::select(&NAMES).prop_map(Some), 1 => Just(None)];
    let number = prop_oneof![9 => (1_i32..3).prop_map(Some), 1 => Just(None)];
    // Mostly in order, some far off.
    let time = prop_oneof![8 => 0_i64..30, 1 => -500_i64..1000];
    let row = (name, number, time).prop_map(|(name, number, time)| Row { name, number, time });
    prop_oneof![
        3 => proptest::collection::vec(row, 0..90).prop_map(Step::Append),
        2 => (-400_i64..100, 0_usize..120).prop_map(|(before, rows)| Step::Forget(before, rows)),
    ]
}

fn tuning() -> impl Strategy<Value = Tuning> {
    let hashes = [hash_keys as fn(&[ArrayRef]) -> _, no_hash_at_all, three_hashes];
    (proptest::sample::select(vec![1, 2, 5, 16, 64, 300]), proptest::sample::select(hashes.to_vec()))
        .prop_map(|(chunk_rows, hash_keys)| Tuning { chunk_rows, hash_keys, ..Tuning::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn the_table_answers_as_a_list_does(tuning in tuning(), steps in proptest::collection::vec(step(), 1..25)) {
        let mut table = table(tuning);
        let mut model: Vec<(i64, Row)> = Vec::new();
        let (mut clock, mut next, mut greatest) = (0, 0, i64::MIN);
        for step in steps {
            match step {
                Step::Append(mut rows) => {
                    rows.iter_mut().for_each(|row| row.time += clock);
                    append(&mut table, next, &rows);
                    clock += 10;
                    model.extend((next..).zip(rows.iter().cloned()));
                    next += rows.len() as i64;
                }
                Step::Forget(before, rows_max) => {
                    let before = clock + before;
                    greatest = greatest.max(before);
                    let forgotten = table.forget(before, rows_max);
                    prop_assert!(forgotten <= rows_max);
                    let left = all_values(&table);
                    // What is gone was to go; the rest is untouched and in order.
                    let gone: Vec<&(i64, Row)> = model.iter().filter(|(value, _)| !left.contains(value)).collect();
                    prop_assert_eq!(gone.len(), forgotten);
                    // A chunk that was begun is forgotten to its end.
                    prop_assert!(gone.iter().all(|(_, row)| row.time < greatest), "{:?} before {}", gone, greatest);
                    model.retain(|(value, _)| left.contains(value));
                    prop_assert_eq!(left, model.iter().map(|(value, _)| *value).collect::<Vec<_>>());
                }
            }
            assert_same_answers(&table, &model);
        }
        let rows = table.rows();
        prop_assert_eq!(table.forget(i64::MAX, usize::MAX), rows);
        prop_assert_eq!(table.rows(), 0);
        assert_same_answers(&table, &[]);
    }
}

fn row(time: i64) -> Row {
    Row { name: Some(NAMES[(time % 4) as usize]), number: Some((time % 1000) as i32), time }
}

#[test]
fn the_origin_of_a_row_is_kept() {
    let mut table = table(Tuning::default());
    append(&mut table, 40, &[row(1000), row(1001)]);
    let mut matches = Matches::default();
    let mut probe = table.stored().start_probe(1, &[Arc::new(Int32Array::from(vec![1]))]);
    assert!(!table.stored().next_matches(&mut probe, 10, &mut matches));
    let long = |column| table.stored().gather(column, &matches.refs).as_primitive::<Int64Type>().value(0);
    let partition = table.stored().gather(table.partition_column(), &matches.refs);
    assert_eq!(partition.as_primitive::<Int32Type>().values(), &[41 % 3]);
    let hidden = [table.offset_column(), table.timestamp_column(), table.time_column()].map(long);
    assert_eq!(hidden, [41, 1006, 1001]);
    assert_eq!(table.stored().gather(0, &matches.refs).data_type(), &DataType::Utf8View);
}

#[test]
fn times_that_are_in_order_are_forgotten_to_within_a_span() {
    let mut table = table(Tuning::default());
    for batch in 0..100 {
        append(&mut table, batch * 50, &(batch * 50..batch * 50 + 50).map(row).collect::<Vec<_>>());
    }
    table.forget(3000, usize::MAX);
    let left = all_values(&table);
    assert!((3000 - SPAN_MS - 1..=3000).contains(&left[0]), "{} is the first", left[0]);
    assert_eq!(left, (left[0]..5000).collect::<Vec<i64>>());
}

#[test]
fn a_call_forgets_a_bounded_number_of_rows() {
    let mut table = table(Tuning::default());
    append(&mut table, 0, &vec![row(7); 1000]);
    assert_eq!(table.forget(7, usize::MAX), 0);
    let steps: Vec<usize> = (0..5).map(|_| table.forget(8, 300)).collect();
    assert_eq!(steps, [300, 300, 300, 100, 0]);
    // A chunk that was begun is not begun again, whatever comes in between.
    append(&mut table, 0, &vec![row(7); 1000]);
    assert_eq!(table.forget(8, 10), 10);
    append(&mut table, 1000, &vec![row(9); 10]);
    assert_eq!(all_values(&table), (10..1010).collect::<Vec<i64>>());
    assert_eq!(table.forget(8, usize::MAX), 990);
    assert_eq!(all_values(&table), (1000..1010).collect::<Vec<i64>>());
}

#[test]
fn mixed_times_do_not_make_a_chunk_a_row() {
    let mut table = table(Tuning::default());
    for batch in 0..200 {
        let times = (0..100).map(|number| if number % 2 == 0 { batch } else { 1_000_000 - batch });
        append(&mut table, batch * 100, &times.map(row).collect::<Vec<_>>());
    }
    assert!(table.stored.rows.slots() <= 20_000 / 64 + 1, "{} slots", table.stored.rows.slots());
}

#[test]
fn what_is_forgotten_takes_no_memory() {
    let mut table = table(Tuning::default());
    let empty = table.memory_bytes();
    for batch in 0..40 {
        let rows: Vec<Row> = (batch * 5000..batch * 5000 + 5000).map(|number| row(number / 20)).collect();
        append(&mut table, batch * 5000, &rows);
    }
    let full = table.memory_bytes();
    assert_eq!(table.forget(i64::MAX, usize::MAX), 200_000);
    let left = table.memory_bytes() - empty;
    assert!(full > 10_000_000 && left < full / 100, "{left} bytes of nothing, {full} before, {empty} at first");
}

#[test]
fn a_rolling_window_takes_no_more_after_hours_than_after_minutes() {
    const TTL_MS: i64 = 60_000;
    let mut table = table(Tuning { chunk_rows: 1 << 12, ..Tuning::default() });
    let (mut next, mut early, mut late, mut slots) = (0, 0, 0, 0);
    for second in 0..3 * 3600 {
        // A quarter of the rows comes from a partition ten seconds behind; some seconds are busy.
        let count = if second % 600 < 30 { 90 } else { 30 };
        let times = (0..count).map(|number| 100_000 + second * 1000 - if number % 4 == 0 { 10_000 } else { number });
        append(&mut table, next, &times.map(row).collect::<Vec<_>>());
        next += count;
        table.forget(100_000 + second * 1000 - TTL_MS, 256);
        assert!(table.rows() <= 90 * 90, "{} rows after {second} s", table.rows());
        if second < 1200 {
            early = early.max(table.memory_bytes());
            slots = slots.max(table.stored.rows.slots());
        } else {
            late = late.max(table.memory_bytes());
        }
    }
    assert!(late <= early + early / 10, "{late} bytes, {early} in the first minutes");
    assert!(table.stored.rows.slots() <= slots + 2, "{} slots, {slots} before", table.stored.rows.slots());
}
