//! Objects within objects.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Fields;

use super::Values;
use crate::decode::json::fault::{Fault, Result};
use crate::decode::json::object::Object;
use crate::decode::json::text::Text;
use crate::decode::json::views::Behind;

/// Values of a column of objects.
#[derive(Debug)]
pub struct Structs {
    fields: Fields,
    object: Object,
}

impl Structs {
    /// Of objects with `fields`, for which `object` has a column each.
    pub fn new(fields: &Fields, object: Object) -> Self {
        Self { fields: fields.clone(), object }
    }

    /// Appends the object at `at`; returns the place after it.
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        if text.byte(at) != b'{' {
            return Err(Fault::new(at, "expected an object"));
        }
        self.object.append(text, at, unescaped)
    }
}

impl Values for Structs {
    fn len(&self) -> usize {
        self.object.len()
    }

    fn append_placeholder(&mut self) {
        self.object.append_placeholder();
    }

    fn truncate(&mut self, rows: usize) {
        self.object.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.object.reserve(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, behind: &Behind) -> ArrayRef {
        let rows = self.object.len();
        let columns = self.object.finish(behind);
        if columns.is_empty() {
            return Arc::new(StructArray::new_empty_fields(rows, nulls));
        }
        Arc::new(StructArray::new(self.fields.clone(), columns, nulls))
    }
}
