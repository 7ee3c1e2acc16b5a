//! JSON numbers: their grammar, and readings of them that lose nothing without saying so.

use super::fault::{Fault, Result};
use super::text::Text;

/// A number as it is written: `±mantissa · 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// All digits as one whole number; meaningless unless `exact`.
    pub mantissa: u64,
    /// The power of ten.
    pub exponent: i64,
    /// Whether there is a minus sign.
    pub negative: bool,
    /// Whether the digits fit `mantissa`.
    pub exact: bool,
    /// Just after the last byte.
    pub end: usize,
}

/// So many digits always fit an `u64`.
const DIGITS_MAX: usize = 19;

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Reads the number at `start`.
///
/// # Errors
/// When that is no JSON number.
#[inline(always)]
pub fn read(text: &Text<'_>, start: usize) -> Result<Number> {
    let negative = text.byte(start) == b'-';
    let whole = start + usize::from(negative);
    let mut mantissa = 0;
    let mut at = digits(text, whole, &mut mantissa);
    check_whole(text, start, whole, at)?;
    let mut count = at - whole;
    let mut exponent = 0;
    if text.byte(at) == b'.' {
        let fraction = at + 1;
        at = digits(text, fraction, &mut mantissa);
        check_some(fraction, at)?;
        count += at - fraction;
        exponent = -((at - fraction) as i64);
    }
    if text.byte(at) | 0x20 == b'e' {
        let (power, after) = power(text, at + 1)?;
        exponent += power;
        at = after;
    }
    Ok(Number { mantissa, exponent, negative, exact: count <= DIGITS_MAX, end: at })
}

/// Passes over the number at `start`, as strictly as if it were read.
///
/// # Errors
/// When that is no JSON number.
#[inline(always)]
pub fn skip(text: &Text<'_>, start: usize) -> Result<usize> {
    let whole = start + usize::from(text.byte(start) == b'-');
    let mut at = skip_digits(text, whole);
    check_whole(text, start, whole, at)?;
    if text.byte(at) == b'.' {
        let fraction = at + 1;
        at = skip_digits(text, fraction);
        check_some(fraction, at)?;
    }
    if text.byte(at) | 0x20 == b'e' {
        at = power(text, at + 1)?.1;
    }
    Ok(at)
}

#[inline(always)]
fn check_whole(text: &Text<'_>, start: usize, whole: usize, end: usize) -> Result<()> {
    if end == whole {
        return Err(Fault::new(start, "expected a number"));
    }
    if text.byte(whole) == b'0' && end > whole + 1 {
        return Err(Fault::new(start, "expected a number without leading zeros"));
    }
    Ok(())
}

#[inline(always)]
fn check_some(start: usize, end: usize) -> Result<()> {
    if end == start { Err(Fault::new(start, "expected a digit")) } else { Ok(()) }
}

/// The power of ten after an `e`, and the place after it. Powers beyond all reason stay beyond all reason.
#[cold]
#[inline(never)]
fn power(text: &Text<'_>, at: usize) -> Result<(i64, usize)> {
    const BEYOND_REASON: i64 = 1 << 40;
    let negative = text.byte(at) == b'-';
    let start = at + usize::from(negative || text.byte(at) == b'+');
    let end = skip_digits(text, start);
    check_some(start, end)?;
    let digits = text.slice(start, end).iter().map(|digit| i64::from(digit - b'0'));
    let power = digits.fold(0, |power: i64, digit| (power * 10 + digit).min(BEYOND_REASON));
    Ok((if negative { -power } else { power }, end))
}

/// Appends the digits from `at` to `mantissa` (which may wrap) and returns the place after them.
#[inline(always)]
fn digits(text: &Text<'_>, mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(word) = text.eight(at) {
        let count = leading_digits(word);
        if count > 0 {
            // The shift brings the digits to the high end, and zeros before them.
            let value = value_of_eight((word ^ ASCII_ZEROS) << (64 - 8 * count));
            *mantissa = mantissa.wrapping_mul(POWERS_OF_TEN[count]).wrapping_add(value);
        }
        at += count;
        if count < 8 {
            return at;
        }
    }
    while text.byte(at).is_ascii_digit() {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(text.byte(at) - b'0'));
        at += 1;
    }
    at
}

