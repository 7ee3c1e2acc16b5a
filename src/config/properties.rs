//! Which librdkafka properties a config may set: those of connection, security and buffers. What runs code, what the
//! engine's promises rest on, and what has a key of its own is refused, each with its reason.

use super::mistakes::Mistakes;
use super::schema::nearest;

/// What may be set.
const ALLOWED: [&str; 93] = [
    "allow.auto.create.topics",
    "api.version.request.timeout.ms",
    "batch.num.messages",
    "broker.address.family",
    "broker.address.ttl",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.level",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.metrics.push",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.queue.backoff.ms",
    "heartbeat.interval.ms",
    "https.ca.location",
    "https.ca.pem",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.copy.max.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "topic.metadata.refresh.interval.ms",
];

/// What may not be set, and why.
const REFUSED: [(&str, &str); 37] = [
    ("plugin.library.paths", "loads code into the process"),
    ("ssl.engine.location", "loads code into the process"),
    ("ssl.engine.id", "loads code into the process"),
    ("ssl.providers", "loads code into the process"),
    ("interceptors", "runs code in the process"),
    ("sasl.kerberos.kinit.cmd", "runs a command of the shell"),
    ("sasl.oauthbearer.assertion.file", "is not among the ways to log in that are supported"),
    ("sasl.oauthbearer.assertion.jwt.template.file", "is not among the ways to log in that are supported"),
    ("sasl.oauthbearer.assertion.private.key.file", "is not among the ways to log in; give the key as …key.pem"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "makes tokens that anyone can forge"),
    ("bootstrap.servers", "has a key of its own: kafka.brokers"),
    ("metadata.broker.list", "has a key of its own: kafka.brokers"),
    ("group.id", "is made of kafka.consumer.group and the pipeline's name"),
    ("group.instance.id", "has a key of its own: kafka.instance"),
    ("auto.offset.reset", "has a key of its own: kafka.consumer.autoOffsetReset"),
    ("fetch.min.bytes", "has a key of its own: kafka.consumer.fetchMinBytes"),
    ("fetch.wait.max.ms", "has a key of its own: kafka.consumer.fetchMaxWait"),
    ("fetch.max.wait.ms", "has a key of its own: kafka.consumer.fetchMaxWait"),
    ("max.poll.records", "has a key of its own: kafka.consumer.maxPollRecords"),
    ("batch.size", "has a key of its own: kafka.producer.batchSize"),
    ("linger.ms", "has a key of its own: kafka.producer.lingerMs"),
    ("queue.buffering.max.ms", "has a key of its own: kafka.producer.lingerMs"),
    ("compression.codec", "has a key of its own: kafka.producer.compression"),
    ("compression.type", "has a key of its own: kafka.producer.compression"),
    ("enable.auto.commit", "would commit records before their results have arrived"),
    ("auto.commit.interval.ms", "would commit records before their results have arrived"),
    ("enable.auto.offset.store", "would commit records before their results have arrived"),
    ("offset.store.method", "would keep offsets where no other process finds them"),
    ("isolation.level", "is always read_committed: aborted records are no input"),
    ("transactional.id", "belongs to exactly-once delivery, which comes with a later version"),
    ("transaction.timeout.ms", "belongs to exactly-once delivery, which comes with a later version"),
    ("enable.idempotence", "is always on: without it results may be lost or change their order"),
    ("acks", "is always `all`: a result counts once every replica has it"),
    ("request.required.acks", "is always `all`: a result counts once every replica has it"),
    ("partition.assignment.strategy", "decides which process reads which partition, which the engine does"),
    ("enable.partition.eof", "is how the engine knows that a topic is read to its end"),
    ("debug", "writes secrets into the log"),
];

/// Adds a mistake for each property under `kafka.properties` that may not be set.
pub(super) fn check<'p>(mistakes: &mut Mistakes, names: impl Iterator<Item = &'p String>) {
    for name in names {
        let path = ["kafka", "properties", name.as_str()];
        if ALLOWED.contains(&name.as_str()) {
            continue;
        }
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            let help = Some("leave it out".to_string());
            mistakes.at_key(&path, format!("`{name}` can't be set here: it {why}"), help);
            continue;
        }
        let help = match nearest(name, ALLOWED.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "properties of connection, security and buffers can be set, by librdkafka's names".to_string(),
        };
        mistakes.at_key(&path, format!("`{name}` is not among the Kafka properties that can be set"), Some(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_property_is_both_allowed_and_refused() {
        for (name, _) in REFUSED {
            assert!(!ALLOWED.contains(&name), "{name}");
        }
        assert!(ALLOWED.is_sorted(), "the list is read by people");
    }
}
