//! Values that nobody asked for: passed over, but no less strictly than those that are kept, so that whether a record
//! is good doesn't depend on the query.

use super::fault::{Fault, Result};
use super::text::Text;
use super::{number, string};

/// How many objects and lists may stand within each other, the record itself included.
pub const DEPTH_MAX: usize = 128;

/// Passes over the value at `at`, which lies within `depth` objects and lists; returns the place after it.
///
/// # Errors
/// When there is no JSON value, or it goes deeper than `DEPTH_MAX`.
#[inline(always)]
pub fn value(text: &Text<'_>, at: usize, depth: usize) -> Result<usize> {
    match text.byte(at) {
        b'"' => string::skip(text, at),
        b'{' | b'[' => nested(text, at, depth),
        b'-' | b'0'..=b'9' => number::skip(text, at),
        _ => literal(text, at),
    }
}

fn literal(text: &Text<'_>, at: usize) -> Result<usize> {
    for literal in ["null", "true", "false"] {
        if text.has(at, literal.as_bytes()) {
            return Ok(at + literal.len());
        }
    }
    Err(Fault::new(at, "expected a JSON value"))
}

/// Objects and lists, without recursion: what is open stands in the bits of one word.
#[inline(never)]
fn nested(text: &Text<'_>, mut at: usize, depth: usize) -> Result<usize> {
    let mut open = Open { kinds: 0, count: 0, count_max: DEPTH_MAX - depth.min(DEPTH_MAX) };
    loop {
        // A value begins at `at`.
        match text.byte(at) {
            bracket @ (b'{' | b'[') => {
                open.enter(bracket == b'{', at)?;
                at = text.skip_white_space(at + 1);
                if text.byte(at) != open.closing() {
                    if bracket == b'{' {
                        at = key(text, at)?;
                    }
                    continue;
                }
            }
            _ => {
                at = value(text, at, DEPTH_MAX)?;
                at = text.skip_white_space(at);
            }
        }
        // A value, or the opening of an empty object or list, ended before `at`.
        while text.byte(at) == open.closing() {
            at += 1;
            open.leave();
            if open.count == 0 {
                return Ok(at);
            }
            at = text.skip_white_space(at);
        }
        if text.byte(at) != b',' {
            let expected = if open.in_object() {
                "expected `,` or `}` after a field of an object"
            } else {
                "expected `,` or `]` after an element of a list"
            };
            return Err(Fault::new(at, expected));
        }
        at = text.skip_white_space(at + 1);
        if open.in_object() {
            at = key(text, at)?;
        }
    }
}

/// Passes over a field's name and colon at `at`.
fn key(text: &Text<'_>, at: usize) -> Result<usize> {
    if text.byte(at) != b'"' {
        return Err(Fault::new(at, "expected the name of a field, in quotes"));
    }
    colon(text, string::skip(text, at)?)
}

/// Passes over the colon after a field's name, and white space around it.
///
/// # Errors
/// When there is none.
pub fn colon(text: &Text<'_>, at: usize) -> Result<usize> {
    let at = text.skip_white_space(at);
    if text.byte(at) != b':' {
        return Err(Fault::new(at, "expected `:` after the name of a field"));
    }
    Ok(text.skip_white_space(at + 1))
}

/// The objects and lists that are open.
struct Open {
    /// Bit 0 is the innermost: set for an object.
    kinds: u128,
    count: usize,
    count_max: usize,
}

impl Open {
    fn enter(&mut self, object: bool, at: usize) -> Result<()> {
        if self.count == self.count_max {
            return Err(Fault::new(at, "expected at most 128 objects and lists within each other"));
        }
        self.kinds = (self.kinds << 1) | u128::from(object);
        self.count += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.kinds >>= 1;
        self.count -= 1;
    }

    fn in_object(&self) -> bool {
        self.kinds & 1 == 1
    }

    fn closing(&self) -> u8 {
        if self.in_object() { b'}' } else { b']' }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(json: &str) -> std::result::Result<usize, usize> {
        value(&Text::of_all(json.as_bytes()), 0, 0).map_err(|fault| fault.at)
    }

    #[test]
    fn values_of_all_kinds_are_passed_over() {
        for json in [
            "null",
            "true",
            "false",
            "0",
            "-1.5e3",
            r#""a\nb""#,
            "{}",
            "[]",
            "[ ]",
            "{ }",
            "[1]",
            "[1,2]",
            r#"{"a":1}"#,
            r#"{"a":[{"b":{}},[],[[]],{"c":[1,{"d":null}]}],"e":"f"}"#,
            " \n".trim(),
            "[ 1 , { \"a\" : [ ] , \"b\" : { } } , \"x\" ]",
        ] {
            if !json.is_empty() {
                assert_eq!(skip(json), Ok(json.len()), "{json}");
                assert_eq!(skip(&format!("{json},{json}                  ")), Ok(json.len()), "{json}");
            }
        }
    }

    #[test]
    fn what_is_malformed_is_refused_at_its_place() {
        for (json, place) in [
            ("", 0),
            ("nul", 0),
            ("tru", 0),
            ("x", 0),
            ("[1", 2),
            ("[1 2]", 3),
            ("[1,]", 3),
            ("[,1]", 1),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\":1]", 6),
            ("[1}", 2),
            ("[01]", 1),
            ("[\"\\q\"]", 2),
            ("{\"a\":[{\"b\":1]}", 12),
            ("[[]", 3),
        ] {
            assert_eq!(skip(json), Err(place), "{json}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
        assert_eq!(skip(&nested(128)), Ok(256));
        assert_eq!(skip(&nested(129)), Err(128));
        let text = nested(100_000);
        assert_eq!(skip(&text), Err(128));
        assert_eq!(value(&Text::of_all(b"[[]]"), 0, 127).unwrap_err().at, 1);
        assert_eq!(value(&Text::of_all(b"[]"), 0, 500).unwrap_err().at, 0);
    }
}