#[inline(always)]
fn skip_digits(text: &Text<'_>, mut at: usize) -> usize {
    while let Some(word) = text.eight(at) {
        let count = leading_digits(word);
        at += count;
        if count < 8 {
            return at;
        }
    }
    while text.byte(at).is_ascii_digit() {
        at += 1;
    }
    at
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// How many of the eight bytes, the lowest first, are digits.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    let values = word ^ ASCII_ZEROS;
    // Adding 0x76 to a byte sets its high bit from 10 on. A carry out of a byte comes only from one that is no digit,
    // and spoils only those above it, which no longer count.
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    others.trailing_zeros() as usize / 8
}

/// The number that eight decimal digits make, the first of them in the lowest byte: pairs, then fours, then all.
#[inline(always)]
fn value_of_eight(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10 * 0x100 + 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 * 0x1_0000 + 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000 * 0x1_0000_0000 + 1) >> 32
}

/// What `scaled` does with digits beyond its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// They must be zeros.
    Refuse,
    /// They are dropped (towards zero).
    Truncate,
}

/// Why a number can't be what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It has digits beyond the scale.
    Digits,
    /// It is too large.
    Range,
}

/// `text`, a JSON number of any length, times `10^scale`, as a whole number, exactly.
///
/// # Errors
/// When that isn't a whole number (unless `beyond` says to truncate), or not one of 38 digits.
pub fn scaled(text: &[u8], scale: i64, beyond: Beyond) -> std::result::Result<i128, Misfit> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let split = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let power = match text.get(split + 1..) {
        Some(_) => power(&Text::of_all(text), split + 1).map_err(|_| Misfit::Range)?.0,
        None => 0,
    };
    let point = text[..split].iter().position(|byte| *byte == b'.').unwrap_or(split);
    // How many of the digits stay, counted from the first.
    let kept = point as i64 + power + scale;
    let digits = text[..split].iter().filter(|byte| **byte != b'.').map(|byte| i128::from(byte - b'0'));
    let mut value = 0i128;
    let mut count = 0;
    for digit in digits {
        if count < kept {
            value = append_digit(value, digit)?;
        } else if digit != 0 && beyond == Beyond::Refuse {
            return Err(Misfit::Digits);
        }
        count += 1;
    }
    while value != 0 && count < kept {
        value = append_digit(value, 0)?;
        count += 1;
    }
    Ok(if negative { -value } else { value })
}

fn append_digit(value: i128, digit: i128) -> std::result::Result<i128, Misfit> {
    const LARGEST: i128 = 10i128.pow(38) - 1;
    let value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(Misfit::Range)?;
    if value > LARGEST { Err(Misfit::Range) } else { Ok(value) }
}

/// `number` times `10^scale` where that is quickly and exactly done.
#[inline(always)]
pub fn scaled_quickly(number: &Number, scale: i64) -> Option<i128> {
    let power = number.exponent + scale;
    if !number.exact || !(0..POWERS_OF_TEN.len() as i64).contains(&power) {
        return None;
    }
    let value = i128::from(number.mantissa) * i128::from(POWERS_OF_TEN[power as usize]);
    Some(if number.negative { -value } else { value })
}

/// The double that is nearest to `number`, which is written as `text`; infinite if it is beyond all doubles.
#[inline(always)]
pub fn nearest_f64(number: &Number, text: &[u8]) -> f64 {
    // Clinger's fast path: both factors are exact doubles, so the one operation rounds once.
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    let places = POWERS.get(number.exponent.unsigned_abs() as usize);
    let Some(power) = places.filter(|_| number.exact && number.mantissa <= 1 << 53) else {
        return nearest_f64_of_any(text);
    };
    let magnitude = number.mantissa as f64;
    let magnitude = if number.exponent < 0 { magnitude / power } else { magnitude * power };
    if number.negative { -magnitude } else { magnitude }
}

#[inline(never)]
fn nearest_f64_of_any(text: &[u8]) -> f64 {
    lexical_core::parse(text).unwrap_or(f64::INFINITY)
}

