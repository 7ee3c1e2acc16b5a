//! Records from Kafka, at least once: event topics through the pipeline's consumer group, dimension topics whole.

mod committer;
mod dimensions;
mod events;
mod group;
mod in_step;
mod native;
mod partition;
mod progress;
mod sample;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::metadata::Metadata;

pub use self::progress::{DimensionProgress, Lag, LoadProgress};
pub use self::sample::{Sampled, sample};
use crate::batch::{Cut, RowTimes, TableId};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::{Cluster, Health};
use crate::source::cut::{CutLimits, Room};
use crate::source::{Committer, Next, Source};
use dimensions::DimensionReader;
use events::EventReader;

/// How long `next` waits when there is nothing.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a broker may take to answer a question about a topic, before it is asked again.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before something that is missing is looked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How old a lag that is shown may be.
const LAG_INTERVAL: Duration = Duration::from_millis(500);

/// Where a group starts that has no offset yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoOffsetReset {
    /// At the first record.
    Earliest,
    /// Behind the last record.
    Latest,
}

/// What a pipeline reads from Kafka. Not `Debug`: the properties hold passwords.
#[derive(Clone)]
pub struct KafkaSourceConfig {
    /// Where the brokers are.
    pub cluster: Cluster,
    /// First part of the consumer group's name.
    pub group: String,
    /// The pipeline, and second part of the consumer group's name.
    pub pipeline: String,
    /// This process's slot: its static member id in the group. Without one a restarted process is a new member.
    pub instance: Option<String>,
    /// Where the group starts that has no offset yet.
    pub auto_offset_reset: AutoOffsetReset,
    /// Bytes that a broker should gather before it answers a fetch.
    pub fetch_min_bytes: u32,
    /// How long it may gather them, ms.
    pub fetch_max_wait_ms: u32,
    /// Event tables and their topics in the order of processing: the driving table last. One topic, one table.
    pub event_tables: Vec<(TableId, String)>,
    /// Dimension tables and their topics.
    pub dimension_tables: Vec<(TableId, String)>,
    /// When a cut ends.
    pub limits: CutLimits,
    /// How long a partition that should have records may give none before the others no longer keep in step with it, ms.
    pub idle_timeout_ms: u64,
    /// How far in record time a partition may be ahead of the slowest that has unread records, ms.
    pub max_ahead_ms: i64,
    /// How often to look for new partitions, ms.
    pub metadata_refresh_ms: u64,
    /// Whether cuts tell which partitions are at their ends, also when there is nothing else to tell.
    pub tells_time: bool,
    /// How far rows have come, of tables whose rows have another time than their records.
    pub row_times: Vec<(TableId, Arc<RowTimes>)>,
}

impl KafkaSourceConfig {
    /// The name of the pipeline's consumer group.
    pub fn group_id(&self) -> String {
        format!("{}-{}", self.group, self.pipeline)
    }
}

/// Reads a pipeline's topics.
pub struct KafkaSource {
    dimensions: DimensionReader,
    events: EventReader,
    limits: CutLimits,
    woken: Receiver<()>,
    progress: Arc<LoadProgress>,
    lags_shown: Option<Stopwatch>,
    /// The last cut was full: there is more, so the next one is not waited for.
    backlog: bool,
    tells_time: bool,
}

impl KafkaSource {
    /// Makes the clients. Brokers and topics may still be missing: `next` waits for them.
    ///
    /// # Errors
    /// `Mistake` when librdkafka does not take a property.
    pub fn open(config: &KafkaSourceConfig) -> Result<Self> {
        let (wake, woken) = crossbeam_channel::bounded(1);
        let progress = Arc::new(LoadProgress::new(&config.dimension_tables));
        Ok(Self {
            dimensions: DimensionReader::open(config, &progress, &wake)?,
            events: EventReader::open(config, &progress, &wake)?,
            limits: config.limits,
            woken,
            progress,
            lags_shown: None,
            backlog: false,
            tells_time: config.tells_time,
        })
    }

    /// How far it is, for other threads.
    pub fn progress(&self) -> Arc<LoadProgress> {
        Arc::clone(&self.progress)
    }

    fn cut(&mut self) -> Result<Cut> {
        let mut cut = Cut::default();
        let all = Room::of(&self.limits);
        self.dimensions.serve()?;
        if !self.dimensions.is_loaded() {
            // No event before every dimension was read to the end that it had at start (SEMANTICS 2.7).
            self.dimensions.drain(all, &mut cut)?;
            return Ok(cut);
        }
        self.events.serve()?;
        // Dimension rows go first, but a busy dimension must not keep events out.
        let half = all.share(2);
        let rest = self.dimensions.drain(half, &mut cut)?;
        self.events.drain(all.less(half, rest), &mut cut)?;
        if self.tells_time {
            self.events.tell(&mut cut);
            cut.at_end &= self.dimensions.is_at_end();
        }
        if self.lags_shown.is_none_or(|shown| shown.elapsed() >= LAG_INTERVAL) {
            self.dimensions.show_lags();
            self.events.show_lags();
            self.lags_shown = Some(Stopwatch::start());
        }
        Ok(cut)
    }

