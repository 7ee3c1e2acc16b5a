//! What became of records that did not arrive.

use std::sync::{Arc, Mutex};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, DeliveryResult, Message, OwnedHeaders};
use rdkafka::producer::ProducerContext;

use crate::kafka_client::{Health, forward_log, lock, report};

/// Failed deliveries, gathered by the producer's callbacks.
pub(super) struct Deliveries {
    pub(super) health: Arc<Health>,
    lost: Mutex<Option<Lost>>,
    refused: Mutex<Vec<Refused>>,
}

/// Records that may or may not have arrived. The first reason counts; it never goes away: what was lost has to be computed
/// again.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) topic: String,
    pub(super) code: Code,
    pub(super) records: usize,
}

/// A record that its topic did not take: its own fault, or that of a record in the same batch.
pub(super) struct Refused {
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) headers: Option<OwnedHeaders>,
    /// How often it was sent before.
    pub(super) attempt: usize,
    pub(super) code: Code,
}

/// Whether a broker says that it will never take a record, or one of its batch.
pub(super) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::InvalidDifferentRecord
    )
}

impl Deliveries {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self { health, lost: Mutex::new(None), refused: Mutex::new(Vec::new()) }
    }

    /// What was lost, if anything was.
    pub(super) fn lost(&self) -> Option<Lost> {
        lock(&self.lost).clone()
    }

    /// What was refused since the last call, in the order of the reports.
    pub(super) fn take_refused(&self) -> Vec<Refused> {
        std::mem::take(&mut lock(&self.refused))
    }

    fn failed(&self, message: &BorrowedMessage<'_>, code: Code, attempt: usize) {
        if is_refusal(code) {
            lock(&self.refused).push(Refused {
                topic: message.topic().to_owned(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp: message.timestamp().to_millis().unwrap_or(0),
                headers: message.headers().map(BorrowedHeaders::detach),
                attempt,
                code,
            });
            return;
        }
        let mut lost = lock(&self.lost);
        match &mut *lost {
            Some(lost) => lost.records += 1,
            None => *lost = Some(Lost { topic: message.topic().to_owned(), code, records: 1 }),
        }
    }
}

/// The producer's context.
pub(super) struct SinkContext {
    pub(super) deliveries: Arc<Deliveries>,
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&self.deliveries.health, &error, reason);
    }
}

impl ProducerContext for SinkContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, attempt: usize) {
        if let Err((error, message)) = result {
            self.deliveries.failed(message, error.rdkafka_error_code().unwrap_or(Code::Unknown), attempt);
        }
    }
}
