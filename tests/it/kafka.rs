//! The Kafka source against a real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kaflowsql::batch::{Cut, PartitionState, Position, RawBatch, RowTimes, TableId};
use kaflowsql::clock::Stopwatch;
use kaflowsql::error::Error;
use kaflowsql::source::kafka::{AutoOffsetReset, KafkaSource, KafkaSourceConfig, sample};
use kaflowsql::source::{CutLimits, Next, Source};

use crate::broker::{Broker, DEADLINE, Record, within_deadline};

const EVENTS: TableId = TableId(0);

/// A pipeline named `name` that reads the topic `name` as events and `dimensions` as tables 1, 2, …
pub fn reading(broker: &Broker, name: &str, dimensions: &[&str]) -> KafkaSourceConfig {
    let dimension = |(index, topic): (usize, &&str)| (TableId(index as u32 + 1), (*topic).to_owned());
    KafkaSourceConfig {
        cluster: broker.cluster(),
        group: "it".to_owned(),
        pipeline: name.to_owned(),
        instance: Some("0".to_owned()),
        auto_offset_reset: AutoOffsetReset::Earliest,
        fetch_min_bytes: 1,
        fetch_max_wait_ms: 100,
        event_tables: vec![(EVENTS, name.to_owned())],
        dimension_tables: dimensions.iter().enumerate().map(dimension).collect(),
        limits: CutLimits { max_records: 1000, max_bytes: 1 << 20, max_wait_ms: 0 },
        idle_timeout_ms: 30_000,
        max_ahead_ms: 60_000,
        metadata_refresh_ms: 30_000,
        tells_time: false,
        row_times: Vec::new(),
    }
}

/// Takes cuts until `enough` says so.
fn cuts_until(source: &mut KafkaSource, mut enough: impl FnMut(&[Cut]) -> bool) -> Vec<Cut> {
    let (mut cuts, since) = (Vec::new(), Stopwatch::start());
    while !enough(&cuts) {
        assert!(since.elapsed() < DEADLINE, "only {} cuts, {:?}", cuts.len(), source.progress().not_ready());
        match source.next().unwrap() {
            Next::Cut(cut) => cuts.push(cut),
            Next::Idle => {}
            Next::End => panic!("Kafka never ends"),
        }
    }
    cuts
}

fn records(cuts: &[Cut], table: TableId) -> usize {
    batches(cuts, table).map(RawBatch::len).sum()
}

fn batches(cuts: &[Cut], table: TableId) -> impl Iterator<Item = &RawBatch> {
    cuts.iter().flat_map(|cut| &cut.batches).filter(move |batch| batch.table == table)
}

fn values(cuts: &[Cut], table: TableId) -> Vec<String> {
    let mut values = Vec::new();
    for batch in batches(cuts, table) {
        for index in 0..batch.len() {
            values.push(String::from_utf8(batch.values.get(index).unwrap_or(b"null").to_vec()).unwrap());
        }
    }
    values
}

pub fn numbered(partition: i32, range: std::ops::Range<i64>) -> Vec<Record> {
    range.map(|number| Record::new(partition, 1_000 + number, "k", &format!("{partition}:{number}"))).collect()
}

fn last_positions(cuts: &[Cut]) -> BTreeMap<i32, i64> {
    cuts.iter().flat_map(|cut| &cut.positions).map(|position| (position.partition, position.offset)).collect()
}

/// The next error of a source that is about to fail.
fn failure(source: &mut KafkaSource) -> Error {
    within_deadline("the source's error", || source.next().err())
}

