//! The settings of the process: config.yaml, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::mistakes::Mistakes;
use super::raw_settings::{Brokers, LogFormat, RawHttp, RawKafka, RawRocksdb, RawSettings};
use super::secrets::{self, MASKED};
use super::source_file::SourceFile;
use super::{pipeline, properties, schema};

/// Settings of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How long rows of event tables live where nothing else says, ms.
    pub ttl_ms: i64,
    /// The HTTP listener.
    pub http: HttpSettings,
    /// The log.
    pub logging: LoggingSettings,
}

/// How to reach Kafka.
#[derive(Clone, PartialEq)]
pub struct KafkaSettings {
    /// Bootstrap brokers, host:port.
    pub brokers: Vec<String>,
    /// This process's slot, its static membership in consumer groups; without one, membership is dynamic.
    pub instance: Option<String>,
    /// The consumer group of a pipeline is this, a dash and the pipeline's name.
    pub group: String,
    /// Where to begin in a partition of which the group has no offset yet.
    pub auto_offset_reset: AutoOffsetReset,
    /// The least number of bytes that a broker answers with.
    pub fetch_min_bytes: usize,
    /// How long a broker waits for them, ms.
    pub fetch_max_wait_ms: u64,
    /// The largest batch, in records; the smaller of this and a pipeline's own counts.
    pub max_poll_records: usize,
    /// The largest batch that is sent to a partition, bytes.
    pub batch_size: usize,
    /// How long a batch waits for more, ms.
    pub linger_ms: u64,
    /// How batches are compressed.
    pub compression: Compression,
    /// Further librdkafka properties; secrets among them.
    pub properties: BTreeMap<String, String>,
}

/// Where to begin without an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutoOffsetReset {
    /// At the first record there is.
    Earliest,
    /// After the last one.
    Latest,
}

impl AutoOffsetReset {
    /// The name in librdkafka's properties.
    pub fn name(self) -> &'static str {
        match self {
            AutoOffsetReset::Earliest => "earliest",
            AutoOffsetReset::Latest => "latest",
        }
    }
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Small, slow.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast, and smaller.
    Lz4,
    /// Small, and still fast.
    Zstd,
}

impl Compression {
    /// The name in librdkafka's properties.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// The HTTP listener.
#[derive(Clone, PartialEq)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a client has to show for all but health and metrics.
    pub token: Option<String>,
}

/// The log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggingSettings {
    /// The least important messages that are written.
    pub level: LogLevel,
    /// Whether lines are JSON objects.
    pub json: bool,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// The process or a pipeline can't go on.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What the process does.
    Info,
    /// How it does it.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The name in log filters.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Without the token.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| MASKED);
        formatter.debug_struct("HttpSettings").field("listen", &self.listen).field("token", &token).finish()
    }
}

/// Without the secrets among the properties.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value)| (name, if secrets::is_secret(name) { MASKED } else { value });
        let pairs = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let properties: BTreeMap<&str, &str> = pairs.map(shown).collect();
        formatter
            .debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("instance", &self.instance)
            .field("group", &self.group)
            .field("auto_offset_reset", &self.auto_offset_reset)
            .field("fetch_min_bytes", &self.fetch_min_bytes)
            .field("fetch_max_wait_ms", &self.fetch_max_wait_ms)
            .field("max_poll_records", &self.max_poll_records)
            .field("batch_size", &self.batch_size)
            .field("linger_ms", &self.linger_ms)
            .field("compression", &self.compression)
            .field("properties", &properties)
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: KafkaSettings {
                brokers: vec!["localhost:9092".to_string()],
                instance: None,
                group: "kaflowsql".to_string(),
                auto_offset_reset: AutoOffsetReset::Earliest,
                fetch_min_bytes: 1,
                fetch_max_wait_ms: 100,
                max_poll_records: 10_000,
                batch_size: 1 << 20,
                linger_ms: 0,
                compression: Compression::Lz4,
                properties: BTreeMap::new(),
            },
            ttl_ms: 3_600_000,
            http: HttpSettings { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), token: None },
            logging: LoggingSettings { level: LogLevel::Info, json: false },
        }
    }
}

/// Reads config.yaml.
///
/// # Errors
/// Everything wrong in it.
pub fn load_settings(path: &Path) -> Result<Settings, Mistakes> {
    let name = path.display().to_string();
    let text = SourceFile::read(path)?;
    parse_settings(&name, text, &|variable| std::env::var(variable).ok())
}

