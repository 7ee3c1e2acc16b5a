//! Floating point numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowNativeType, ArrowPrimitiveType, Float32Type, Float64Type};

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::number::{self, Number};
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// A width of floating point numbers.
pub trait Float: ArrowNativeType {
    /// Its Arrow type.
    type Arrow: ArrowPrimitiveType<Native = Self>;

    /// The one nearest to `number`, which is written as `text`; `None` if it is beyond them all.
    fn nearest(number: &Number, text: &[u8]) -> Option<Self>;
}

impl Float for f64 {
    type Arrow = Float64Type;

    #[inline(always)]
    fn nearest(number: &Number, text: &[u8]) -> Option<Self> {
        Some(number::nearest_f64(number, text)).filter(|value| value.is_finite())
    }
}

impl Float for f32 {
    type Arrow = Float32Type;

    fn nearest(_: &Number, text: &[u8]) -> Option<Self> {
        Some(number::nearest_f32(text)).filter(|value| value.is_finite())
    }
}

/// Values of a column of floating point numbers.
#[derive(Debug, Default)]
pub struct Floats<F> {
    values: Vec<F>,
}

impl<F: Float> Floats<F> {
    /// Appends the number at `at`; returns the place after it.
    #[inline(always)]
    pub fn append(&mut self, text: &Text<'_>, at: usize) -> Result<usize> {
        let number = number::read(text, at)?;
        match F::nearest(&number, text.slice(at, number.end)) {
            Some(value) => self.values.push(value),
            None => return Err(Fault::new(at, "expected a number within the range of the column's type")),
        }
        Ok(number.end)
    }
}

impl<F: Float> Values for Floats<F> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn append_placeholder(&mut self) {
        self.values.push(F::default());
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve_exact(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, _: &Behind) -> ArrayRef {
        Arc::new(PrimitiveArray::<F::Arrow>::new(std::mem::take(&mut self.values).into(), nulls))
    }
}
