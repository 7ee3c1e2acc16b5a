//! The first records of a topic, from which its columns are guessed.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::{READ_GUARANTEES, found_partitions, question_failed, tunables};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::{Cluster, Context, Health, creation_error};

/// Key and value of a sampled record.
pub type Sampled = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Key and value of at most `max_records` records from the beginning of `topic`, as a read_committed reader sees it: the
/// first of every partition, then the second of every partition and so on, so the answer does not depend on which
/// broker is quicker. Empty if the topic is.
///
/// # Errors
/// `Mistake` if there is no such topic, `Stop` if reading it is not allowed, `Retry` if the brokers do not answer within
/// `timeout`.
pub fn sample(cluster: &Cluster, topic: &str, max_records: usize, timeout: Duration) -> Result<Vec<Sampled>> {
    let since = Stopwatch::start();
    let health = Arc::new(Health::new(format!("topic {topic}"), cluster));
    // Never joined: assign() only wants a name.
    let guarantees = [("group.id", "kaflowsql-sample"), ("enable.partition.eof", "true")];
    let mut config = cluster.client(&tunables("1", "100"), &READ_GUARANTEES);
    for (key, value) in guarantees {
        config.set(key, value);
    }
    let consumer: BaseConsumer<Context> =
        config.create_with_context(Context { health: Arc::clone(&health) }).map_err(|error| creation_error(&error))?;
    let metadata = consumer.fetch_metadata(Some(topic), timeout);
    health.check()?;
    let metadata = metadata.map_err(|error| question_failed(cluster, topic, &error))?;
    let partitions = match found_partitions(&metadata, topic) {
        Ok(partitions) => partitions,
        Err(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            return Err(Error::Mistake(format!(
                "topic {topic}: the brokers {} have none of that name",
                cluster.address()
            )));
        }
        Err(code) => {
            health.report(code, "", "its partitions can't be read");
            health.check()?;
            return Err(Error::Retry(format!("topic {topic}: its partitions can't be read: {code}")));
        }
    };
    let mut columns: Vec<Column> = partitions.into_iter().map(Column::new).collect();
    assign(&consumer, topic, &columns)?;
    while columns.iter().any(|column| !column.done) && since.elapsed() < timeout {
        let wait = timeout.saturating_sub(since.elapsed()).min(Duration::from_millis(100));
        match consumer.poll(wait) {
            None => {}
            Some(Ok(message)) => take(&consumer, topic, &mut columns, &message, max_records),
            Some(Err(KafkaError::PartitionEOF(number))) => {
                columns.iter_mut().filter(|column| column.number == number).for_each(|column| column.done = true);
            }
            Some(Err(_)) => {}
        }
        health.check()?;
    }
    let answered = columns.iter().any(|column| column.done || !column.records.is_empty());
    if !answered {
        return Err(Error::Retry(format!(
            "topic {topic}: the brokers {} gave no record and no end within {timeout:?}",
            cluster.address()
        )));
    }
    Ok(interleave(columns, max_records))
}

/// What was read of one partition.
struct Column {
    number: i32,
    records: Vec<Sampled>,
    done: bool,
}

impl Column {
    fn new(number: i32) -> Self {
        Self { number, records: Vec::new(), done: false }
    }
}

fn assign(consumer: &BaseConsumer<Context>, topic: &str, columns: &[Column]) -> Result<()> {
    let failed = |error: KafkaError| Error::Retry(format!("topic {topic}: its partitions can't be assigned: {error}"));
    let mut list = TopicPartitionList::with_capacity(columns.len());
    for column in columns {
        list.add_partition_offset(topic, column.number, Offset::Beginning).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)
}

fn take(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    columns: &mut [Column],
    message: &impl Message,
    max_records: usize,
) {
    let Some(column) = columns.iter_mut().find(|column| column.number == message.partition()) else { return };
    if column.records.len() < max_records {
        column.records.push((message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec)));
    }
    if column.records.len() >= max_records && !column.done {
        column.done = true;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, column.number);
        // Only spares the network: what comes all the same is not taken.
        if let Err(error) = consumer.pause(&list) {
            tracing::debug!("topic {topic}, partition {}: not paused: {error}", column.number);
        }
    }
}

fn interleave(columns: Vec<Column>, max_records: usize) -> Vec<Sampled> {
    let mut columns: Vec<_> = columns.into_iter().map(|column| column.records.into_iter()).collect();
    let mut sampled = Vec::new();
    while sampled.len() < max_records {
        let before = sampled.len();
        sampled.extend(columns.iter_mut().filter_map(Iterator::next).take(max_records - before));
        if sampled.len() == before {
            break;
        }
    }
    sampled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(number: i32, values: &[&str]) -> Column {
        let records = values.iter().map(|value| (None, Some(value.as_bytes().to_vec()))).collect();
        Column { number, records, done: true }
    }

    #[test]
    fn partitions_take_turns() {
        let columns = || vec![column(0, &["a", "b", "c"]), column(1, &[]), column(2, &["x"])];
        let text = |max_records| {
            let sampled = interleave(columns(), max_records);
            sampled.into_iter().map(|(_, value)| String::from_utf8(value.unwrap()).unwrap()).collect::<String>()
        };
        assert_eq!(text(9), "axbc");
        assert_eq!(text(3), "axb");
        assert_eq!(text(1), "a");
        assert_eq!(text(0), "");
    }
}
