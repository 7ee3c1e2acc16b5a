//! The topics that a sink writes to: found, or created, and how large a record they take.

use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::KafkaSinkConfig;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::kafka_client::{Context, Health, creation_error};

/// How long brokers may take to answer, before the sink is given up for now.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long between two looks for a topic that was just created.
const PAUSE: Duration = Duration::from_millis(20);
/// Kafka's own default of `max.message.bytes`.
const DEFAULT_MAX_BYTES: usize = 1_048_588;

/// A topic to write to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// Its `max.message.bytes`.
    pub(super) max_bytes: usize,
}

/// The result topic and the dead-letter topic of `config`.
pub(super) fn find(config: &KafkaSinkConfig) -> Result<(Target, Target)> {
    let health = std::sync::Arc::new(Health::new(format!("output to {}", config.topic), &config.cluster));
    let admin: AdminClient<Context> = config
        .cluster
        .client(&[("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "1000")], &[])
        .create_with_context(Context { health: std::sync::Arc::clone(&health) })
        .map_err(|error| creation_error(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::Stop(format!("a runtime for the admin client can't be made: {error}")))?;
    let finder = Finder { config, admin, runtime, health };
    Ok((finder.find(&config.topic)?, finder.find(&config.dead_letter_topic)?))
}

struct Finder<'a> {
    config: &'a KafkaSinkConfig,
    admin: AdminClient<Context>,
    runtime: tokio::runtime::Runtime,
    health: std::sync::Arc<Health>,
}

impl Finder<'_> {
    fn find(&self, topic: &str) -> Result<Target> {
        if !self.exists(topic)? {
            if !self.config.create_topics {
                return Err(Error::Stop(format!(
                    "topic {topic}: the brokers {} have none of that name; create it",
                    self.config.cluster.address()
                )));
            }
            self.create(topic)?;
        }
        Ok(Target { name: topic.to_owned(), max_bytes: self.max_bytes(topic) })
    }

    fn exists(&self, topic: &str) -> Result<bool> {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), TIMEOUT);
        self.health.check()?;
        let metadata = metadata.map_err(|error| self.unanswered(topic, &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(|found| (found.error().map(Code::from), found.partitions().len())) {
            None | Some((Some(Code::UnknownTopicOrPartition), _)) => Ok(false),
            // Just created: its partitions have no leader yet.
            Some((Some(Code::LeaderNotAvailable), _)) => Ok(false),
            Some((None | Some(Code::NoError), partitions)) => Ok(partitions > 0),
            Some((Some(code), _)) => {
                self.health.report(code, &format!("topic {topic}: "), "it can't be written to");
                self.health.check()?;
                Err(Error::Retry(format!("topic {topic}: it can't be written to: {code}")))
            }
        }
    }

    fn create(&self, topic: &str) -> Result<()> {
        let new = NewTopic::new(topic, -1, TopicReplication::Fixed(-1));
        let created = self.answer(self.admin.create_topics([&new], &AdminOptions::new()));
        match created.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(_))) => {
                tracing::info!("topic {topic}: created, with the brokers' default partitions and replication");
            }
            Ok(Some(Err((_, Code::TopicAlreadyExists)))) => {}
            Ok(Some(Err((_, code)))) => {
                return Err(Error::Stop(format!(
                    "topic {topic}: there is none of that name, and it can't be created: {code}; create it"
                )));
            }
            Ok(None) => {}
            Err(error) => return Err(self.unanswered(topic, &error)),
        }
        let since = Stopwatch::start();
        while !self.exists(topic)? {
            if since.elapsed() > TIMEOUT {
                return Err(Error::Retry(format!("topic {topic}: created, but no broker leads it after {TIMEOUT:?}")));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Not to be told is no reason to stop: a record that is too large after all is refused, and dealt with then.
    fn max_bytes(&self, topic: &str) -> usize {
        let resource = ResourceSpecifier::Topic(topic);
        // Any broker knows; by default the controller is asked, which the demo's cluster does not have.
        let metadata = self.admin.inner().fetch_metadata(Some(topic), TIMEOUT).ok();
        let broker = metadata.and_then(|metadata| metadata.brokers().first().map(|broker| broker.id()));
        let options = AdminOptions::new().broker_id(broker).request_timeout(Some(TIMEOUT));
        let described = self.answer(self.admin.describe_configs([&resource], &options));
        let told = described.ok().and_then(|results| results.into_iter().next()).and_then(std::result::Result::ok);
        let max_bytes = told.and_then(|told| told.get("max.message.bytes")?.value.as_ref()?.parse().ok());
        max_bytes.unwrap_or_else(|| {
            tracing::debug!("topic {topic}: its max.message.bytes is not told; assuming {DEFAULT_MAX_BYTES}");
            DEFAULT_MAX_BYTES
        })
    }

    fn answer<T>(
        &self,
        question: impl Future<Output = std::result::Result<T, KafkaError>>,
    ) -> std::result::Result<T, KafkaError> {
        self.runtime.block_on(question)
    }

    fn unanswered(&self, topic: &str, error: &KafkaError) -> Error {
        Error::Retry(format!(
            "topic {topic}: the brokers {} do not answer: {error}; check that they run and can be reached",
            self.config.cluster.address()
        ))
    }
}
