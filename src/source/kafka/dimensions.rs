//! Dimension topics, read whole by every instance: without a group, from the first offset on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::partition::{Partition, Topic, drain_all};
use super::progress::LoadProgress;
use super::{KafkaSourceConfig, METADATA_TIMEOUT, RETRY_PAUSE, found_partitions};
use crate::batch::Cut;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::{Context, Health, creation_error};
use crate::source::cut::{RawBatchBuilder, Room};

/// How often the log tells how far the load is.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Reads the dimension topics.
pub(super) struct DimensionReader {
    consumer: Arc<BaseConsumer<Context>>,
    health: Arc<Health>,
    topics: Vec<Topic>,
    batches: Vec<RawBatchBuilder>,
    /// Ordered by topic, then number, as `spans` is.
    partitions: Vec<Partition<Context>>,
    spans: Vec<Span>,
    /// Topics whose partitions are known: from then on the load has an end.
    known: BTreeSet<usize>,
    progress: Arc<LoadProgress>,
    wake: Sender<()>,
    looked: Option<Stopwatch>,
    refresh: Duration,
    started: Stopwatch,
    reported: Stopwatch,
    loaded: bool,
}

/// What a partition held when it was found.
#[derive(Clone, Copy)]
struct Span {
    low: i64,
    end: i64,
    /// Found after its topic was loaded: nobody waits for it.
    late: bool,
}

impl DimensionReader {
    pub(super) fn open(config: &KafkaSourceConfig, progress: &Arc<LoadProgress>, wake: &Sender<()>) -> Result<Self> {
        let health = Arc::new(Health::new(format!("dimensions of pipeline {}", config.pipeline), &config.cluster));
        let group = config.group_id();
        // assign() needs a group's name, though this consumer neither joins it nor commits.
        let guarantees = [("group.id", group.as_str()), ("enable.partition.eof", "true")];
        let client = super::consumer_config(config, &guarantees);
        let context = Context { health: Arc::clone(&health) };
        let mut consumer: BaseConsumer<Context> =
            client.create_with_context(context).map_err(|error| creation_error(&error))?;
        let main_wake = wake.clone();
        consumer.set_nonempty_callback(move || {
            // A full channel already holds a wake-up.
            let _ = main_wake.try_send(());
        });
        let topics: Result<Vec<Topic>> =
            config.dimension_tables.iter().map(|(table, name)| Topic::new(*table, name)).collect();
        Ok(Self {
            consumer: Arc::new(consumer),
            health,
            topics: topics?,
            batches: config.dimension_tables.iter().map(|(table, _)| RawBatchBuilder::new(*table)).collect(),
            partitions: Vec::new(),
            spans: Vec::new(),
            known: BTreeSet::new(),
            progress: Arc::clone(progress),
            wake: wake.clone(),
            looked: None,
            refresh: Duration::from_millis(config.metadata_refresh_ms),
            started: Stopwatch::start(),
            reported: Stopwatch::start(),
            loaded: config.dimension_tables.is_empty(),
        })
    }

    /// Whether every dimension has been read to the end that it had at start.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Serves the consumer's events and looks for new partitions where that is due.
    pub(super) fn serve(&mut self) -> Result<()> {
        if self.topics.is_empty() {
            return Ok(());
        }
        super::poll_main_queue(&self.consumer, &self.health)?;
        let pause = if self.known.len() < self.topics.len() { RETRY_PAUSE } else { self.refresh };
        if self.looked.is_none_or(|looked| looked.elapsed() >= pause) {
            for topic in 0..self.topics.len() {
                if !self.find_partitions(topic)? {
                    break;
                }
            }
            self.looked = Some(Stopwatch::start());
        }
        Ok(())
    }

