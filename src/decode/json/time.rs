//! Dates, and instants in RFC 3339.

use arrow::datatypes::TimeUnit;

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the epoch, rounded down.
    pub seconds: i64,
    /// Nanoseconds since that second.
    pub nanoseconds: u32,
}

impl Moment {
    /// In whole units since the epoch, rounded down; `None` where an `i64` does not reach (nanoseconds outside of
    /// 1677 to 2262).
    pub fn in_units(self, unit: TimeUnit) -> Option<i64> {
        let (per_second, nanoseconds_each) = match unit {
            TimeUnit::Second => return Some(self.seconds),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        self.seconds.checked_mul(per_second)?.checked_add(i64::from(self.nanoseconds / nanoseconds_each))
    }
}

/// Days since the epoch of a date `YYYY-MM-DD`; `None` if `text` is none.
pub fn date(text: &[u8]) -> Option<i32> {
    let digits: &[u8; 10] = text.try_into().ok()?;
    let mut padded = *b"0000-00-00T00:00";
    padded[..10].copy_from_slice(digits);
    days_and_minutes(&padded).map(|(days, _)| days)
}

/// The instant that `text` says: RFC 3339 with any offset, `T` or a space in the middle, any number of digits of a second.
/// Without an offset it is UTC; a date alone is its midnight; offsets may also be written `+HHMM` and `+HH`, as ISO 8601
/// has them. There is no second 60.
#[inline]
pub fn moment(text: &[u8]) -> Option<Moment> {
    let Some((head, rest)) = text.split_first_chunk::<16>() else {
        return Some(Moment { seconds: i64::from(date(text)?) * 86_400, nanoseconds: 0 });
    };
    let (days, minutes) = days_and_minutes(head)?;
    let ([b':', tens, ones], rest) = rest.split_first_chunk::<3>()? else { return None };
    let second = two_digits(*tens, *ones).filter(|second| *second < 60)?;
    let (nanoseconds, zone) = fraction(rest)?;
    let seconds = i64::from(days) * 86_400 + i64::from(minutes * 60 + second) - offset_in_seconds(zone)?;
    Some(Moment { seconds, nanoseconds })
}

/// The days since the epoch, and the minutes of the day, of `YYYY-MM-DDTHH:MM`.
#[inline(always)]
fn days_and_minutes(text: &[u8; 16]) -> Option<(i32, u32)> {
    const SHAPE: u128 = u128::from_le_bytes(*b"0000-00-00T00:00");
    // Added to a byte, this reaches 0x80 when the byte is no digit (from 10 on) or not the separator (from 1 on).
    const LIMITS: u128 = u128::from_le_bytes([
        0x76, 0x76, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F, 0x76, 0x76,
    ]);
    const HIGH_BITS: u128 = u128::from_le_bytes([0x80; 16]);
    let mut text = *text;
    if matches!(text[10], b' ' | b't') {
        text[10] = b'T';
    }
    let values = u128::from_le_bytes(text) ^ SHAPE;
    if (values.wrapping_add(LIMITS) | values) & HIGH_BITS != 0 {
        return None;
    }
    let digits = values.to_le_bytes();
    let pair = |at: usize| u32::from(digits[at]) * 10 + u32::from(digits[at + 1]);
    let days = days_since_epoch(pair(0) * 100 + pair(2), pair(5), pair(8))?;
    let (hour, minute) = (pair(11), pair(14));
    (hour < 24 && minute < 60).then_some((days, hour * 60 + minute))
}

fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(u32::from(tens) * 10 + u32::from(ones))
}

/// The nanoseconds of a fraction of a second at the start of `text`, if there is one, and what follows it.
#[inline(always)]
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    // Nanoseconds in the last digit of a fraction, by how many digits it has.
    const UNITS: [u32; 10] = [0, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(count);
    let kept = count.min(9);
    let value = digits[..kept].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    let nanoseconds = value * UNITS[kept];
    (count > 0).then_some((nanoseconds, rest))
}

