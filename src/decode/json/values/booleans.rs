//! Booleans.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;

use super::Values;
use crate::decode::json::bits::Bits;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// Values of a column of booleans.
#[derive(Debug, Default)]
pub struct Booleans {
    rows: usize,
    trues: Bits,
}

impl Booleans {
    /// Appends the boolean at `at`; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize) -> Result<usize> {
        let after = if text.has(at, b"true") {
            self.trues.set(self.rows);
            at + 4
        } else if text.has(at, b"false") {
            at + 5
        } else {
            return Err(Fault::new(at, "expected true or false"));
        };
        self.rows += 1;
        Ok(after)
    }
}

impl Values for Booleans {
    fn len(&self) -> usize {
        self.rows
    }

    fn append_placeholder(&mut self) {
        self.rows += 1;
    }

    fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.trues.truncate(rows);
    }

    fn reserve(&mut self, _: usize) {}

    fn finish(&mut self, nulls: Option<NullBuffer>, _: &Behind) -> ArrayRef {
        let rows = std::mem::take(&mut self.rows);
        Arc::new(BooleanArray::new(self.trues.finish(rows), nulls))
    }
}
