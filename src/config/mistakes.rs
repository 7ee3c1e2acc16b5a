//! Everything wrong in one file, each with its place and the way out.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::place;
use super::source_file::{SourceFile, Span};
use crate::error::Error;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be used.
    Mistake,
    /// The file can be used, though hardly as its author means it.
    Warning,
}

impl Severity {
    /// The name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Mistake => "mistake",
            Severity::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// How bad it is.
    pub severity: Severity,
    /// Where; absent for the file as a whole.
    pub span: Option<Span>,
    /// What is wrong: which, expected, actual.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Mistake {
    pub(super) fn new(span: Option<Span>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { severity: Severity::Mistake, span, message: message.into(), help }
    }
}

/// All that is wrong in one file, in the order of the file.
#[derive(Clone, Debug)]
pub struct Mistakes {
    source: Arc<SourceFile>,
    found: Vec<Mistake>,
}

impl Mistakes {
    /// Nothing wrong so far.
    pub fn new(source: Arc<SourceFile>) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds a mistake in the value at `path`: keys in snake_case, the places of list items as numbers.
    pub fn at(&mut self, path: &[&str], message: impl Into<String>, help: Option<String>) {
        let span = self.source.value_span(path);
        self.add(Mistake::new(span, message, help));
    }

    /// Adds a mistake at the last key of `path`.
    pub fn at_key(&mut self, path: &[&str], message: impl Into<String>, help: Option<String>) {
        let span = self.source.key_span(path);
        self.add(Mistake::new(span, message, help));
    }

    /// Adds a mistake inside the pipeline's `query`. `start` is the (line, column) of its first character and `end` of
    /// the one after its last, both from 1, in characters of the query as SQL parsers count them. Without an `end`
    /// it is the word at `start`.
    pub fn in_query(
        &mut self,
        start: (u64, u64),
        end: Option<(u64, u64)>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let span = self.query_span(start, end);
        self.add(Mistake::new(span, message, help));
    }

    /// Adds a warning at the last key of `path`.
    pub fn warn_at_key(&mut self, path: &[&str], message: impl Into<String>, help: Option<String>) {
        let span = self.source.key_span(path);
        self.add(Mistake { severity: Severity::Warning, ..Mistake::new(span, message, help) });
    }

    /// Adds a warning inside the pipeline's `query`; places as for `in_query`.
    pub fn warn_in_query(
        &mut self,
        start: (u64, u64),
        end: Option<(u64, u64)>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let span = self.query_span(start, end);
        self.add(Mistake { severity: Severity::Warning, ..Mistake::new(span, message, help) });
    }

    /// Adds what was found elsewhere in the same file.
    pub fn add(&mut self, mistake: Mistake) {
        let after = |other: &Mistake| (other.span.map(|span| span.start)) <= (mistake.span.map(|span| span.start));
        let at = self.found.partition_point(after);
        self.found.insert(at, mistake);
    }

    /// What is wrong, in the order of the file.
    pub fn found(&self) -> &[Mistake] {
        &self.found
    }

    /// The file.
    pub fn source(&self) -> &Arc<SourceFile> {
        &self.source
    }

    /// Whether nothing is wrong, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether the file can't be used.
    pub fn is_fatal(&self) -> bool {
        self.found.iter().any(|mistake| mistake.severity == Severity::Mistake)
    }

    /// For `--json`: one object per mistake, lines and columns from 1, columns in characters, ends
    /// exclusive; null for the file as a whole.
    pub fn to_json(&self) -> Value {
        self.found.iter().map(|mistake| self.entry(mistake)).collect()
    }

    fn entry(&self, mistake: &Mistake) -> Value {
        let mut entry = json!({"file": self.source.name()});
        let start = mistake.span.map(|span| self.source.position(span.start));
        let end = mistake.span.map(|span| self.source.position(span.end));
        entry["line"] = start.map(|start| start.line).into();
        entry["column"] = start.map(|start| start.column).into();
        entry["end_line"] = end.map(|end| end.line).into();
        entry["end_column"] = end.map(|end| end.column).into();
        entry["severity"] = mistake.severity.name().into();
        entry["message"] = mistake.message.as_str().into();
        entry["help"] = mistake.help.as_deref().into();
        entry
    }

    fn query_span(&self, start: (u64, u64), end: Option<(u64, u64)>) -> Option<Span> {
        let Some(node) = self.source.node(&["query"]) else { return self.source.value_span(&["query"]) };
        let text = node.text().unwrap_or_default();
        let start = place::index_of(text, start.0, start.1);
        let end = end.map(|(line, column)| place::index_of(text, line, column)).filter(|end| *end > start);
        Some(place::place(self.source.text(), node, start, end))
    }
}

/// The report without colours.
impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Error::Mistake(mistakes.render(false))
    }
}
