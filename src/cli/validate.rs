//! `kaflowsql validate`: everything that is wrong with pipelines, at once.

use std::io::{IsTerminal, Write};
use std::path::Path;

use serde_json::Value;

use super::arguments::ValidateArguments;
use super::load::{fields_of, mistakes_offline, pipeline_files, planned, settings_in, undeclared};
use super::sample::topic_sampler;
use crate::config::{Mistakes, Settings, load_pipeline};
use crate::error::{Error, Result};

/// Checks the files and prints what is wrong.
pub(super) fn validate(arguments: &ValidateArguments) -> Result<()> {
    let mut found = Vec::new();
    let settings = settings_in(arguments.config.as_deref()).unwrap_or_else(|mistakes| {
        found.push(mistakes);
        Settings::default()
    });
    let files = pipeline_files(&arguments.pipelines)?;
    for file in &files {
        found.push(check(file, &settings, arguments.offline)?);
    }
    found.retain(|mistakes| !mistakes.is_empty());
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
    let wrong = found.iter().filter(|mistakes| mistakes.is_fatal()).count();
    let of = if files.len() == 1 { "1 pipeline".to_string() } else { format!("{} pipelines", files.len()) };
    match (wrong, found.len()) {
        (0, 0) => eprintln!("{of} checked: nothing wrong"),
        (0, _) if !arguments.deny_warnings => eprintln!("{of} checked: no mistakes"),
        (0, warned) => {
            return Err(Error::Mistake(format!("{of} checked: warnings in {warned}, which --deny-warnings denies")));
        }
        (wrong, _) => return Err(Error::Mistake(format!("{of} checked: mistakes in {wrong}"))),
    }
    Ok(())
}

/// What is wrong with one file.
fn check(file: &Path, settings: &Settings, offline: bool) -> Result<Mistakes> {
    let pipeline = match load_pipeline(file) {
        Ok(pipeline) => pipeline,
        Err(mistakes) => return Ok(mistakes),
    };
    let undeclared = undeclared(&pipeline);
    let mut mistakes = mistakes_offline(&pipeline, settings);
    if undeclared.is_empty() {
        return Ok(mistakes);
    }
    if offline {
        let message =
            format!("no columns are declared for {}, so the query was checked in part", undeclared.join(", "));
        mistakes.warn_at_key(&["query"], message, Some("declare them under `sources`, or leave --offline out".into()));
    } else if !mistakes.is_fatal() {
        return Ok(planned(&pipeline, &fields_of(&pipeline, &mut topic_sampler(settings))?, settings));
    }
    Ok(mistakes)
}
