//! Bytes, which JSON writes in base64 (RFC 4648, section 4; padding may be left out).

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::string::{self, Piece};
use crate::decode::json::text::Text;
use crate::decode::json::views::{Behind, Views};

const EXPECTED: &str = "expected bytes as a string in base64";

/// Values of a column of bytes behind views.
#[derive(Debug, Default)]
pub struct ByteViews {
    views: Views,
}

impl ByteViews {
    /// Appends the bytes that the string at `at` says; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, rewritten: &mut Vec<u8>) -> Result<usize> {
        let (start, after) = read(text, at, rewritten)?;
        self.views.push_rewritten(rewritten, start);
        Ok(after)
    }

    /// Appends the bytes that `content` says; else says what was expected.
    pub fn append_text(&mut self, content: &[u8], rewritten: &mut Vec<u8>) -> std::result::Result<(), String> {
        let start = rewritten.len();
        rewritten.extend_from_slice(content);
        decode_in_place(rewritten, start).ok_or(EXPECTED)?;
        self.views.push_rewritten(rewritten, start);
        Ok(())
    }
}

impl Values for ByteViews {
    fn len(&self) -> usize {
        self.views.len()
    }

    fn append_placeholder(&mut self) {
        self.views.push_empty();
    }

    fn truncate(&mut self, rows: usize) {
        self.views.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.views.reserve(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, behind: &Behind) -> ArrayRef {
        // SAFETY: all views are of the batch's rewritten bytes, which `behind` holds.
        unsafe { self.views.finish_bytes(behind, nulls) }
    }
}

/// Values of a column of bytes, one after the other.
#[derive(Debug)]
pub struct Bytes {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl Bytes {
    /// Appends the bytes that the string at `at` says; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, rewritten: &mut Vec<u8>) -> Result<usize> {
        let (start, after) = read(text, at, rewritten)?;
        self.bytes.extend(rewritten.drain(start..));
        self.push_end().ok_or_else(|| Fault::new(at, "expected at most 2 GiB of bytes in a batch"))?;
        Ok(after)
    }

    /// Appends the bytes that `content` says; else says what was expected.
    pub fn append_text(&mut self, content: &[u8]) -> std::result::Result<(), String> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(content);
        decode_in_place(&mut self.bytes, start).and_then(|()| self.push_end()).ok_or(EXPECTED)?;
        Ok(())
    }

    fn push_end(&mut self) -> Option<()> {
        self.offsets.push(i32::try_from(self.bytes.len()).ok()?);
        Some(())
    }

    fn end(&self) -> i32 {
        *self.offsets.last().expect("BUG: offsets begin with 0, and nothing takes that away")
    }
}

impl Values for Bytes {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn append_placeholder(&mut self) {
        self.offsets.push(self.end());
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(self.end() as usize);
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve_exact(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, _: &Behind) -> ArrayRef {
        let Self { bytes, offsets } = std::mem::take(self);
        Arc::new(BinaryArray::new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes), nulls))
    }
}

/// Appends the bytes that the string at `at` says to `rewritten`; returns where they begin, and the place after it.
fn read(text: &Text<'_>, at: usize, rewritten: &mut Vec<u8>) -> Result<(usize, usize)> {
    if text.byte(at) != b'"' {
        return Err(Fault::new(at, EXPECTED));
    }
    let (piece, after) = string::read(text, at, rewritten)?;
    let start = match piece {
        Piece::Plain { start, end } => {
            let from = rewritten.len();
            rewritten.extend_from_slice(text.slice(start, end));
            from
        }
        Piece::Unescaped { start } => start,
    };
    decode_in_place(rewritten, start).ok_or_else(|| Fault::new(at, EXPECTED))?;
    Ok((start, after))
}

/// Replaces the base64 in `bytes[start..]` by what it says. `None` for anything that no encoder writes.
fn decode_in_place(bytes: &mut Vec<u8>, start: usize) -> Option<()> {
    let mut end = bytes.len();
    if (end - start).is_multiple_of(4) {
        // Padding is one or two `=`.
        end -= bytes[start..].iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    }
    let mut written = start;
    for group in (start..end).step_by(4) {
        let digits = (end - group).min(4);
        let mut bits = 0;
        for byte in &bytes[group..group + digits] {
            bits = (bits << 6) | six_bits(*byte)?;
        }
        bits <<= 6 * (4 - digits);
        let [_, decoded @ ..] = u32::to_be_bytes(bits);
        let (kept, lost) = decoded.split_at(digits - 1);
        if digits == 1 || lost.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes[written..written + kept.len()].copy_from_slice(kept);
        written += kept.len();
    }
    bytes.truncate(written);
    Some(())
}

fn six_bits(digit: u8) -> Option<u32> {
    let bits = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(bits.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(base64: &str) -> Option<Vec<u8>> {
        let mut bytes = [b"before", base64.as_bytes()].concat();
        decode_in_place(&mut bytes, 6)?;
        assert_eq!(&bytes[..6], b"before");
        Some(bytes.split_off(6))
    }

    /// Straight from RFC 4648.
    fn encoded(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut base64 = String::new();
        for group in bytes.chunks(3) {
            let bits = (0..3).fold(0u32, |bits, at| (bits << 8) | u32::from(*group.get(at).unwrap_or(&0)));
            for at in 0..4 {
                let digit = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63] as char;
                base64.push(if at > group.len() { '=' } else { digit });
            }
        }
        base64
    }

    #[test]
    fn the_vectors_of_the_rfc() {
        for (base64, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zg", "f"),
            ("Zm8", "fo"),
        ] {
            assert_eq!(decoded(base64).as_deref(), Some(bytes.as_bytes()), "{base64}");
        }
        for bad in ["=", "====", "Z", "Zh==", "Zm9=", "Zg=", "Zm9v=", "Zm9vY===", "Z g=", "Zm9v\n", "Zm-_", "é"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let base64 = encoded(&bytes);
            prop_assert_eq!(decoded(&base64), Some(bytes.clone()));
            prop_assert_eq!(decoded(base64.trim_end_matches('=')), Some(bytes));
        }
    }
}
