//! Whether keys are equal, for many candidates at a time: the hash has found them, the columns decide.

use std::hint::black_box;

use arrow::array::{Array, AsArray, ByteView, downcast_primitive};
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowPrimitiveType, BinaryType, BinaryViewType, ByteArrayType, ByteViewType, DataType,
    LargeBinaryType, LargeUtf8Type, StringViewType, Utf8Type,
};

use super::gather::INLINE_LEN_MAX;
use crate::shard::write_part;

/// How many candidates have their cache misses overlap.
const BLOCK: usize = 256;

/// One column of some keys: of candidate `i`, the stored value is row `stored_rows[i].1` of piece `stored_rows[i].0`,
/// and the value to compare it with is row `probe_rows[i]` of `probe`. All arrays have one type.
pub(super) struct Candidates<'a> {
    /// The arrays that hold the stored values.
    pub(super) stored: &'a [&'a dyn Array],
    /// (array, row) of each stored value.
    pub(super) stored_rows: &'a [(usize, usize)],
    /// The array that holds the other values.
    pub(super) probe: &'a dyn Array,
    /// Row of each other value.
    pub(super) probe_rows: &'a [u32],
}

/// Sets `equal[i]` to false where candidate `i` is not equal in this column. The values are not NULL. As in `shard`,
/// zeros are equal and so are all NaN.
pub(super) fn retain_equal(candidates: &Candidates, equal: &mut [bool]) {
    macro_rules! primitive {
        ($t:ty, $candidates:ident, $equal:ident) => {
            compare_primitive::<$t>($candidates, $equal)
        };
    }
    downcast_primitive! {
        candidates.probe.data_type() => (primitive, candidates, equal),
        DataType::Boolean => {
            let probe = candidates.probe.as_boolean();
            let stored: Vec<_> = candidates.stored.iter().map(|array| array.as_boolean()).collect();
            each(candidates, equal, |piece, row, other| stored[piece].value(row) == probe.value(other));
        }
        DataType::Utf8View => compare_views::<StringViewType>(candidates, equal),
        DataType::BinaryView => compare_views::<BinaryViewType>(candidates, equal),
        DataType::Utf8 => compare_bytes::<Utf8Type>(candidates, equal),
        DataType::LargeUtf8 => compare_bytes::<LargeUtf8Type>(candidates, equal),
        DataType::Binary => compare_bytes::<BinaryType>(candidates, equal),
        DataType::LargeBinary => compare_bytes::<LargeBinaryType>(candidates, equal),
        _ => compare_nested(candidates, equal),
    }
}

#[inline(always)]
fn each(candidates: &Candidates, equal: &mut [bool], is_equal: impl Fn(usize, usize, usize) -> bool) {
    let rows = candidates.stored_rows.iter().zip(candidates.probe_rows);
    for (equal, ((piece, row), other)) in equal.iter_mut().zip(rows) {
        *equal &= is_equal(*piece, *row, *other as usize);
    }
}

fn compare_primitive<T: ArrowPrimitiveType>(candidates: &Candidates, equal: &mut [bool]) {
    let probe = candidates.probe.as_primitive::<T>().values();
    let stored: Vec<&[T::Native]> =
        candidates.stored.iter().map(|array| &array.as_primitive::<T>().values()[..]).collect();
    each(candidates, equal, |piece, row, other| {
        let (left, right) = (stored[piece][row], probe[other]);
        // Integers end here; only a NaN is not equal to itself, and two zeros may differ in their sign.
        left.is_eq(right) || (left.is_zero() && right.is_zero()) || (is_nan(left) && is_nan(right))
    });
}

#[expect(clippy::eq_op, reason = "that is what a NaN is, and for integers the compiler sees that there is none")]
fn is_nan<N: ArrowNativeTypeOp>(value: N) -> bool {
    value != value
}

/// Views first, which decides on most; then the bytes of long values. Candidates by the block, and before each step a
/// loop that does little but miss the cache, so that the misses of a whole block overlap.
fn compare_views<T: ByteViewType>(candidates: &Candidates, equal: &mut [bool]) {
    let probe = candidates.probe.as_byte_view::<T>();
    let stored: Vec<_> = candidates.stored.iter().map(|array| array.as_byte_view::<T>()).collect();
    let views: Vec<&[u128]> = stored.iter().map(|array| &array.views()[..]).collect();
    let rows = candidates.stored_rows.chunks(BLOCK).zip(candidates.probe_rows.chunks(BLOCK));
    let (mut lefts, mut long) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    for (equal, (stored_rows, probe_rows)) in equal.chunks_mut(BLOCK).zip(rows) {
        lefts.clear();
        lefts.extend(stored_rows.iter().map(|(piece, row)| views[*piece][*row]));
        long.clear();
        for (place, ((left, equal), other)) in lefts.iter().zip(equal.iter_mut()).zip(probe_rows).enumerate() {
            let right = probe.views()[*other as usize];
            if *left as u32 <= INLINE_LEN_MAX {
                *equal &= *left == right;
                continue;
            }
            // The lower half of a view is the length and the first four bytes.
            *equal &= *left as u64 == right as u64;
            if *equal {
                let view = ByteView::from(*left);
                let buffer = &stored[stored_rows[place].0].data_buffers()[view.buffer_index as usize];
                long.push((place, &buffer[view.offset as usize..][..view.length as usize]));
            }
        }
        black_box(long.iter().fold(0, |touched, (_, bytes)| touched ^ bytes[0]));
        for (place, bytes) in &long {
            let right: &T::Native = probe.value(probe_rows[*place] as usize);
            equal[*place] = are_same(bytes, right.as_ref());
        }
    }
}

/// Compares two values of one length, more than 12 bytes; without a call for those that keys mostly are.
#[inline]
fn are_same(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        bytes.first_chunk().zip(bytes.last_chunk())
    }
    match right.len() {
        8..=16 => ends::<8>(left) == ends::<8>(right),
        17..=32 => ends::<16>(left) == ends::<16>(right),
        _ => left == right,
    }
}

fn compare_bytes<T: ByteArrayType>(candidates: &Candidates, equal: &mut [bool]) {
    let probe = candidates.probe.as_bytes::<T>();
    let stored: Vec<_> = candidates.stored.iter().map(|array| array.as_bytes::<T>()).collect();
    each(candidates, equal, |piece, row, other| {
        let (left, right): (&T::Native, &T::Native) = (stored[piece].value(row), probe.value(other));
        AsRef::<[u8]>::as_ref(left) == AsRef::<[u8]>::as_ref(right)
    });
}

fn compare_nested(candidates: &Candidates, equal: &mut [bool]) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let rows = candidates.stored_rows.iter().zip(candidates.probe_rows);
    for (equal, ((piece, row), other)) in equal.iter_mut().zip(rows) {
        left.clear();
        right.clear();
        write_part(candidates.stored[*piece], *row, &mut left);
        write_part(candidates.probe, *other as usize, &mut right);
        *equal &= left == right;
    }
}
