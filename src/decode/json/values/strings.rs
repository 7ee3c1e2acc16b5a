//! Texts.

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;

use super::Values;
use crate::decode::json::fault::Result;
use crate::decode::json::string::{self, Piece};
use crate::decode::json::text::Text;
use crate::decode::json::views::{Behind, Views};

/// Values of a column of texts: views of the arena where a text stands there as it is.
#[derive(Debug, Default)]
pub struct Strings {
    views: Views,
}

impl Strings {
    /// Appends the string at `at`; returns the place after it.
    #[inline(always)]
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        let (piece, after) = string::read(text, at, unescaped)?;
        match piece {
            Piece::Plain { start, end } => self.views.push_slice(text, start, end),
            Piece::Unescaped { start } => self.views.push_rewritten(unescaped, start),
        }
        Ok(after)
    }

    /// Appends the bytes `start..end` of `text`, which must be valid UTF-8, as they are.
    pub fn append_slice(&mut self, text: &Text<'_>, start: usize, end: usize) {
        self.views.push_slice(text, start, end);
    }
}

impl Values for Strings {
    fn len(&self) -> usize {
        self.views.len()
    }

    fn append_placeholder(&mut self) {
        self.views.push_empty();
    }

    fn truncate(&mut self, rows: usize) {
        self.views.truncate(rows);
    }

    fn reserve(&mut self, rows: usize) {
        self.views.reserve(rows);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, behind: &Behind) -> ArrayRef {
        // SAFETY: every record is checked to be UTF-8 before it is read, strings are cut out of it at quotes, and an
        // escape stands for a `char`. `behind` holds this batch's arena and its unescaped strings; rows whose record
        // was refused are gone.
        unsafe { self.views.finish_strings(behind, nulls) }
    }
}
