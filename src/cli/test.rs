//! `kaflowsql test`: the `tests:` blocks of pipelines, on the real stages and a virtual clock.

mod difference;
mod junit;
mod report;
mod session;
mod update;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use self::report::{FileReport, Style};
use self::session::{Tested, run_test};
use super::arguments::TestArguments;
use super::load::{self, fields_of, pipeline_files, plan_of, reported};
use crate::config::{Pipeline, Settings, TestAction, load_pipeline};
use crate::decode::infer;
use crate::error::{Error, Result};
use crate::plan::{Catalog, Fields, Plan};

/// Exit code where a test has failed.
const FAILED: u8 = 1;
/// Exit code where a file can't be used.
const MISTAKEN: u8 = 2;

/// Runs the tests and tells what became of them.
pub(super) fn test(arguments: &TestArguments) -> Result<ExitCode> {
    let settings = load::settings(arguments.config.as_deref())?;
    let files = pipeline_files(&arguments.pipelines)?;
    let style = Style::for_terminal(std::io::stdout().is_terminal() && !arguments.json);
    let mut reports = Vec::new();
    let mut broken = 0;
    for file in &files {
        match test_file(file, &settings, arguments) {
            Ok(report) => {
                if !arguments.json {
                    print(&report.to_text(&style))?;
                }
                reports.push(report);
            }
            Err(Error::Mistake(text)) => {
                broken += 1;
                eprintln!("{}", text.trim_end());
            }
            Err(other) => return Err(other),
        }
    }
    if let Some(path) = &arguments.junit {
        std::fs::write(path, junit::to_xml(&reports))
            .map_err(|error| Error::Stop(format!("{}: can't be written: {error}", path.display())))?;
    }
    if arguments.json {
        print(&format!("{}\n", report::to_json(&reports)))?;
    } else if reports.iter().any(|report| !report.tests.is_empty()) || broken > 0 {
        print(&report::summary(&reports, broken, &style))?;
    }
    if broken > 0 {
        return Ok(ExitCode::from(MISTAKEN));
    }
    if reports.iter().all(|report| report.tests.is_empty()) {
        return Err(nothing_found(arguments, &reports));
    }
    let failed = reports.iter().flat_map(|report| &report.tests).any(|test| !test.passed());
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn print(text: &str) -> Result<()> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))
}

fn nothing_found(arguments: &TestArguments, reports: &[FileReport]) -> Error {
    let all: usize = reports.iter().map(|report| report.left_out).sum();
    let of = if reports.len() == 1 { "the pipeline has" } else { "the pipelines have" };
    Error::Mistake(match &arguments.filter {
        Some(filter) if all > 0 => format!("the name of none of {all} tests holds `{filter}`"),
        _ => format!("nothing was tested: {of} no `tests:` block; docs/guide.md shows one"),
    })
}

/// Runs the tests of one file.
fn test_file(file: &Path, settings: &Settings, arguments: &TestArguments) -> Result<FileReport> {
    let pipeline = load_pipeline(file).map_err(reported)?;
    let mut report = FileReport { file: Arc::clone(&pipeline.file), tests: Vec::new(), left_out: 0 };
    if pipeline.tests.is_empty() {
        return Ok(report);
    }
    let plan = Arc::new(plan_with_samples(&pipeline, settings)?);
    for test in &pipeline.tests {
        if arguments.filter.as_ref().is_some_and(|filter| !test.name.contains(filter)) {
            report.left_out += 1;
            continue;
        }
        report.tests.push(run_test(&plan, &pipeline, test));
    }
    if arguments.update {
        update::update(file, &pipeline, &mut report.tests)?;
    }
    Ok(report)
}

/// The plan; the columns of tables that declare none are guessed from the records of all tests of the file.
fn plan_with_samples(pipeline: &Pipeline, settings: &Settings) -> Result<Plan> {
    let mut samples: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for step in pipeline.tests.iter().flat_map(|test| &test.steps) {
        if let TestAction::Record(record) = &step.action {
            samples.entry(&record.table).or_default().extend(record.value.as_deref());
        }
    }
    let mut sampler = |table: &str, _: &str, event_time: Option<&str>| -> Result<Fields> {
        let sample = samples.get(table).map(Vec::as_slice).unwrap_or_default();
        let fields = infer(sample.iter().copied(), event_time).fields;
        if fields.is_empty() {
            let mut mistakes = pipeline.warnings.clone();
            let message =
                format!("the columns of `{table}` are not declared, and no test has a record to guess them from");
            let help = format!("declare them: sources.{table}.schema");
            mistakes.at_key(&["tests"], message, Some(help));
            return Err(reported(mistakes));
        }
        Ok(fields)
    };
    let fields = fields_of(pipeline, &mut sampler)?;
    plan_of(pipeline, &fields, settings, &Catalog::new()).map_err(reported)
}

impl Tested {
    /// Whether all that was expected came, and nothing else.
    fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}
