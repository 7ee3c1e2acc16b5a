//! `kaflowsql validate`: everything that is wrong with pipelines, at once.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::arguments::ValidateArguments;
use super::load::{declared_fields, fields_of, pipeline_files, plan_of, settings};
use super::sample::topic_sampler;
use crate::config::{Mistakes, Pipeline, Settings, load_pipeline};
use crate::error::{Error, Result};
use crate::plan::{Catalog, parse, tables_of};

/// Checks the files and prints what is wrong.
pub(super) fn validate(arguments: &ValidateArguments) -> Result<()> {
    let settings = settings(arguments.config.as_deref())?;
    let files = pipeline_files(&arguments.pipelines)?;
    let mut found = Vec::new();
    for file in &files {
        found.extend(check(file, &settings, arguments.offline)?);
    }
    let wrong = found.iter().filter(|it| it.is_fatal() || arguments.deny_warnings).count();
    if arguments.json {
        let all: Vec<Value> =
            found.iter().flat_map(|mistakes| mistakes.to_json().as_array().cloned().unwrap_or_default()).collect();
        let text = serde_json::to_string_pretty(&all).expect("BUG: a report can't be written as JSON");
        writeln!(std::io::stdout(), "{text}")
            .map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))?;
    } else {
        for mistakes in &found {
            eprintln!("{}", mistakes.render(std::io::stderr().is_terminal()));
        }
    }
    if wrong > 0 {
        return Err(Error::Mistake(format!("{wrong} of {} files can't be run", files.len())));
    }
    eprintln!("{} of {} files can be run", files.len(), files.len());
    Ok(())
}

/// What is wrong with one file, if anything.
fn check(file: &Path, settings: &Settings, offline: bool) -> Result<Option<Mistakes>> {
    let pipeline = match load_pipeline(file) {
        Ok(pipeline) => pipeline,
        Err(mistakes) => return Ok(Some(mistakes)),
    };
    let undeclared = undeclared(&pipeline);
    if offline && !undeclared.is_empty() {
        let mut warnings = Mistakes::new(Arc::clone(&pipeline.file));
        let tables = undeclared.join(", ");
        let message = format!("no columns are declared for {tables}, so the query was not checked");
        warnings.warn_at_key(&["query"], message, Some("declare them under `sources`, or leave --offline out".into()));
        return Ok(Some(warnings));
    }
    let fields = match undeclared.is_empty() {
        true => declared_fields(&pipeline),
        false => fields_of(&pipeline, &mut topic_sampler(settings))?,
    };
    Ok(plan_of(&pipeline, &fields, settings, &Catalog::new()).err())
}

fn undeclared(pipeline: &Pipeline) -> Vec<String> {
    let declared = declared_fields(pipeline);
    let read = parse(&pipeline.query).map(|query| tables_of(&query)).unwrap_or_default();
    read.into_iter().filter(|table| !declared.contains_key(table)).collect()
}
