//! Why a record was refused, for a person: where, what was expected, what is there.

use std::fmt::Write;

use super::json::Fault;

/// How much of the offending text is shown, in bytes.
const EXCERPT_MAX: usize = 40;

/// Says what `fault` is, in the record that is `arena[start..end]`.
#[cold]
pub fn describe(fault: &Fault, arena: &[u8], start: usize, end: usize) -> String {
    let at = fault.at.clamp(start, end);
    let mut error = String::new();
    if !fault.path.is_empty() {
        push_escaped(&mut error, "field `", fault.path.as_bytes(), "`, ");
    }
    // Writing to a String can't fail.
    let _ = write!(error, "byte {}: {}, found ", at - start, fault.expected);
    let rest = &arena[at..end];
    match token_length(rest) {
        0 => error.push_str("the end of the record"),
        length if length > EXCERPT_MAX => push_escaped(&mut error, "`", &rest[..EXCERPT_MAX], "…`"),
        length => push_escaped(&mut error, "`", &rest[..length], "`"),
    }
    error
}

/// The length of the token at the start of `rest`, or a bit more than is shown.
fn token_length(rest: &[u8]) -> usize {
    let shown = &rest[..rest.len().min(EXCERPT_MAX + 1)];
    let length = match shown.first() {
        None => return 0,
        Some(b'"') => {
            let closing = (1..shown.len()).find(|at| shown[*at] == b'"' && shown[at - 1] != b'\\');
            closing.map(|at| at + 1)
        }
        Some(_) => shown.iter().position(|byte| b",:}] \t\r\n".contains(byte)).map(|at| at.max(1)),
    };
    length.unwrap_or(shown.len())
}

/// Bytes that are no text, and control characters, are shown as escapes.
fn push_escaped(error: &mut String, before: &str, bytes: &[u8], after: &str) {
    error.push_str(before);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                error.extend(character.escape_default());
            } else {
                error.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(error, "\\x{byte:02x}");
        }
    }
    error.push_str(after);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(record: &str, at: usize) -> String {
        described_bytes(record.as_bytes(), at)
    }

    fn described_bytes(record: &[u8], at: usize) -> String {
        let arena = [b"before", record, b"after"].concat();
        describe(&Fault::new(6 + at, "expected x"), &arena, 6, 6 + record.len())
    }

    #[test]
    fn the_offending_token_is_shown() {
        assert_eq!(described(r#"{"a":tru}"#, 5), "byte 5: expected x, found `tru`");
        assert_eq!(described(r#"{"a":"b\"c","d":1}"#, 5), r#"byte 5: expected x, found `"b\"c"`"#);
        assert_eq!(described(r#"{"a":}"#, 5), "byte 5: expected x, found `}`");
        assert_eq!(described("{", 1), "byte 1: expected x, found the end of the record");
        assert_eq!(described("", 0), "byte 0: expected x, found the end of the record");
        assert_eq!(described("{", 1_000), "byte 1: expected x, found the end of the record");
    }

    #[test]
    fn the_excerpt_is_short_and_readable() {
        let long = described(&format!("\"{}\"", "x".repeat(1_000_000)), 0);
        assert_eq!(long, format!("byte 0: expected x, found `\"{}…`", "x".repeat(39)));
        assert_eq!(described_bytes(b"\xFF\x00\x1B[31m\"", 0), "byte 0: expected x, found `\\xff\\u{0}\\u{1b}[31m\"`");
    }

    #[test]
    fn the_field_is_named() {
        let fault = Fault::new(0, "expected x").in_element(3).in_field("tags").in_field("customer");
        assert_eq!(describe(&fault, b"1", 0, 1), "field `customer.tags[3]`, byte 0: expected x, found `1`");
        let fault = Fault::new(0, "expected x").in_field("id").in_element(0).in_element(2).in_field("matrix");
        assert_eq!(describe(&fault, b"1", 0, 1), "field `matrix[2][0].id`, byte 0: expected x, found `1`");
    }
}
