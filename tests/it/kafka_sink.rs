//! The Kafka sink against a real broker, and both ends together.

use std::collections::BTreeSet;

use kaflowsql::batch::{DeadLetter, EncodedBatch, RawBatch, Slices, SlicesBuilder, Stage};
use kaflowsql::error::{Error, Result};
use kaflowsql::sink::Sink;
use kaflowsql::sink::kafka::{KafkaSink, KafkaSinkConfig};
use kaflowsql::source::kafka::{KafkaSource, KafkaSourceConfig};
use kaflowsql::source::{Next, Source};

use crate::broker::{Broker, Record, within_deadline};
use crate::kafka::{numbered, reading};

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

fn slices(strings: &[Option<&[u8]>]) -> Slices {
    let mut builder = SlicesBuilder::default();
    strings.iter().for_each(|bytes| builder.push(*bytes));
    builder.finish()
}

/// Key, value and timestamp of a result.
type Encoded<'a> = (Option<&'a str>, Option<&'a [u8]>, i64);

fn encoded(records: &[Encoded<'_>]) -> EncodedBatch {
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
