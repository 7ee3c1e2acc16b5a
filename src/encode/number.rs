//! Numbers as JSON numbers.

use std::num::NonZeroI32;

use arrow::datatypes::i256;
use lexical_core::{ToLexicalWithOptions, WriteFloatOptions, WriteFloatOptionsBuilder};

use super::arena::Arena;

/// As people and most JSON writers expect: an exponent only from 1e17 on, and below 1e-5.
const FLOAT_STYLE: WriteFloatOptions = WriteFloatOptionsBuilder::new()
    .positive_exponent_break(NonZeroI32::new(16))
    .negative_exponent_break(NonZeroI32::new(-5))
    .build_strict();

/// Room for the longest float of `FLOAT_STYLE`.
const FLOAT_BYTES_MAX: usize = 64;

/// Digits of the largest 256-bit integer, a sign, and the point with a zero before it.
const DECIMAL_BYTES_MAX: usize = 78;

#[inline]
pub(super) fn write_integer<I: itoa::Integer>(out: &mut Arena, value: I) {
    out.extend_short(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest text that reads back as the same bits; `value` is finite.
#[inline]
pub(super) fn write_float64(out: &mut Arena, value: f64) {
    /// Hundredths of less than this have at most 15 digits.
    const HUNDREDTHS_MAX: f64 = 1e13;
    let magnitude = value.abs();
    if magnitude < HUNDREDTHS_MAX {
        // Amounts of money and the like. The quotient of two integers that doubles hold exactly is rounded as a reader
        // rounds its text, and no other text of at most 15 digits is read as the same bits.
        let hundredths = (magnitude * 100.0 + 0.5) as u64;
        if hundredths as f64 / 100.0 == magnitude {
            return write_hundredths(out, value.is_sign_negative(), hundredths);
        }
    }
    write_float(out, value);
}

/// The same for singles.
#[inline]
pub(super) fn write_float32(out: &mut Arena, value: f32) {
    write_float(out, value);
}

#[inline(never)]
fn write_float<F: ToLexicalWithOptions<Options = WriteFloatOptions>>(out: &mut Arena, value: F) {
    const FORMAT: u128 = lexical_core::format::STANDARD;
    let room = out.room_of::<FLOAT_BYTES_MAX>();
    let len = lexical_core::write_with_options::<F, FORMAT>(value, room, &FLOAT_STYLE).len();
    out.advance(len);
}

#[inline]
fn write_hundredths(out: &mut Arena, negative: bool, hundredths: u64) {
    if negative {
        out.push(b'-');
    }
    write_integer(out, hundredths / 100);
    let (tenth, hundredth) = ((hundredths / 10 % 10) as u8, (hundredths % 10) as u8);
    *out.room_of() = [b'.', b'0' + tenth, b'0' + hundredth];
    out.advance(if hundredth == 0 { 2 } else { 3 });
}

/// Appends `unscaled × 10^-scale`, every digit of it, also the zeros at its end.
#[inline]
pub(super) fn write_decimal(out: &mut Arena, unscaled: i128, scale: i8) {
    let mut buffer = itoa::Buffer::new();
    place_point(out, unscaled < 0, buffer.format(unscaled.unsigned_abs()).as_bytes(), scale);
}

/// As `write_decimal`.
pub(super) fn write_wide_decimal(out: &mut Arena, unscaled: i256, scale: i8) {
    if let Some(narrow) = unscaled.to_i128() {
        return write_decimal(out, narrow, scale);
    }
    let ten = i256::from_i128(10);
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let mut first = digits.len();
    let mut rest = unscaled;
    while rest != i256::ZERO {
        // The remainder has the sign of the dividend, so the least 256-bit integer needs no negation.
        let digit = rest.wrapping_rem(ten).as_i128().unsigned_abs() as u8;
        first -= 1;
        digits[first] = b'0' + digit;
        rest = rest.wrapping_div(ten);
    }
    place_point(out, unscaled.is_negative(), &digits[first..], scale);
}

fn place_point(out: &mut Arena, negative: bool, digits: &[u8], scale: i8) {
    if negative {
        out.push(b'-');
    }
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.repeat(b'0', places);
        }
    } else if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.repeat(b'0', places - digits.len());
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Arena)) -> String {
        let mut out = Arena::default();
        write(&mut out);
        String::from_utf8(out.finish()).unwrap()
    }

    #[test]
    fn decimals() {
        let cases: [(i128, i8, &str); 10] = [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (0, -3, "0"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (1250, 2, "12.50"),
            (-1250, 3, "-1.250"),
            (12, -3, "12000"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
            (i128::MAX, 38, "1.70141183460469231731687303715884105727"),
        ];
        for (unscaled, scale, expected) in cases {
            assert_eq!(text(|out| write_decimal(out, unscaled, scale)), expected);
            assert_eq!(text(|out| write_wide_decimal(out, i256::from_i128(unscaled), scale)), expected);
        }
    }

    #[test]
    fn decimals_beyond_128_bits() {
        for value in [i256::MAX, i256::MIN, i256::from_i128(i128::MAX).wrapping_mul(i256::from_i128(1000))] {
            assert_eq!(text(|out| write_wide_decimal(out, value, 0)), value.to_string());
        }
        assert!(text(|out| write_wide_decimal(out, i256::MIN, 76)).starts_with("-5.78960446"));
    }

    #[test]
    fn floats() {
        let cases = [
            (5.0, "5.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (-12.34, "-12.34"),
            (0.29, "0.29"),
            (100.0, "100.0"),
            (0.125, "0.125"),
            (9_999_999_999_999.99, "9999999999999.99"),
            (10_000_000_000_000.01, "10000000000000.01"),
            (1e15, "1000000000000000.0"),
            (1234567890.5, "1234567890.5"),
            (1e16, "10000000000000000.0"),
            (1e17, "1.0e17"),
            (0.00001, "0.00001"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5.0e-324"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| write_float64(out, value)), expected);
        }
        assert_eq!(text(|out| write_float32(out, 0.1)), "0.1");
        assert_eq!(text(|out| write_float32(out, f32::MIN)), "-3.4028235e38");
    }
}