#[test]
fn records_come_out_as_they_went_in() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("as-is", 2, &[]);
    let mut first = numbered(0, 0..3);
    first[0].key = None;
    first[1].value = None;
    first[2].headers = vec![
        ("trace".into(), Some(b"1".to_vec())),
        ("trace".into(), Some(vec![0, 255])),
        ("none".into(), None),
        ("empty".into(), Some(Vec::new())),
    ];
    let mut second = numbered(1, 0..2);
    second[0].value = Some(Vec::new());
    second[0].key = Some(Vec::new());
    // Interleaved in time, so that order within a batch is the source's doing.
    broker.produce("as-is", &second[..1]);
    broker.produce("as-is", &first);
    broker.produce("as-is", &second[1..]);

    let mut source = KafkaSource::open(&reading(broker, "as-is", &[])).unwrap();
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 5);
    let mut got = [Vec::new(), Vec::new()];
    for batch in batches(&cuts, EVENTS) {
        let order: Vec<(i32, i64)> = batch.partitions.iter().copied().zip(batch.offsets.iter().copied()).collect();
        assert!(order.is_sorted(), "within a batch by partition, then offset: {order:?}");
        for index in 0..batch.len() {
            let partition = batch.partitions[index];
            assert_eq!(batch.offsets[index], got[partition as usize].len() as i64);
            let headers = batch.headers.iter().find(|(record, _)| *record == index as u32);
            got[partition as usize].push(Record {
                partition,
                timestamp: batch.timestamps[index],
                key: batch.keys.get(index).map(<[u8]>::to_vec),
                value: batch.values.get(index).map(<[u8]>::to_vec),
                headers: headers.map(|(_, headers)| headers.clone()).unwrap_or_default(),
            });
        }
    }
    assert_eq!(got, [first, second]);
    assert_eq!(last_positions(&cuts), BTreeMap::from([(0, 3), (1, 2)]));
    assert_eq!(source.progress().not_ready(), None);
    assert_eq!(source.progress().assigned_partitions(), 2);
}

#[test]
fn dimensions_are_loaded_before_the_first_event() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("load", 2, &[]);
    broker.create_topic("load-users", 3, &[]);
    broker.create_topic("load-empty", 2, &[]);
    broker.create_topic("load-marked", 1, &[]);
    broker.produce("load", &numbered(0, 0..50));
    for partition in 0..3 {
        broker.produce("load-users", &numbered(partition, 0..2_000));
    }
    // The log ends in two markers and an aborted record: no record of it is at the end that has to be reached.
    broker.produce_transaction("load-marked", &numbered(0, 0..10), true);
    broker.produce_transaction("load-marked", &numbered(0, 900..905), false);

    let config = reading(broker, "load", &["load-users", "load-empty", "load-marked"]);
    let mut source = KafkaSource::open(&config).unwrap();
    let progress = source.progress();
    assert!(progress.not_ready().is_some());
    let cuts = cuts_until(&mut source, |cuts| {
        let loaded = progress.dimensions().iter().all(|dimension| dimension.is_loaded());
        assert!(loaded || records(cuts, EVENTS) == 0, "an event before the dimensions were loaded");
        records(cuts, EVENTS) == 50
    });
    let first_event = cuts.iter().position(|cut| cut.batches.iter().any(|batch| batch.table == EVENTS)).unwrap();
    let before = &cuts[..first_event];
    assert!(before.len() >= 6, "cuts of at most 1000 records: {}", before.len());
    assert!(cuts.iter().all(|cut| cut.batches.iter().map(RawBatch::len).sum::<usize>() <= 1000));
    assert_eq!(records(before, TableId(1)), 6_000);
    assert_eq!(records(before, TableId(2)), 0);
    let marked: Vec<String> = (0..10).map(|number| format!("0:{number}")).collect();
    assert_eq!(values(before, TableId(3)), marked);
    let rows: Vec<u64> = progress.dimensions().iter().map(|dimension| dimension.rows()).collect();
    assert_eq!(rows, [6_000, 0, 10]);
    assert_eq!(progress.dimensions()[0].read(), 6_000);

    // Later dimension records still come, ahead of the events of their cut.
    broker.produce("load-empty", &numbered(1, 0..1));
    let later = cuts_until(&mut source, |cuts| records(cuts, TableId(2)) == 1);
    assert_eq!(values(&later, TableId(2)), ["1:0"]);
    assert!(later.iter().all(|cut| cut.positions.is_empty()), "no event, no position");
}

#[test]
fn missing_topics_are_waited_for() {
    let Some(broker) = Broker::shared() else { return };
    let mut source = KafkaSource::open(&reading(broker, "late", &["late-users"])).unwrap();
    let progress = source.progress();
    let wait = |source: &mut KafkaSource, topic: &str| {
        within_deadline(topic, || {
            assert!(matches!(source.next().unwrap(), Next::Idle));
            progress.not_ready().filter(|reason| reason.contains(topic) && reason.contains("no such topic"))
        })
    };
    wait(&mut source, "dimension topic late-users:");
    broker.create_topic("late-users", 1, &[]);
    wait(&mut source, "event topic late:");
    broker.create_topic("late", 1, &[]);
    broker.produce("late", &numbered(0, 0..1));
    cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 1);
    assert_eq!(progress.not_ready(), None);
}

