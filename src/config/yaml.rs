//! YAML text to a tree that knows where each of its nodes stands.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::mistakes::Mistake;
use super::source_file::Span;

/// The largest file that is read; the parser looks ahead, so this also bounds its time.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How deep lists and mappings may nest.
const DEPTH_MAX: usize = 64;
/// How many nodes and bytes of text aliases may add: enough for any pipeline, too few for a "billion laughs".
const ALIAS_COST_MAX: usize = 1 << 20;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands; that of an absent value is its key's.
    pub span: Span,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Text, a number, true, false or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file; no key comes twice.
    Mapping(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// A scalar, decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// Its text, unquoted and unfolded.
    pub text: String,
    /// How it is written.
    pub style: ScalarStyle,
    /// What the environment made of it.
    pub expansion: Expansion,
}

/// What the environment made of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expansion {
    /// Nothing: the text is what stands in the file.
    None,
    /// Its variables are replaced.
    Done,
    /// A variable is missing, which is a mistake of its own: nothing more is said about this scalar.
    Failed,
}

/// What a scalar is by the core schema of YAML 1.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float,
    /// Text.
    Text,
}

impl Scalar {
    /// What the scalar is: whatever is quoted or a block is text.
    pub fn plain(&self) -> Plain {
        match self.style {
            ScalarStyle::Plain => plain_type(&self.text),
            _ => Plain::Text,
        }
    }
}

impl Node {
    /// The entry whose key is `key`, or is `key` in camelCase.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let Value::Mapping(entries) = &self.value else { return None };
        let camel = super::schema::to_camel(key);
        entries.iter().find(|entry| entry.key == key).or_else(|| entries.iter().find(|entry| entry.key == camel))
    }

    /// The value of the key `step`, or the item at the place `step`.
    pub fn child(&self, step: &str) -> Option<&Node> {
        match &self.value {
            Value::Mapping(_) => self.entry(step).map(|entry| &entry.value),
            Value::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            Value::Scalar(_) => None,
        }
    }

    /// The scalar, if it is one, not nothing, and known.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.plain() != Plain::Null && !self.is_unknown() => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether it is a scalar of which a variable is missing.
    pub fn is_unknown(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.expansion == Expansion::Failed)
    }

    /// Whether there is nothing here.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.plain() == Plain::Null)
    }

    fn cost(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.text.len(),
            Value::Sequence(items) => items.iter().map(Node::cost).sum(),
            Value::Mapping(entries) => entries.iter().map(|entry| 1 + entry.key.len() + entry.value.cost()).sum(),
        }
    }
}

/// What a text that is not quoted is.
pub(super) fn plain_type(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Boolean(true),
        "false" | "False" | "FALSE" => return Plain::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "-.inf" | "+.inf" | ".nan" | ".NaN" | ".NAN" => return Plain::Float,
        _ => {}
    }
    let radix =
        |digits: &str, radix| i128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']));
    let integer = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => radix(digits, 16),
        (_, Some(digits)) => radix(digits, 8),
        _ => text.parse().ok(),
    };
    match integer {
        Some(number) => Plain::Integer(number),
        None if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map_or(Plain::Text, |_| Plain::Float)
        }
        None => Plain::Text,
    }
}

/// Reads `text`. No tree: the file is empty, or broken beyond the mistakes returned.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Mistake>) {
    if let Some(mistake) = unreadable(text) {
        return (None, vec![mistake]);
    }
    let mut builder = Builder::new(text);
    for event in Parser::new_from_str(text) {
        let step = event.map_err(|error| builder.syntax(&error)).and_then(|(event, span)| {
            let span = builder.span(span.start, span.end);
            builder.event(event, span)
        });
        if let Err(mistake) = step {
            builder.found.push(mistake);
            return (None, builder.found);
        }
    }
    (builder.root, builder.found)
}

fn unreadable(text: &str) -> Option<Mistake> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are read", text.len());
        return Some(Mistake::new(None, message, None));
    }
    let forbidden = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r' | '\u{85}');
    let (at, letter) = text.char_indices().find(|(_, letter)| forbidden(*letter) || *letter == '\u{feff}')?;
    let span = Span { start: at, end: at + letter.len_utf8() };
    let help = "in a double-quoted text it can be written as an escape, \"\\x1b\" for instance".to_string();
    Some(Mistake::new(
        Some(span),
        format!("the character U+{:04X} can't stand in a YAML file", letter as u32),
        Some(help),
    ))
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashMap<String, usize>, key: Key },
}

