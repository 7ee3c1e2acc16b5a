//! Both ends on librdkafka's in-process cluster, on which the demo runs. It proves nothing about delivery; only that the
//! ends ask nothing of it that it does not have.

use std::collections::BTreeMap;
use std::time::Duration;

use kaflowsql::batch::{EncodedBatch, SlicesBuilder, TableId};
use kaflowsql::kafka_client::Cluster;
use kaflowsql::sink::Sink;
use kaflowsql::sink::kafka::{KafkaSink, KafkaSinkConfig};
use kaflowsql::source::CutLimits;
use kaflowsql::source::kafka::{AutoOffsetReset, KafkaSource, KafkaSourceConfig, sample};
use kaflowsql::source::{Next, Source};
use rdkafka::mocking::MockCluster;

use crate::broker::within_deadline;

fn sink(cluster: &Cluster, topic: &str) -> KafkaSink {
    KafkaSink::open(&KafkaSinkConfig {
        cluster: cluster.clone(),
        topic: topic.to_owned(),
        dead_letter_topic: format!("{topic}.dlq"),
        create_topics: false,
        compression: "lz4".to_owned(),
        linger_ms: 0,
        batch_size: 1 << 20,
        delivery_timeout_ms: 10_000,
    })
    .unwrap()
}

fn batch(values: std::ops::Range<i64>) -> EncodedBatch {
    let (mut keys, mut texts) = (SlicesBuilder::default(), SlicesBuilder::default());
    for value in values.clone() {
        keys.push(Some(b"k"));
        texts.push(Some(value.to_string().as_bytes()));
    }
    EncodedBatch {
        keys: keys.finish(),
        values: texts.finish(),
        timestamps: values.map(|value| 1_000 + value).collect(),
    }
}

#[test]
fn the_demo_cluster_is_enough() {
    let mock = MockCluster::new(1).unwrap();
    for topic in ["flights", "planes", "out"] {
        mock.create_topic(topic, 2, 1).unwrap();
        mock.create_topic(&format!("{topic}.dlq"), 1, 1).unwrap();
    }
    let cluster = Cluster { brokers: vec![mock.bootstrap_servers()], properties: BTreeMap::new() };
    for topic in ["flights", "planes"] {
        let mut sink = sink(&cluster, topic);
        sink.write(&batch(0..100)).unwrap();
        sink.flush().unwrap();
    }
    let config = KafkaSourceConfig {
        cluster: cluster.clone(),
        group: "demo".to_owned(),
        pipeline: "flights".to_owned(),
        instance: Some("0".to_owned()),
        auto_offset_reset: AutoOffsetReset::Earliest,
        fetch_min_bytes: 1,
        fetch_max_wait_ms: 100,
        event_tables: vec![(TableId(0), "flights".to_owned())],
        dimension_tables: vec![(TableId(1), "planes".to_owned())],
        limits: CutLimits { max_records: 1000, max_bytes: 1 << 20, max_wait_ms: 0 },
        idle_timeout_ms: 30_000,
        max_ahead_ms: 60_000,
        metadata_refresh_ms: 30_000,
        tells_time: false,
        row_times: Vec::new(),
    };
    let mut source = KafkaSource::open(&config).unwrap();
    let mut out = sink(&cluster, "out");
    let mut rows = [0, 0];
    within_deadline("all records", || {
        if let Next::Cut(cut) = source.next().unwrap() {
            for batch in &cut.batches {
                assert!(batch.table == TableId(1) || rows[1] == 100, "an event before the dimension was loaded");
                rows[batch.table.index()] += batch.len();
            }
            out.write(&batch(0..cut.batches.len() as i64)).unwrap();
            out.flush().unwrap();
            source.committer().commit(&cut.positions, true).unwrap();
        }
        (rows == [100, 100]).then_some(())
    });
    assert!(!sample(&cluster, "out", 10, Duration::from_secs(10)).unwrap().is_empty());
}