#[test]
fn a_restart_goes_on_behind_what_was_committed() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("again", 2, &[]);
    broker.produce("again", &numbered(0, 0..30));
    broker.produce("again", &numbered(1, 0..30));
    let config = reading(broker, "again", &[]);

    let mut source = KafkaSource::open(&config).unwrap();
    cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 60);
    drop(source);
    assert_eq!(broker.committed("it-again", "again", 2), [None, None], "nothing was processed, nothing is committed");

    let mut source = KafkaSource::open(&config).unwrap();
    cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 60);
    let committer = source.committer();
    let position = |partition, offset| Position { table: EVENTS, partition, offset };
    committer.commit(&[position(0, 3)], false).unwrap();
    committer.commit(&[position(0, 10), position(1, 20)], false).unwrap();
    committer.commit(&[position(0, 9)], true).unwrap();
    assert_eq!(broker.committed("it-again", "again", 2), [Some(10), Some(20)]);
    drop((source, committer));

    let mut source = KafkaSource::open(&config).unwrap();
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 30);
    let mut expected: Vec<String> = (10..30).map(|number| format!("0:{number}")).collect();
    expected.extend((20..30).map(|number| format!("1:{number}")));
    let mut got = values(&cuts, EVENTS);
    got.sort();
    assert_eq!(got, expected);
    // Without `last`, and without another commit: the source's own thread sends what is due.
    source.committer().commit(&[position(0, 30)], false).unwrap();
    source.committer().commit(&[position(1, 30)], false).unwrap();
    within_deadline("the last commit", || {
        source.next().unwrap();
        (broker.committed("it-again", "again", 2) == [Some(30), Some(30)]).then_some(())
    });
}

#[test]
fn latest_is_fixed_at_the_first_start() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("latest", 1, &[]);
    broker.produce("latest", &numbered(0, 0..5));
    let mut config = reading(broker, "latest", &[]);
    config.auto_offset_reset = AutoOffsetReset::Latest;
    let mut source = KafkaSource::open(&config).unwrap();
    within_deadline("the first assignment", || {
        assert!(matches!(source.next().unwrap(), Next::Idle));
        (source.progress().assigned_partitions() == 1).then_some(())
    });
    drop(source);
    // What comes while nobody reads is not skipped: the group knows where it began.
    broker.produce("latest", &numbered(0, 5..8));
    let mut source = KafkaSource::open(&config).unwrap();
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 3);
    assert_eq!(values(&cuts, EVENTS), ["0:5", "0:6", "0:7"]);
}

#[test]
fn two_members_share_the_partitions() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("shared", 4, &[]);
    let config = reading(broker, "shared", &[]);
    let other = KafkaSourceConfig { instance: Some("1".to_owned()), ..config.clone() };
    let mut first = KafkaSource::open(&config).unwrap();
    within_deadline("all partitions for the only member", || {
        first.next().unwrap();
        (first.progress().assigned_partitions() == 4).then_some(())
    });
    let mut second = KafkaSource::open(&other).unwrap();
    within_deadline("two partitions each", || {
        first.next().unwrap();
        second.next().unwrap();
        let assigned = [&first, &second].map(|source| source.progress().assigned_partitions());
        (assigned == [2, 2]).then_some(())
    });
    for partition in 0..4 {
        broker.produce("shared", &numbered(partition, 0..10));
    }
    let mut got = [Vec::new(), Vec::new()];
    within_deadline("all records", || {
        for (source, got) in [&mut first, &mut second].into_iter().zip(&mut got) {
            if let Next::Cut(cut) = source.next().unwrap() {
                source.committer().commit(&cut.positions, true).unwrap();
                got.push(cut);
            }
        }
        (got.iter().map(|cuts| records(cuts, EVENTS)).sum::<usize>() >= 40).then_some(())
    });
    let partitions = got.each_ref().map(|cuts| last_positions(cuts).into_keys().collect::<BTreeSet<i32>>());
    assert_eq!(partitions.each_ref().map(BTreeSet::len), [2, 2], "{partitions:?}");
    let all: BTreeSet<String> = got.iter().flat_map(|cuts| values(cuts, EVENTS)).collect();
    assert_eq!(all.len(), 40, "every record once");
    // A position of a partition that the other one owns by now must not set its offset back.
    let foreign = *partitions[1].first().unwrap();
    first.committer().commit(&[Position { table: EVENTS, partition: foreign, offset: 1 }], true).unwrap();
    assert_eq!(broker.committed("it-shared", "shared", 4), [Some(10); 4]);
}

