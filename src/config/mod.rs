//! YAML files to valid settings and pipelines: text → tree → environment → schema → raw → checked, with every mistake of
//! a file reported at once, each at its place.

mod source_file;
mod yaml;

mod environment;
mod schema;
mod secrets;

mod quantity;
mod types;

mod raw_pipeline;
mod raw_settings;

mod columns;
mod emission;
mod pipeline;
mod properties;
mod settings;

mod mistakes;
mod place;
mod report;

#[cfg(test)]
mod compare;
#[cfg(test)]
mod tests;

pub use emission::EmissionRules;
pub use mistakes::{Mistake, Mistakes, Severity};
pub use pipeline::{
    BatchLimits, Dimension, EventRules, OnError, OnExpire, Output, Pipeline, SourceTable, load_pipeline, parse_pipeline,
};
pub use quantity::{Duration, Milliseconds, Size};
pub use raw_pipeline::pipeline_schema;
pub use raw_settings::settings_schema;
pub use settings::{
    AutoOffsetReset, Compression, HttpSettings, KafkaSettings, LogLevel, LoggingSettings, Settings, load_settings,
    parse_settings,
};
pub use source_file::{Position, SourceFile, Span};
pub use types::{TypeError, parse_type, type_name};
