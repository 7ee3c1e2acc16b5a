//! A real Apache Kafka for the tests, and the Java client as the judge of what was delivered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use kaflowsql::clock::Stopwatch;
use kaflowsql::kafka_client::Cluster;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long anything may take before a test fails: generous, for machines with few cores.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The exit code of scripts/kafka.sh where Maven or Java is missing.
const MISSING: i32 = 3;

/// A record as it is produced and read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub partition: i32,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    pub fn new(partition: i32, timestamp: i64, key: &str, value: &str) -> Self {
        Self { partition, timestamp, key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap_or_default()).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rfind(|(found, _)| found == name)?;
        value.clone().map(|value| String::from_utf8(value).unwrap())
    }
}

/// A running broker. It dies with this process, however that ends, and its folder goes with it.
pub struct Broker {
    dir: PathBuf,
    address: String,
}

impl Broker {
    /// The broker that tests share; each takes topics and groups of its own names. `None`: skipped, and the output says why.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("shared")).as_ref()
    }

    /// A broker of a test's own, which may kill it.
    pub fn start(name: &str) -> Option<Self> {
        let dir = std::env::temp_dir().join(format!("kaflowsql-{}-{name}", std::process::id()));
        let output = script(&["start", dir.to_str().unwrap(), &std::process::id().to_string()]);
        if output.status.code() == Some(MISSING) {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs the real broker: {reason}");
            println!("SKIPPED, no real broker: {reason}");
            return None;
        }
        Some(Self { dir, address: address(&output) })
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&self) {
        assert!(script(&["kill", self.dir.to_str().unwrap()]).status.success());
    }

    /// Starts it again, on the same port and data.
    pub fn start_again(&self) {
        let output = script(&["start", self.dir.to_str().unwrap(), &std::process::id().to_string()]);
        assert_eq!(address(&output), self.address);
    }

    pub fn cluster(&self) -> Cluster {
        Cluster { brokers: vec![self.address.clone()], properties: BTreeMap::new() }
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let created = block_on(self.admin().create_topics([&topic], &AdminOptions::new())).unwrap();
        assert_eq!(created, [Ok(name.to_owned())]);
        self.await_partitions(name, partitions);
    }

    pub fn grow_topic(&self, name: &str, partitions: i32) {
        let more = NewPartitions::new(name, partitions as usize);
        let grown = block_on(self.admin().create_partitions([&more], &AdminOptions::new())).unwrap();
        assert_eq!(grown, [Ok(name.to_owned())]);
        self.await_partitions(name, partitions);
    }

    fn await_partitions(&self, name: &str, partitions: i32) {
        let admin = self.admin();
        within_deadline(&format!("{partitions} partitions of {name}"), || {
            let metadata = admin.inner().fetch_metadata(Some(name), DEADLINE).unwrap();
            let topic = &metadata.topics()[0];
            (topic.error().is_none()
                && topic.partitions().len() == partitions as usize
                && topic.partitions().iter().all(|partition| partition.leader() >= 0))
            .then_some(())
        });
    }

    /// Deletes the records before `offset`, as retention would.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let deleted = block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
        deleted.elements()[0].error().unwrap();
    }

    pub fn produce(&self, topic: &str, records: &[Record]) {
        let producer: BaseProducer = self.client().set("linger.ms", "0").create().unwrap();
        send(&producer, topic, records);
        producer.flush(DEADLINE).unwrap();
    }

    /// Produces in one transaction and commits or aborts it: either way the log ends in a marker.
    pub fn produce_transaction(&self, topic: &str, records: &[Record], commit: bool) {
        let producer: BaseProducer =
            self.client().set("transactional.id", format!("{topic}-{commit}")).create().unwrap();
        producer.init_transactions(DEADLINE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, topic, records);
        producer.flush(DEADLINE).unwrap();
        if commit {
            producer.commit_transaction(DEADLINE).unwrap();
        } else {
            producer.abort_transaction(DEADLINE).unwrap();
        }
    }

    /// Every record of a topic as a read_committed Java client sees it, partition after partition.
    pub fn read_all(&self, topic: &str) -> Vec<Record> {
        let output = script(&["read", &self.address, topic]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| record(&serde_json::from_str(line).unwrap())).collect()
    }

    /// What a group has committed, partition by partition.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let committed = consumer.committed_offsets(list, DEADLINE).unwrap();
        let offset = |partition| match committed.find_partition(topic, partition).unwrap().offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        (0..partitions).map(offset).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        // Best effort: it lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn send(producer: &BaseProducer, topic: &str, records: &[Record]) {
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
        let mut base = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition).headers(headers);
        (base.key, base.payload, base.timestamp) =
            (record.key.as_deref(), record.value.as_deref(), Some(record.timestamp));
        if let Err((error, _)) = producer.send(base) {
            panic!("{topic}: {error}");
        }
    }
}

/// Asks until there is an answer; not a sleep: most answers take a round trip to the broker.
pub fn within_deadline<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Stopwatch::start();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < DEADLINE, "waited in vain for {what}");
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn script(arguments: &[&str]) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
    Command::new(script).args(arguments).output().unwrap()
}

fn address(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let address = stdout.lines().find_map(|line| line.strip_prefix("broker="));
    address.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

fn record(json: &serde_json::Value) -> Record {
    let header =
        |header: &serde_json::Value| (String::from_utf8(bytes(&header[0]).unwrap()).unwrap(), bytes(&header[1]));
    Record {
        partition: json["partition"].as_i64().unwrap() as i32,
        timestamp: json["timestamp"].as_i64().unwrap(),
        key: bytes(&json["key"]),
        value: bytes(&json["value"]),
        headers: json["headers"].as_array().unwrap().iter().map(header).collect(),
    }
}

fn bytes(hex: &serde_json::Value) -> Option<Vec<u8>> {
    let digits = hex.as_str()?.as_bytes();
    Some(digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect())
}