/// How far the local time of `zone` is ahead of UTC.
#[inline(always)]
fn offset_in_seconds(zone: &[u8]) -> Option<i64> {
    let (hours, minutes) = match zone {
        [] | b"Z" | b"z" => return Some(0),
        [_, h, hh, b':', m, mm] | [_, h, hh, m, mm] => (two_digits(*h, *hh)?, two_digits(*m, *mm)?),
        [_, h, hh] => (two_digits(*h, *hh)?, 0),
        _ => return None,
    };
    let ahead = i64::from(hours * 3_600 + minutes * 60);
    match zone[0] {
        _ if hours >= 24 || minutes >= 60 => None,
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar; `None` if the calendar doesn't have it.
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
#[inline(always)]
fn days_since_epoch(year: u32, month: u32, day: u32) -> Option<i32> {
    const DAYS: [u32; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of_month = *DAYS.get(month as usize)?;
    if day == 0 || day > days_of_month || (month == 2 && day == 29 && !leap) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year; 400 years more keep January of year 0 positive.
    let (year, month) = if month < 3 { (year + 399, month + 9) } else { (year + 400, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    Some(days as i32 - (719_468 + 146_097))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(text: &str) -> Option<i64> {
        moment(text.as_bytes())?.in_units(TimeUnit::Millisecond)
    }

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_one_before() {
        let mut expected = -719_528;
        for year in 0..10_000 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(days) = date(format!("{year:04}-{month:02}-{day:02}").as_bytes()) {
                        assert_eq!(days, expected, "{year}-{month}-{day}");
                        expected += 1;
                    }
                }
            }
        }
        assert_eq!(expected, 2_932_897, "the day after 9999-12-31");
        assert_eq!(date(b"1970-01-01"), Some(0));
    }

    #[test]
    fn instants_are_read_in_all_accepted_spellings() {
        assert_eq!(milliseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(milliseconds("2013-01-01T05:15:00Z"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01 05:15:00"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01t05:15:00z"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01T00:15:00-05:00"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01T10:45:00+0530"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01T06:15:00+01"), Some(1_357_017_300_000));
        assert_eq!(milliseconds("2013-01-01"), Some(1_356_998_400_000));
        assert_eq!(milliseconds("1970-01-01T00:00:00.1Z"), Some(100));
        assert_eq!(milliseconds("1970-01-01T00:00:00.1239999999999Z"), Some(123));
        assert_eq!(milliseconds("1969-12-31T23:59:59.9999Z"), Some(-1));
        assert_eq!(
            moment(b"1970-01-01T00:00:00.123456789Z").unwrap().in_units(TimeUnit::Nanosecond),
            Some(123_456_789)
        );
        assert_eq!(moment(b"1970-01-01T00:00:00.123456789Z").unwrap().in_units(TimeUnit::Microsecond), Some(123_456));
        assert_eq!(moment(b"9999-01-01T00:00:00Z").unwrap().in_units(TimeUnit::Nanosecond), None);
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for bad in [
            "",
            "x",
            "2013",
            "2013-13-01",
            "2013-02-29",
            "1900-02-29",
            "2013-01-00",
            "2013-00-01",
            "2013-01-1",
            "2013-1-01",
            "13-01-01",
            "2013-01-01T",
            "2013-01-01T05",
            "2013-01-01T05:15",
            "2013-01-01T05:15Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T05:60:00Z",
            "2013-01-01T05:15:60Z",
            "2013-01-01T05:15:00.",
            "2013-01-01T05:15:00.Z",
            "2013-01-01T05:15:00+5",
            "2013-01-01T05:15:00+24:00",
            "2013-01-01T05:15:00+05:60",
            "2013-01-01T05:15:00*05:00",
            "2013-01-01T05:15:00Zx",
            "2013-01-01X05:15:00Z",
            "2013/01/01T05:15:00Z",
            "2013-01-01T05-15:00Z",
            "2013-01-01T05:15-00Z",
            "2o13-01-01T05:15:00Z",
            "2013-01-01T05:15:0/Z",
            "２013-01-01T05:15:00",
            " 2013-01-01",
        ] {
            assert_eq!(moment(bad.as_bytes()), None, "{bad}");
        }
    }
}
