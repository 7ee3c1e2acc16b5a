//! `kaflowsql explain`: what a pipeline reads, remembers, joins and computes.

use std::io::Write;

use super::arguments::ExplainArguments;
use super::load;
use super::sample::topic_sampler;
use crate::error::{Error, Result};

/// Prints the plan.
pub(super) fn explain(arguments: &ExplainArguments) -> Result<()> {
    let settings = load::settings(arguments.config.as_deref())?;
    let loaded = load::load(&arguments.pipeline, &settings, &mut topic_sampler(&settings))?;
    let pipeline = &loaded.pipeline;
    let mut out = std::io::stdout().lock();
    let key = pipeline.output.key.as_deref().unwrap_or("none");
    writeln!(
        out,
        "pipeline {}\n\n{}\noutput\n  topic {}, key {key}, dead letters to {}",
        pipeline.name, loaded.plan, pipeline.output.topic, pipeline.output.dead_letter
    )
    .map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))
}
