//! Event topics, shared with the other members of the pipeline's consumer group.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::committer::GroupCommitter;
use super::group::{Decision, GroupContext, Membership};
use super::in_step::InStep;
use super::partition::{Partition, Topic, drain_all};
use super::progress::LoadProgress;
use super::{AutoOffsetReset, KafkaSourceConfig, METADATA_TIMEOUT, RETRY_PAUSE, found_partitions};
use crate::batch::{Cut, PartitionState, Position, RowTimes, TableId};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::{Health, creation_error};
use crate::source::Committer;
use crate::source::cut::{RawBatchBuilder, Room};

/// How long the group's coordinator may take to tell what was committed, before it is asked again.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the event topics.
pub(super) struct EventReader {
    consumer: Arc<BaseConsumer<GroupContext>>,
    membership: Arc<Membership>,
    committer: Arc<GroupCommitter>,
    topics: Vec<Topic>,
    batches: Vec<RawBatchBuilder>,
    /// Ordered by topic, then number.
    partitions: Vec<Partition<GroupContext>>,
    /// Assigned by the group, but it is not known yet where reading starts.
    unplaced: Option<Vec<(usize, i32)>>,
    subscribed: bool,
    tried: Option<Stopwatch>,
    reset: AutoOffsetReset,
    max_ahead_ms: i64,
    idle_timeout: Duration,
    /// Whether partitions were given up since the last cut.
    begins_anew: bool,
    row_times: Vec<(TableId, Arc<RowTimes>)>,
    progress: Arc<LoadProgress>,
    wake: Sender<()>,
}

