//! `--update`: what came out into the `expect:` lists of the file; everything else of it stays as it is, byte for byte.

use std::path::Path;

use super::difference::Change;
use super::session::{Tested, WrongList};
use crate::config::{ExpectedItem, ExpectedList, Pipeline, PipelineTest, Span, TestAction, TestValue, parse_pipeline};
use crate::error::{Error, Result};

/// A line that would get longer becomes several.
const LINE_LETTERS_MAX: usize = 120;

/// What stands instead of some bytes of the file.
type Edit = (Span, String);

/// Writes the lists that differ into the file at `path`; the tests say so, and don't fail for them any more.
pub(super) fn update(path: &Path, pipeline: &Pipeline, tests: &mut [Tested]) -> Result<()> {
    let text = pipeline.file.text();
    let mut edits: Vec<Edit> = Vec::new();
    for test in tests.iter_mut() {
        let (lists, others) =
            std::mem::take(&mut test.failures).into_iter().partition(|failure| failure.list.is_some());
        test.failures = others;
        let lists: Vec<super::session::Failure> = lists;
        test.updated = !lists.is_empty();
        lists.iter().filter_map(|failure| failure.list.as_ref()).for_each(|list| List { text, list }.edit(&mut edits));
    }
    if edits.is_empty() {
        return Ok(());
    }
    let updated = apply(text, edits);
    let name = pipeline.file.name();
    let same_but_for_lists = parse_pipeline(name, updated.clone(), &|variable| std::env::var(variable).ok())
        .is_ok_and(|read| is_like(&pipeline.tests, &read.tests));
    if !same_but_for_lists {
        let what = "an `expect` is written in a way (an anchor or alias, braces over several lines) that can't be";
        return Err(Error::Stop(format!("{name}: {what} updated; nothing was changed: write it by hand")));
    }
    let write = || -> std::io::Result<()> {
        let has_mark = std::fs::read(path)?.starts_with("\u{feff}".as_bytes());
        std::fs::write(path, if has_mark { format!("\u{feff}{updated}") } else { updated.clone() })
    };
    write().map_err(|error| Error::Stop(format!("{name}: can't be updated: {error}")))
}

/// Whether the same records come and the same things are asked, whatever the answers.
fn is_like(before: &[PipelineTest], after: &[PipelineTest]) -> bool {
    let shape = |tests: &[PipelineTest]| -> Vec<String> {
        let steps = tests.iter().flat_map(|test| {
            let name = std::iter::once(format!("test {}", test.name));
            name.chain(test.steps.iter().map(|step| match &step.action {
                TestAction::Record(record) => {
                    format!("{} {:?} {:?} {:?}", record.table, record.key, record.value, record.at_ms)
                }
                TestAction::Advance(by_ms) => format!("advance {by_ms}"),
                TestAction::Expect(it) => format!("expect {} {}", it.rows.is_some(), it.dead_letters.is_some()),
            }))
        });
        steps.collect()
    };
    shape(before) == shape(after)
}

/// `name: value`.
fn field_line(name: &str, value: &TestValue) -> String {
    let whole = TestValue::Object(vec![(name.to_string(), value.clone())]).to_yaml(false);
    whole[1..whole.len() - 1].to_string()
}

/// The text with the edits, which do not overlap.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    // An insertion comes before what is taken out at the same place.
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, instead) in edits {
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(&instead);
        at = at.max(span.end);
    }
    out.push_str(&text[at..]);
    out
}

/// A list that differs, in its file.
struct List<'t> {
    text: &'t str,
    list: &'t WrongList,
}

