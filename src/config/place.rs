//! Where the characters of a decoded scalar stand in the file.
//!
//! All five styles of YAML scalars change white space only (indentation, folding, chomping), but for the escapes of
//! quoted ones. So the n-th character that is not white space is the same one on both sides.

use saphyr_parser::ScalarStyle;

use super::source_file::Span;
use super::yaml::{Expansion, Node, Scalar, Value};

/// The bytes of the file that the characters `start..end` of the decoded scalar `node` were written as; all of the
/// scalar where that can't be said. Without an `end` it is one word.
pub(super) fn place(file: &str, node: &Node, start: usize, end: Option<usize>) -> Span {
    let Value::Scalar(scalar) = &node.value else { return node.span };
    if scalar.expansion != Expansion::None {
        return node.span;
    }
    let letters: Vec<char> = scalar.text.chars().collect();
    let inks = inks(file, node.span, scalar);
    if inks.is_empty() || !letters.iter().filter(|letter| is_ink(**letter)).eq(inks.iter().map(|ink| &ink.letter)) {
        return node.span;
    }
    let start = start.min(letters.len());
    let end = end.unwrap_or_else(|| word_end(&letters, start)).clamp(start, letters.len());
    let inks_before = |index: usize| letters[..index].iter().filter(|letter| is_ink(**letter)).count();
    let first = inks_before(start);
    let last = inks_before(end);
    let start_byte = match inks.get(first) {
        Some(ink) if letters.get(start).is_some_and(|letter| is_ink(*letter)) || first == 0 => ink.span.start,
        _ => inks[first - 1].span.end,
    };
    let end_byte = if last > first { inks[last - 1].span.end } else { start_byte };
    Span { start: start_byte, end: end_byte.max(start_byte) }
}

/// The index of the character at `line` and `column` (both from 1, as SQL parsers count) of `text`.
pub(super) fn index_of(text: &str, line: u64, column: u64) -> usize {
    let mut at = (1, 1);
    for (index, letter) in text.chars().enumerate() {
        if at >= (line, column) {
            return index;
        }
        at = if letter == '\n' { (at.0 + 1, 1) } else { (at.0, at.1 + 1) };
    }
    text.chars().count()
}

/// A word, or one other character.
fn word_end(letters: &[char], start: usize) -> usize {
    let word = letters[start..].iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count();
    start + word.max(1)
}

/// A character that is not white space, and what it was written as.
struct Ink {
    span: Span,
    letter: char,
}

fn is_ink(letter: char) -> bool {
    !matches!(letter, ' ' | '\t' | '\n' | '\r')
}

fn inks(file: &str, span: Span, scalar: &Scalar) -> Vec<Ink> {
    let skipped = decoration(&file[span.start..span.end], scalar.style);
    let raw = &file[span.start + skipped..span.end];
    let mut inks = Vec::new();
    let mut at = 0;
    while let Some(next) = raw[at..].chars().next() {
        let (letter, length) = match scalar.style {
            ScalarStyle::DoubleQuoted if next == '"' => break,
            ScalarStyle::DoubleQuoted if next == '\\' => escape(&raw[at..]),
            ScalarStyle::SingleQuoted if raw[at..].starts_with("''") => (Some('\''), 2),
            ScalarStyle::SingleQuoted if next == '\'' => break,
            _ => (Some(next), next.len_utf8()),
        };
        if let Some(letter) = letter.filter(|letter| is_ink(*letter)) {
            let start = span.start + skipped + at;
            inks.push(Ink { span: Span { start, end: start + length }, letter });
        }
        at += length;
    }
    inks
}

/// How many bytes stand before the content: an anchor, a block's header, the opening quote.
fn decoration(raw: &str, style: ScalarStyle) -> usize {
    let mut rest = raw;
    if rest.starts_with('&') {
        rest = rest.trim_start_matches(|letter: char| !letter.is_whitespace()).trim_start();
    }
    match style {
        ScalarStyle::Plain => {}
        ScalarStyle::SingleQuoted => rest = rest.strip_prefix('\'').unwrap_or(rest),
        ScalarStyle::DoubleQuoted => rest = rest.strip_prefix('"').unwrap_or(rest),
        // The parser's span of a block begins at its content, unless there is an anchor.
        ScalarStyle::Literal | ScalarStyle::Folded if rest.len() < raw.len() => {
            rest = rest.split_once('\n').map_or("", |(_, content)| content);
        }
        ScalarStyle::Literal | ScalarStyle::Folded => {}
    }
    raw.len() - rest.len()
}