#[test]
fn a_second_process_of_the_same_instance_stops_the_first() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("twins", 1, &[]);
    let mut config = reading(broker, "twins", &[]);
    config.cluster.properties.insert("heartbeat.interval.ms".into(), "500".into());
    let mut first = KafkaSource::open(&config).unwrap();
    within_deadline("the first one's partition", || {
        first.next().unwrap();
        (first.progress().assigned_partitions() == 1).then_some(())
    });
    let mut second = KafkaSource::open(&config).unwrap();
    let error = within_deadline("the first one's end", || {
        second.next().unwrap();
        first.next().err()
    });
    assert!(matches!(error, Error::Stop(_)), "{error}");
    assert!(error.to_string().contains("another process runs as the same kafka.instance"), "{error}");
}

#[test]
fn an_offset_that_is_gone_stops_the_source() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("gone", 1, &[]);
    broker.produce("gone", &numbered(0, 0..20));
    let config = reading(broker, "gone", &[]);
    let mut source = KafkaSource::open(&config).unwrap();
    cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 20);
    source.committer().commit(&[Position { table: EVENTS, partition: 0, offset: 5 }], true).unwrap();
    drop(source);
    broker.delete_records("gone", 0, 10);
    let mut source = KafkaSource::open(&config).unwrap();
    let error = failure(&mut source);
    assert!(matches!(error, Error::Stop(_)), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("topic gone, partition 0: consumer group it-gone is to go on at offset 5, but"), "{text}");
    assert!(text.contains("the topic holds 10 up to 20"), "{text}");
    drop(source);

    // A new group simply starts at the first record that is left.
    let config = KafkaSourceConfig { group: "new".to_owned(), ..config };
    let mut source = KafkaSource::open(&config).unwrap();
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 10);
    assert_eq!(values(&cuts, EVENTS)[0], "0:10");
}

#[test]
fn new_partitions_are_found() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("grows", 1, &[]);
    broker.create_topic("grows-users", 1, &[]);
    let mut config = reading(broker, "grows", &["grows-users"]);
    config.metadata_refresh_ms = 300;
    let mut source = KafkaSource::open(&config).unwrap();
    within_deadline("the first partition", || {
        source.next().unwrap();
        (source.progress().assigned_partitions() == 1).then_some(())
    });
    broker.grow_topic("grows", 2);
    broker.grow_topic("grows-users", 3);
    broker.produce("grows", &numbered(1, 0..2));
    broker.produce("grows-users", &numbered(2, 0..2));
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) >= 2 && records(cuts, TableId(1)) >= 2);
    assert_eq!(values(&cuts, EVENTS), ["1:0", "1:1"]);
    assert_eq!(values(&cuts, TableId(1)), ["2:0", "2:1"]);
}

#[test]
fn a_partition_far_ahead_in_time_is_held_back() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("steps", 2, &[]);
    let paced = |partition, step_ms: i64| -> Vec<Record> {
        (0..20_000)
            .map(|number| Record::new(partition, 1_000_000 + number * step_ms, "k", &format!("{partition}:{number}")))
            .collect()
    };
    // The same number of records: 20 s of time in partition 0, 20 000 s in partition 1.
    broker.produce("steps", &paced(0, 1));
    broker.produce("steps", &paced(1, 1_000));
    let mut config = reading(broker, "steps", &[]);
    config.limits.max_records = 100;
    config.max_ahead_ms = 10_000;
    let mut source = KafkaSource::open(&config).unwrap();
    let mut times = [0; 2];
    let (mut seen, mut compared) = (0, 0);
    cuts_until(&mut source, |cuts| {
        for batch in batches(&cuts[seen..], EVENTS) {
            for (partition, timestamp) in batch.partitions.iter().zip(&batch.timestamps) {
                times[*partition as usize] = *timestamp;
            }
        }
        seen = cuts.len();
        if times[0] < 1_000_000 + 19_999 {
            // Before the first record of the slow one, one of the other tells its time; 1 s is the step past the limit.
            let limit_ms = times[0].max(1_000_000) + 10_000 + 1_000;
            assert!(times[1] <= limit_ms, "{} is {} ms ahead", times[1], times[1] - times[0]);
            compared += usize::from(times[0] > 0 && times[1] > 0);
        }
        records(cuts, EVENTS) == 40_000
    });
    assert!(compared > 50, "only {compared} cuts with both under way");
}

