//! Dates and instants.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::TimeUnit;

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::number::{self, Beyond};
use crate::decode::json::string;
use crate::decode::json::text::Text;
use crate::decode::json::time;
use crate::decode::json::views::Behind;

/// Values of a column of dates, in days since the epoch.
#[derive(Debug, Default)]
pub struct Dates {
    days: Vec<i32>,
}

impl Dates {
    /// Appends the date that the string at `at` says; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        string::with(text, at, unescaped, |content| self.append_text(content))
    }

    /// Appends the date that `content` says; else says what was expected.
    pub fn append_text(&mut self, content: &[u8]) -> std::result::Result<(), String> {
        self.days.push(time::date(content).ok_or("expected a date, YYYY-MM-DD")?);
        Ok(())
    }
}

impl Values for Dates {
    fn len(&self) -> usize {
        self.days.len()
    }

    fn append_placeholder(&mut self) {
        self.days.push(0);
    }

    fn truncate(&mut self, rows: usize) {
        self.days.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.days.reserve_exact(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, _: &Behind) -> ArrayRef {
        Arc::new(Date32Array::new(std::mem::take(&mut self.days).into(), nulls))
    }
}

/// Values of a column of instants, in its unit since the epoch.
#[derive(Debug)]
pub struct Timestamps {
    unit: TimeUnit,
    timezone: Option<Arc<str>>,
    values: Vec<i64>,
}

impl Timestamps {
    /// Of the type `Timestamp(unit, timezone)`. Texts without an offset are UTC, whatever the `timezone`.
    pub fn new(unit: TimeUnit, timezone: Option<Arc<str>>) -> Self {
        Self { unit, timezone, values: Vec::new() }
    }

    /// Appends the instant that the string or number at `at` says; returns the place after it.
    #[inline(always)]
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        if text.byte(at) == b'"' {
            return string::with(text, at, unescaped, |content| self.append_text(content));
        }
        let number = number::read(text, at).map_err(|fault| self.expecting(fault, at))?;
        let value = if number.exponent == 0 && number.exact && number.mantissa <= i64::MAX as u64 {
            number.mantissa as i64 * if number.negative { -1 } else { 1 }
        } else {
            let value = number::scaled(text.slice(at, number.end), 0, Beyond::Truncate).ok();
            let value = value.and_then(|value| i64::try_from(value).ok());
            value.ok_or_else(|| Fault::new(at, self.expected()))?
        };
        self.values.push(value);
        Ok(number.end)
    }

    /// Appends the instant that `content` says; else says what was expected.
    #[inline(always)]
    pub fn append_text(&mut self, content: &[u8]) -> std::result::Result<(), String> {
        let value = time::moment(content).and_then(|moment| moment.in_units(self.unit));
        self.values.push(value.ok_or_else(|| self.expected())?);
        Ok(())
    }

    /// The instant of `row`, ms since the epoch, rounded down; `None` where an `i64` does not reach.
    pub fn milliseconds(&self, row: usize) -> Option<i64> {
        let value = self.values[row];
        match self.unit {
            TimeUnit::Second => value.checked_mul(1_000),
            TimeUnit::Millisecond => Some(value),
            TimeUnit::Microsecond => Some(value.div_euclid(1_000)),
            TimeUnit::Nanosecond => Some(value.div_euclid(1_000_000)),
        }
    }

    #[cold]
    fn expected(&self) -> String {
        let unit = match self.unit {
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "µs",
            TimeUnit::Nanosecond => "ns",
        };
        format!("expected an instant, as a string in RFC 3339 or a number of {unit} since 1970")
    }

    #[cold]
    #[inline(never)]
    fn expecting(&self, mut fault: Box<Fault>, at: usize) -> Box<Fault> {
        if fault.at == at {
            fault.expected = self.expected().into();
        }
        fault
    }
}

impl Values for Timestamps {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn append_placeholder(&mut self) {
        self.values.push(0);
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve_exact(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, _: &Behind) -> ArrayRef {
        let values = std::mem::take(&mut self.values).into();
        let timezone = self.timezone.clone();
        match self.unit {
            TimeUnit::Second => Arc::new(TimestampSecondArray::new(values, nulls).with_timezone_opt(timezone)),
            TimeUnit::Millisecond => {
                Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone_opt(timezone))
            }
            TimeUnit::Microsecond => {
                Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone_opt(timezone))
            }
            TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::new(values, nulls).with_timezone_opt(timezone)),
        }
    }
}