enum Key {
    Awaited,
    Read(String, Span),
    /// It was a mistake, so its value is read over.
    Wrong,
}

struct Builder<'t> {
    text: &'t str,
    /// The byte of each character: the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    alias_cost: usize,
    documents: usize,
    root: Option<Node>,
    found: Vec<Mistake>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self {
            text,
            bytes,
            open: Vec::new(),
            anchors: HashMap::new(),
            alias_cost: 0,
            documents: 0,
            root: None,
            found: Vec::new(),
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        self.bytes.get(marker.index()).copied().unwrap_or(self.text.len())
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let (start, end) = (self.byte(start), self.byte(end));
        Span { start, end: end.max(start) }
    }

    /// The span without the white space and comments that the parser counts to the end of a block.
    fn trimmed(&self, span: Span) -> Span {
        Span { start: span.start, end: span.start + self.text[span.start..span.end].trim_end().len() }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = "put each pipeline into a file of its own".to_string();
                    return Err(Mistake::new(Some(span), "a second document starts here", Some(help)));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                let scalar = Scalar { text: text.into_owned(), style, expansion: Expansion::None };
                self.add(Node { value: Value::Scalar(scalar), span: self.trimmed(span) }, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.begin(span, anchor, Content::Sequence(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                let content = Content::Mapping { entries: Vec::new(), seen: HashMap::new(), key: Key::Awaited };
                self.begin(span, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn refuse_tag(&self, tagged: bool, span: Span) -> Result<(), Mistake> {
        let help = "leave the tag out; quotes make a text of a number".to_string();
        if tagged {
            Err(Mistake::new(Some(self.first_word(span)), "YAML tags are not read", Some(help)))
        } else {
            Ok(())
        }
    }

    fn first_word(&self, span: Span) -> Span {
        let rest = &self.text[span.start..];
        Span { start: span.start, end: span.start + rest.find(char::is_whitespace).unwrap_or(rest.len()) }
    }

    fn begin(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Mistake> {
        if self.open.len() == DEPTH_MAX {
            return Err(Mistake::new(Some(span), format!("more than {DEPTH_MAX} levels deep"), None));
        }
        self.open.push(Open { start: span.start, anchor, content });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Mistake> {
        let open = self.open.pop().expect("BUG: the parser ended a list or mapping that it did not begin");
        let (value, last) = match open.content {
            Content::Sequence(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::Sequence(items), last)
            }
            Content::Mapping { entries, .. } => {
                let last = entries.last().map(|entry| entry.value.span.end.max(entry.key_span.end));
                (Value::Mapping(entries), last)
            }
        };
        // The end of a flow collection is its bracket; that of a block is found only at the next token, so it is not used.
        let bracket = self.text[..span.end].ends_with([']', '}']) && span.end > span.start;
        let end = if bracket { span.end } else { last.unwrap_or(span.end) };
        let span = Span { start: open.start, end: end.max(open.start) };
        self.add(Node { value, span }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Mistake> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Mistake::new(Some(span), "this alias stands inside what it names", None));
        };
        self.alias_cost += node.cost();
        if self.alias_cost > ALIAS_COST_MAX {
            return Err(Mistake::new(Some(span), "aliases make the file too large", None));
        }
        let node = node.clone();
        self.add(node, 0)
    }

    fn add(&mut self, mut node: Node, anchor: usize) -> Result<(), Mistake> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, seen, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => match read_key(node, self.text, seen) {
                    Ok((text, span)) => *key = Key::Read(text, span),
                    Err(mistake) => {
                        *key = Key::Wrong;
                        self.found.push(mistake);
                    }
                },
                Key::Read(key, key_span) => {
                    if node.span.start >= node.span.end {
                        node.span = key_span;
                    }
                    entries.push(Entry { key, key_span, value: node });
                }
                Key::Wrong => {}
            },
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Mistake {
        let at = self.byte(*error.marker()).min(self.text.len());
        let end =
            self.text[at..].chars().next().filter(|next| !next.is_whitespace()).map_or(at, |next| at + next.len_utf8());
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let (message, help) = explain(error.info(), line);
        Mistake::new(Some(Span { start: at, end }), message, help.map(str::to_string))
    }
}

fn read_key(node: Node, text: &str, seen: &mut HashMap<String, usize>) -> Result<(String, Span), Mistake> {
    let span = node.span;
    let Value::Scalar(scalar) = node.value else {
        return Err(Mistake::new(Some(span), "a key must be a text, not a list or a mapping", None));
    };
    if scalar.text == "<<" && scalar.style == ScalarStyle::Plain {
        let help = "YAML 1.2 has no merge keys; write the keys out, or name the whole mapping by an alias".to_string();
        return Err(Mistake::new(Some(span), "merge keys (`<<`) are not read", Some(help)));
    }
    if let Some(first) = seen.get(&scalar.text) {
        let line = text[..*first].matches('\n').count() + 1;
        let help = format!("the first one is in line {line}; keep one of them");
        return Err(Mistake::new(Some(span), format!("the key `{}` is given twice", scalar.text), Some(help)));
    }
    seen.insert(scalar.text.clone(), span.start);
    Ok((scalar.text, span))
}

/// The parser's words for a syntax error, and those of a person who looks at the line.
fn explain(info: &str, line: &str) -> (String, Option<&'static str>) {
    let says = |part: &str| info.contains(part);
    if says("tab") && line.contains('\t') {
        return ("a tab can't indent YAML".to_string(), Some("indent with spaces"));
    }
    if says("recursion limit") {
        return (format!("more than {DEPTH_MAX} levels deep"), None);
    }
    if line.contains("${") && line.contains(['[', '{']) && (says("flow") || says("mapping values") || says("bracket")) {
        return (
            "YAML reads the braces of `${…}` as its own inside `[…]` and `{…}`".to_string(),
            Some("put it in double quotes: \"${NAME}\""),
        );
    }
    let (message, help) = match info {
        _ if says("mapping values are not allowed") => (
            "a `:` with a value can't stand here",
            Some("a text that holds `: ` needs quotes; else check the indentation of this line and the one above"),
        ),
        _ if says("did not find expected key") => (
            "this line is neither a key of the mapping above it nor part of the value before it",
            Some("check its indentation, and that the value before it is closed"),
        ),
        _ if says("simple key expected") || says("simple key expect") => {
            ("a key is not followed by `:`", Some("write `key: value`, with a space after the colon"))
        }
        _ if says("',' or ']'") => ("this list is not closed: a `,` or `]` is missing before here", None),
        _ if says("',' or '}'") => ("this mapping is not closed: a `,` or `}` is missing before here", None),
        _ if says("unexpected end of stream") => {
            ("this quote is never closed", Some("close it, or double it inside '…'"))
        }
        _ if says("unknown escape character") => (
            "an unknown escape in a double-quoted text",
            Some("write `\\\\` for a backslash, or use single quotes, which have no escapes"),
        ),
        _ if says("unknown anchor") => (
            "an alias to an anchor that is not there",
            Some("write `&name` where it points to, before this line; a text that starts with `*` needs quotes"),
        ),
        _ if says("indentation in quoted") => (
            "this quote is not closed before a line that is indented too little to belong to it",
            Some("close it, or indent the lines of the text"),
        ),
        _ if says("illegal placement of ':'") || says("indentation in flow") => {
            ("this can't stand inside `[…]` or `{…}`", Some("check that each `[` and `{` above is closed"))
        }
        _ if says("invalid trailing content after") || says("quoted scalar") => {
            return (format!("not YAML: {info}"), Some("check the quotes of this text"));
        }
        _ if says("wrongly indented") || says("invalid indentation") => (
            "this line is indented less than the text or list it belongs to",
            Some("indent it as deep as the line before it"),
        ),
        _ if says("cannot start any token") || says("unexpected character") => {
            ("no YAML value starts with this character", Some("put the text in quotes"))
        }
        _ => return (format!("not YAML: {info}"), None),
    };
    (message.to_string(), help)
}
