//! Durations and sizes as people write them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A hundred years: no sum of two durations overflows.
const DURATION_MS_MAX: i128 = 100 * 365 * 86_400_000;

/// A duration: `500ms`, `30s`, `5m`, `1h`, `1.5h`, `7d`, `1h30m`. Go's spelling and days; whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(
    /// Milliseconds.
    pub i64,
);

/// A span of time where existing files write a bare number of milliseconds; a duration is read as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milliseconds(
    /// Milliseconds.
    pub i64,
);

/// A number of bytes: `65536`, `64KiB`, `1.5MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(
    /// Bytes.
    pub u64,
);

impl Duration {
    /// Reads a duration.
    ///
    /// # Errors
    /// What is wrong with the text, to follow "`text` is not a duration:".
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Duration(0));
        }
        let mut nanoseconds = 0_i128;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, after) = split_number(rest)?;
            let unit_length =
                after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_length);
            let unit_ns: i128 = match unit {
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                "" => return Err("the unit is missing (ms, s, m, h or d)".to_string()),
                _ if unit.contains(char::is_whitespace) => return Err("there is white space in it".to_string()),
                _ => return Err(format!("`{unit}` is not a unit (ms, s, m, h or d)")),
            };
            nanoseconds += number.times(unit_ns).ok_or("it is finer than a nanosecond")?;
            rest = after;
        }
        match (nanoseconds % 1_000_000, nanoseconds / 1_000_000) {
            _ if text.is_empty() => Err("it is empty".to_string()),
            (0, milliseconds) if milliseconds <= DURATION_MS_MAX => Ok(Duration(milliseconds as i64)),
            (0, _) => Err("it is longer than 100 years".to_string()),
            _ => Err("it is finer than a millisecond".to_string()),
        }
    }
}

impl Milliseconds {
    /// Reads a number of milliseconds or a duration.
    ///
    /// # Errors
    /// As for `Duration::parse`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let duration = match text.parse::<u32>() {
            Ok(milliseconds) => i64::from(milliseconds),
            Err(_) => Duration::parse(text)?.0,
        };
        Ok(Milliseconds(duration))
    }
}

impl Size {
    /// Reads a size.
    ///
    /// # Errors
    /// What is wrong with the text, to follow "`text` is not a size:".
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_number(text)?;
        let unit_bytes: i128 = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return Err(format!("`{}` is not a unit (B, KB, MB, GB, KiB, MiB or GiB)", unit.trim())),
        };
        let bytes = number.times(unit_bytes).ok_or("it is not a whole number of bytes")?;
        u64::try_from(bytes).map(Size).map_err(|_| "it is too large".to_string())
    }
}

/// A decimal number, exactly: `digits / 10^scale`.
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// The product, if it is whole.
    fn times(&self, factor: i128) -> Option<i128> {
        let (product, divisor) = (self.digits * factor, 10_i128.pow(self.scale));
        (product % divisor == 0).then_some(product / divisor)
    }
}

fn split_number(text: &str) -> Result<(Decimal, &str), String> {
    let length = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || fraction.contains('.') {
        return Err(if text.starts_with('-') { "it is negative" } else { "a number is missing" }.to_string());
    }
    // 18 digits times the nanoseconds of a day stay well below 2^127.
    if digits.len() > 18 {
        return Err("the number is too long".to_string());
    }
    let digits = digits.parse().map_err(|_| "a number is missing".to_string())?;
    Ok((Decimal { digits, scale: fraction.len() as u32 }, rest))
}

macro_rules! quantity {
    ($type:ident, $format:literal, $json_types:tt, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $type::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": $json_types, "format": $format, "description": $description})
            }
        }
    };
}

quantity!(Duration, "duration", "string", "A duration: 500ms, 30s, 5m, 1h, 1.5h, 7d.");
quantity!(Milliseconds, "milliseconds", ["integer", "string"], "Milliseconds, or a duration such as 100ms.");
quantity!(Size, "size", ["integer", "string"], "A number of bytes, or a size such as 64MiB.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them_and_with_days() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0ms", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("7d", 604_800_000),
            ("1h30m0.5s", 5_400_500),
            ("2000us", 2),
        ] {
            assert_eq!(Duration::parse(text), Ok(Duration(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, why) in [
            ("", "it is empty"),
            ("30", "the unit is missing (ms, s, m, h or d)"),
            ("5 m", "there is white space in it"),
            ("5min", "`min` is not a unit (ms, s, m, h or d)"),
            ("h", "a number is missing"),
            ("-5m", "it is negative"),
            ("1.2.3s", "a number is missing"),
            ("1.5ns", "it is finer than a nanosecond"),
            ("1us", "it is finer than a millisecond"),
            ("99999d", "it is longer than 100 years"),
            ("99999999999999999999s", "the number is too long"),
        ] {
            assert_eq!(Duration::parse(text), Err(why.to_string()), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, bytes) in [("65536", 65_536), ("64MiB", 64 << 20), ("16KB", 16_000), ("1.5 GiB", 3 << 29), ("0", 0)]
        {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        assert_eq!(Size::parse("1.5B"), Err("it is not a whole number of bytes".to_string()));
        assert_eq!(Size::parse("10XB"), Err("`XB` is not a unit (B, KB, MB, GB, KiB, MiB or GiB)".to_string()));
        assert_eq!(Size::parse("999999999999999999GiB"), Err("it is too large".to_string()));
    }

    #[test]
    fn milliseconds_are_bare_or_have_a_unit() {
        assert_eq!(Milliseconds::parse("100"), Ok(Milliseconds(100)));
        assert_eq!(Milliseconds::parse("2s"), Ok(Milliseconds(2_000)));
    }
}
