//! Decimals, which lose no digit on their way.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::number::{self, Beyond, Misfit};
use crate::decode::json::string;
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// Values of a column of decimals, as whole numbers of its smallest step.
#[derive(Debug)]
pub struct Decimals {
    precision: u8,
    scale: i8,
    limit: i128,
    values: Vec<i128>,
}

impl Decimals {
    /// Of the type `Decimal128(precision, scale)`.
    pub fn new(precision: u8, scale: i8) -> Self {
        Self { precision, scale, limit: 10i128.pow(u32::from(precision.min(38))), values: Vec::new() }
    }

    /// Appends the number at `at`, or the one in the string there; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        if text.byte(at) == b'"' {
            return string::with(text, at, unescaped, |content| self.append_text(content));
        }
        let number = number::read(text, at)?;
        let value = match number::scaled_quickly(&number, self.scale.into()) {
            Some(value) => Ok(value),
            None => number::scaled(text.slice(at, number.end), self.scale.into(), Beyond::Refuse),
        };
        self.push(value).map_err(|expected| Fault::new(at, expected))?;
        Ok(number.end)
    }

    /// Appends the number that `content` is; else says what was expected.
    pub fn append_text(&mut self, content: &[u8]) -> std::result::Result<(), String> {
        match number::skip(&Text::of_all(content), 0) {
            Ok(end) if end == content.len() => self.push(number::scaled(content, self.scale.into(), Beyond::Refuse)),
            _ => Err(format!("expected a number for decimal({}, {})", self.precision, self.scale)),
        }
    }

    fn push(&mut self, value: std::result::Result<i128, Misfit>) -> std::result::Result<(), String> {
        let (precision, scale) = (self.precision, self.scale);
        match value {
            Ok(value) if value.abs() < self.limit => {
                self.values.push(value);
                Ok(())
            }
            Ok(_) | Err(Misfit::Range) => Err(format!(
                "expected a number of at most {} digits before the point for decimal({precision}, {scale})",
                i16::from(precision) - i16::from(scale)
            )),
            Err(Misfit::Digits) => Err(format!(
                "expected a number of at most {scale} digits after the point for decimal({precision}, {scale})"
            )),
        }
    }
}

impl Values for Decimals {
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
        let values = Decimal128Array::new(std::mem::take(&mut self.values).into(), nulls);
        Arc::new(values.with_data_type(DataType::Decimal128(self.precision, self.scale)))
    }
}