    fn wait(&self) {
        // Nothing came within the time, or something did: either way the queues are looked at again.
        let _ = self.woken.recv_timeout(IDLE_WAIT);
    }

    /// Lets a cut grow for `max_wait_ms` before it is taken, unless it is known to be full.
    fn let_it_grow(&self) {
        let wait = Duration::from_millis(self.limits.max_wait_ms);
        let since = Stopwatch::start();
        while !self.backlog && since.elapsed() < wait {
            let _ = self.woken.recv_timeout(wait.saturating_sub(since.elapsed()));
        }
    }

    fn hand_over(&mut self, cut: Cut) -> Next {
        let records: usize = cut.batches.iter().map(|batch| batch.len()).sum();
        // A fair share that one partition did not use up ends a cut early, so half full counts as full.
        self.backlog = records >= self.limits.max_records / 2;
        Next::Cut(cut)
    }
}

impl Source for KafkaSource {
    fn next(&mut self) -> Result<Next> {
        if self.limits.max_wait_ms > 0 {
            self.let_it_grow();
        }
        let cut = self.cut()?;
        if !cut.batches.is_empty() || cut.begins_anew {
            return Ok(self.hand_over(cut));
        }
        self.wait();
        let cut = self.cut()?;
        // An empty cut says that time has passed.
        let is_idle = cut.batches.is_empty() && cut.partitions.is_empty() && !cut.begins_anew;
        Ok(if is_idle { Next::Idle } else { self.hand_over(cut) })
    }

    fn committer(&self) -> Arc<dyn Committer> {
        self.events.committer()
    }
}

/// The configuration that all consumers share.
fn consumer_config(config: &KafkaSourceConfig, guarantees: &[(&str, &str)]) -> ClientConfig {
    let (min_bytes, max_wait_ms) = (config.fetch_min_bytes.to_string(), config.fetch_max_wait_ms.to_string());
    let mut client = config.cluster.client(&tunables(&min_bytes, &max_wait_ms), &READ_GUARANTEES);
    for (key, value) in guarantees {
        client.set(*key, *value);
    }
    client
}

/// What must hold whatever the user's properties say. librdkafka's own defaults jump to the end of the log when an offset
/// is gone, and do not check checksums.
const READ_GUARANTEES: [(&str, &str); 6] = [
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("allow.auto.create.topics", "false"),
];

/// `queued.max.messages.kbytes` counts per partition, since each has a queue of its own; the default back-off of a
/// second for a full queue would stall a reader that empties it in milliseconds.
fn tunables<'a>(min_bytes: &'a str, max_wait_ms: &'a str) -> [(&'static str, &'a str); 8] {
    [
        ("fetch.min.bytes", min_bytes),
        ("fetch.wait.max.ms", max_wait_ms),
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.error.backoff.ms", "100"),
        ("reconnect.backoff.ms", "50"),
        ("reconnect.backoff.max.ms", "1000"),
        ("socket.nagle.disable", "true"),
    ]
}

/// Serves rebalances, commit results, logs and errors. Records never come this way: each partition has its own queue.
fn poll_main_queue<C: ConsumerContext>(consumer: &BaseConsumer<C>, health: &Health) -> Result<()> {
    // An event that the wrapper serves itself comes back as nothing, like an empty queue: so look twice.
    let mut nothing = 0;
    while nothing < 2 {
        match consumer.poll(Duration::ZERO) {
            None => nothing += 1,
            Some(Err(KafkaError::MessageConsumptionFatal(_) | KafkaError::MessageConsumption(Code::Fatal))) => {
                health.report_fatal(consumer.client());
            }
            // Judged by the context's `error`.
            Some(Err(_)) => {}
            Some(Ok(message)) => {
                return Err(Error::Retry(format!(
                    "BUG: a record of {}-{} came by the consumer's queue",
                    message.topic(),
                    message.partition()
                )));
            }
        }
    }
    health.check()
}

/// The partitions that `metadata` lists for a topic.
fn found_partitions(metadata: &Metadata, topic: &str) -> std::result::Result<Vec<i32>, Code> {
    let found = metadata.topics().iter().find(|found| found.name() == topic).ok_or(Code::UnknownTopicOrPartition)?;
    match found.error().map(Code::from) {
        Some(code) if code != Code::NoError => Err(code),
        _ if found.partitions().is_empty() => Err(Code::UnknownTopicOrPartition),
        _ => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
    }
}

/// A failed question about a topic, for a person.
fn question_failed(cluster: &Cluster, topic: &str, error: &KafkaError) -> Error {
    Error::Retry(format!("topic {topic}: the brokers {} do not answer: {error}", cluster.address()))
}
