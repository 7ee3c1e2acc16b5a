//! What every Kafka client of the process has in common: its configuration, and what is done about its errors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Error, Result};

/// Where the brokers are and how to talk to them. Not `Debug`: properties hold passwords.
#[derive(Clone)]
pub struct Cluster {
    /// `host:port` of at least one broker.
    pub brokers: Vec<String>,
    /// librdkafka properties of the user, already checked against the list of allowed ones.
    pub properties: BTreeMap<String, String>,
}

impl Cluster {
    /// The configuration of a client: `tunables` may be overruled by the user's properties, `guarantees` may not.
    pub(crate) fn client(&self, tunables: &[(&str, &str)], guarantees: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "kaflowsql");
        for (key, value) in tunables {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        for (key, value) in guarantees {
            config.set(*key, *value);
        }
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// The addresses, for messages.
    pub(crate) fn address(&self) -> String {
        self.brokers.join(", ")
    }
}

/// Why a client could not be made: a mistake in its properties, told without the value, which may be a password.
pub(crate) fn creation_error(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, _, key, _) => Error::Mistake(format!(
            "kafka.properties: librdkafka does not accept the key `{key}` or its value; see its CONFIGURATION.md"
        )),
        other => Error::Mistake(format!("kafka.properties: no Kafka client can be made with them: {other}")),
    }
}

/// What a code means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// librdkafka tries again by itself.
    Wait,
    /// A new client may fare better.
    Retry,
    /// A person has to do something: what.
    Stop(&'static str),
}

/// What is to be done about a code that a client reports.
pub(crate) fn judge(code: Code) -> Verdict {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => {
            Verdict::Stop("check security.protocol, sasl.mechanism and the credentials in kafka.properties")
        }
        Code::SSL => Verdict::Stop("check security.protocol and the ssl.* settings in kafka.properties"),
        Code::TopicAuthorizationFailed => {
            Verdict::Stop("allow this user Read and Describe on input topics, Write and Describe on output topics")
        }
        Code::GroupAuthorizationFailed => Verdict::Stop("allow this user Read on the consumer group"),
        Code::ClusterAuthorizationFailed => Verdict::Stop("allow this user IdempotentWrite on the cluster"),
        Code::FencedInstanceId => {
            Verdict::Stop("another process runs as the same kafka.instance: give each process its own")
        }
        Code::InconsistentGroupProtocol => Verdict::Stop(
            "members of the consumer group use another assignment strategy: give the pipeline a group of its own",
        ),
        Code::InvalidSessionTimeout => {
            Verdict::Stop("set session.timeout.ms in kafka.properties within the broker's bounds")
        }
        Code::GroupMaxSizeReached => Verdict::Stop("the consumer group is full: raise group.max.size on the brokers"),
        Code::InvalidTopic => Verdict::Stop("correct the topic's name"),
        Code::UnsupportedFeature | Code::UnsupportedVersion | Code::UnsupportedForMessageFormat => {
            Verdict::Stop("the brokers are too old: Apache Kafka 2.3 or later is needed")
        }
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::UnsupportedCompressionType => {
            Verdict::Stop("the log is damaged there; move the group's offset past the place to go on without it")
        }
        Code::Fatal
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::UnknownProducerId
        | Code::OutOfOrderSequenceNumber
        | Code::MessageTimedOut
        | Code::TimedOutQueue
        | Code::LogTruncation
        | Code::AutoOffsetReset
        | Code::OffsetOutOfRange
        | Code::CriticalSystemResource
        | Code::DestroyBroker => Verdict::Retry,
        _ => Verdict::Wait,
    }
}

fn is_missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

/// What the callbacks of one client have seen: whether brokers can be reached, and the first error that ends the run.
pub(crate) struct Health {
    who: String,
    address: String,
    down: AtomicBool,
    missing: Mutex<String>,
    ended: Mutex<Option<(Verdict, String)>>,
}

