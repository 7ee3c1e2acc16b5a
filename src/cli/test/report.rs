//! What became of tests, for a person and for programs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::difference::{Change, columns};
use super::session::{Failure, Tested, WrongList};
use crate::config::{SourceFile, TestValue};

/// What became of the tests of a file.
pub(super) struct FileReport {
    /// The file.
    pub(super) file: Arc<SourceFile>,
    /// The tests that were run.
    pub(super) tests: Vec<Tested>,
    /// How many `--filter` left out.
    pub(super) left_out: usize,
}

/// Colours, where there are any.
pub(super) struct Style {
    red: &'static str,
    green: &'static str,
    dim: &'static str,
    plain: &'static str,
}

impl Style {
    /// Colours for a terminal whose user wants them (`NO_COLOR`), none for all else.
    pub(super) fn for_terminal(is_terminal: bool) -> Self {
        match is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
            true => Self { red: "\x1b[31m", green: "\x1b[32m", dim: "\x1b[2m", plain: "\x1b[0m" },
            false => Self { red: "", green: "", dim: "", plain: "" },
        }
    }
}

impl FileReport {
    /// The file's name, a line a test, and what is wrong with it.
    pub(super) fn to_text(&self, style: &Style) -> String {
        let Style { red, green, dim, plain } = style;
        let name = self.file.name();
        if self.tests.is_empty() {
            let why = if self.left_out > 0 { "none with such a name" } else { "no tests" };
            return format!("{name}: {dim}{why}{plain}\n");
        }
        let mut text = format!("{name}\n");
        for test in &self.tests {
            let (colour, mark) = if test.passed() { (green, '✓') } else { (red, '✗') };
            let updated = if test.updated { "updated, " } else { "" };
            let (name, took) = (one_line(&test.name), ms(test.took));
            text.push_str(&format!("  {colour}{mark}{plain} {name} {dim}({updated}{took} ms){plain}\n"));
            test.failures.iter().for_each(|failure| self.failure(failure, style, &mut text));
        }
        text
    }

    /// Where something is, as editors understand it.
    pub(super) fn place(&self, failure: &Failure) -> String {
        let at = self.file.position(failure.span.start);
        format!("{}:{}:{}", self.file.name(), at.line, at.column)
    }

    fn failure(&self, failure: &Failure, style: &Style, text: &mut String) {
        text.push_str(&format!("      {}: {}\n", self.place(failure), failure.message.replace('\n', "\n      ")));
        for line in failure.list.iter().flat_map(WrongList::lines) {
            let colour = match line.chars().next() {
                Some('-') => style.red,
                Some('+') => style.green,
                _ => "",
            };
            let plain = if colour.is_empty() { "" } else { style.plain };
            text.push_str(&format!("        {colour}{line}{plain}\n"));
        }
        if let Some(help) = &failure.help {
            text.push_str(&format!("      help: {help}\n"));
        }
    }
}

impl WrongList {
    /// A difference as people read them: `-` what was expected, `+` what came, and between them the columns.
    pub(super) fn lines(&self) -> Vec<String> {
        let expected = |place: &usize| format!("- {}", self.expected.items[*place].value.to_json());
        let actual = |came: &usize| format!("+ {}", self.actual[*came].to_json());
        let mut lines = Vec::new();
        for change in &self.changes {
            match change {
                Change::Same(_, came) => lines.push(format!("  {}", self.actual[*came].to_json())),
                Change::Missing(place) => lines.push(expected(place)),
                Change::Unexpected(came) => lines.push(actual(came)),
                Change::Changed(place, came) => {
                    lines.push(expected(place));
                    lines.push(actual(came));
                    let differing = columns(&self.expected.items[*place].value, &self.actual[*came]);
                    lines.extend(differing.into_iter().map(|column| format!("    {column}")));
                }
            }
        }
        lines
    }
}

/// The last line.
pub(super) fn summary(reports: &[FileReport], broken: usize, style: &Style) -> String {
    let tests = || reports.iter().flat_map(|report| &report.tests);
    let (all, failed) = (tests().count(), tests().filter(|test| !test.passed()).count());
    let updated = tests().filter(|test| test.updated).count();
    let mut parts = vec![format!("{} passed", all - failed)];
    let mut part = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    part(failed, "failed");
    part(updated, "updated");
    part(reports.iter().map(|report| report.left_out).sum(), "left out");
    part(broken, if broken == 1 { "file with mistakes" } else { "files with mistakes" });
    let colour = if failed + broken > 0 { style.red } else { style.green };
    let of = if all == 1 { "1 test".to_string() } else { format!("{all} tests") };
    let took = tests().map(|test| test.took).sum();
    format!("\n{colour}{of}: {}{} in {} ms\n", parts.join(", "), style.plain, ms(took))
}

/// All of it for programs: one object.
pub(super) fn to_json(reports: &[FileReport]) -> String {
    let values = |values: &[TestValue]| -> Vec<Value> {
        values.iter().filter_map(|value| serde_json::from_str(&value.to_json()).ok()).collect()
    };
    let failure = |report: &FileReport, failure: &Failure| {
        let at = report.file.position(failure.span.start);
        let mut entry = json!({
            "line": at.line, "column": at.column, "message": failure.message, "help": failure.help,
        });
        if let Some(list) = &failure.list {
            let expected: Vec<TestValue> = list.expected.items.iter().map(|item| item.value.clone()).collect();
            entry["expected"] = values(&expected).into();
            entry["actual"] = values(&list.actual).into();
        }
        entry
    };
    let mut tests = Vec::new();
    for report in reports {
        for test in &report.tests {
            let failures: Vec<Value> = test.failures.iter().map(|found| failure(report, found)).collect();
            tests.push(json!({
                "file": report.file.name(), "line": report.file.position(test.span.start).line, "name": test.name,
                "passed": test.passed(), "updated": test.updated, "ms": ms(test.took), "failures": failures,
            }));
        }
    }
    let failed = reports.iter().flat_map(|report| &report.tests).filter(|test| !test.passed()).count();
    let whole = json!({"passed": tests.len() - failed, "failed": failed, "tests": tests});
    serde_json::to_string_pretty(&whole).expect("BUG: a report can't be written as JSON")
}

fn ms(took: Duration) -> u64 {
    took.as_millis() as u64
}

/// A name must not steer a terminal.
fn one_line(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
