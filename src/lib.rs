//! KaflowSQL: SQL joins over Kafka topics, one YAML file and one binary. The life of a batch:
//!
//! 0. At start-up, `config::load_pipeline` reads the YAML, and `plan::plan` turns its SQL into a chain of look-ups with
//!    compiled expressions. Nothing below decides what could be decided there.
//! 1. A [`source`] gives a [`batch::Cut`]: dimension records first, then the driving table's. Kafka, files and memory
//!    are alike from here on. `engine::run` moves cuts from stage to stage, each on its thread.
//! 2. `engine::DecodeStage` turns bytes into Arrow columns, only those that the query uses ([`decode`]); a record that
//!    can't be read is put aside, alone.
//! 3. `engine::JoinStage` applies dimension rows to [`state`], and remembers event rows there while others may need them:
//!    Arrow chunks behind an index of 256 shards by xxhash64 ([`shard`]).
//! 4. From new event rows it walks to the rows of other event tables, then to those of dimensions ([`join`]): keys are
//!    hashed, indexes probed, windows and residuals asked; rows are references until an expression wants a column.
//! 5. WHERE and SELECT are evaluated on the joined rows ([`expression`]); rows that fail are found by halving. Rows that lack
//!    what they require wait until it comes, or their time is over ([`emit`]).
//! 6. Result rows become bytes ([`encode`]).
//! 7. `commit::Commit` writes them to the [`sink`], waits until they have arrived, and only then lets the source
//!    remember how far it was read.
//!
//! [`cli`] has the verbs, [`serve`] and [`telemetry`] show what happens.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod decode;
pub mod emit;
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