impl Health {
    pub(crate) fn new(who: String, cluster: &Cluster) -> Self {
        Self {
            who,
            address: cluster.address(),
            down: AtomicBool::new(false),
            missing: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Takes a client's error into account; `place` says where, `reason` is librdkafka's own text.
    pub(crate) fn report(&self, code: Code, place: &str, reason: &str) {
        match judge(code) {
            Verdict::Wait if matches!(code, Code::AllBrokersDown | Code::Resolve) => {
                if !self.down.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "{}: no broker of {} can be reached: {reason}; waiting until one can",
                        self.who,
                        self.address
                    );
                }
            }
            Verdict::Wait if is_missing(code) => {
                let mut missing = lock(&self.missing);
                if *missing != reason {
                    tracing::warn!("{}: {place}{reason}; waiting until it is there", self.who);
                    reason.clone_into(&mut missing);
                }
            }
            Verdict::Wait => tracing::debug!("{}: {place}{code}: {reason}", self.who),
            verdict => {
                let mut ended = lock(&self.ended);
                if ended.is_none() {
                    let todo = if let Verdict::Stop(todo) = verdict { format!("; {todo}") } else { String::new() };
                    let text = format!("{} ({}): {place}{reason} ({code}){todo}", self.who, self.address);
                    *ended = Some((verdict, text));
                }
            }
        }
    }

    /// A broker has answered.
    pub(crate) fn alive(&self) {
        if self.down.load(Ordering::Relaxed) && self.down.swap(false, Ordering::Relaxed) {
            tracing::info!("{}: brokers of {} answer again", self.who, self.address);
        }
    }

    #[cfg(test)]
    fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Takes the error into account after which a client does no more, if it had one.
    pub(crate) fn report_fatal<C: ClientContext>(&self, client: &Client<C>) {
        if let Some((code, reason)) = client.fatal_error() {
            let code = if judge(code) == Verdict::Wait { Code::Fatal } else { code };
            self.report(code, "", &reason);
        }
    }

    /// The error that ends the run, if there was one.
    pub(crate) fn check(&self) -> Result<()> {
        match &*lock(&self.ended) {
            None => Ok(()),
            Some((Verdict::Stop(_), text)) => Err(Error::Stop(text.clone())),
            Some((Verdict::Wait | Verdict::Retry, text)) => Err(Error::Retry(text.clone())),
        }
    }
}

/// The context of a client without further callbacks.
pub(crate) struct Context {
    pub(crate) health: std::sync::Arc<Health>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&self.health, &error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Context {}

/// Passes librdkafka's own log on. Failing connections are told once by `Health`, so here they are for debugging.
pub(crate) fn forward_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let connection = matches!(facility, "FAIL" | "ERROR" | "REQTMOUT" | "COORD");
    match level {
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", "{facility}: {message}");
        }
        _ if connection => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
        _ => tracing::warn!(target: "librdkafka", "{facility}: {message}"),
    }
}

/// An error event. What belongs to one partition is judged where its queue is read, and a fatal error where its cause can
/// be asked for.
pub(crate) fn report(health: &Health, error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        None | Some(Code::PartitionEOF | Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::Fatal) => {}
        Some(code) => health.report(code, "", reason),
    }
}

/// A lock that a panic elsewhere does not poison: what it guards is whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster { brokers: vec!["a:1".into(), "b:2".into()], properties: BTreeMap::new() }
    }

    #[test]
    fn properties_overrule_tunables_and_never_guarantees() {
        let mut cluster = cluster();
        cluster.properties.insert("linger.ms".into(), "7".into());
        cluster.properties.insert("acks".into(), "0".into());
        let config = cluster.client(&[("linger.ms", "0")], &[("acks", "all")]);
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
    }

    #[test]
    fn a_bad_property_is_named_without_its_value() {
        let mut cluster = cluster();
        cluster.properties.insert("sasl.mechanism".into(), "s3cret".into());
        let error = cluster.client(&[], &[("security.protocol", "nonsense")]).create_native_config().err();
        let text = creation_error(&error.expect("an error")).to_string();
        assert!(text.contains("`security.protocol`"), "{text}");
        assert!(!text.contains("nonsense") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn transient_errors_are_waited_out_and_the_first_lasting_one_is_kept() {
        let health = Health::new("pipeline p".into(), &cluster());
        for code in [Code::BrokerTransportFailure, Code::RequestTimedOut, Code::NotCoordinator] {
            health.report(code, "", "gone");
        }
        assert!(health.check().is_ok());
        assert!(!health.is_down());
        health.report(Code::AllBrokersDown, "", "2/2 brokers are down");
        assert!(health.is_down() && health.check().is_ok());
        health.alive();
        assert!(!health.is_down());
        health.report(Code::TopicAuthorizationFailed, "topic t: ", "denied");
        health.report(Code::Fatal, "", "later");
        let error = health.check().expect_err("a lasting error");
        assert!(matches!(error, Error::Stop(_)));
        assert_eq!(
            error.to_string(),
            "pipeline p (a:1, b:2): topic t: denied (TopicAuthorizationFailed (Broker: Topic authorization failed)); \
             allow this user Read and Describe on input topics, Write and Describe on output topics"
        );
    }
}
