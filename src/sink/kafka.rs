//! Results and dead letters to Kafka, at least once: idempotent, acknowledged by all replicas.

mod dead_letter;
mod deliveries;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use self::dead_letter::Letter;
use self::deliveries::{Deliveries, Refused, SinkContext};
use self::topics::Target;
use crate::batch::{DeadLetter, EncodedBatch, Headers, Stage};
use crate::error::{Error, Result};
use crate::kafka_client::{Cluster, Health, Verdict, creation_error, judge};
use crate::sink::Sink;

/// Events are served after this many records, so that failures do not pile up in a large batch.
const POLL_INTERVAL: usize = 1024;
/// How long to wait for room when librdkafka's queue is full, and between two looks while flushing.
const POLL_WAIT: Duration = Duration::from_millis(20);
/// How much larger than the topic's limit a result may be before compression, which is what the limit applies to.
const COMPRESSION_CREDIT: usize = 8;

/// Where a pipeline writes to. Not `Debug`: the properties hold passwords.
#[derive(Clone)]
pub struct KafkaSinkConfig {
    /// Where the brokers are.
    pub cluster: Cluster,
    /// The result topic.
    pub topic: String,
    /// The dead-letter topic.
    pub dead_letter_topic: String,
    /// Whether missing topics are created, with the brokers' default partition count and replication.
    pub create_topics: bool,
    /// `none`, `lz4`, `zstd`, `snappy` or `gzip`.
    pub compression: String,
    /// How long librdkafka gathers records before it sends a batch, ms.
    pub linger_ms: u32,
    /// Largest batch, bytes; at most what the topics take.
    pub batch_size: usize,
    /// After how long without an acknowledgement a record counts as lost, ms.
    pub delivery_timeout_ms: u64,
}

/// Writes results and dead letters.
pub struct KafkaSink {
    producer: BaseProducer<SinkContext>,
    deliveries: Arc<Deliveries>,
    output: Target,
    dead: Target,
    cluster: Cluster,
}

/// How often a record was sent before.
const FIRST: usize = 0;
const ALONE: usize = 1;

impl KafkaSink {
    /// Finds both topics, or creates them, and makes the producer.
    ///
    /// # Errors
    /// `Retry` when no broker answers; `Stop` when a topic is missing and may not be created; `Mistake` when librdkafka
    /// does not take a property.
    pub fn open(config: &KafkaSinkConfig) -> Result<Self> {
        let (output, dead) = topics::find(config)?;
        let health = Arc::new(Health::new(format!("output to {}", config.topic), &config.cluster));
        let deliveries = Arc::new(Deliveries::new(health));
        let context = SinkContext { deliveries: Arc::clone(&deliveries) };
        let producer = producer_config(config, &output, &dead)
            .create_with_context(context)
            .map_err(|error| creation_error(&error))?;
        Ok(Self { producer, deliveries, output, dead, cluster: config.cluster.clone() })
    }

