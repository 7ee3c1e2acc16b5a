//! Strings and bytes as JSON strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::arena::Arena;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Appends `text` in quotes.
#[inline]
pub(super) fn write_quoted(out: &mut Arena, text: &str) {
    let bytes = text.as_bytes();
    let room = out.room(bytes.len() + 2);
    room[0] = b'"';
    let clean = copy_clean(&mut room[1..=bytes.len()], bytes);
    if clean == bytes.len() {
        room[1 + clean] = b'"';
        out.advance(clean + 2);
    } else {
        out.advance(1 + clean);
        write_escaped(out, &bytes[clean..]);
        out.push(b'"');
    }
}

/// Appends `rest` with `"`, `\` and the control characters escaped.
#[cold]
#[inline(never)]
fn write_escaped(out: &mut Arena, mut rest: &[u8]) {
    while let Some(&byte) = rest.first() {
        write_escape(out, byte);
        rest = &rest[1..];
        let clean = copy_clean(out.room(rest.len()), rest);
        out.advance(clean);
        rest = &rest[clean..];
    }
}

/// Appends `bytes` as base64 (RFC 4648, with padding) in quotes.
pub(super) fn write_base64(out: &mut Arena, bytes: &[u8]) {
    out.push(b'"');
    let room = out.room(bytes.len().div_ceil(3) * 4);
    let len = STANDARD.encode_slice(bytes, room).expect("BUG: four characters for every three bytes begun");
    out.advance(len);
    out.push(b'"');
}

fn write_escape(out: &mut Arena, byte: u8) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let (high, low) = (HEX_DIGITS[usize::from(byte >> 4)], HEX_DIGITS[usize::from(byte & 15)]);
            return out.push_all(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    out.push_all(&[b'\\', short]);
}

/// Copies `bytes` up to the first one that needs an escape to `room`, which is as long and of which more may be
/// written to, and returns how many these are. Eight at a time, because most strings are short: wider registers pay only
/// from some 64 bytes on.
#[inline]
fn copy_clean(room: &mut [u8], bytes: &[u8]) -> usize {
    let len = bytes.len();
    let Some(last) = bytes.last_chunk::<8>() else { return copy_clean_short(room, bytes) };
    let (words, tail) = bytes.as_chunks::<8>();
    for (place, (word, space)) in words.iter().zip(room.as_chunks_mut::<8>().0).enumerate() {
        *space = *word;
        let marks = escape_marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return place * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    if tail.is_empty() {
        return len;
    }
    // Those of the last eight bytes that were looked at before are known to be clean.
    if let Some(space) = room[..len].last_chunk_mut::<8>() {
        *space = *last;
    }
    let marks = escape_marks(u64::from_le_bytes(*last));
    if marks == 0 { len } else { len - 8 + marks.trailing_zeros() as usize / 8 }
}

/// The same for less than eight bytes.
#[inline]
fn copy_clean_short(room: &mut [u8], bytes: &[u8]) -> usize {
    for (place, (byte, space)) in bytes.iter().zip(room).enumerate() {
        if *byte < 0x20 || matches!(byte, b'"' | b'\\') {
            return place;
        }
        *space = *byte;
    }
    bytes.len()
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
                    let mut copy = vec![0; len];
                    assert_eq!(copy_clean(&mut copy, &bytes), expected, "{bytes:?}");
                    assert_eq!(copy[..expected], bytes[..expected]);
                }
            }
        }
    }

    #[test]
    fn escapes() {
        let mut out = Arena::default();
        write_quoted(&mut out, "a\"b\\c\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}é𝄞");
        assert_eq!(String::from_utf8(out.finish()).unwrap(), "\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}é𝄞\"");
    }

    #[test]
    fn base64_of_every_length() {
        for len in 0..20 {
            let bytes: Vec<u8> = (0..len).map(|byte: u8| byte.wrapping_mul(37)).collect();
            let mut out = Arena::default();
            write_base64(&mut out, &bytes);
            let text: String = serde_json::from_slice(&out.finish()).unwrap();
            assert_eq!(STANDARD.decode(text).unwrap(), bytes);
        }
    }
}