/// An escape at the start of `raw`: its character (a line break has none) and its length in bytes.
fn escape(raw: &str) -> (Option<char>, usize) {
    let code = raw[1..].chars().next();
    let hex = |digits: usize| {
        let number = raw.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        (number.and_then(char::from_u32), 2 + digits)
    };
    match code {
        Some('0') => (Some('\0'), 2),
        Some('a') => (Some('\x07'), 2),
        Some('b') => (Some('\x08'), 2),
        Some('v') => (Some('\x0b'), 2),
        Some('f') => (Some('\x0c'), 2),
        Some('e') => (Some('\x1b'), 2),
        Some('N') => (Some('\u{85}'), 2),
        Some('_') => (Some('\u{a0}'), 2),
        Some('L') => (Some('\u{2028}'), 2),
        Some('P') => (Some('\u{2029}'), 2),
        Some('x') => hex(2),
        Some('u') => hex(4),
        Some('U') => hex(8),
        Some(sign @ ('"' | '/' | '\\')) => (Some(sign), 2),
        Some(other) => (None, 1 + other.len_utf8()),
        None => (None, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::yaml;

    /// What of the file is underlined for the word `word` of the decoded value of `q`.
    fn underlined<'f>(file: &'f str, word: &str) -> &'f str {
        let tree = yaml::parse(file).0.expect("the test's YAML");
        let node = tree.child("q").expect("q");
        let text = node.text().expect("a text");
        let start = text[..text.find(word).expect("the word")].chars().count();
        let span = place(file, node, start, Some(start + word.chars().count()));
        &file[span.start..span.end]
    }

    #[test]
    fn a_word_is_found_in_every_style() {
        for file in [
            "q: |\n  SELECT ä\n    FROM tabel\n  WHERE x\n",
            "q: |2-\n\n    SELECT ä\n  FROM tabel",
            "q: >\n  SELECT ä\n  FROM tabel\n\n  WHERE x\n",
            "q: SELECT ä\n  FROM tabel\n  WHERE x\nother: 1",
            "q: 'SELECT ''ä''\n  FROM tabel WHERE'",
            "q: \"SELECT \\\"\\u00e4\\\"\\n\\\n  FROM tabel\\tWHERE\"",
            "a: 1\nq: &query |\n  SELECT\r\n  FROM tabel\r\n",
            "{q: &query \"FROM tabel\"}",
        ] {
            assert_eq!(underlined(file, "tabel"), "tabel", "{file}");
            assert_eq!(underlined(file, "FROM"), "FROM", "{file}");
        }
    }

    #[test]
    fn an_escape_is_underlined_whole() {
        assert_eq!(underlined("q: \"a \\u00e4 b\"", "ä"), "\\u00e4");
        assert_eq!(underlined("q: 'it''s'", "'s"), "''s");
    }

    #[test]
    fn the_end_of_the_text_is_after_its_last_character() {
        let file = "q: |\n  SELECT a\n  FROM\n\n\nb: 1\n";
        let tree = yaml::parse(file).0.expect("the test's YAML");
        let node = tree.child("q").expect("q");
        let span = place(file, node, 1000, None);
        assert_eq!(&file[..span.start], "q: |\n  SELECT a\n  FROM");
        assert_eq!(span.start, span.end);
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "SELECT ä\nFROM t";
        assert_eq!(index_of(text, 1, 1), 0);
        assert_eq!(index_of(text, 1, 8), 7);
        assert_eq!(index_of(text, 2, 6), 14);
        assert_eq!(index_of(text, 1, 99), 9);
        assert_eq!(index_of(text, 9, 1), 15);
    }

    proptest! {
        #[test]
        fn every_character_is_found_in_every_style(
            lines in proptest::collection::vec("[a-z'\"äß(:#\\\\][a-z'\"äß ,:#\\\\]{0,12}[a-z'\"äß)\\\\]", 1..5),
        ) {
            let single = lines.join("\n\n  ").replace('\'', "''");
            let double = lines.join("\n").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            for file in [
                format!("q: |\n  {}\nz: 1", lines.join("\n  ")),
                format!("q: >-\n   {}\n", lines.join("\n\n   ")),
                format!("q: '{single}'"),
                format!("q: &anchor \"{double}\""),
            ] {
                let tree = yaml::parse(&file).0.expect("the test's YAML");
                let node = tree.child("q").expect("q");
                let text = node.text().expect("a text");
                prop_assert_eq!(text.trim_end(), lines.join("\n"));
                for (index, letter) in text.chars().enumerate().filter(|(_, letter)| is_ink(*letter)) {
                    let span = place(&file, node, index, Some(index + 1));
                    let written = &file[span.start..span.end];
                    prop_assert!(
                        written == letter.to_string() || written == "''" || written == format!("\\{letter}"),
                        "{} for {} in {}", written, letter, file
                    );
                }
            }
        }
    }
}