    /// Hands one record to librdkafka; waits while its queue is full. False if the record is too large for it.
    fn send(&self, mut record: BaseRecord<'_, [u8], [u8], usize>) -> Result<bool> {
        loop {
            record = match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(Code::QueueFull), record)) => {
                    self.producer.poll(POLL_WAIT);
                    self.check()?;
                    record
                }
                Err((KafkaError::MessageProduction(Code::MessageSizeTooLarge), _)) => return Ok(false),
                Err((error, record)) => return Err(self.failure(record.topic, error.rdkafka_error_code(), 1)),
            };
        }
    }

    fn send_result(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64, attempt: usize) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.output.name, attempt);
        (record.key, record.payload) = (key, value);
        // librdkafka takes 0 for "now"; earlier times are no Kafka timestamps.
        record.timestamp = (timestamp > 0).then_some(timestamp);
        if self.send(record)? {
            return Ok(());
        }
        let bytes = value.map_or(0, <[u8]>::len);
        self.bury(key, value, timestamp, &format!("a result of {bytes} bytes is too large for the client to send"))
    }

    /// Sends a result that its topic will never take to the dead letters. It has lost the coordinates of its driving
    /// record by now: partition and offset are -1.
    fn bury(&self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64, error: &str) -> Result<()> {
        self.send_letter(&DeadLetter {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: Headers::new(),
            topic: self.output.name.clone(),
            partition: -1,
            offset: -1,
            timestamp,
            stage: Stage::Produce,
            error: error.to_owned(),
        })
    }

    fn send_letter(&self, letter: &DeadLetter) -> Result<()> {
        let letter = Letter::fitted(letter, self.dead.max_bytes);
        self.send_dead(letter.key, letter.value, letter.headers)
    }

    fn send_dead(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: OwnedHeaders) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.dead.name, FIRST);
        (record.key, record.payload, record.headers) = (key, value, Some(headers));
        if self.send(record)? {
            return Ok(());
        }
        Err(Error::Stop(format!(
            "dead-letter topic {}: a record of key and headers alone is too large; raise max.message.bytes of the topic",
            self.dead.name
        )))
    }

    /// Waits until nothing is on its way any more.
    fn settle(&self) -> Result<()> {
        let client = self.producer.client().native_ptr();
        loop {
            // SAFETY: the client lives as long as the producer, and the call only waits for its queue. The wrapper's own
            // flush sleeps through 100 ms once the queue is not empty at the first look; this one returns at once when
            // the last acknowledgement comes (measured, one record: 0.4 ms against 100 ms).
            unsafe { bindings::rd_kafka_flush(client, POLL_WAIT.as_millis() as i32) };
            self.producer.poll(Duration::ZERO);
            self.check()?;
            if self.producer.in_flight_count() == 0 {
                return Ok(());
            }
        }
    }

    fn check(&self) -> Result<()> {
        self.deliveries.health.report_fatal(self.producer.client());
        self.deliveries.health.check()?;
        match self.deliveries.lost() {
            None => Ok(()),
            Some(lost) => Err(self.failure(&lost.topic, Some(lost.code), lost.records)),
        }
    }

    fn failure(&self, topic: &str, code: Option<Code>, records: usize) -> Error {
        let reason = code.map_or_else(|| "the record is not one".to_owned(), |code| code.to_string());
        let text = format!(
            "topic {topic} ({}): {records} records were not delivered: {reason}; nothing of their batches is committed",
            self.cluster.address()
        );
        match code.map(judge) {
            Some(Verdict::Stop(todo)) => Error::Stop(format!("{text}; {todo}")),
            _ => Error::Retry(text),
        }
    }

    /// Sends a record again that the broker refused: a result alone, since a whole batch is refused for one bad record;
    /// then to the dead letters; a dead letter with half of its value.
    fn send_refused(&mut self, refused: Refused) -> Result<()> {
        let Refused { topic, key, value, timestamp, headers, attempt, code } = refused;
        if topic == self.dead.name {
            return self.send_letter_refused(key, value, headers, code);
        }
        if attempt == FIRST {
            self.send_result(key.as_deref(), value.as_deref(), timestamp, ALONE)?;
            return self.settle();
        }
        let bytes = value.as_ref().map_or(0, Vec::len);
        self.bury(
            key.as_deref(),
            value.as_deref(),
            timestamp,
            &format!("topic {} refused a result of {bytes} bytes: {code}", self.output.name),
        )
    }

    fn send_letter_refused(
        &mut self,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        headers: Option<OwnedHeaders>,
        code: Code,
    ) -> Result<()> {
        let too_large = matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge);
        let Some(value) = value.filter(|value| too_large && !value.is_empty()) else {
            return Err(Error::Stop(format!(
                "dead-letter topic {}: it refused a dead letter: {code}; it must take any record: no compaction, and \
                 max.message.bytes no smaller than the headers need",
                self.dead.name
            )));
        };
        let headers = dead_letter::with_truncation(headers.unwrap_or_default(), value.len());
        self.send_dead(key.as_deref(), Some(&value[..value.len() / 2]), headers)?;
        self.settle()
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, records: &EncodedBatch) -> Result<()> {
        self.check()?;
        for (index, timestamp) in records.timestamps.iter().enumerate() {
            self.send_result(records.keys.get(index), records.values.get(index), *timestamp, FIRST)?;
            if index % POLL_INTERVAL == POLL_INTERVAL - 1 {
                self.producer.poll(Duration::ZERO);
            }
        }
        Ok(())
    }

    fn write_dead_letters(&mut self, letters: &[DeadLetter]) -> Result<()> {
        self.check()?;
        for letter in letters {
            self.send_letter(letter)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.settle()?;
        loop {
            let refused = self.deliveries.take_refused();
            if refused.is_empty() {
                return Ok(());
            }
            for refused in refused {
                self.send_refused(refused)?;
            }
            self.settle()?;
        }
    }
}

fn producer_config(config: &KafkaSinkConfig, output: &Target, dead: &Target) -> rdkafka::ClientConfig {
    let batch_size = config.batch_size.min(output.max_bytes).min(dead.max_bytes);
    let credit = if config.compression == "none" { 1 } else { COMPRESSION_CREDIT };
    let largest = (output.max_bytes.max(dead.max_bytes) * credit).clamp(1_000_000, 100_000_000);
    config.cluster.client(
        &[
            ("compression.type", &config.compression),
            ("linger.ms", &config.linger_ms.to_string()),
            ("queue.buffering.max.messages", "1000000"),
            ("queue.buffering.max.kbytes", "524288"),
            ("batch.num.messages", "100000"),
            ("message.timeout.ms", &config.delivery_timeout_ms.to_string()),
            ("retry.backoff.ms", "50"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.nagle.disable", "true"),
        ],
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Java's partitioner: a topic that both write is partitioned one way.
            ("partitioner", "murmur2_random"),
            // A batch of several records is never larger than the topic takes, so it is only refused for a single one.
            ("batch.size", &batch_size.to_string()),
            ("message.max.bytes", &largest.to_string()),
            // Records that arrived need no report: flush waits until none is on its way.
            ("delivery.report.only.error", "true"),
        ],
    )
}
