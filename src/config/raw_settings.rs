//! `config.yaml` as it is written. Every field is optional, so that one wrong value hides no other mistake; what is
//! required is said by the schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::quantity::{Duration, Milliseconds, Size};
use super::schema;
use super::settings::{AutoOffsetReset, Compression, LogLevel};

/// A value that is not read, or is read from the tree: only that it is there is kept.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Present(IgnoredAny);

impl JsonSchema for Present {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Present".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({})
    }
}

/// The JSON Schema of `config.yaml`, for editors.
pub fn settings_schema() -> serde_json::Value {
    schema::json_schema::<RawSettings>()
}

/// The process: one config.yaml.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSettings {
    /// How to reach Kafka.
    pub kafka: Option<RawKafka>,
    /// What a crash may do: repeat results (at_least_once).
    pub delivery: Option<Delivery>,
    /// What joins remember, and where.
    pub state: Option<RawState>,
    /// Threads.
    pub engine: Option<RawEngine>,
    /// The HTTP listener: metrics, health, API.
    pub http: Option<RawHttp>,
    /// The log, on standard error.
    pub logging: Option<RawLogging>,
}

/// How to reach Kafka.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawKafka {
    /// Bootstrap brokers as host:port: a list, or one text with commas. Default: localhost:9092.
    pub brokers: Option<Brokers>,
    /// The Schema Registry.
    #[schemars(extend("x-later" = "comes with a later version, together with Avro"))]
    pub schema_registry: Option<Present>,
    /// Whether Avro is the default format of topics and output; else JSON.
    pub use_avro: Option<bool>,
    /// This process's slot, its static membership in the consumer groups: it may restart without a rebalance. No two
    /// processes may share it. Default: none.
    pub instance: Option<String>,
    /// Reading.
    pub consumer: Option<RawConsumer>,
    /// Writing.
    pub producer: Option<RawProducer>,
    /// Further librdkafka properties, such as security.protocol.
    pub properties: Option<BTreeMap<String, String>>,
}

/// A list of brokers, or a text with commas between them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Brokers {
    /// `localhost:9092,other:9092`, as an environment variable may hold it.
    Text(String),
    /// One broker an item.
    List(#[schemars(with = "Vec<String>")] Vec<Option<String>>),
}

/// Reading.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConsumer {
    /// The consumer group of a pipeline is this, a dash and the pipeline's name. Default: kaflowsql.
    pub group: Option<String>,
    /// Where to begin in a partition of which the group has no offset yet. Default: earliest.
    pub auto_offset_reset: Option<AutoOffsetReset>,
    /// The least number of bytes that a broker answers with. Default: 1.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub fetch_min_bytes: Option<u32>,
    /// How long a broker waits for them, ms. Default: 100.
    pub fetch_max_wait: Option<Milliseconds>,
    /// The largest batch, in records; with a pipeline's batch.max_records the smaller counts. Default: 10000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_poll_records: Option<u32>,
}

/// Writing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProducer {
    /// The largest batch that is sent to a partition, bytes. Default: 1 MiB.
    pub batch_size: Option<Size>,
    /// How long a batch waits for more, ms. Default: 0.
    pub linger_ms: Option<Milliseconds>,
    /// How batches are compressed. Default: lz4.
    pub compression: Option<Compression>,
}

/// What a crash may do.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delivery {
    /// Results may come twice after a crash, none is lost.
    AtLeastOnce,
    /// Results come once, whatever crashes.
    #[schemars(extend("x-later" = "comes with a later version; until then a crash may repeat results, and loses none"))]
    ExactlyOnce,
}

/// What joins remember, and where.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawState {
    /// How long rows of event tables live where the pipeline doesn't say. Default: 1h.
    pub ttl: Option<Duration>,
    /// How much memory state may take.
    #[schemars(extend("x-later" = "comes with a later version: state is in memory, whole"))]
    pub memory_limit: Option<Present>,
    /// State on disk.
    pub rocksdb: Option<RawRocksdb>,
}

/// State on disk.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRocksdb {
    /// The folder, or `memory`.
    pub path: Option<String>,
    /// Bytes of a write buffer.
    #[schemars(extend("x-later" = "comes with a later version, together with state on disk"))]
    pub write_buffer_size: Option<Present>,
    /// How many write buffers.
    #[schemars(extend("x-later" = "comes with a later version, together with state on disk"))]
    pub max_write_buffer_number: Option<Present>,
    /// Bytes of a block.
    #[schemars(extend("x-later" = "comes with a later version, together with state on disk"))]
    pub block_size: Option<Present>,
    /// Bytes of the block cache.
    #[schemars(extend("x-later" = "comes with a later version, together with state on disk"))]
    pub block_cache: Option<Present>,
    /// Copies of the state, taken now and then.
    #[schemars(extend("x-later" = "comes with a later version, together with state on disk"))]
    pub checkpoint: Option<Present>,
}

/// Threads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEngine {
    /// Worker threads of a pipeline; 0 (the default) is one per core.
    #[schemars(range(min = 0, max = 1024))]
    pub workers: Option<u32>,
    /// What runs the SQL.
    pub backend: Option<Backend>,
}

/// What runs the SQL.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// The engine's own.
    Datafusion,
    /// For comparison.
    #[schemars(extend("x-later" = "comes with a later version"))]
    Duckdb,
}

/// The HTTP listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    /// Address and port. Default: 127.0.0.1:8080.
    pub listen: Option<String>,
    /// What a client has to show (Authorization: Bearer …) for all but health and metrics.
    pub token: Option<String>,
    /// Whether /debug/pprof is served.
    pub profiling: Option<bool>,
}

/// The log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLogging {
    /// The least important messages that are written. Default: info.
    pub level: Option<LogLevel>,
    /// Lines for people, or objects for programs. Default: text.
    pub format: Option<LogFormat>,
}

/// What a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
