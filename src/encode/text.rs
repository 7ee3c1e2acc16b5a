//! Strings and bytes as JSON strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Appends `text` in quotes.
#[inline]
pub(super) fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` without quotes, with `"`, `\` and the control characters escaped.
#[inline]
pub(super) fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(&byte) = rest.get(clean) else { return };
        write_escape(out, byte);
        rest = &rest[clean + 1..];
    }
}

/// Appends `bytes` as base64 (RFC 4648, with padding) in quotes.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("BUG: four characters for every three bytes begun");
    out.push(b'"');
}

#[cold]
fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digits = [HEX_DIGITS[usize::from(byte >> 4)], HEX_DIGITS[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// How many bytes come before the first one that needs an escape. Eight at a time, because most strings are short:
/// wider registers pay only from some 64 bytes on.
#[inline]
fn clean_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let marks = escape_marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return place * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    if let (Some(word), false) = (bytes.last_chunk::<8>(), tail.is_empty()) {
        // The last eight bytes: those of them that were looked at before are known to be clean.
        let marks = escape_marks(u64::from_le_bytes(*word));
        return if marks == 0 { bytes.len() } else { bytes.len() - 8 + marks.trailing_zeros() as usize / 8 };
    }
    let clean_tail = tail.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(tail.len());
    bytes.len() - tail.len() + clean_tail
}

/// Sets the high bit of the bytes of `word` that need an escape. Exact for the lowest such byte, which is all that is
/// asked for: the borrow of a subtraction can mark falsely only above a true mark.
#[inline]
fn escape_marks(word: u64) -> u64 {
    let below_space = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    let quote = word ^ (LOW_BITS * b'"' as u64);
    let quote = quote.wrapping_sub(LOW_BITS) & !quote;
    let backslash = word ^ (LOW_BITS * b'\\' as u64);
    let backslash = backslash.wrapping_sub(LOW_BITS) & !backslash;
    (below_space | quote | backslash) & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_judged_as_one_at_a_time() {
        for len in 0..40 {
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; len];
                    bytes[place] = byte;
                    if place + 1 < len {
                        bytes[place + 1] = byte.wrapping_add(1);
                    }
                    let expected = bytes.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')).unwrap_or(len);
                    assert_eq!(clean_prefix(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn escapes() {
        let mut out = Vec::new();
        write_quoted(&mut out, "a\"b\\c\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}é𝄞");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}é𝄞\"");
    }

    #[test]
    fn base64_of_every_length() {
        for len in 0..20 {
            let bytes: Vec<u8> = (0..len).map(|byte: u8| byte.wrapping_mul(37)).collect();
            let mut out = b"x".to_vec();
            write_base64(&mut out, &bytes);
            let text: String = serde_json::from_slice(&out[1..]).unwrap();
            assert_eq!(STANDARD.decode(text).unwrap(), bytes);
        }
    }
}
