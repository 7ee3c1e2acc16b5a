//! Raw records: from Kafka, from files, from memory.