/// Reads the text of a config.yaml called `file`, with `env` as the environment.
///
/// # Errors
/// Everything wrong in it.
pub fn parse_settings(file: &str, text: String, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Mistakes> {
    let mut mistakes = SourceFile::parse(file, text, env);
    if mistakes.is_fatal() && mistakes.source().tree().is_none() {
        return Err(mistakes);
    }
    let raw: RawSettings = schema::read(&mut mistakes, "the config", schema::to_camel);
    let settings = check(raw, &mut mistakes);
    if mistakes.is_fatal() { Err(mistakes) } else { Ok(settings) }
}

fn check(raw: RawSettings, mistakes: &mut Mistakes) -> Settings {
    let mut settings = Settings::default();
    check_kafka(raw.kafka.unwrap_or_default(), &mut settings.kafka, mistakes);
    let state = raw.state.unwrap_or_default();
    check_rocksdb(&state.rocksdb.unwrap_or_default(), mistakes);
    match state.ttl {
        Some(ttl) if ttl.0 == 0 => pipeline::refuse_zero_ttl(mistakes, &["state", "ttl"]),
        Some(ttl) => settings.ttl_ms = ttl.0,
        None => {}
    }
    if raw.engine.and_then(|engine| engine.workers).is_some_and(|workers| workers > 0) {
        let help = Some("leave it out, or write 0: each stage of a pipeline has a thread".to_string());
        mistakes.at(&["engine", "workers"], "a number of workers comes with a later version", help);
    }
    check_http(raw.http.unwrap_or_default(), &mut settings.http, mistakes);
    let logging = raw.logging.unwrap_or_default();
    settings.logging = LoggingSettings {
        level: logging.level.unwrap_or(settings.logging.level),
        json: logging.format == Some(LogFormat::Json),
    };
    settings
}

fn check_kafka(raw: RawKafka, kafka: &mut KafkaSettings, mistakes: &mut Mistakes) {
    if raw.use_avro == Some(true) {
        let help = Some("leave it out: topics and output are JSON".to_string());
        mistakes.at(&["kafka", "use_avro"], "Avro comes with a later version", help);
    }
    if let Some(brokers) = raw.brokers {
        kafka.brokers = check_brokers(brokers, mistakes);
    }
    if let Some(instance) = raw.instance {
        check_word(mistakes, &["kafka", "instance"], &instance, "an instance");
        kafka.instance = Some(instance);
    }
    if let Some(properties) = raw.properties {
        properties::check(mistakes, properties.keys());
        kafka.properties = properties;
    }
    let consumer = raw.consumer.unwrap_or_default();
    if let Some(group) = consumer.group {
        check_word(mistakes, &["kafka", "consumer", "group"], &group, "a consumer group");
        kafka.group = group;
    }
    kafka.auto_offset_reset = consumer.auto_offset_reset.unwrap_or(kafka.auto_offset_reset);
    kafka.fetch_min_bytes = consumer.fetch_min_bytes.map_or(kafka.fetch_min_bytes, |bytes| bytes as usize);
    kafka.max_poll_records = consumer.max_poll_records.map_or(kafka.max_poll_records, |records| records as usize);
    let path = ["kafka", "consumer", "fetch_max_wait"];
    kafka.fetch_max_wait_ms = limited(
        mistakes,
        &path,
        consumer.fetch_max_wait.map(|wait| wait.0 as u64),
        0..=300_000,
        kafka.fetch_max_wait_ms,
    );

    let producer = raw.producer.unwrap_or_default();
    let path = ["kafka", "producer", "linger_ms"];
    kafka.linger_ms =
        limited(mistakes, &path, producer.linger_ms.map(|linger| linger.0 as u64), 0..=900_000, kafka.linger_ms);
    let path = ["kafka", "producer", "batch_size"];
    let size = producer.batch_size.map(|size| size.0);
    kafka.batch_size = limited(mistakes, &path, size, 1..=i32::MAX as u64, kafka.batch_size as u64) as usize;
    kafka.compression = producer.compression.unwrap_or(kafka.compression);
}

/// `value`, or its default; a mistake if it is out of what librdkafka takes.
fn limited(
    mistakes: &mut Mistakes,
    path: &[&str],
    value: Option<u64>,
    range: std::ops::RangeInclusive<u64>,
    default: u64,
) -> u64 {
    let value = value.unwrap_or(default);
    if !range.contains(&value) {
        let key = path.last().copied().unwrap_or_default();
        let help = format!("write a number from {} to {}", range.start(), range.end());
        mistakes.at(path, format!("`{}` can't be {value}", schema::to_camel(key)), Some(help));
    }
    value
}

fn check_brokers(raw: Brokers, mistakes: &mut Mistakes) -> Vec<String> {
    let mut checked = Vec::new();
    let mut check = |path: &[&str], broker: &str| match broker_mistake(broker) {
        None => checked.push(broker.to_string()),
        Some(why) => {
            mistakes.at(path, format!("`{broker}` is not a broker: {why}"), Some("write host:port".to_string()));
        }
    };
    let empty = match &raw {
        Brokers::Text(text) => {
            let brokers = text.split(',').map(str::trim).filter(|broker| !broker.is_empty());
            brokers.clone().for_each(|broker| check(&["kafka", "brokers"], broker));
            brokers.count() == 0
        }
        Brokers::List(brokers) => {
            for (index, broker) in
                brokers.iter().enumerate().filter_map(|(index, broker)| Some((index, broker.as_ref()?)))
            {
                check(&["kafka", "brokers", &index.to_string()], broker);
            }
            brokers.is_empty()
        }
    };
    if empty {
        let help = Some("write at least one host:port".to_string());
        mistakes.at(&["kafka", "brokers"], "`brokers` is empty", help);
    }
    checked
}

fn broker_mistake(broker: &str) -> Option<&'static str> {
    let (host, port) = match broker.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (broker, None),
    };
    match port {
        _ if broker.contains("://") => {
            Some("a broker has no protocol; that is security.protocol under kafka.properties")
        }
        _ if broker.contains(|letter: char| letter.is_whitespace() || letter == ',') => {
            Some("there is white space or a comma in it")
        }
        _ if host.is_empty() => Some("the host is missing"),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => None,
        Some(_) => Some("its port is not a number from 1 to 65535"),
        None => Some("its port is missing"),
    }
}