/// The single-precision number that is nearest to the one written as `text`; infinite if it is beyond all of them.
pub fn nearest_f32(text: &[u8]) -> f32 {
    // Not by way of a double: that would round twice.
    lexical_core::parse(text).unwrap_or(f32::INFINITY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(json: &str) -> Number {
        read(&Text::of_all(json.as_bytes()), 0).unwrap()
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        for good in [
            "0",
            "-0",
            "7",
            "10",
            "1.5",
            "0.000",
            "1e3",
            "1E+3",
            "1.25e-3",
            "123456789012345678901234567890.1e999999999999999999999",
        ] {
            assert_eq!(number(good).end, good.len(), "{good}");
            assert_eq!(skip(&Text::of_all(good.as_bytes()), 0), Ok(good.len()), "{good}");
        }
        for bad in
            ["", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "01", "-01", "00", "NaN", "Infinity", "-Infinity", "x"]
        {
            let text = Text::of_all(bad.as_bytes());
            assert_eq!(read(&text, 0).unwrap_err(), skip(&text, 0).unwrap_err(), "{bad}");
        }
    }

    #[test]
    fn reading_ends_where_the_number_ends() {
        for rest in [",", "}", "]", " ", "x", ":/;<", "\u{ff}\u{ff}\u{ff}"] {
            for length in 1..=19 {
                let digits = &"1234567890123456789"[..length];
                let json = format!("{digits}{rest}________________");
                assert_eq!(
                    number(&json),
                    Number {
                        mantissa: digits.parse().unwrap(),
                        exponent: 0,
                        negative: false,
                        exact: true,
                        end: length
                    }
                );
                assert_eq!(skip(&Text::of_all(json.as_bytes()), 0), Ok(length));
            }
        }
    }

    #[test]
    fn scaling_is_exact_or_says_why_not() {
        let refuse = |text: &str, scale| scaled(text.as_bytes(), scale, Beyond::Refuse);
        assert_eq!(refuse("1.25", 2), Ok(125));
        assert_eq!(refuse("-1.25", 4), Ok(-12500));
        assert_eq!(refuse("1.250", 2), Ok(125));
        assert_eq!(refuse("1.255", 2), Err(Misfit::Digits));
        assert_eq!(refuse("1.2e1", 0), Ok(12));
        assert_eq!(refuse("12e-1", 0), Err(Misfit::Digits));
        assert_eq!(refuse("1200", -2), Ok(12));
        assert_eq!(refuse("1201", -2), Err(Misfit::Digits));
        assert_eq!(refuse("0.00000000000000000000000000000000000000000000001e47", 0), Ok(1));
        assert_eq!(refuse("99999999999999999999999999999999999999", 0), Ok(10i128.pow(38) - 1));
        assert_eq!(refuse("100000000000000000000000000000000000000", 0), Err(Misfit::Range));
        assert_eq!(refuse("1e99999999999999999999", 0), Err(Misfit::Range));
        assert_eq!(refuse("1e-99999999999999999999", 0), Err(Misfit::Digits));
        assert_eq!(refuse("0e99999999999999999999", 0), Ok(0));
        assert_eq!(refuse("-0.0", 5), Ok(0));
        let truncate = |text: &str| scaled(text.as_bytes(), 0, Beyond::Truncate);
        assert_eq!(truncate("1700000000.999"), Ok(1_700_000_000));
        assert_eq!(truncate("-1.999"), Ok(-1));
        assert_eq!(truncate("19e-1"), Ok(1));
    }

    proptest! {
        #[test]
        fn doubles_are_those_of_the_standard_library(text in r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?") {
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(nearest_f64(&number(&text), text.as_bytes()).to_bits(), expected.to_bits());
            let expected: f32 = text.parse().unwrap();
            prop_assert_eq!(nearest_f32(text.as_bytes()).to_bits(), expected.to_bits());
        }

        #[test]
        fn quick_and_slow_scaling_agree(text in r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,6})?([eE][-+]?[0-9])?", scale in -3i64..9) {
            if let Some(quick) = scaled_quickly(&number(&text), scale) {
                prop_assert_eq!(scaled(text.as_bytes(), scale, Beyond::Refuse), Ok(quick));
            }
        }
    }
}
