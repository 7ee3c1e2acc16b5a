//! Source and sink against a real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kaflowsql::batch::{Cut, DeadLetter, EncodedBatch, Position, RawBatch, Slices, SlicesBuilder, Stage, TableId};
use kaflowsql::clock::Stopwatch;
use kaflowsql::error::{Error, Result};
use kaflowsql::sink::Sink;
use kaflowsql::sink::kafka::{KafkaSink, KafkaSinkConfig};
use kaflowsql::source::kafka::{AutoOffsetReset, KafkaSource, KafkaSourceConfig, sample};
use kaflowsql::source::{CutLimits, Next, Source};

use crate::broker::{Broker, DEADLINE, Record, within_deadline};

const EVENTS: TableId = TableId(0);

/// A pipeline named `name` that reads the topic `name` as events and `dimensions` as tables 1, 2, …
fn reading(broker: &Broker, name: &str, dimensions: &[&str]) -> KafkaSourceConfig {
    let dimension = |(index, topic): (usize, &&str)| (TableId(index as u32 + 1), (*topic).to_owned());
    KafkaSourceConfig {
        cluster: broker.cluster(),
        group: "it".to_owned(),
        pipeline: name.to_owned(),
        instance: "0".to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        fetch_min_bytes: 1,
        fetch_max_wait_ms: 100,
        event_tables: vec![(EVENTS, name.to_owned())],
        dimension_tables: dimensions.iter().enumerate().map(dimension).collect(),
        limits: CutLimits { max_records: 1000, max_bytes: 1 << 20, max_wait_ms: 0 },
        idle_timeout_ms: 30_000,
        max_ahead_ms: 60_000,
        metadata_refresh_ms: 30_000,
    }
}

