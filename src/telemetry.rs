//! Logs and metrics: what the process says about itself.

mod logging;
mod metrics;
mod pipeline;
mod topic;
mod waiting;
mod window;

pub use logging::{LogFormat, start_logging};
pub use metrics::Metrics;
pub use pipeline::{PipelineMetrics, SkipReason, Snapshot, Step};
pub use topic::{TopicMetrics, TopicSnapshot};
