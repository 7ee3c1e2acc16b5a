//! JSON strings: where they end, and their text where they hold escapes.

use super::fault::{Fault, Result};
use super::text::Text;

/// The text of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands in the record.
    Plain {
        /// First byte.
        start: usize,
        /// Just after the last byte.
        end: usize,
    },
    /// It held escapes: the bytes that were appended to `unescaped`, from here on.
    Unescaped {
        /// First byte in `unescaped`.
        start: usize,
    },
}

/// Reads the string whose opening quote is at `at`; returns its text and the place after its closing quote.
///
/// # Errors
/// When there is no string, or it is not closed, or holds a control character or a bad escape.
#[inline(always)]
pub fn read(text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<(Piece, usize)> {
    if text.byte(at) != b'"' {
        return Err(Fault::new(at, "expected a string"));
    }
    let start = at + 1;
    let stop = text.string_stop(start);
    if stop < text.end() && text.byte(stop) == b'"' {
        return Ok((Piece::Plain { start, end: stop }, stop + 1));
    }
    let from = unescaped.len();
    let after = unescape(text, start, stop, unescaped)?;
    Ok((Piece::Unescaped { start: from }, after))
}

/// Passes over the string whose opening quote is at `at`, as strictly as if it were read.
///
/// # Errors
/// As `read`.
#[inline(always)]
pub fn skip(text: &Text<'_>, at: usize) -> Result<usize> {
    let start = at + 1;
    let stop = text.string_stop(start);
    if stop < text.end() && text.byte(stop) == b'"' {
        return Ok(stop + 1);
    }
    skip_escapes(text, start, stop)
}

/// Hands the text of the string at `at` to `take`, which says what it expected if that isn't it; returns the place after
/// the string.
///
/// # Errors
/// As `read`, and what `take` says.
#[inline(always)]
pub fn with(
    text: &Text<'_>,
    at: usize,
    unescaped: &mut Vec<u8>,
    take: impl FnOnce(&[u8]) -> std::result::Result<(), String>,
) -> Result<usize> {
    let (piece, after) = match text.byte(at) {
        b'"' => read(text, at, unescaped)?,
        // Not a string: `take` knows what it should have been.
        _ => (Piece::Plain { start: at, end: at }, at),
    };
    let taken = match piece {
        Piece::Plain { start, end } => take(text.slice(start, end)),
        Piece::Unescaped { start } => {
            let taken = take(&unescaped[start..]);
            unescaped.truncate(start);
            taken
        }
    };
    taken.map_err(|expected| Fault::new(at, expected))?;
    Ok(after)
}

/// Appends the text of the string from `start`, whose first stop is at `stop`; returns the place after its quote.
#[cold]
#[inline(never)]
fn unescape(text: &Text<'_>, mut start: usize, mut stop: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
    let opening = start - 1;
    loop {
        if ends(text, opening, stop)? {
            unescaped.extend_from_slice(text.slice(start, stop));
            return Ok(stop + 1);
        }
        unescaped.extend_from_slice(text.slice(start, stop));
        let (character, after) = escape(text, stop)?;
        unescaped.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        start = after;
        stop = text.string_stop(start);
    }
}

#[cold]
#[inline(never)]
fn skip_escapes(text: &Text<'_>, start: usize, mut stop: usize) -> Result<usize> {
    while !ends(text, start - 1, stop)? {
        let (_, after) = escape(text, stop)?;
        stop = text.string_stop(after);
    }
    Ok(stop + 1)
}

/// Whether the stop at `stop` is the closing quote; else it is a backslash.
fn ends(text: &Text<'_>, opening: usize, stop: usize) -> Result<bool> {
    if stop >= text.end() {
        return Err(Fault::new(opening, "expected a string that is closed before the record ends"));
    }
    match text.byte(stop) {
        b'"' => Ok(true),
        b'\\' => Ok(false),
        _ => Err(Fault::new(stop, "expected no control character in a string (write it as an escape)")),
    }
}

/// The character that the escape at `at` stands for, and the place after it.
fn escape(text: &Text<'_>, at: usize) -> Result<(char, usize)> {
    let character = match text.byte(at + 1) {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text, at),
        _ => return Err(Fault::new(at, r#"expected one of the escapes \" \\ \/ \b \f \n \r \t \u"#)),
    };
    Ok((character, at + 2))
}

fn unicode_escape(text: &Text<'_>, at: usize) -> Result<(char, usize)> {
    const LONE: &str = "expected a surrogate pair (two \\u escapes that belong together)";
    let unit = four_hex_digits(text, at)?;
    if !(0xD800..0xE000).contains(&unit) {
        let character = char::from_u32(unit).ok_or_else(|| Fault::new(at, LONE))?;
        return Ok((character, at + 6));
    }
    if unit >= 0xDC00 || !text.has(at + 6, b"\\u") {
        return Err(Fault::new(at, LONE));
    }
    let low = four_hex_digits(text, at + 6)?;
    if !(0xDC00..0xE000).contains(&low) {
        return Err(Fault::new(at, LONE));
    }
    let character = char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
    Ok((character.ok_or_else(|| Fault::new(at, LONE))?, at + 12))
}

fn four_hex_digits(text: &Text<'_>, at: usize) -> Result<u32> {
    let mut unit = 0;
    for place in at + 2..at + 6 {
        match (text.byte(place) as char).to_digit(16) {
            Some(digit) if place < text.end() => unit = (unit << 4) | digit,
            _ => return Err(Fault::new(at, "expected four hexadecimal digits after \\u")),
        }
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(json: &str) -> std::result::Result<String, String> {
        let text = Text::of_all(json.as_bytes());
        let mut unescaped = b"before".to_vec();
        let skipped = skip(&text, 0);
        match read(&text, 0, &mut unescaped) {
            Ok((piece, after)) => {
                assert_eq!(after, json.len());
                assert_eq!(skipped, Ok(after), "skipping must agree");
                Ok(match piece {
                    Piece::Plain { start, end } => json[start..end].to_string(),
                    Piece::Unescaped { start } => String::from_utf8(unescaped[start..].to_vec()).unwrap(),
                })
            }
            Err(fault) => {
                assert_eq!(skipped.unwrap_err(), fault, "skipping must agree");
                Err(format!("{}: {}", fault.at, fault.expected))
            }
        }
    }

    #[test]
    fn escapes_become_their_characters() {
        assert_eq!(unescaped(r#""""#).unwrap(), "");
        assert_eq!(unescaped(r#""plain ☃""#).unwrap(), "plain ☃");
        assert_eq!(unescaped(r#""\"\\\/\b\f\n\r\t""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescaped(r#""a\u00e9\u2603b\u0000""#).unwrap(), "aé☃b\0");
        assert_eq!(
            unescaped(r#""\ud83d\uDE00 and after it more than sixteen""#).unwrap(),
            "😀 and after it more than sixteen"
        );
    }

    #[test]
    fn bad_strings_are_refused_at_their_place() {
        let place = |json: &str| unescaped(json).unwrap_err().split(':').next().unwrap().parse::<usize>().unwrap();
        assert_eq!(place(r#""open"#), 0);
        assert_eq!(place(r#""open\""#), 0);
        assert_eq!(place("\"tab\t\""), 4);
        assert_eq!(place(r#""\x""#), 1);
        assert_eq!(place(r#""\u12g4""#), 1);
        assert_eq!(place(r#""\u+123""#), 1);
        assert_eq!(place(r#""ab\ud800""#), 3);
        assert_eq!(place(r#""ab\ud800\u0041""#), 3);
        assert_eq!(place(r#""ab\udc00\ud800""#), 3);
        assert_eq!(place(r#""\u12"#), 1);
        assert_eq!(place(r#""\"#), 1);
    }
}