#[test]
fn a_sample_is_taken_from_the_beginning() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("sampled", 2, &[]);
    let patience = Duration::from_secs(30);
    assert_eq!(sample(&broker.cluster(), "sampled", 10, patience).unwrap(), []);
    broker.produce("sampled", &numbered(0, 0..50));
    broker.produce_transaction("sampled", &numbered(1, 0..3), true);
    let text = |max_records| -> Vec<String> {
        let sampled = sample(&broker.cluster(), "sampled", max_records, patience).unwrap();
        sampled.into_iter().map(|(_, value)| String::from_utf8(value.unwrap()).unwrap()).collect()
    };
    assert_eq!(text(5), ["0:0", "1:0", "0:1", "1:1", "0:2"]);
    assert_eq!(text(1_000).len(), 53);
    let error = sample(&broker.cluster(), "nowhere", 1, patience).unwrap_err();
    assert!(matches!(error, Error::Mistake(_)), "{error}");
}

#[test]
fn cuts_tell_which_partitions_are_at_their_ends() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("ends", 2, &[]);
    broker.create_topic("ends-facts", 1, &[]);
    broker.produce("ends", &numbered(1, 0..3));
    broker.produce("ends-facts", &numbered(0, 0..1));
    let config = KafkaSourceConfig { tells_time: true, ..reading(broker, "ends", &["ends-facts"]) };
    let mut source = KafkaSource::open(&config).unwrap();
    let ended = |cut: &Cut| cut.at_end && cut.batches.is_empty();
    let cuts = cuts_until(&mut source, |cuts| cuts.last().is_some_and(ended));
    assert_eq!(records(&cuts, EVENTS), 3);
    let state = |partition, at_end| PartitionState { table: EVENTS, partition, at_end };
    assert_eq!(cuts.last().unwrap().partitions, [state(0, true), state(1, true)]);
    let told = cuts.iter().filter(|cut| !cut.partitions.is_empty());
    assert!(told.clone().all(|cut| cut.partitions.len() == 2), "from the first event on, all that are read");
    assert!(told.clone().all(|cut| cut.at_end == cut.partitions.iter().all(|partition| partition.at_end)));

    broker.produce("ends", &numbered(0, 3..5));
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) == 2);
    let with_rows = cuts.iter().find(|cut| !cut.batches.is_empty()).unwrap();
    assert!(!with_rows.partitions[0].at_end && with_rows.partitions[1].at_end, "its end was not seen again yet");
    cuts_until(&mut source, |cuts| cuts.last().is_some_and(ended));
}

#[test]
fn partitions_are_kept_in_step_by_the_times_of_rows_where_records_say_nothing() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("rows-in-step", 2, &[]);
    // All records are of one time: only their rows tell partitions apart.
    let same = |partition| (0..4_000).map(move |number| Record::new(partition, 1_000, "k", &number.to_string()));
    broker.produce("rows-in-step", &same(0).chain(same(1)).collect::<Vec<_>>());
    let times = Arc::new(RowTimes::default());
    let mut config = reading(broker, "rows-in-step", &[]);
    config.max_ahead_ms = 10_000;
    config.limits.max_records = 100;
    config.row_times = vec![(EVENTS, Arc::clone(&times))];
    let mut source = KafkaSource::open(&config).unwrap();
    cuts_until(&mut source, |cuts| last_positions(cuts).len() == 2);
    times.tell(EVENTS, 0, 5_000);
    times.tell(EVENTS, 1, 15_001);
    let cuts = cuts_until(&mut source, |cuts| records(cuts, EVENTS) >= 300);
    assert_eq!(last_positions(&cuts[1..]).into_keys().collect::<Vec<_>>(), [0], "partition 1 is too far ahead");
    times.tell(EVENTS, 0, 5_001);
    cuts_until(&mut source, |cuts| last_positions(cuts).contains_key(&1));
}