impl EventReader {
    pub(super) fn open(config: &KafkaSourceConfig, progress: &Arc<LoadProgress>, wake: &Sender<()>) -> Result<Self> {
        let health = Arc::new(Health::new(format!("events of pipeline {}", config.pipeline), &config.cluster));
        let membership = Arc::new(Membership::new(config.group_id(), health));
        let refresh = config.metadata_refresh_ms.to_string();
        let mut guarantees = vec![
            ("group.id", membership.group.as_str()),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "range"),
            ("topic.metadata.refresh.interval.ms", &refresh),
            ("enable.partition.eof", "true"),
        ];
        guarantees.extend(config.instance.as_deref().map(|instance| ("group.instance.id", instance)));
        let context = GroupContext { membership: Arc::clone(&membership) };
        let mut consumer: BaseConsumer<GroupContext> = super::consumer_config(config, &guarantees)
            .create_with_context(context)
            .map_err(|error| creation_error(&error))?;
        let main_wake = wake.clone();
        consumer.set_nonempty_callback(move || {
            // A full channel already holds a wake-up.
            let _ = main_wake.try_send(());
        });
        let consumer = Arc::new(consumer);
        let topics: Result<Vec<Topic>> =
            config.event_tables.iter().map(|(table, name)| Topic::new(*table, name)).collect();
        let topics = topics?;
        let committer = Arc::new(GroupCommitter::new(Arc::clone(&consumer), Arc::clone(&membership), topics.clone()));
        Ok(Self {
            consumer,
            membership,
            committer,
            topics,
            batches: config.event_tables.iter().map(|(table, _)| RawBatchBuilder::new(*table)).collect(),
            partitions: Vec::new(),
            unplaced: None,
            subscribed: false,
            tried: None,
            reset: config.auto_offset_reset,
            max_ahead_ms: config.max_ahead_ms,
            idle_timeout: Duration::from_millis(config.idle_timeout_ms),
            begins_anew: false,
            row_times: config.row_times.clone(),
            progress: Arc::clone(progress),
            wake: wake.clone(),
        })
    }

    pub(super) fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.committer) as Arc<dyn Committer>
    }

    /// Serves the group: joins it once every topic is there, takes and gives up partitions, sends due commits.
    pub(super) fn serve(&mut self) -> Result<()> {
        super::poll_main_queue(&self.consumer, &self.membership.health)?;
        for decision in self.membership.take_decisions() {
            match decision {
                Decision::Assigned(list) => {
                    self.unplaced = Some(self.places(&list));
                    self.tried = None;
                }
                Decision::Revoked { lost } => self.give_up(lost)?,
            }
        }
        let pause_over = self.tried.is_none_or(|tried| tried.elapsed() >= RETRY_PAUSE);
        if !self.subscribed && pause_over {
            self.subscribe()?;
        }
        if self.unplaced.is_some() && pause_over {
            self.take_over()?;
        }
        self.committer.send_due()
    }

    fn places(&self, list: &[(String, i32)]) -> Vec<(usize, i32)> {
        let place = |name: &str| self.topics.iter().position(|topic| *topic.name == *name);
        let mut places: Vec<(usize, i32)> =
            list.iter().filter_map(|(name, number)| Some((place(name)?, *number))).collect();
        places.sort_unstable();
        places
    }

    fn subscribe(&mut self) -> Result<()> {
        for topic in &self.topics {
            let reason = match self.consumer.fetch_metadata(Some(&topic.name), METADATA_TIMEOUT) {
                Err(error) => format!("the brokers do not tell its partitions ({error})"),
                Ok(metadata) => match found_partitions(&metadata, &topic.name) {
                    Ok(_) => continue,
                    Err(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                        "there is no such topic; create it, or correct `sources:`".to_owned()
                    }
                    Err(code) => {
                        self.membership.health.report(
                            code,
                            &format!("topic {}: ", topic.name),
                            "its partitions can't be read",
                        );
                        code.to_string()
                    }
                },
            };
            let text = format!("event topic {}: {reason}", topic.name);
            if self.progress.waiting_for(&text) {
                tracing::warn!("{text}; waiting for it");
            }
            self.tried = Some(Stopwatch::start());
            return Ok(());
        }
        self.membership.health.alive();
        let names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
        self.consumer
            .subscribe(&names)
            .map_err(|error| Error::Retry(format!("topics {}: can't be subscribed to: {error}", names.join(", "))))?;
        self.progress.waiting_for(&format!("consumer group {} has assigned no partitions yet", self.membership.group));
        self.subscribed = true;
        Ok(())
    }

    fn give_up(&mut self, lost: bool) -> Result<()> {
        let group = &self.membership.group;
        if lost {
            tracing::warn!("group {group}: its coordinator gave this member's partitions to others");
        } else {
            self.committer.send_all();
        }
        self.unplaced = None;
        let had_partitions = !self.partitions.is_empty();
        self.partitions.clear();
        self.membership.gave_up();
        self.begins_anew |= had_partitions;
        self.progress.waiting_for(&format!("consumer group {group} is being rebalanced"));
        self.consumer
            .unassign()
            .map_err(|error| Error::Retry(format!("group {group}: partitions can't be given up: {error}")))
    }

    /// Starts to read the assigned partitions from where the group's offsets say.
    fn take_over(&mut self) -> Result<()> {
        self.tried = Some(Stopwatch::start());
        let Some(places) = self.unplaced.take() else { return Ok(()) };
        let Some(starts) = self.starts(&places)? else {
            self.unplaced = Some(places);
            return Ok(());
        };
        let bug = |error| Error::Stop(format!("BUG: a start offset that librdkafka refuses: {error}"));
        let mut list = TopicPartitionList::with_capacity(places.len());
        let mut fixed = Vec::new();
        self.partitions.clear();
        for ((topic, number), start) in places.iter().copied().zip(starts) {
            let name = &self.topics[topic].name;
            let next = match start {
                Start::Committed(offset) | Start::End(offset) => Some(offset),
                Start::Beginning => None,
            };
            list.add_partition_offset(name, number, next.map_or(Offset::Beginning, Offset::Offset)).map_err(bug)?;
            if let Start::End(offset) = start {
                // Or the records that come before the first commit would be skipped after a crash.
                fixed.push(Position { table: self.topics[topic].table, partition: number, offset });
            }
            let table = self.topics[topic].table;
            let row_times = self.row_times.iter().find(|(of, _)| *of == table).map(|(_, times)| Arc::clone(times));
            self.partitions.push(Partition::split(
                &self.consumer,
                (topic, &self.topics[topic]),
                number,
                next,
                (&self.progress, row_times),
                &self.wake,
            )?);
        }
        let group = &self.membership.group;
        self.consumer
            .assign(&list)
            .map_err(|error| Error::Retry(format!("group {group}: partitions can't be taken over: {error}")))?;
        self.committer.commit(&fixed, !fixed.is_empty())?;
        self.progress.reading(places.len());
        tracing::info!("consumer group {group}: reading {} partitions", places.len());
        Ok(())
    }

    /// Where reading starts: explicitly, so that nothing jumps silently. `None`: not known yet.
    fn starts(&self, places: &[(usize, i32)]) -> Result<Option<Vec<Start>>> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, number) in places {
            list.add_partition(&self.topics[*topic].name, *number);
        }
        let committed = match self.consumer.committed_offsets(list, COMMITTED_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) => return self.not_yet(&error.to_string(), error.rdkafka_error_code()).map(|()| None),
        };
        let mut starts = Vec::with_capacity(places.len());
        for (topic, number) in places {
            let name = &self.topics[*topic].name;
            let element = committed.find_partition(name, *number);
            if let Some(Err(error)) = element.as_ref().map(|element| element.error()) {
                return self.not_yet(&error.to_string(), error.rdkafka_error_code()).map(|()| None);
            }
            let start = match (element.map(|element| element.offset()), self.reset) {
                (Some(Offset::Offset(offset)), _) => Start::Committed(offset),
                (_, AutoOffsetReset::Earliest) => Start::Beginning,
                (_, AutoOffsetReset::Latest) => match self.consumer.fetch_watermarks(name, *number, METADATA_TIMEOUT) {
                    Ok((_, end)) => Start::End(end),
                    Err(error) => {
                        return self.not_yet(&error.to_string(), error.rdkafka_error_code()).map(|()| None);
                    }
                },
            };
            starts.push(start);
        }
        Ok(Some(starts))
    }

    fn not_yet(&self, error: &str, code: Option<Code>) -> Result<()> {
        let group = &self.membership.group;
        if self.progress.waiting_for(&format!("the offsets of consumer group {group} are not known yet: {error}")) {
            tracing::warn!("the offsets of consumer group {group} are not known yet: {error}; trying again");
        }
        if let Some(code) = code {
            self.membership.health.report(code, &format!("group {group}: "), "its offsets can't be read");
        }
        self.membership.health.check()
    }

    /// Takes what is there into `cut`, at most `room`: partitions far ahead of the others in time are left alone.
    pub(super) fn drain(&mut self, room: Room, cut: &mut Cut) -> Result<()> {
        let paces = self.partitions.iter().map(|partition| partition.pace(self.idle_timeout));
        let in_step = InStep::of(self.max_ahead_ms, paces);
        let (topics, positions) = (&self.topics, &mut cut.positions);
        let rest = drain_all(
            &mut self.partitions,
            &mut self.batches,
            room,
            |index| in_step.limit_ms(index),
            &self.membership.health,
            |partition| {
                if let Some(offset) = partition.next_offset() {
                    let table = topics[partition.topic].table;
                    positions.push(Position { table, partition: partition.number, offset });
                }
            },
        );
        if let Err((partition, _)) = rest {
            return Err(self.out_of_range(partition));
        }
        cut.batches.extend(self.batches.iter_mut().filter_map(RawBatchBuilder::take));
        self.membership.health.check()
    }

    /// Tells which partitions are read, and which of them are at their ends.
    pub(super) fn tell(&mut self, cut: &mut Cut) {
        cut.begins_anew = std::mem::take(&mut self.begins_anew);
        let state = |partition: &Partition<GroupContext>| PartitionState {
            table: self.topics[partition.topic].table,
            partition: partition.number,
            at_end: partition.is_at_end(),
        };
        cut.partitions = self.partitions.iter().map(state).collect();
        cut.at_end = !cut.partitions.is_empty() && cut.partitions.iter().all(|partition| partition.at_end);
    }

    fn out_of_range(&self, partition: usize) -> Error {
        let partition = &self.partitions[partition];
        let (topic, number) = (&self.topics[partition.topic].name, partition.number);
        let holds = match self.consumer.fetch_watermarks(topic, number, METADATA_TIMEOUT) {
            Ok((low, high)) => format!("the topic holds {low} up to {high}"),
            Err(error) => format!("what the topic holds is not known ({error})"),
        };
        let place = format!("topic {topic}, partition {number}");
        match partition.next_offset() {
            Some(offset) => Error::Stop(format!(
                "{place}: consumer group {group} is to go on at offset {offset}, but {holds}: retention deleted the \
                 records, or the topic was made anew. Accept the gap by setting the group's offset \
                 (kafka-consumer-groups --reset-offsets --group {group} --topic {topic}:{number} --to-earliest \
                 --execute), or run the pipeline under a new name",
                group = self.membership.group
            )),
            None => {
                Error::Retry(format!("{place}: its first records were deleted while they were looked for; {holds}"))
            }
        }
    }

    pub(super) fn show_lags(&self) {
        for partition in &self.partitions {
            partition.show_lag(&self.consumer, &self.topics[partition.topic]);
        }
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.membership.close();
    }
}

/// Where a partition's reading starts.
enum Start {
    /// Where the group left off.
    Committed(i64),
    /// The group is new here: at the first record.
    Beginning,
    /// The group is new here: behind the last record, whose end this is.
    End(i64),
}
