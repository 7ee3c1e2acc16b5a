//! One file as it was written: its text, its tree, and where each byte is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::mistakes::{Mistake, Mistakes};
use super::yaml::{self, Node, Value};
use super::{environment, secrets};

/// A range of bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A place for people and editors: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A config file or pipeline file, and the tree that was read from it.
pub struct SourceFile {
    name: String,
    text: String,
    shown: String,
    line_starts: Vec<usize>,
    tree: Option<Node>,
}

impl SourceFile {
    /// The text of the file at `path`.
    pub(super) fn read(path: &Path) -> Result<String, Mistakes> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            let mut mistakes = Mistakes::new(Arc::new(Self::new(&name, String::new(), None)));
            mistakes.add(Mistake::new(None, format!("can't read the file: {error}"), None));
            mistakes
        })?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mut mistakes = Mistakes::new(Arc::new(Self::new(&name, text, None)));
            let span = Span { start: valid, end: valid + char::REPLACEMENT_CHARACTER.len_utf8() };
            let help = Some("save the file as UTF-8".to_string());
            mistakes.add(Mistake::new(Some(span), "the text is not UTF-8 here", help));
            mistakes
        })
    }

    /// The file with its tree, the environment's variables replaced, and what was wrong up to there.
    pub(super) fn parse(name: &str, text: String, lookup: &environment::Lookup<'_>) -> Mistakes {
        let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
        let (mut tree, mut found) = yaml::parse(&text);
        if let Some(tree) = &mut tree {
            found.extend(environment::expand(&text, tree, lookup));
        }
        let mut mistakes = Mistakes::new(Arc::new(Self::new(name, text, tree)));
        found.into_iter().for_each(|mistake| mistakes.add(mistake));
        mistakes
    }

    /// A file called `name`; `tree` is absent where `text` is not YAML.
    pub(super) fn new(name: &str, text: String, tree: Option<Node>) -> Self {
        let line_starts = line_starts(&text);
        let shown = secrets::mask(&text, tree.as_ref());
        Self { name: name.to_string(), text, shown, line_starts, tree }
    }

    /// The path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file holds, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as it may be shown: as long as `text`, with secrets and control characters masked.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The tree, where the file is YAML and not empty.
    pub(super) fn tree(&self) -> Option<&Node> {
        self.tree.as_ref()
    }

    /// Line and column of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= byte);
        let start = self.line_starts[line - 1];
        let end = floor_char_boundary(&self.text, byte.min(self.text.len()));
        Position { line, column: self.text[start..end].chars().count() + 1 }
    }

    /// The bytes of a line (counted from 1), without its line break.
    pub(super) fn line_span(&self, line: usize) -> Span {
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        Span { start, end: start + self.text[start..end].trim_end_matches(['\n', '\r']).len() }
    }

    /// How many lines there are, an empty last one included.
    pub(super) fn lines(&self) -> usize {
        self.line_starts.len()
    }

    /// The node at `path`: keys in either spelling, places of list items as numbers.
    pub(super) fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self.tree.as_ref()?, |node, step| node.child(step))
    }

    /// The span of the value at `path`, or of the nearest thing above it.
    pub fn value_span(&self, path: &[&str]) -> Option<Span> {
        (0..=path.len()).rev().find_map(|depth| match self.node(&path[..depth]) {
            Some(node) if depth == path.len() => Some(node.span),
            Some(_) if depth > 0 => self.key_span(&path[..depth]),
            Some(_) => Some(Span { start: 0, end: 0 }),
            None => None,
        })
    }

    /// The span of the last key of `path` (for a list item, of the item), or of the nearest key above it.
    pub fn key_span(&self, path: &[&str]) -> Option<Span> {
        let (last, above) = path.split_last()?;
        let Some(node) = self.node(above) else { return self.key_span(above) };
        match &node.value {
            Value::Mapping(_) => node.entry(last).map(|entry| entry.key_span),
            _ => node.child(last).map(|item| item.span),
        }
        .or_else(|| self.key_span(above))
    }
}

/// Neither text nor tree, because both may hold secrets.
impl fmt::Debug for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SourceFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The first byte of each line; lines end as in YAML, with `\n`, `\r\n` or `\r`.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let breaks = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
}

/// The last character boundary at or before `byte`.
pub(super) fn floor_char_boundary(text: &str, byte: usize) -> usize {
    (0..=byte).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
