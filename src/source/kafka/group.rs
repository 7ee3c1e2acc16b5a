//! Membership in the pipeline's consumer group: what librdkafka's callbacks leave for the source's own thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

use crate::kafka_client::{Health, forward_log, lock, report};

/// What the group decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// These partitions are this member's from now on; nothing is read before the source has assigned them.
    Assigned(Vec<(String, i32)>),
    /// Every partition has to be given up; `lost`: others own them already.
    Revoked { lost: bool },
}

/// State that the callbacks, the source's thread and the committer share.
pub(super) struct Membership {
    pub(super) group: String,
    pub(super) health: Arc<Health>,
    /// Nobody takes decisions any more: the source is being dropped.
    closing: AtomicBool,
    decisions: Mutex<Vec<Decision>>,
    assigned: Mutex<BTreeSet<(String, i32)>>,
    failed_commits: Mutex<BTreeMap<(String, i32), i64>>,
}

impl Membership {
    pub(super) fn new(group: String, health: Arc<Health>) -> Self {
        Self {
            group,
            health,
            closing: AtomicBool::new(false),
            decisions: Mutex::default(),
            assigned: Mutex::default(),
            failed_commits: Mutex::default(),
        }
    }

    /// What was decided since the last call, in order.
    pub(super) fn take_decisions(&self) -> Vec<Decision> {
        std::mem::take(&mut lock(&self.decisions))
    }

    /// From now on partitions are given up as soon as the group asks.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Every partition was given up.
    pub(super) fn gave_up(&self) {
        lock(&self.assigned).clear();
        lock(&self.failed_commits).clear();
    }

    /// Whether offsets of a partition may be committed: of one that another member owns they would set it back.
    pub(super) fn owns(&self, topic: &str, partition: i32) -> bool {
        // A set of pairs is asked by a pair; commits are few.
        lock(&self.assigned).contains(&(topic.to_owned(), partition))
    }

    /// Commits that failed and should be tried again.
    pub(super) fn take_failed_commits(&self) -> BTreeMap<(String, i32), i64> {
        std::mem::take(&mut lock(&self.failed_commits))
    }
}

/// The context of the group's consumer.
pub(super) struct GroupContext {
    pub(super) membership: Arc<Membership>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&self.membership.health, &error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let membership = &self.membership;
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let list: Vec<(String, i32)> =
                partitions.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
            *lock(&membership.assigned) = list.iter().cloned().collect();
            lock(&membership.decisions).push(Decision::Assigned(list));
        } else if membership.closing.load(Ordering::Relaxed) {
            if let Err(error) = consumer.unassign() {
                tracing::warn!("partitions could not be given up: {error}");
            }
        } else {
            lock(&membership.decisions).push(Decision::Revoked { lost: consumer.assignment_lost() });
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Err(error) = result else { return };
        match error.rdkafka_error_code() {
            Some(Code::NoOffset) => {}
            Some(code) if is_stale(code) => {
                tracing::info!(
                    "offsets were not committed, the group is being rebalanced ({code}); records may repeat"
                );
            }
            Some(code) => {
                tracing::warn!("offsets were not committed ({code}); trying again");
                self.membership.health.report(code, "", "offsets can't be committed");
                let mut failed = lock(&self.membership.failed_commits);
                for element in offsets.elements() {
                    if let rdkafka::Offset::Offset(offset) = element.offset() {
                        failed.insert((element.topic().to_owned(), element.partition()), offset);
                    }
                }
            }
            None => tracing::warn!("offsets were not committed: {error}"),
        }
    }
}

/// Whether a commit failed because the group has moved on: what was not committed is read again, by whoever owns it.
pub(super) fn is_stale(code: Code) -> bool {
    matches!(
        code,
        Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::RebalanceInProgress
            | Code::AssignmentLost
            | Code::StaleMemberEpoch
    )
}
