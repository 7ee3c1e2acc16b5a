//! Settings and plans in the terms of the Kafka ends.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::RowTimes;
use crate::config::{AutoOffsetReset as Reset, Pipeline, Settings};
use crate::error::Result;
use crate::kafka_client::Cluster;
use crate::plan::{Emission, Plan, Role};
use crate::sink::kafka::KafkaSinkConfig;
use crate::source::CutLimits;
use crate::source::kafka::{self, AutoOffsetReset, KafkaSourceConfig, Sampled};

/// How long a broker may take to give records to guess columns from.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(20);
/// After how long without an acknowledgement a result counts as lost, and its batch is done again.
const DELIVERY_TIMEOUT_MS: u64 = 120_000;
/// How often to look for new partitions.
const METADATA_REFRESH_MS: u64 = 30_000;

fn cluster(settings: &Settings) -> Cluster {
    Cluster { brokers: settings.kafka.brokers.clone(), properties: settings.kafka.properties.clone() }
}

/// The first records of a topic.
pub(super) fn sample(settings: &Settings, topic: &str, records_max: usize) -> Result<Vec<Sampled>> {
    kafka::sample(&cluster(settings), topic, records_max, SAMPLE_TIMEOUT)
}

/// Where a pipeline reads.
pub(super) fn source_config(
    settings: &Settings,
    pipeline: &Pipeline,
    plan: &Plan,
    row_times: &Arc<RowTimes>,
) -> KafkaSourceConfig {
    let of_role = |role: Role| -> Vec<_> {
        let tables = plan.tables.iter().filter(|table| table.role == role);
        tables.map(|table| (table.id, table.topic.clone())).collect()
    };
    let mut event_tables = of_role(Role::Event);
    // In the order of processing: the driving table is the last.
    event_tables.rotate_left(1);
    let timed = plan.tables.iter().filter(|table| table.role == Role::Event && table.event_time.is_some());
    let kafka = &settings.kafka;
    let is_joined = plan.events.len() > 1;
    let lateness_ms = plan.events.iter().map(|event| event.lateness_ms).min().unwrap_or_default();
    // What is remembered is bounded by the ttl, and grows by what one partition is ahead of another.
    let ttl_ms = plan.events.iter().map(|event| event.ttl_ms).min().filter(|_| is_joined);
    KafkaSourceConfig {
        cluster: cluster(settings),
        group: kafka.group.clone(),
        pipeline: pipeline.name.clone(),
        instance: kafka.instance.clone(),
        auto_offset_reset: match kafka.auto_offset_reset {
            Reset::Earliest => AutoOffsetReset::Earliest,
            Reset::Latest => AutoOffsetReset::Latest,
        },
        fetch_min_bytes: u32::try_from(kafka.fetch_min_bytes).unwrap_or(u32::MAX),
        fetch_max_wait_ms: u32::try_from(kafka.fetch_max_wait_ms).unwrap_or(u32::MAX),
        event_tables,
        dimension_tables: of_role(Role::Dimension),
        limits: CutLimits {
            max_records: pipeline.batch.max_records.min(kafka.max_poll_records),
            max_bytes: pipeline.batch.max_bytes,
            max_wait_ms: pipeline.batch.max_wait_ms,
        },
        idle_timeout_ms: pipeline.events.idle_timeout_ms.unsigned_abs(),
        max_ahead_ms: ttl_ms.map_or(lateness_ms, |ttl_ms| ttl_ms.max(lateness_ms)),
        metadata_refresh_ms: METADATA_REFRESH_MS,
        tells_time: is_joined || matches!(plan.emission, Emission::Smart(_)),
        row_times: timed.filter(|_| is_joined).map(|table| (table.id, Arc::clone(row_times))).collect(),
    }
}

/// Where a pipeline writes.
pub(super) fn sink_config(settings: &Settings, pipeline: &Pipeline) -> KafkaSinkConfig {
    let kafka = &settings.kafka;
    KafkaSinkConfig {
        cluster: cluster(settings),
        topic: pipeline.output.topic.clone(),
        dead_letter_topic: pipeline.output.dead_letter.clone(),
        create_topics: true,
        compression: kafka.compression.name().to_string(),
        linger_ms: u32::try_from(kafka.linger_ms).unwrap_or(u32::MAX),
        batch_size: kafka.batch_size,
        delivery_timeout_ms: DELIVERY_TIMEOUT_MS,
    }
}
