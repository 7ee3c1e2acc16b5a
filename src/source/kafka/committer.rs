//! Remembers in the consumer group how far records have been processed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::group::{GroupContext, Membership, is_stale};
use super::partition::Topic;
use crate::batch::Position;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::lock;
use crate::source::Committer;

/// The least time between two commits: the brokers need not hear of every batch.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Commits to the consumer group what it is told, and never more.
pub(super) struct GroupCommitter {
    consumer: Arc<BaseConsumer<GroupContext>>,
    membership: Arc<Membership>,
    topics: Vec<Topic>,
    state: Mutex<State>,
}

struct State {
    /// Processed and not yet sent to the broker.
    pending: Pending,
    /// Processed since the partitions were last given up, sent or not: sent once more at the end, since nobody waits for the
    /// answers in between.
    reached: Pending,
    sent: Option<Stopwatch>,
}

/// The greatest processed offset of each partition (place of the topic, number).
type Pending = BTreeMap<(usize, i32), i64>;

impl GroupCommitter {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<GroupContext>>,
        membership: Arc<Membership>,
        topics: Vec<Topic>,
    ) -> Self {
        Self {
            consumer,
            membership,
            topics,
            state: Mutex::new(State { pending: Pending::new(), reached: Pending::new(), sent: None }),
        }
    }

    /// Sends what has waited long enough. For the source's thread, so that the last offsets before a lull do not wait for
    /// the next batch.
    pub(super) fn send_due(&self) -> Result<()> {
        let mut state = lock(&self.state);
        for ((topic, partition), offset) in self.membership.take_failed_commits() {
            if let Some(place) = self.topics.iter().position(|known| *known.name == *topic) {
                keep_greatest(&mut state.pending, place, partition, offset);
            }
        }
        self.send(&mut state, CommitMode::Async)
    }

    /// Sends what is pending before partitions are given up, so that their next owner repeats less.
    pub(super) fn send_all(&self) {
        let mut state = lock(&self.state);
        if let Err(error) = self.send(&mut state, CommitMode::Sync) {
            tracing::warn!("{error}");
        }
        // From here on the next owner knows better.
        state.reached.clear();
    }

    fn send(&self, state: &mut State, mode: CommitMode) -> Result<()> {
        let due = state.sent.is_none_or(|sent| sent.elapsed() >= COMMIT_INTERVAL);
        if state.pending.is_empty() || !(due || matches!(mode, CommitMode::Sync)) {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(state.pending.len());
        for ((topic, partition), offset) in std::mem::take(&mut state.pending) {
            let topic = &self.topics[topic].name;
            if !self.membership.owns(topic, partition) {
                tracing::debug!("offset {offset} of {topic}-{partition} is not committed: another member owns it");
                continue;
            }
            list.add_partition_offset(topic, partition, Offset::Offset(offset))
                .map_err(|error| Error::Stop(format!("BUG: offset {offset} of {topic}-{partition}: {error}")))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        state.sent = Some(Stopwatch::start());
        match self.consumer.commit(&list, mode) {
            Ok(()) => Ok(()),
            Err(error) => match error.rdkafka_error_code() {
                Some(Code::NoOffset) => Ok(()),
                Some(code) if is_stale(code) => {
                    tracing::info!("offsets were not committed, the group is being rebalanced ({code})");
                    Ok(())
                }
                _ => Err(Error::Retry(format!(
                    "the offsets of consumer group {} could not be committed: {error}; the records after the last \
                     commit will be processed again",
                    self.membership.group
                ))),
            },
        }
    }
}

impl Committer for GroupCommitter {
    fn commit(&self, positions: &[Position], last: bool) -> Result<()> {
        let mut state = lock(&self.state);
        for position in positions {
            let place = self.topics.iter().position(|topic| topic.table == position.table).ok_or_else(|| {
                Error::Stop(format!("BUG: a position of table {}, which is no event table", position.table.index()))
            })?;
            keep_greatest(&mut state.pending, place, position.partition, position.offset);
            keep_greatest(&mut state.reached, place, position.partition, position.offset);
        }
        if last {
            for ((place, partition), offset) in std::mem::take(&mut state.reached) {
                keep_greatest(&mut state.pending, place, partition, offset);
            }
        }
        self.send(&mut state, if last { CommitMode::Sync } else { CommitMode::Async })
    }
}

fn keep_greatest(pending: &mut Pending, topic: usize, partition: i32, offset: i64) {
    let pending = pending.entry((topic, partition)).or_insert(offset);
    *pending = offset.max(*pending);
}
