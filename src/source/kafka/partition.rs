//! One partition: its own queue, so that records come in the order of processing and one that is ahead can simply be
//! left alone (SEMANTICS 4.4) without a new fetch.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::{BaseConsumer, PartitionQueue};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;

use super::in_step::Pace;
use super::native;
use super::progress::{LoadProgress, PartitionProgress};
use crate::batch::{RowTimes, TableId};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::Health;
use crate::source::cut::{RawBatchBuilder, Room};

/// How long the other partitions wait for the first record, or the end, of one that was just assigned: a fetch takes
/// milliseconds, a broker that is gone must not hold up the rest for long.
const FIRST_RECORD_WAIT: Duration = Duration::from_secs(5);

/// A topic of the source.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) table: TableId,
    pub(super) name: Arc<str>,
    pub(super) c_name: CString,
}

impl Topic {
    pub(super) fn new(table: TableId, name: &str) -> Result<Self> {
        let c_name = CString::new(name)
            .map_err(|_| Error::Mistake(format!("topic {name:?}: a topic's name can't hold a NUL byte")))?;
        Ok(Self { table, name: name.into(), c_name })
    }
}

/// A partition that is being read.
pub(super) struct Partition<C: ConsumerContext> {
    /// Place of its topic in the reader's list.
    pub(super) topic: usize,
    pub(super) number: i32,
    queue: PartitionQueue<C>,
    progress: Arc<PartitionProgress>,
    shown: Arc<LoadProgress>,
    /// The offset after the last record taken; before the first one, where reading started if that is known.
    next_offset: Option<i64>,
    at_end: bool,
    time_ms: Option<i64>,
    /// How far rows have come, if they have another time than their records.
    row_times: Option<Arc<RowTimes>>,
    empty_since: Option<Stopwatch>,
}

/// Why a partition can't be read on.
pub(super) enum Trouble {
    /// The broker no longer has, or never had, the offset.
    OutOfRange,
}

impl<C: ConsumerContext> Partition<C> {
    /// Gives the partition a queue of its own. Before it is assigned: then nothing of it ever goes to the consumer's
    /// queue.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<C>>,
        topic: (usize, &Topic),
        number: i32,
        start: Option<i64>,
        (shown, row_times): (&Arc<LoadProgress>, Option<Arc<RowTimes>>),
        wake: &Sender<()>,
    ) -> Result<Self> {
        let (place, topic) = topic;
        let mut queue = consumer.split_partition_queue(&topic.name, number).ok_or_else(|| {
            Error::Retry(format!("topic {}, partition {number}: librdkafka gives no queue for it", topic.name))
        })?;
        let wake = wake.clone();
        queue.set_nonempty_callback(move || {
            // A full channel already holds a wake-up.
            let _ = wake.try_send(());
        });
        Ok(Self {
            topic: place,
            number,
            queue,
            progress: shown.register(topic.table, &topic.name, number),
            shown: Arc::clone(shown),
            next_offset: start,
            at_end: false,
            time_ms: None,
            row_times,
            empty_since: None,
        })
    }

    /// Whether everything that a read_committed reader can see has been taken.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Where reading goes on, once that is known.
    pub(super) fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// How far it is in time, for keeping partitions in step.
    pub(super) fn pace(&self, idle_timeout: Duration) -> Pace {
        let time_ms = self.reached_ms();
        let patience = if time_ms.is_none() { idle_timeout.min(FIRST_RECORD_WAIT) } else { idle_timeout };
        let silent = self.empty_since.is_some_and(|since| since.elapsed() >= patience);
        Pace { time_ms, unread: !self.at_end && !silent }
    }

    /// How far it is in time: as its records say, or as those who read them tell, some batches behind.
    fn reached_ms(&self) -> Option<i64> {
        match &self.row_times {
            Some(times) => times.of(self.progress.table, self.number),
            None => self.time_ms,
        }
    }

    /// Moves what is there into `batch` until `room` is full or a record's time is past `limit_ms`; how many records.
    pub(super) fn drain(
        &mut self,
        batch: &mut RawBatchBuilder,
        room: &mut Room,
        limit_ms: i64,
        health: &Health,
    ) -> std::result::Result<usize, Trouble> {
        let before = batch.len();
        // What others tell does not change while records are taken.
        let told_ms = self.row_times.as_ref().map(|_| self.reached_ms());
        while !room.is_full() && told_ms.unwrap_or(self.time_ms).is_none_or(|time_ms| time_ms <= limit_ms) {
            let message = match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at_end = true;
                    health.alive();
                    continue;
                }
                Some(Err(error)) => {
                    self.report(&error, health)?;
                    continue;
                }
                None => {
                    if !self.at_end && self.empty_since.is_none() {
                        self.empty_since = Some(Stopwatch::start());
                    }
                    break;
                }
            };
            let (key, value) = (message.key(), message.payload());
            // 0, the epoch, where the producer gave no time: a log older than Kafka 0.10, or a timestamp of -1.
            let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
            batch.push(key, value, self.number, message.offset(), timestamp_ms);
            let headers = native::headers(&message);
            if !headers.is_empty() {
                batch.push_headers(headers);
            }
            room.take(key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
            self.next_offset = Some(message.offset() + 1);
            self.time_ms = self.time_ms.max(Some(timestamp_ms));
            self.at_end = false;
        }
        let taken = batch.len() - before;
        if taken > 0 {
            self.empty_since = None;
            health.alive();
        }
        Ok(taken)
    }

    fn report(&self, error: &KafkaError, health: &Health) -> std::result::Result<(), Trouble> {
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => Err(Trouble::OutOfRange),
            Some(code) => {
                let place = format!("topic {}, partition {}: ", self.progress.topic, self.number);
                health.report(code, &place, "reading failed");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Brings the lag that others see up to date.
    pub(super) fn show_lag(&self, consumer: &BaseConsumer<C>, topic: &Topic) {
        let lag = match (self.at_end, self.next_offset, native::high_watermark(consumer, &topic.c_name, self.number)) {
            (true, _, _) => 0,
            (false, Some(next), Some(high)) => (high - next).max(0),
            (false, _, _) => return,
        };
        self.progress.lag.store(lag, Ordering::Relaxed);
    }
}

impl<C: ConsumerContext> Drop for Partition<C> {
    fn drop(&mut self) {
        self.shown.forget(&self.progress);
    }
}

/// A partition and why it can't be read on.
pub(super) type Troubled = (usize, Trouble);

/// Takes records from `partitions`, in their order, into the batch of each one's topic: a fair share each while there is
/// more than fits. `limit_ms` gives the record time up to which a partition may be read. Returns the room that is left.
pub(super) fn drain_all<C: ConsumerContext>(
    partitions: &mut [Partition<C>],
    batches: &mut [RawBatchBuilder],
    mut room: Room,
    limit_ms: impl Fn(usize) -> i64,
    health: &Health,
    mut taken: impl FnMut(&Partition<C>),
) -> std::result::Result<Room, Troubled> {
    let mut behind = partitions.iter().filter(|partition| !partition.at_end).count();
    for (index, partition) in partitions.iter_mut().enumerate() {
        let claimants = behind + usize::from(partition.at_end);
        behind -= usize::from(!partition.at_end);
        let share = room.share(claimants);
        let mut rest = share;
        let batch = &mut batches[partition.topic];
        let records = partition.drain(batch, &mut rest, limit_ms(index), health).map_err(|trouble| (index, trouble))?;
        room = room.less(share, rest);
        if records > 0 {
            taken(partition);
        }
        if room.is_full() {
            break;
        }
    }
    Ok(room)
}