fn writing(broker: &Broker, topic: &str) -> KafkaSinkConfig {
    KafkaSinkConfig {
        cluster: broker.cluster(),
        topic: topic.to_owned(),
        dead_letter_topic: format!("{topic}.dlq"),
        create_topics: true,
        compression: "none".to_owned(),
        linger_ms: 0,
        batch_size: 1 << 20,
        delivery_timeout_ms: 60_000,
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

fn numbered(partition: i32, range: std::ops::Range<i64>) -> Vec<Record> {
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
    let other = KafkaSourceConfig { instance: "1".to_owned(), ..config.clone() };
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
        (0..2_000)
            .map(|number| Record::new(partition, 1_000_000 + number * step_ms, "k", &format!("{partition}:{number}")))
            .collect()
    };
    // The same number of records: 2 s of time in partition 0, 2000 s in partition 1.
    broker.produce("steps", &paced(0, 1));
    broker.produce("steps", &paced(1, 1_000));
    let mut config = reading(broker, "steps", &[]);
    config.limits.max_records = 100;
    config.max_ahead_ms = 10_000;
    let mut source = KafkaSource::open(&config).unwrap();
    let (mut times, mut free_ms) = ([0; 2], 0);
    let mut seen = 0;
    cuts_until(&mut source, |cuts| {
        for batch in batches(&cuts[seen..], EVENTS) {
            for (partition, timestamp) in batch.partitions.iter().zip(&batch.timestamps) {
                times[*partition as usize] = *timestamp;
            }
        }
        seen = cuts.len();
        if times[0] == 0 {
            // Nothing is known of the slow one before its first record.
            free_ms = times[1];
        } else if times[0] < 1_000_000 + 1_999 {
            let limit_ms = free_ms.max(times[0] + 10_000 + 1_000);
            assert!(times[1] <= limit_ms, "{} is {} ms ahead", times[1], times[1] - times[0]);
        }
        records(cuts, EVENTS) == 4_000
    });
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

fn slices(strings: &[Option<&[u8]>]) -> Slices {
    let mut builder = SlicesBuilder::default();
    strings.iter().for_each(|bytes| builder.push(*bytes));
    builder.finish()
}

fn encoded(records: &[(Option<&str>, Option<&[u8]>, i64)]) -> EncodedBatch {
    let keys: Vec<Option<&[u8]>> = records.iter().map(|(key, _, _)| key.map(str::as_bytes)).collect();
    let values: Vec<Option<&[u8]>> = records.iter().map(|(_, value, _)| *value).collect();
    EncodedBatch {
        keys: slices(&keys),
        values: slices(&values),
        timestamps: records.iter().map(|(_, _, timestamp)| *timestamp).collect(),
    }
}

#[test]
fn results_and_dead_letters_arrive() {
    let Some(broker) = Broker::shared() else { return };
    let mut sink = KafkaSink::open(&writing(broker, "results")).unwrap();
    let batch = encoded(&[(Some("a"), Some(b"1"), 1_000), (None, Some(b"2"), 2_000), (Some("c"), None, 3_000)]);
    sink.write(&batch).unwrap();
    let letter = DeadLetter {
        key: Some(b"k".to_vec()),
        value: Some(vec![0, 159, 146, 150]),
        headers: vec![("trace".into(), Some(b"t".to_vec())), ("none".into(), None)],
        topic: "orders".into(),
        partition: 3,
        offset: 42,
        timestamp: 1_700_000_000_000,
        stage: Stage::Decode,
        error: "field amount: expected a number, found \"ü\"".into(),
    };
    let bare = DeadLetter { key: None, value: None, headers: Vec::new(), stage: Stage::Sql, ..letter.clone() };
    sink.write_dead_letters(&[letter.clone(), bare]).unwrap();
    sink.flush().unwrap();

    let results = broker.read_all("results");
    let expected = [(Some("a"), Some("1"), 1_000), (None, Some("2"), 2_000), (Some("c"), None, 3_000)].map(
        |(key, value, time)| Record {
            partition: 0,
            timestamp: time,
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: Vec::new(),
        },
    );
    assert_eq!(results, expected);
    let letters = broker.read_all("results.dlq");
    assert_eq!((letters.len(), &letters[0].key, &letters[0].value), (2, &letter.key, &letter.value));
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let ours = |stage| {
        [
            header("kaflowsql.topic", "orders"),
            header("kaflowsql.partition", "3"),
            header("kaflowsql.offset", "42"),
            header("kaflowsql.timestamp", "1700000000000"),
            header("kaflowsql.stage", stage),
            header("kaflowsql.error", "field amount: expected a number, found \"ü\""),
        ]
    };
    assert_eq!(letters[0].headers, [letter.headers, ours("decode").to_vec()].concat());
    assert_eq!((&letters[1].key, &letters[1].value), (&None, &None));
    assert_eq!(letters[1].headers, ours("sql"));
}

/// Bytes that no compression makes smaller (xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_is_too_large_becomes_a_dead_letter() {
    let Some(broker) = Broker::shared() else { return };
    broker.create_topic("small", 1, &[("max.message.bytes", "10000")]);
    broker.create_topic("small.dlq", 1, &[("max.message.bytes", "5000")]);
    // With compression, so that the broker and not the client decides.
    let config = KafkaSinkConfig { compression: "lz4".to_owned(), ..writing(broker, "small") };
    let mut sink = KafkaSink::open(&config).unwrap();
    let noise = noise(40_000);
    let huge = vec![7; 2_000_000];
    let compressible = vec![b'x'; 60_000];
    sink.write(&encoded(&[
        (Some("k"), Some(b"before"), 1),
        (Some("k"), Some(&noise), 2),
        (Some("k"), Some(&compressible), 3),
        (Some("k"), Some(&huge), 4),
        (Some("k"), Some(b"after"), 5),
    ]))
    .unwrap();
    let value = vec![b'v'; 20_000];
    let letter = DeadLetter {
        key: Some(b"k".to_vec()),
        value: Some(value.clone()),
        headers: vec![("trace".into(), None)],
        topic: "orders".into(),
        partition: 0,
        offset: 1,
        timestamp: 5,
        stage: Stage::Decode,
        error: "more than max_record_bytes".into(),
    };
    sink.write_dead_letters(&[letter]).unwrap();
    sink.flush().unwrap();

    let results: Vec<Vec<u8>> = broker.read_all("small").into_iter().filter_map(|record| record.value).collect();
    let lengths: Vec<usize> = results.iter().map(Vec::len).collect();
    assert_eq!(lengths, [6, compressible.len(), 5], "what fits arrives, in order");
    assert!(results == [b"before".to_vec(), compressible, b"after".to_vec()]);
    let letters = broker.read_all("small.dlq");
    let by_offset = |offset: &str| -> Vec<&Record> {
        letters.iter().filter(|letter| letter.header("kaflowsql.offset").as_deref() == Some(offset)).collect()
    };
    let [decode] = by_offset("1")[..] else { panic!("{} letters", letters.len()) };
    let cut = decode.value.as_ref().unwrap();
    assert!(value.starts_with(cut) && (4_000..5_000).contains(&cut.len()), "{}", cut.len());
    assert_eq!(decode.header("kaflowsql.truncated").as_deref(), Some("20000"));
    assert_eq!(decode.headers[0], ("trace".to_owned(), None));
    let produce = by_offset("-1");
    let mut lengths: Vec<String> = produce.iter().filter_map(|letter| letter.header("kaflowsql.truncated")).collect();
    lengths.sort();
    assert_eq!(lengths, ["2000000", "40000"]);
    for letter in produce {
        assert_eq!(letter.header("kaflowsql.stage").as_deref(), Some("produce"));
        assert_eq!(letter.header("kaflowsql.topic").as_deref(), Some("small"));
        let value = letter.value.as_ref().unwrap();
        assert!(noise.starts_with(value) || huge.starts_with(value));
    }
    // The sink goes on.
    sink.write(&encoded(&[(None, Some(b"later"), 6)])).unwrap();
    sink.flush().unwrap();
    assert_eq!(broker.read_all("small").last().unwrap().text(), "later");
}

#[test]
fn a_record_that_is_refused_does_not_take_its_batch_along() {
    let Some(broker) = Broker::shared() else { return };
    // A compacted topic takes no record without a key.
    broker.create_topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let config = KafkaSinkConfig { linger_ms: 200, ..writing(broker, "compacted") };
    let mut sink = KafkaSink::open(&config).unwrap();
    sink.write(&encoded(&[(Some("a"), Some(b"1"), 1), (None, Some(b"2"), 2), (Some("c"), Some(b"3"), 3)])).unwrap();
    sink.flush().unwrap();
    let texts = |topic| -> Vec<String> { broker.read_all(topic).iter().map(Record::text).collect() };
    assert_eq!(texts("compacted"), ["1", "3"]);
    assert_eq!(texts("compacted.dlq"), ["2"]);
}

#[test]
fn a_missing_output_topic_is_an_error_where_none_may_be_created() {
    let Some(broker) = Broker::shared() else { return };
    let config = KafkaSinkConfig { create_topics: false, ..writing(broker, "not-there") };
    let error = KafkaSink::open(&config).err().unwrap();
    assert!(matches!(error, Error::Stop(_)), "{error}");
    assert!(error.to_string().starts_with("topic not-there: the brokers 127.0.0.1:"), "{error}");
}

#[test]
fn nothing_is_lost_when_the_broker_is_killed() {
    let Some(broker) = Broker::start("killed") else { return };
    broker.create_topic("killed", 4, &[]);
    broker.create_topic("killed-users", 1, &[]);
    broker.create_topic("killed-out", 2, &[]);
    broker.create_topic("killed-out.dlq", 1, &[]);
    let mut config = reading(&broker, "killed", &["killed-users"]);
    config.limits.max_records = 500;
    let mut pump = Pump::open(&config, &writing(&broker, "killed-out")).unwrap();
    let produce = |range: std::ops::Range<i64>| {
        for partition in 0..4 {
            broker.produce("killed", &numbered(partition, range.clone()));
        }
    };
    produce(0..2_000);
    pump.until(|pumped| pumped > 1_000);
    broker.kill();
    std::thread::scope(|scope| {
        // The pump goes on meanwhile: what is on its way must wait, and nothing that fails may end the run.
        scope.spawn(|| {
            broker.start_again();
            produce(2_000..2_500);
        });
        pump.until(|pumped| pumped >= 10_000);
    });
    pump.until_quiet();
    drop(pump);
    let arrived: Vec<String> = broker.read_all("killed-out").iter().map(Record::text).collect();
    let distinct: BTreeSet<String> = arrived.iter().cloned().collect();
    let expected: BTreeSet<String> =
        (0..4).flat_map(|partition| numbered(partition, 0..2_500)).map(|record| record.text()).collect();
    assert_eq!(distinct, expected);
    assert!(arrived.len() < 2 * expected.len(), "{} records for {}", arrived.len(), expected.len());
    assert_eq!(broker.committed("it-killed", "killed", 4), [Some(2_500); 4]);
}

/// The shortest pipeline: what comes in goes out, at least once; started anew after an error, as the engine does.
struct Pump {
    reading: KafkaSourceConfig,
    writing: KafkaSinkConfig,
    ends: Option<(KafkaSource, KafkaSink)>,
    pumped: usize,
}

impl Pump {
    fn open(reading: &KafkaSourceConfig, writing: &KafkaSinkConfig) -> Result<Self> {
        let ends = Some((KafkaSource::open(reading)?, KafkaSink::open(writing)?));
        Ok(Self { reading: reading.clone(), writing: writing.clone(), ends, pumped: 0 })
    }

    /// Whether something was pumped.
    fn turn(&mut self) -> Result<bool> {
        if self.ends.is_none() {
            self.ends = Some((KafkaSource::open(&self.reading)?, KafkaSink::open(&self.writing)?));
        }
        let (source, sink) = self.ends.as_mut().unwrap();
        let Next::Cut(cut) = source.next()? else { return Ok(false) };
        for batch in &cut.batches {
            sink.write(&EncodedBatch {
                keys: batch.keys.clone(),
                values: batch.values.clone(),
                timestamps: batch.timestamps.clone(),
            })?;
        }
        sink.flush()?;
        source.committer().commit(&cut.positions, false)?;
        self.pumped += cut.batches.iter().map(RawBatch::len).sum::<usize>();
        Ok(true)
    }

    fn try_turn(&mut self) -> bool {
        match self.turn() {
            Ok(pumped) => pumped,
            Err(Error::Retry(reason)) => {
                println!("starting anew: {reason}");
                self.ends = None;
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn until(&mut self, enough: impl Fn(usize) -> bool) {
        within_deadline("the pump", || {
            self.try_turn();
            enough(self.pumped).then_some(())
        });
    }

    fn until_quiet(&mut self) {
        let mut quiet = 0;
        within_deadline("a quiet source", || {
            quiet = if self.try_turn() { 0 } else { quiet + 1 };
            (quiet == 5).then_some(())
        });
        if let Some((source, _)) = &self.ends {
            source.committer().commit(&[], true).unwrap();
        }
    }
}
