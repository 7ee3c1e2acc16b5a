//! A pipeline file as it is written. Every field is optional, so that one wrong value hides no other mistake; what is
//! required is said by the schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::pipeline::{OnError, OnExpire};
use super::quantity::{Duration, Size};
use super::raw_settings::Present;
use super::schema;

/// The JSON Schema of a pipeline file, for editors.
pub fn pipeline_schema() -> serde_json::Value {
    schema::json_schema::<RawPipeline>()
}

/// A pipeline: one SQL query, the topics it reads, one output topic.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "query", "output"]))]
pub(super) struct RawPipeline {
    /// The pipeline's name, in its consumer group, metrics and logs: letters, digits, `_`, `-` and `.`.
    pub name: Option<String>,
    /// How long rows of event tables live, where state.events does not say.
    pub window: Option<Duration>,
    /// The SQL query.
    pub query: Option<String>,
    /// Topic, schema and time of tables, by their names in SQL.
    pub sources: Option<BTreeMap<String, RawSource>>,
    /// Where results go.
    pub output: Option<RawOutput>,
    /// When results come out.
    pub emission: Option<RawEmission>,
    /// What the pipeline remembers of its tables.
    pub state: Option<RawTables>,
    /// Whether joined topics are partitioned alike.
    pub copartitioned: Option<bool>,
    /// How large a batch may grow.
    pub batch: Option<RawBatch>,
    /// What happens to records that can't be processed. Default: dead_letter.
    pub on_error: Option<OnError>,
    /// The largest record that is read. Default: 1MiB.
    pub max_record_bytes: Option<Size>,
    /// Records in, results out: run by `kaflowsql test`.
    #[schemars(extend("x-later" = "comes with a later version, together with `kaflowsql test`"))]
    pub tests: Option<Present>,
}

/// A table's records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSource {
    /// The topic. Default: the table's name.
    pub topic: Option<String>,
    /// How values are written. Default: json.
    pub format: Option<Format>,
    /// Columns and their types; inferred from the first records where there is none.
    pub schema: Option<Present>,
    /// The column that is a row's time. Default: the record's timestamp.
    pub event_time: Option<String>,
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// One JSON object a record.
    Json,
    /// Avro, with a Schema Registry.
    #[schemars(extend("x-later" = "comes with a later version"))]
    Avro,
    /// Protocol Buffers, with a Schema Registry.
    #[schemars(extend("x-later" = "comes with a later version"))]
    Protobuf,
    /// Debezium's change events.
    #[schemars(extend("x-later" = "comes with a later version"))]
    DebeziumJson,
    /// The value as bytes.
    #[schemars(extend("x-later" = "comes with a later version"))]
    Raw,
}

/// Where results go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["topic"]))]
pub(super) struct RawOutput {
    /// The topic that results are written to.
    pub topic: Option<String>,
    /// How results are written. Default: json.
    pub format: Option<Format>,
    /// The output column that is the record's key. Default: records without a key.
    pub key: Option<String>,
    /// Columns and types that the result is checked against and cast to.
    pub schema: Option<Present>,
    /// The topic for what can't be processed. Default: the output topic and `.dlq`.
    pub dead_letter: Option<String>,
}

/// When results come out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmission {
    /// Results come out when they are formed, or wait for what they lack.
    #[serde(rename = "type")]
    pub kind: Option<EmissionType>,
    /// Output columns that may not be NULL.
    #[schemars(with = "Option<Vec<String>>")]
    pub require: Option<Vec<Option<String>>>,
    /// How long a result waits for them. Default: the driving table's ttl.
    pub max_wait: Option<Duration>,
    /// What becomes of it then. Default: drop.
    pub on_expire: Option<OnExpire>,
}

/// When results come out.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum EmissionType {
    /// When they are formed.
    Immediate,
    /// When they are complete.
    Smart,
}

/// What the pipeline remembers of its tables.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTables {
    /// Event tables: rows live for a ttl.
    pub events: Option<RawEvents>,
    /// Dimension tables, by their names in SQL: the current row of each identity.
    #[schemars(with = "Option<Vec<RawDimension>>")]
    pub dimensions: Option<Vec<Option<RawDimension>>>,
}

/// Event tables.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEvents {
    /// How long rows live. Default: the pipeline's window, else the process's state.ttl.
    pub default_ttl: Option<Duration>,
    /// How long rows of single tables live.
    pub overrides: Option<BTreeMap<String, Duration>>,
    /// How far behind its table's time a row may be before it is late. Default: 1m, or the ttl if less.
    pub lateness: Option<Duration>,
    /// How long a partition without new records holds the table's time back. Default: 30s.
    pub idle_timeout: Option<Duration>,
    /// How far an event_time may lie ahead of its record's timestamp. Default: 1h.
    pub max_future: Option<Duration>,
}

/// A dimension table: its name, or its name and key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawDimension {
    /// The table; its rows are named by the records' keys or the joined columns.
    Name(String),
    /// The table, and the columns that name its rows.
    Keyed(RawKeyed),
}

/// A dimension table and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["table"]))]
pub(super) struct RawKeyed {
    /// The table's name in SQL.
    pub table: Option<String>,
    /// The columns that name a row.
    #[schemars(with = "Option<Vec<String>>")]
    pub key: Option<Vec<Option<String>>>,
}

/// How large a batch may grow.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBatch {
    /// Records. Default: 10000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_records: Option<u32>,
    /// Bytes. Default: 16MiB.
    pub max_bytes: Option<Size>,
    /// How long to wait for more; 0ms (the default) never waits when there is work.
    pub max_wait: Option<Duration>,
}
