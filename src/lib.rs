//! KaflowSQL: SQL joins over Kafka topics.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod decode;
pub mod encode;
pub mod engine;
pub mod error;
pub mod expression;
pub mod join;
pub mod kafka_client;
pub mod plan;
pub mod serve;
pub mod shard;
pub mod sink;
pub mod source;
pub mod state;
pub mod telemetry;
