//! Lists.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::FieldRef;

use super::Values;
use crate::decode::json::column::Column;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// Values of a column of lists.
#[derive(Debug)]
pub struct Lists {
    field: FieldRef,
    elements: Column,
    offsets: Vec<i32>,
}

impl Lists {
    /// Of lists of `field`, whose `elements` are a column of that type.
    pub fn new(field: &FieldRef, elements: Column) -> Self {
        Self { field: Arc::clone(field), elements, offsets: vec![0] }
    }

    /// Appends the list at `at`; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        if text.byte(at) != b'[' {
            return Err(Fault::new(at, "expected a list"));
        }
        let mut at = text.skip_white_space(at + 1);
        if text.byte(at) == b']' {
            self.offsets.push(self.end());
            return Ok(at + 1);
        }
        loop {
            at = self.elements.append(text, at, unescaped).map_err(|fault| self.in_element(fault))?;
            at = text.skip_white_space(at);
            match text.byte(at) {
                b',' => at = text.skip_white_space(at + 1),
                b']' => break,
                _ => return Err(Fault::new(at, "expected `,` or `]` after an element of a list")),
            }
        }
        let end = i32::try_from(self.elements.len());
        self.offsets.push(end.map_err(|_| Fault::new(at, "expected at most 2^31 elements in a batch"))?);
        Ok(at + 1)
    }

    #[cold]
    fn in_element(&self, fault: Box<Fault>) -> Box<Fault> {
        fault.in_element(self.elements.len() - self.end() as usize)
    }

    fn end(&self) -> i32 {
        *self.offsets.last().expect("BUG: offsets begin with 0, and nothing takes that away")
    }
}

impl Values for Lists {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn append_placeholder(&mut self) {
        self.offsets.push(self.end());
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.elements.truncate(self.end() as usize);
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve_exact(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, behind: &Behind) -> ArrayRef {
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        Arc::new(ListArray::new(Arc::clone(&self.field), offsets, self.elements.finish(behind), nulls))
    }
}
