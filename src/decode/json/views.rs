//! View arrays: sixteen bytes a row, which hold a short text or point at a long one where it already is.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, StringViewArray, make_view};
use arrow::buffer::{Buffer, NullBuffer};

use super::text::Text;

/// The longest text that a view holds itself.
const INLINE_MAX: usize = 12;

/// The data buffer that is the arena of the records.
const ARENA: u32 = 0;
/// The data buffer of what had to be written anew: texts that held escapes, and bytes that were base64.
const REWRITTEN: u32 = 1;

/// `INLINE_MASKS[n]` keeps the lowest `n` bytes.
const INLINE_MASKS: [u128; INLINE_MAX + 1] = {
    let mut masks = [0; INLINE_MAX + 1];
    let mut length = 1;
    while length <= INLINE_MAX {
        masks[length] = masks[length - 1] << 8 | 0xFF;
        length += 1;
    }
    masks
};

/// The data buffers behind the views of a batch.
#[derive(Clone, Debug)]
pub struct Behind {
    buffers: Arc<[Buffer]>,
    none: Arc<[Buffer]>,
}

impl Behind {
    /// `arena` holds the records, `rewritten` the rest.
    pub fn new(arena: &Buffer, rewritten: Vec<u8>) -> Self {
        let mut buffers = vec![arena.clone()];
        if !rewritten.is_empty() {
            buffers.push(Buffer::from_vec(rewritten));
        }
        Self { buffers: buffers.into(), none: Arc::new([]) }
    }
}

/// The views of one column.
#[derive(Debug, Default)]
pub struct Views {
    views: Vec<u128>,
    points: bool,
}

impl Views {
    /// Room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        self.views.reserve_exact(rows);
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Forgets the rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.views.truncate(rows);
    }

    /// Appends an empty text.
    pub fn push_empty(&mut self) {
        self.views.push(0);
    }

    /// Appends the bytes `start..end` of `text`, whose arena is the batch's.
    #[inline(always)]
    pub fn push_slice(&mut self, text: &Text<'_>, start: usize, end: usize) {
        let length = end - start;
        self.points |= length > INLINE_MAX;
        let view = match text.sixteen(start).map(|bytes| u128::from_le_bytes(*bytes)) {
            Some(bytes) => match INLINE_MASKS.get(length) {
                Some(mask) => length as u128 | (bytes & mask) << 32,
                None => length as u128 | u128::from(bytes as u32) << 32 | (start as u128) << 96,
            },
            None => make_view(text.slice(start, end), ARENA, start as u32),
        };
        self.views.push(view);
    }

    /// Appends the bytes of `rewritten` from `start` on, and takes them away again if the view holds them itself.
    pub fn push_rewritten(&mut self, rewritten: &mut Vec<u8>, start: usize) {
        let bytes = &rewritten[start..];
        let long = bytes.len() > INLINE_MAX;
        self.points |= long;
        self.views.push(make_view(bytes, REWRITTEN, start as u32));
        if !long {
            rewritten.truncate(start);
        }
    }

    /// The array of the views as texts; no rows remain.
    ///
    /// # Safety
    /// Every slice that was pushed must be valid UTF-8 and lie in `behind`, which must be that of the batch.
    pub unsafe fn finish_strings(&mut self, behind: &Behind, nulls: Option<NullBuffer>) -> ArrayRef {
        let (views, buffers) = self.take(behind);
        // SAFETY: the caller's promise. It pays: `views` in benches/decode.rs is what checking again would cost.
        Arc::new(unsafe { StringViewArray::new_unchecked(views.into(), buffers, nulls) })
    }

    /// The array of the views as bytes; no rows remain.
    ///
    /// # Safety
    /// Every slice that was pushed must lie in `behind`, which must be that of the batch.
    pub unsafe fn finish_bytes(&mut self, behind: &Behind, nulls: Option<NullBuffer>) -> ArrayRef {
        let (views, buffers) = self.take(behind);
        // SAFETY: the caller's promise. It pays: `views` in benches/decode.rs is what checking again would cost.
        Arc::new(unsafe { BinaryViewArray::new_unchecked(views.into(), buffers, nulls) })
    }

    /// A column whose texts are all short doesn't hold on to the batch's arena.
    fn take(&mut self, behind: &Behind) -> (Vec<u128>, Arc<[Buffer]>) {
        let buffers = if self.points { &behind.buffers } else { &behind.none };
        self.points = false;
        (std::mem::take(&mut self.views), Arc::clone(buffers))
    }
}
