//! librdkafka's in-process cluster: enough for a demonstration, no proof of delivery.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::batch::Slices;
use crate::clock::{Clock, Stopwatch};
use crate::error::{Error, Result};

/// How long the embedded broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a replay looks whether to stop.
const REPLAY_STEP: Duration = Duration::from_millis(20);

/// A broker within this process. It belongs to the thread that made it; `feed` may be used by others.
pub(super) struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    pub(super) feed: Feed,
}

/// What writes to the broker.
pub(super) struct Feed(BaseProducer);

/// Events to be sent at a pace.
pub(super) struct Replay {
    pub(super) topic: String,
    pub(super) events: Slices,
    /// Events a second.
    pub(super) rate: u64,
}

/// A row that came out.
pub(super) struct Row {
    pub(super) value: Vec<u8>,
    /// From being sent to being read, ms.
    pub(super) latency_ms: u64,
}

fn failed(what: &str) -> impl Fn(KafkaError) -> Error {
    move |error| Error::Stop(format!("the embedded broker can't {what}: {error}"))
}

impl EmbeddedBroker {
    /// A broker with these topics, of one partition each.
    pub(super) fn start(topics: &[String]) -> Result<Self> {
        let cluster = MockCluster::new(1).map_err(failed("start"))?;
        for topic in topics {
            cluster.create_topic(topic, 1, 1).map_err(failed("create a topic"))?;
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("linger.ms", "0")
            .create()
            .map_err(failed("be written to"))?;
        Ok(Self { cluster, feed: Feed(producer) })
    }

    /// Where clients find it.
    pub(super) fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Reads what comes out.
    pub(super) fn read(&self, topic: &str) -> Result<Rows> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "kaflowsql-demo-reader")
            .set("fetch.wait.max.ms", "10")
            .create()
            .map_err(failed("be read from"))?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, 0, Offset::Beginning).map_err(failed("be read from"))?;
        consumer.assign(&partitions).map_err(failed("be read from"))?;
        Ok(Rows { consumer })
    }
}

impl Feed {
    /// Writes records, and waits until they are there.
    pub(super) fn produce(&self, topic: &str, records: &Slices) -> Result<()> {
        for record in (0..records.len()).filter_map(|place| records.get(place)) {
            self.send(topic, record)?;
        }
        self.0.flush(PATIENCE).map_err(failed("take records"))
    }

    fn send(&self, topic: &str, value: &[u8]) -> Result<()> {
        let timestamp = Clock::System.now_ms();
        self.0
            .send(BaseRecord::<[u8], [u8]>::to(topic).payload(value).timestamp(timestamp))
            .map_err(|(error, _)| failed("take a record")(error))?;
        self.0.poll(Duration::ZERO);
        Ok(())
    }

    /// Sends events at their pace until all are sent or `stop` is set.
    pub(super) fn replay(&self, replay: &Replay, stop: &AtomicBool) -> Result<()> {
        let watch = Stopwatch::start();
        let mut sent = 0;
        while sent < replay.events.len() && !stop.load(Ordering::Relaxed) {
            let due = (watch.elapsed().as_secs_f64() * replay.rate as f64) as usize + 1;
            while sent < due.min(replay.events.len()) {
                self.send(&replay.topic, replay.events.get(sent).unwrap_or_default())?;
                sent += 1;
            }
            thread::sleep(REPLAY_STEP);
        }
        self.0.flush(PATIENCE).map_err(failed("take records"))
    }
}

/// The rows of a topic, as they come.
pub(super) struct Rows {
    consumer: BaseConsumer,
}

impl Rows {
    /// The next row, if there is one within a short while.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        match self.consumer.poll(Duration::from_millis(100)) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Err(error)) => Err(failed("be read from")(error)),
            Some(Ok(message)) => {
                // The engine gives a row the timestamp of its driving record.
                let sent_ms = message.timestamp().to_millis().unwrap_or_default();
                let latency_ms = Clock::System.now_ms().saturating_sub(sent_ms).max(0) as u64;
                Ok(Some(Row { value: message.payload().unwrap_or_default().to_vec(), latency_ms }))
            }
        }
    }
}