/// The longest name of a topic that Kafka takes.
pub(super) const WORD_LETTERS_MAX: usize = 249;

/// Adds a mistake unless `word` is 1 to 249 letters, digits, `_`, `-` and `.`: Kafka's rule for topics, and what is
/// safe in names of groups and files.
pub(super) fn check_word(mistakes: &mut Mistakes, path: &[&str], word: &str, what: &str) {
    if let Some(message) = word_mistake(word, what) {
        let help = format!("{what} has 1 to {WORD_LETTERS_MAX} letters (a to z, A to Z), digits, `_`, `-` and `.`");
        mistakes.at(path, message, Some(help));
    }
}

/// Why `word` can't be the name of a topic and the like, if it can't.
pub(super) fn word_mistake(word: &str, what: &str) -> Option<String> {
    let fitting = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    match word.chars().find(|letter| !fitting(*letter)) {
        _ if word.is_empty() => Some(format!("{what} is missing: this is empty")),
        Some(letter) => Some(format!("`{word}` can't be {what}: `{letter}` is not among its letters")),
        None if word.len() > WORD_LETTERS_MAX => Some(format!("{what} can't have {} letters", word.len())),
        None if matches!(word, "." | "..") => Some(format!("`{word}` can't be {what}: it names a folder")),
        None => None,
    }
}

fn check_rocksdb(raw: &RawRocksdb, mistakes: &mut Mistakes) {
    if raw.path.as_ref().is_some_and(|path| path != "memory") {
        let help = "write `path: memory`: state is in memory, and is rebuilt from the topics at start".to_string();
        mistakes.at(&["state", "rocksdb", "path"], "state on disk comes with a later version", Some(help));
    }
}

fn check_http(raw: RawHttp, http: &mut HttpSettings, mistakes: &mut Mistakes) {
    if raw.profiling == Some(true) {
        let help = Some("write `profiling: false`, or leave it out".to_string());
        mistakes.at(&["http", "profiling"], "profiling comes with a later version", help);
    }
    http.token = raw.token.filter(|token| !token.is_empty());
    let Some(listen) = raw.listen else { return };
    let path = ["http", "listen"];
    match parse_listen(&listen) {
        None => {
            let help =
                "write address:port, `127.0.0.1:8080` for this machine alone or `0.0.0.0:8080` for all".to_string();
            mistakes.at(&path, format!("`{listen}` is not an address and port"), Some(help));
        }
        Some(address) if !address.ip().is_loopback() && http.token.is_none() => {
            let help = "set `http.token`, or listen on 127.0.0.1".to_string();
            mistakes.at(
                &path,
                format!("`{listen}` can be reached from other machines, which needs a token"),
                Some(help),
            );
        }
        Some(address) => http.listen = address,
    }
}

/// `address:port`; as in Go, `:port` is every address; `localhost` is the loopback.
fn parse_listen(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    match host {
        "" => Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.parse().ok()?))),
        "localhost" => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))),
        _ => text.parse().ok(),
    }
}
