//! Whole numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::number::{self, Beyond};
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// Values of a column of whole numbers of any width. They are kept in 64 bits and narrowed at the end.
#[derive(Debug)]
pub struct Integers {
    data_type: DataType,
    min: i64,
    /// Of an `UInt64` the largest that an `i64` can say: the others take the slow way.
    max: i64,
    values: Vec<i64>,
}

impl Integers {
    /// Of `data_type`; `None` if that is no type of whole numbers.
    pub fn new(data_type: &DataType) -> Option<Self> {
        let (min, max) = match data_type {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => (i64::MIN, i64::MAX),
            DataType::UInt8 => (0, u8::MAX.into()),
            DataType::UInt16 => (0, u16::MAX.into()),
            DataType::UInt32 => (0, u32::MAX.into()),
            DataType::UInt64 => (0, i64::MAX),
            _ => return None,
        };
        Some(Self { data_type: data_type.clone(), min, max, values: Vec::new() })
    }

    /// Appends the number at `at`; returns the place after it.
    #[inline(always)]
    pub fn append(&mut self, text: &Text<'_>, at: usize) -> Result<usize> {
        let number = number::read(text, at).map_err(|fault| self.expecting(fault, at))?;
        if number.exponent == 0 && number.exact && number.mantissa <= i64::MAX as u64 {
            let value = if number.negative { -(number.mantissa as i64) } else { number.mantissa as i64 };
            if self.min <= value && value <= self.max {
                self.values.push(value);
                return Ok(number.end);
            }
        }
        self.append_unusual(text, at, number.end)
    }

    /// Numbers with a point or an exponent, those at the ends of 64 bits, and those that don't fit.
    #[cold]
    #[inline(never)]
    fn append_unusual(&mut self, text: &Text<'_>, at: usize, end: usize) -> Result<usize> {
        let value = number::scaled(text.slice(at, end), 0, Beyond::Refuse).ok();
        match value.filter(|value| i128::from(self.min) <= *value && *value <= self.largest()) {
            // The upper half of `UInt64` keeps its bits.
            Some(value) => self.values.push(value as i64),
            None => return Err(self.expecting(Fault::new(at, ""), at)),
        }
        Ok(end)
    }

    fn largest(&self) -> i128 {
        if self.data_type == DataType::UInt64 { u64::MAX.into() } else { self.max.into() }
    }

    /// Says what this column wants, unless the number itself is malformed further on.
    #[cold]
    #[inline(never)]
    fn expecting(&self, mut fault: Box<Fault>, at: usize) -> Box<Fault> {
        if fault.at == at {
            fault.expected = format!("expected a whole number from {} to {}", self.min, self.largest()).into();
        }
        fault
    }

    fn narrow<T: ArrowPrimitiveType>(
        &mut self,
        nulls: Option<NullBuffer>,
        narrow: impl Fn(i64) -> T::Native,
    ) -> ArrayRef {
        let values: Vec<T::Native> = self.values.iter().map(|value| narrow(*value)).collect();
        self.values.clear();
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
    }

    fn keep<T: ArrowPrimitiveType>(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        let rows = values.len();
        Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::new(Buffer::from_vec(values), 0, rows), nulls))
    }
}

impl Values for Integers {
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
        match self.data_type {
            DataType::Int8 => self.narrow::<Int8Type>(nulls, |value| value as i8),
            DataType::Int16 => self.narrow::<Int16Type>(nulls, |value| value as i16),
            DataType::Int32 => self.narrow::<Int32Type>(nulls, |value| value as i32),
            DataType::UInt8 => self.narrow::<UInt8Type>(nulls, |value| value as u8),
            DataType::UInt16 => self.narrow::<UInt16Type>(nulls, |value| value as u16),
            DataType::UInt32 => self.narrow::<UInt32Type>(nulls, |value| value as u32),
            DataType::UInt64 => self.keep::<UInt64Type>(nulls),
            _ => self.keep::<Int64Type>(nulls),
        }
    }
}
