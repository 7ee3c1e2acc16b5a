//! Dates, times and spans of time as ISO 8601 text, without quotes.
//!
//! Years beyond 0000 to 9999, which RFC 3339 can't say, get a sign as in ISO 8601 (`+12345-01-01`, `-0044-03-15`).
//! A fraction of a second has 3, 6 or 9 digits, the fewest that hold it, and is left out when zero.

use std::cell::Cell;

use arrow::datatypes::TimeUnit;

use super::arena::Arena;
use super::number::write_integer;

const SECONDS_PER_DAY: i64 = 86_400;

/// The text of the date that was written last: rows of a batch are mostly of the same day, and a date costs more than
/// all else of a timestamp.
#[derive(Clone, Copy)]
pub(super) struct LastDate {
    days: i64,
    text: [u8; 10],
}

impl Default for LastDate {
    fn default() -> Self {
        Self { days: 0, text: *b"1970-01-01" }
    }
}

/// `2025-01-31`; `days` since the epoch.
#[inline]
pub(super) fn write_date(out: &mut Arena, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let [m, n] = two_digits(month);
    let [t, u] = two_digits(day);
    if (0..=9999).contains(&year) {
        let [c, d] = two_digits(year as u32 / 100);
        let [y, z] = two_digits(year as u32 % 100);
        return out.push_all(&[c, d, y, z, b'-', m, n, b'-', t, u]);
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(year.unsigned_abs()).as_bytes();
    out.push(if year < 0 { b'-' } else { b'+' });
    out.repeat(b'0', 4usize.saturating_sub(digits.len()));
    out.extend_short(digits);
    out.push_all(&[b'-', m, n, b'-', t, u]);
}

/// `23:59:59.999`; `value` since midnight. Values outside a day are not times, and come out as they are counted.
#[inline]
pub(super) fn write_time(out: &mut Arena, value: i64, unit: TimeUnit) {
    if value < 0 {
        out.push(b'-');
    }
    let (seconds, nanos) = split_magnitude(value, unit);
    let hours = seconds / 3600;
    if hours < 100 {
        write_clock(out, seconds as u32);
    } else {
        write_integer(out, hours);
        let rest = (seconds % 3600) as u32;
        let ([m, n], [s, t]) = (two_digits(rest / 60), two_digits(rest % 60));
        out.push_all(&[b':', m, n, b':', s, t]);
    }
    write_fraction(out, nanos);
}

/// `2025-01-31T23:59:59.999Z`; without the `Z` where the type has no zone (`utc` is false), because then nobody knows
/// which instant is meant, and the text must not claim to.
#[inline]
pub(super) fn write_timestamp(out: &mut Arena, value: i64, unit: TimeUnit, utc: bool, last: &Cell<LastDate>) {
    // Divisions by numbers that the compiler knows are multiplications.
    let (seconds, nanos) = match unit {
        TimeUnit::Second => (value, 0),
        TimeUnit::Millisecond => (value.div_euclid(1_000), value.rem_euclid(1_000) * 1_000_000),
        TimeUnit::Microsecond => (value.div_euclid(1_000_000), value.rem_euclid(1_000_000) * 1_000),
        TimeUnit::Nanosecond => (value.div_euclid(1_000_000_000), value.rem_euclid(1_000_000_000)),
    };
    let days = seconds.div_euclid(SECONDS_PER_DAY);
    let last_date = last.get();
    if last_date.days == days {
        out.push_all(&last_date.text);
    } else {
        write_new_date(out, days, last);
    }
    out.push(b'T');
    write_clock(out, seconds.rem_euclid(SECONDS_PER_DAY) as u32);
    write_fraction(out, nanos as u32);
    if utc {
        out.push(b'Z');
    }
}

#[inline(never)]
fn write_new_date(out: &mut Arena, days: i64, last: &Cell<LastDate>) {
    let start = out.len();
    write_date(out, days);
    if let Ok(text) = out.since(start).try_into() {
        last.set(LastDate { days, text });
    }
}

/// `PT26H3M4.5S`, each part with its own sign.
pub(super) fn write_duration(out: &mut Arena, value: i64, unit: TimeUnit) {
    write_interval(out, 0, 0, value, unit);
}

/// `P1Y2M3DT4H5M6.5S`, each part with its own sign and left out when zero; nothing at all is `PT0S`.
pub(super) fn write_interval(out: &mut Arena, months: i32, days: i32, value: i64, unit: TimeUnit) {
    out.push(b'P');
    for (part, letter) in [(months / 12, b'Y'), (months % 12, b'M'), (days, b'D')] {
        if part != 0 {
            write_integer(out, part);
            out.push(letter);
        }
    }
    if value == 0 && (months != 0 || days != 0) {
        return;
    }
    out.push(b'T');
    let (seconds, nanos) = split_magnitude(value, unit);
    let sign: &[u8] = if value < 0 { b"-" } else { b"" };
    for (part, letter) in [(seconds / 3600, b'H'), (seconds / 60 % 60, b'M')] {
        if part != 0 {
            out.extend_from_slice(sign);
            write_integer(out, part);
            out.push(letter);
        }
    }
    if !seconds.is_multiple_of(60) || nanos != 0 || value == 0 {
        out.extend_from_slice(sign);
        write_integer(out, seconds % 60);
        write_fraction(out, nanos);
        out.push(b'S');
    }
}

/// Seconds and nanoseconds of `value`, without its sign.
fn split_magnitude(value: i64, unit: TimeUnit) -> (u64, u32) {
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let magnitude = value.unsigned_abs();
    (magnitude / per_second, (magnitude % per_second * (1_000_000_000 / per_second)) as u32)
}

/// `23:59:59`, of less than 100 hours.
#[inline]
fn write_clock(out: &mut Arena, seconds: u32) {
    let [h, i] = two_digits(seconds / 3600);
    let [m, n] = two_digits(seconds / 60 % 60);
    let [s, t] = two_digits(seconds % 60);
    out.push_all(&[h, i, b':', m, n, b':', s, t]);
}

#[inline]
fn write_fraction(out: &mut Arena, nanos: u32) {
    if nanos == 0 {
        return;
    }
    let [a, b, c] = three_digits(nanos / 1_000_000);
    if nanos.is_multiple_of(1_000_000) {
        return out.push_all(&[b'.', a, b, c]);
    }
    let [d, e, f] = three_digits(nanos / 1_000 % 1_000);
    let [g, h, i] = three_digits(nanos % 1_000);
    *out.room_of() = [b'.', a, b, c, d, e, f, g, h, i];
    out.advance(if nanos.is_multiple_of(1_000) { 7 } else { 10 });
}

/// The text of 0 to 99: a look-up is half of the time of a division by ten.
static TWO_DIGITS: [[u8; 2]; 100] = {
    let mut texts = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        texts[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    texts
};

#[inline]
fn two_digits(value: u32) -> [u8; 2] {
    TWO_DIGITS[value as usize]
}

#[inline]
fn three_digits(value: u32) -> [u8; 3] {
    let [tens, ones] = two_digits(value % 100);
    [b'0' + (value / 100) as u8, tens, ones]
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01: `civil_from_days` of Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms". Years are taken to begin in March, so that the leap day is
/// the last of its year, and are counted in eras of 400.
#[inline]
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    const DAYS_FROM_0000_03_01: i64 = 719_468;
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + DAYS_FROM_0000_03_01;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA) as u32;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (i64::from(year_of_era) + era * 400 + i64::from(month <= 2), month, day)
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
    fn timestamps() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let cases = [
            (0, Second, true, "1970-01-01T00:00:00Z"),
            (0, Second, false, "1970-01-01T00:00:00"),
            (1_735_689_599_999, Millisecond, true, "2024-12-31T23:59:59.999Z"),
            (-1, Millisecond, true, "1969-12-31T23:59:59.999Z"),
            (-1, Nanosecond, true, "1969-12-31T23:59:59.999999999Z"),
            (1_000, Nanosecond, true, "1970-01-01T00:00:00.000001Z"),
            (951_782_400, Second, true, "2000-02-29T00:00:00Z"),
            (-62_167_219_200, Second, true, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, Second, true, "-0001-12-31T23:59:59Z"),
            (253_402_300_800, Second, true, "+10000-01-01T00:00:00Z"),
            (i64::MIN, Nanosecond, true, "1677-09-21T00:12:43.145224192Z"),
            (i64::MAX, Microsecond, true, "+294247-01-10T04:00:54.775807Z"),
            (i64::MAX, Second, true, "+292277026596-12-04T15:30:07Z"),
            (i64::MIN, Second, true, "-292277022657-01-27T08:29:52Z"),
        ];
        let last = Cell::default();
        for (value, unit, utc, expected) in cases {
            assert_eq!(text(|out| write_timestamp(out, value, unit, utc, &Cell::default())), expected);
            for _ in 0..2 {
                assert_eq!(text(|out| write_timestamp(out, value, unit, utc, &last)), expected);
            }
        }
    }

    #[test]
    fn every_day_of_twelve_centuries_follows_the_one_before() {
        let mut expected = (1500, 1, 1);
        for days in -171_664..=266626 {
            assert_eq!(civil_from_days(days), expected, "day {days}");
            let (year, month, day) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let days_of_month = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            expected = match (day == days_of_month[month as usize - 1], month) {
                (false, _) => (year, month, day + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
        assert_eq!(expected, (2700, 1, 1));
    }

    #[test]
    fn times_of_day() {
        let cases = [
            (0, TimeUnit::Second, "00:00:00"),
            (86_399_999, TimeUnit::Millisecond, "23:59:59.999"),
            (90_000, TimeUnit::Second, "25:00:00"),
            (-1, TimeUnit::Second, "-00:00:01"),
            (i64::MIN, TimeUnit::Second, "-2562047788015215:30:08"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(text(|out| write_time(out, value, unit)), expected);
        }
    }

    #[test]
    fn spans() {
        let cases = [
            (0, 0, 0, "PT0S"),
            (14, 3, 0, "P1Y2M3D"),
            (-14, 3, 1_500, "P-1Y-2M3DT1.500S"),
            (0, 0, 93_784_000, "PT26H3M4S"),
            (0, 0, -61_000, "PT-1M-1S"),
            (0, 0, 3_600_000, "PT1H"),
            (i32::MIN, i32::MIN, i64::MIN, "P-178956970Y-8M-2147483648DT-2562047788015H-12M-55.808S"),
        ];
        for (months, days, millis, expected) in cases {
            assert_eq!(text(|out| write_interval(out, months, days, millis, TimeUnit::Millisecond)), expected);
        }
        assert_eq!(text(|out| write_duration(out, -1, TimeUnit::Nanosecond)), "PT-0.000000001S");
    }
}
