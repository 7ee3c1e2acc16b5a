//! KaflowSQL: SQL joins over Kafka topics.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decode;
pub mod encode;
pub mod error;
pub mod join;
pub mod kafka_client;
pub mod plan;
pub mod serve;
pub mod sink;
pub mod source;
pub mod state;