impl List<'_> {
    fn edit(&self, edits: &mut Vec<Edit>) {
        let ExpectedList { key_span, span, items } = &self.list.expected;
        let written = &self.text[span.start..span.end];
        let is_absent = span == key_span || items.is_empty() && !written.starts_with('[');
        let is_changed = |change: &Change| matches!(change, Change::Same(..) | Change::Changed(..));
        if !is_absent && self.list.changes.iter().all(is_changed) {
            self.edit_items(edits);
        } else if is_absent || written.starts_with('[') {
            let colon = key_span.end + self.text[key_span.end..].find(':').map_or(0, |colon| colon + 1);
            let place = if span == key_span { Span { start: colon, end: colon } } else { *span };
            let value = self.whole(if is_absent { "" } else { written });
            // No blank is left before a line break.
            let start = if value.starts_with('\n') {
                self.text[..place.start].trim_end_matches(' ').len()
            } else {
                place.start
            };
            let blank = if span == key_span && !value.starts_with('\n') { " " } else { "" };
            edits.push((Span { start, end: place.end }, format!("{blank}{value}")));
        } else if self.list.actual.is_empty() {
            let colon = key_span.end + self.text[key_span.end..].find(':').map_or(0, |colon| colon + 1);
            edits.push((Span { start: colon, end: colon }, " []".to_string()));
            edits.push((Span { start: self.line_start(span.start) - 1, end: span.end }, String::new()));
        } else {
            self.edit_items(edits);
        }
    }

    /// The list anew, as `written` or as lists usually are.
    fn whole(&self, written: &str) -> String {
        let padded_list = written.starts_with("[ ");
        let padded = written.contains("{ ");
        let rows: Vec<String> = self.list.actual.iter().map(|row| row.to_yaml(padded)).collect();
        let pad = if padded_list && !rows.is_empty() { " " } else { "" };
        let line = format!("[{pad}{}{pad}]", rows.join(", "));
        let key = self.list.expected.key_span;
        let line_start = self.line_start(key.start);
        let indent = key.start - line_start;
        let is_block = self.text[line_start..key.start].chars().all(|letter| matches!(letter, ' ' | '-'));
        let length = self.text[line_start..key.end].chars().count() + 2 + line.chars().count();
        if written.contains('\n') {
            let rows: Vec<String> = rows.iter().map(|row| format!("\n{}{row}", " ".repeat(indent + 2))).collect();
            return format!("[{}\n{}]", rows.join(","), " ".repeat(indent));
        }
        if !is_block || length <= LINE_LETTERS_MAX {
            return line;
        }
        rows.iter().map(|row| format!("\n{}- {row}", " ".repeat(indent + 2))).collect()
    }

    /// Rows of a list of lines: those that are right keep theirs.
    fn edit_items(&self, edits: &mut Vec<Edit>) {
        let ExpectedList { span, items, .. } = &self.list.expected;
        let first = items.first().map_or(*span, |item| item.span);
        let dash = &self.text[self.line_start(first.start)..first.start];
        let mut behind = self.line_start(first.start).saturating_sub(1);
        for change in &self.list.changes {
            match change {
                Change::Same(place, _) => behind = self.line_end(items[*place].span.end),
                Change::Changed(place, came) => {
                    let span = items[*place].span;
                    if !self.edit_fields(&items[*place], *came, edits) {
                        edits.push((span, self.row(*came, span)));
                    }
                    behind = self.line_end(span.end);
                }
                Change::Missing(place) => {
                    let span = items[*place].span;
                    behind = self.line_end(span.end);
                    edits.push((Span { start: self.line_start(span.start) - 1, end: behind }, String::new()));
                }
                Change::Unexpected(came) => {
                    let row = self.row(*came, first);
                    edits.push((Span { start: behind, end: behind }, format!("\n{dash}{row}")));
                }
            }
        }
    }

    /// Only the values that differ, and the columns that are left out; not where the row has others than came out.
    fn edit_fields(&self, item: &ExpectedItem, came: usize, edits: &mut Vec<Edit>) -> bool {
        let row = &self.list.actual[came];
        let (Some(expected), Some(actual)) = (item.value.fields(), row.fields()) else { return false };
        let Some(spans) = item.fields.iter().copied().collect::<Option<Vec<Span>>>() else { return false };
        let Some(last) = spans.last() else { return false };
        if expected.iter().any(|(name, _)| row.field(name).is_none()) {
            return false;
        }
        let is_flow = self.text[item.span.start..].starts_with('{');
        for ((name, value), span) in expected.iter().zip(&spans) {
            if let Some(other) = row.field(name).filter(|other| *other != value) {
                edits.push((*span, other.to_yaml(false)));
            }
        }
        let indent = " ".repeat(item.span.start - self.line_start(item.span.start));
        let at = if is_flow { last.end } else { self.line_end(last.end) };
        for (name, value) in actual.iter().filter(|(name, _)| item.value.field(name).is_none()) {
            let line = field_line(name, value);
            let added = if is_flow { format!(", {line}") } else { format!("\n{indent}{line}") };
            edits.push((Span { start: at, end: at }, added));
        }
        true
    }

    /// A row as the one at `like` is written: in braces, or a line a column.
    fn row(&self, came: usize, like: Span) -> String {
        let row = &self.list.actual[came];
        let written = &self.text[like.start..like.end];
        match row.fields() {
            Some(fields) if !written.starts_with('{') && !fields.is_empty() => {
                let indent = " ".repeat(like.start - self.line_start(like.start));
                fields
                    .iter()
                    .map(|(name, value)| field_line(name, value))
                    .collect::<Vec<_>>()
                    .join(&format!("\n{indent}"))
            }
            _ => row.to_yaml(written.starts_with("{ ")),
        }
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Where the line break of a line is.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        self.text[..end].strip_suffix('\r').map_or(end, str::len)
    }
}
