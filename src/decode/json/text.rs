//! The bytes of one record in its batch's arena, and the few looks at them that everything else is made of.

use super::fault::{Fault, Result};

/// Bytes to decode. Places (`at`) count from the start of the arena, so that views can be made of them.
///
/// A record is read without asking for its end at each byte: its last byte is the `}` of its object
/// (`Text::of_object`), on which everything stops but a string, and strings ask. What follows the record in the arena
/// is only ever looked at, sixteen bytes at a time, and who reads a record compares the place where it ended.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    bytes: &'a [u8],
    end: usize,
}

impl<'a> Text<'a> {
    /// The object that fills `arena[start..end]` but for white space around it, and where it begins.
    ///
    /// # Errors
    /// When that isn't an object by its first and last byte.
    #[inline(always)]
    pub fn of_object(arena: &'a [u8], start: usize, end: usize) -> Result<(Self, usize)> {
        let record = &arena[start..end];
        if let [b'{', .., b'}'] = record {
            return Ok((Self { bytes: arena, end }, start));
        }
        Self::of_object_in_white_space(arena, start, end)
    }

    #[inline(never)]
    fn of_object_in_white_space(arena: &'a [u8], start: usize, end: usize) -> Result<(Self, usize)> {
        let record = &arena[start..end];
        let Some(first) = record.iter().position(|byte| !is_white_space(*byte)) else {
            return Err(Fault::new(start, "expected a JSON object"));
        };
        if record[first] != b'{' {
            let byte_order_mark = record.starts_with(b"\xEF\xBB\xBF");
            let expected = if byte_order_mark { "expected a JSON object without a byte order mark" } else { OBJECT };
            return Err(Fault::new(start + first, expected));
        }
        let last = record.iter().rposition(|byte| !is_white_space(*byte)).unwrap_or(first);
        if record[last] != b'}' {
            let expected = "expected `}` as the last byte of the record (is it cut off?)";
            return Err(Fault::new(start + last, expected));
        }
        Ok((Self { bytes: arena, end: start + last + 1 }, start + first))
    }

    /// All of `bytes` and nothing after them: not an object, or a piece of text that was unescaped.
    pub fn of_all(bytes: &'a [u8]) -> Self {
        Self { bytes, end: bytes.len() }
    }

    /// Just after the last byte.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The byte at `at`; 0, which JSON has nowhere, past the end of the arena.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The bytes of `start..end`, which must lie within the text.
    #[inline(always)]
    pub fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        &self.bytes[start..end]
    }

    /// Sixteen bytes from `at`, perhaps of the next record; `None` near the end of the arena.
    #[inline(always)]
    pub fn sixteen(&self, at: usize) -> Option<&'a [u8; 16]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// Eight bytes from `at`, the first of them lowest; `None` near the end of the arena.
    #[inline(always)]
    pub fn eight(&self, at: usize) -> Option<u64> {
        self.bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Whether the sixteen bytes from `at` are those of `pattern` where `mask` has ones; never near the end of the arena.
    #[inline(always)]
    pub fn matches(&self, at: usize, pattern: u128, mask: u128) -> bool {
        self.sixteen(at).is_some_and(|bytes| (u128::from_le_bytes(*bytes) ^ pattern) & mask == 0)
    }

    /// Whether `expected` stands at `at`.
    #[inline(always)]
    pub fn has(&self, at: usize, expected: &[u8]) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(expected))
    }

    /// The first place from `at` that isn't white space.
    #[inline(always)]
    pub fn skip_white_space(&self, mut at: usize) -> usize {
        while is_white_space(self.byte(at)) {
            at += 1;
        }
        at
    }

    /// The first place from `at` with a byte that can't just stand in a string: a quote, a backslash, a control
    /// character. At or beyond `end` if there is none.
    #[inline(always)]
    pub fn string_stop(&self, mut at: usize) -> usize {
        while let Some(bytes) = self.sixteen(at) {
            let stop = first_stop(bytes);
            at += stop;
            if stop < 16 || at >= self.end {
                return at;
            }
        }
        self.string_stop_bytewise(at)
    }

    #[cold]
    fn string_stop_bytewise(&self, mut at: usize) -> usize {
        while at < self.end && !is_stop(self.byte(at)) {
            at += 1;
        }
        at
    }
}

const OBJECT: &str = "expected a JSON object";

/// Whether JSON allows this byte between tokens.
#[inline(always)]
pub fn is_white_space(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Which of the bytes is the first that can't just stand in a string, or 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first_stop(bytes: &[u8; 16]) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of x86-64, and the load is of sixteen bytes that `bytes` borrows, at any alignment. It pays: an
    // event of benches/decode.rs takes a tenth less than with the words below.
    let stops = unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls))
    };
    (stops | 1 << 16).trailing_zeros() as usize
}

/// Which of the bytes is the first that can't just stand in a string, or 16.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn first_stop(bytes: &[u8; 16]) -> usize {
    let word = u128::from_le_bytes(*bytes);
    let low = stops_of_eight(word as u64);
    if low != 0 {
        return low.trailing_zeros() as usize / 8;
    }
    match stops_of_eight((word >> 64) as u64) {
        0 => 16,
        high => 8 + high.trailing_zeros() as usize / 8,
    }
}

/// The high bit of each byte up to and including the first that stops a string; those above it may err.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn stops_of_eight(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zero_bytes(word ^ (ONES * u64::from(b'"')));
    let escapes = zero_bytes(word ^ (ONES * u64::from(b'\\')));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | escapes | controls) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_found_at_each_place_among_all_bytes() {
        for stop in 0..=255u8 {
            for place in 0..16 {
                let mut bytes = [b'a'; 16];
                bytes[place] = stop;
                let expected = if is_stop(stop) { place } else { 16 };
                assert_eq!(first_stop(&bytes), expected, "{stop:#x} at {place}");
                let half = u64::from_le_bytes(*bytes[place / 8 * 8..].first_chunk().unwrap());
                let stops = stops_of_eight(half);
                assert_eq!(stops != 0, is_stop(stop), "{stop:#x}");
                if stops != 0 {
                    assert_eq!(stops.trailing_zeros() as usize / 8, place % 8);
                }
            }
        }
    }

    #[test]
    fn a_string_stops_at_the_end_of_the_record_and_not_in_the_next() {
        let arena = br#"{"a":"no end}{"b":"................................"}"#;
        let (text, _) = Text::of_object(arena, 0, 13).unwrap();
        assert!(text.string_stop(6) >= text.end());
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_its_place() {
        let refused = |record: &[u8]| Text::of_object(record, 0, record.len()).unwrap_err().at;
        assert_eq!(refused(b""), 0);
        assert_eq!(refused(b"  "), 0);
        assert_eq!(refused(b" [1]"), 1);
        assert_eq!(refused(b"\xEF\xBB\xBF{}"), 0);
        assert_eq!(refused(b"{\"a\":1  "), 5);
        let (text, start) = Text::of_object(b"xx \n{} \tyy", 2, 8).unwrap();
        assert_eq!((start, text.end()), (4, 6));
    }
}