    /// Starts to read partitions of a topic that are not read yet. False if no broker answered: the others need not be
    /// asked then.
    fn find_partitions(&mut self, topic: usize) -> Result<bool> {
        let name = Arc::clone(&self.topics[topic].name);
        let metadata = match self.consumer.fetch_metadata(Some(&name), METADATA_TIMEOUT) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.wait_for(topic, &format!("the brokers do not tell its partitions ({error})"), false);
                return Ok(false);
            }
        };
        let numbers = match found_partitions(&metadata, &name) {
            Ok(numbers) => numbers,
            Err(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                self.wait_for(topic, "there is no such topic; create it, or correct `sources:`", true);
                return Ok(true);
            }
            Err(code) => {
                self.health.report(code, &format!("topic {name}: "), "its partitions can't be read");
                return Ok(true);
            }
        };
        let mut found = Vec::new();
        for number in numbers {
            if self.partitions.iter().any(|partition| partition.topic == topic && partition.number == number) {
                continue;
            }
            match self.consumer.fetch_watermarks(&name, number, METADATA_TIMEOUT) {
                Ok((low, end)) => found.push((number, Span { low, end, late: self.known.contains(&topic) })),
                Err(error) => {
                    self.wait_for(topic, &format!("the ends of partition {number} are not known yet ({error})"), false);
                    return Ok(false);
                }
            }
        }
        self.health.alive();
        self.read(topic, &found)?;
        Ok(true)
    }

    fn wait_for(&self, topic: usize, reason: &str, warn: bool) {
        if self.known.contains(&topic) {
            return;
        }
        let text = format!("dimension topic {}: {reason}", self.topics[topic].name);
        if self.progress.waiting_for(&text) && warn {
            tracing::warn!("{text}; waiting for it");
        }
    }

    fn read(&mut self, topic: usize, found: &[(i32, Span)]) -> Result<()> {
        if !found.is_empty() {
            let name = &self.topics[topic].name;
            let mut list = TopicPartitionList::with_capacity(found.len());
            for (number, span) in found {
                let partition = Partition::split(
                    &self.consumer,
                    (topic, &self.topics[topic]),
                    *number,
                    Some(span.low),
                    (&self.progress, None),
                    &self.wake,
                )?;
                let place = self.partitions.partition_point(|other| (other.topic, other.number) < (topic, *number));
                self.partitions.insert(place, partition);
                self.spans.insert(place, *span);
                list.add_partition_offset(name, *number, Offset::Beginning)
                    .map_err(|error| Error::Retry(format!("topic {name}, partition {number}: {error}")))?;
            }
            self.consumer
                .incremental_assign(&list)
                .map_err(|error| Error::Retry(format!("topic {name}: its partitions can't be assigned: {error}")))?;
        }
        if self.known.insert(topic) {
            let offsets: i64 = found.iter().map(|(_, span)| span.end - span.low).sum();
            self.progress.dimensions()[topic].end.store(offsets, Ordering::Relaxed);
            let name = &self.topics[topic].name;
            if offsets == 0 {
                tracing::warn!("dimension topic {name} is empty: joins with it find nothing until records come");
            } else {
                tracing::info!("dimension topic {name}: loading {offsets} offsets of {} partitions", found.len());
            }
        } else if !found.is_empty() {
            tracing::info!("dimension topic {}: {} new partitions", self.topics[topic].name, found.len());
        }
        Ok(())
    }

    /// Whether everything that there is has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.partitions.iter().all(Partition::is_at_end)
    }

    /// Takes what is there into `cut`, at most `room`; returns the room that is left.
    pub(super) fn drain(&mut self, room: Room, cut: &mut Cut) -> Result<Room> {
        let rest = drain_all(&mut self.partitions, &mut self.batches, room, |_| i64::MAX, &self.health, |_| {});
        let rest = match rest {
            Ok(rest) => rest,
            Err((partition, _)) => return Err(self.out_of_range(partition)),
        };
        for (batch, progress) in self.batches.iter_mut().zip(self.progress.dimensions()) {
            if let Some(batch) = batch.take() {
                progress.rows.fetch_add(batch.len() as u64, Ordering::Relaxed);
                cut.batches.push(batch);
            }
        }
        if !self.loaded {
            self.look_how_far();
        }
        self.health.check()?;
        Ok(rest)
    }

    fn out_of_range(&self, partition: usize) -> Error {
        let partition = &self.partitions[partition];
        Error::Retry(format!(
            "dimension topic {}, partition {}: offset {} is gone while the topic is being read: its retention deleted \
             it, or the topic was made anew; the dimension has to be read again from the start",
            self.topics[partition.topic].name,
            partition.number,
            partition.next_offset().unwrap_or(-1)
        ))
    }

    fn look_how_far(&mut self) {
        let mut all = true;
        for (topic, progress) in self.progress.dimensions().iter().enumerate() {
            let (mut read, mut done) = (0, self.known.contains(&topic));
            for (partition, span) in self.partitions.iter().zip(&self.spans) {
                if partition.topic != topic || span.late {
                    continue;
                }
                let next = partition.next_offset().unwrap_or(span.low);
                // The position counts, not the last record: what lies before the end may be transaction markers only,
                // or compacted away. So the end of the partition settles it too.
                let reached = span.low == span.end || next >= span.end || partition.is_at_end();
                read += if reached { span.end - span.low } else { next - span.low };
                done &= reached;
            }
            progress.read.store(read, Ordering::Relaxed);
            if done && !progress.loaded.swap(true, Ordering::Relaxed) {
                tracing::info!("dimension topic {}: loaded, {} records", self.topics[topic].name, progress.rows());
            }
            all &= done;
        }
        self.loaded = all;
        if all {
            tracing::info!("all dimensions are loaded after {:.1} s", self.started.elapsed().as_secs_f64());
        } else {
            self.tell_how_far();
        }
    }

    fn tell_how_far(&mut self) {
        if self.known.len() == self.topics.len() {
            self.progress.waiting_for("dimensions are being loaded");
        }
        if self.reported.elapsed() < REPORT_INTERVAL {
            return;
        }
        self.reported = Stopwatch::start();
        for progress in self.progress.dimensions().iter().filter(|progress| !progress.is_loaded()) {
            let (read, end) = (progress.read(), progress.end());
            tracing::info!("dimension topic {}: {read} of {end} offsets loaded", progress.topic);
        }
    }

    pub(super) fn show_lags(&self) {
        for partition in &self.partitions {
            partition.show_lag(&self.consumer, &self.topics[partition.topic]);
        }
    }
}
