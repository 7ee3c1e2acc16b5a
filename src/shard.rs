//! Key columns to one xxHash64 a row, and from there to one of 256 shards. Hashes are kept on disk and decide which
//! shard owns a key, so they must never change: the canonical bytes of a value, below, are part of the disk format.
//!
//! Canonical bytes: integers of every width, dates, times and timestamps as 8 bytes little-endian, sign-extended (equal
//! integers hash equally whatever their type); floats as the 8 bytes of a double, with one zero and one NaN; decimals
//! as 16 bytes, 256-bit decimals as 32; booleans as one byte; text and binary as they are. In a nested value every part
//! is 0 for NULL or 1 and its bytes, and text, binary and lists come after their length (8 bytes).
//!
//! Hash algorithm: <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.

use arrow::array::{Array, ArrayRef, AsArray, downcast_primitive};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    self as types, ArrowPrimitiveType, BinaryType, BinaryViewType, ByteArrayType, ByteViewType, DataType,
    LargeBinaryType, LargeUtf8Type, StringViewType, Utf8Type,
};
use xxhash_rust::xxh64::xxh64;

/// How many shards every index and every table is divided into.
pub const SHARDS: usize = 256;

/// One of the 256 shards: the unit by which work and state are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The shard of a key with this hash.
    pub fn of(hash: u64) -> Self {
        ShardId((hash % SHARDS as u64) as u8)
    }

    /// Its place among the shards.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The hashes of a batch of keys.
#[derive(Clone, Debug)]
pub struct KeyHashes {
    /// One hash a row; that of a row with a NULL means nothing.
    pub hashes: Vec<u64>,
    /// Which rows have no NULL in any key column; `None` if all. The others match nothing (SEMANTICS 2.2).
    pub valid: Option<NullBuffer>,
}

impl KeyHashes {
    /// The hash at `row`, or `None` if its key contains a NULL.
    pub fn get(&self, row: usize) -> Option<u64> {
        self.is_valid(row).then(|| self.hashes[row])
    }

    /// Whether the key at `row` has no NULL.
    pub fn is_valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid.is_valid(row))
    }
}

/// Hashes the rows of the key columns, all of one length: the hash of a column is the seed of the next.
pub fn hash_keys(columns: &[ArrayRef]) -> KeyHashes {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut hashes = vec![0; rows];
    let mut valid = None;
    for column in columns {
        chain(column, &mut hashes);
        valid = NullBuffer::union(valid.as_ref(), column.logical_nulls().as_ref());
    }
    KeyHashes { hashes, valid: valid.filter(|valid| valid.null_count() > 0) }
}

macro_rules! chain_primitive {
    ($t:ty, $column:ident, $hashes:ident) => {
        chain_fixed::<$t>($column, $hashes)
    };
}

fn chain(column: &dyn Array, hashes: &mut [u64]) {
    downcast_primitive! {
        column.data_type() => (chain_primitive, column, hashes),
        DataType::Null => {},
        DataType::Boolean => {
            let values = column.as_boolean().values();
            for (hash, value) in hashes.iter_mut().zip(values) {
                *hash = xxh64(&[u8::from(value)], *hash);
            }
        }
        DataType::Utf8View => chain_views::<StringViewType>(column, hashes),
        DataType::BinaryView => chain_views::<BinaryViewType>(column, hashes),
        DataType::Utf8 => chain_bytes::<Utf8Type>(column, hashes),
        DataType::LargeUtf8 => chain_bytes::<LargeUtf8Type>(column, hashes),
        DataType::Binary => chain_bytes::<BinaryType>(column, hashes),
        DataType::LargeBinary => chain_bytes::<LargeBinaryType>(column, hashes),
        DataType::FixedSizeBinary(_) => {
            for (hash, value) in hashes.iter_mut().zip(column.as_fixed_size_binary().iter()) {
                *hash = xxh64(value.unwrap_or_default(), *hash);
            }
        }
        DataType::Dictionary(_, _) => chain(&decoded(column), hashes),
        _ => chain_nested(column, hashes),
    }
}

fn chain_fixed<T: Canonical>(column: &dyn Array, hashes: &mut [u64]) {
    for (hash, value) in hashes.iter_mut().zip(column.as_primitive::<T>().values()) {
        *hash = xxh64(T::bytes(*value).as_ref(), *hash);
    }
}

fn chain_views<T: ByteViewType>(column: &dyn Array, hashes: &mut [u64]) {
    let array = column.as_byte_view::<T>();
    for (row, hash) in hashes.iter_mut().enumerate() {
        let value: &T::Native = array.value(row);
        *hash = xxh64(value.as_ref(), *hash);
    }
}

fn chain_bytes<T: ByteArrayType>(column: &dyn Array, hashes: &mut [u64]) {
    let array = column.as_bytes::<T>();
    for (row, hash) in hashes.iter_mut().enumerate() {
        let value: &T::Native = array.value(row);
        *hash = xxh64(value.as_ref(), *hash);
    }
}

fn chain_nested(column: &dyn Array, hashes: &mut [u64]) {
    let mut bytes = Vec::new();
    for (row, hash) in hashes.iter_mut().enumerate() {
        bytes.clear();
        write_value(column, row, &mut bytes);
        *hash = xxh64(&bytes, *hash);
    }
}

fn decoded(column: &dyn Array) -> ArrayRef {
    let DataType::Dictionary(_, values) = column.data_type() else {
        unreachable!("BUG: only dictionaries are decoded");
    };
    cast(column, values).expect("BUG: a dictionary casts to the type of its values")
}

/// A type of fixed width and the canonical bytes of its values.
trait Canonical: ArrowPrimitiveType {
    type Bytes: AsRef<[u8]>;
    fn bytes(value: Self::Native) -> Self::Bytes;
}

macro_rules! canonical {
    ($($data_type:ident)+ => $bytes:ty, $value:ident, $canonical:expr) => {$(
        impl Canonical for types::$data_type {
            type Bytes = $bytes;
            #[inline]
            fn bytes($value: Self::Native) -> $bytes {
                $canonical
            }
        }
    )+};
}

canonical!(
    Int64Type Date64Type Time64MicrosecondType Time64NanosecondType TimestampSecondType TimestampMillisecondType
    TimestampMicrosecondType TimestampNanosecondType DurationSecondType DurationMillisecondType
    DurationMicrosecondType DurationNanosecondType => [u8; 8], value, value.to_le_bytes()
);
canonical!(
    Int8Type Int16Type Int32Type Date32Type Time32SecondType Time32MillisecondType
    IntervalYearMonthType => [u8; 8], value, i64::from(value).to_le_bytes()
);
canonical!(UInt8Type UInt16Type UInt32Type => [u8; 8], value, u64::from(value).to_le_bytes());
canonical!(UInt64Type => [u8; 8], value, value.to_le_bytes());
canonical!(Float16Type Float32Type => [u8; 8], value, double_bytes(f64::from(value)));
canonical!(Float64Type => [u8; 8], value, double_bytes(value));
canonical!(Decimal32Type Decimal64Type => [u8; 16], value, i128::from(value).to_le_bytes());
canonical!(Decimal128Type => [u8; 16], value, value.to_le_bytes());
canonical!(Decimal256Type => [u8; 32], value, value.to_le_bytes());
canonical!(IntervalDayTimeType => [u8; 16], value,
    ((i128::from(value.days) << 64) + i128::from(value.milliseconds)).to_le_bytes());
canonical!(IntervalMonthDayNanoType => [u8; 16], value,
    ((i128::from(value.months) << 96) + (i128::from(value.days) << 64) + i128::from(value.nanoseconds)).to_le_bytes());

fn double_bytes(value: f64) -> [u8; 8] {
    let one_of_its_kind = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else {
        value
    };
    one_of_its_kind.to_bits().to_le_bytes()
}

/// Appends the canonical bytes of a value inside a nested value: 0 for NULL, or 1 and its bytes. Two values of one type
/// are equal as keys if their bytes are.
pub(crate) fn write_part(array: &dyn Array, row: usize, bytes: &mut Vec<u8>) {
    let valid = array.data_type() != &DataType::Null && array.is_valid(row);
    bytes.push(u8::from(valid));
    if valid {
        write_value(array, row, bytes);
    }
}

macro_rules! write_primitive {
    ($t:ty, $array:ident, $row:ident, $bytes:ident) => {
        $bytes.extend_from_slice(<$t>::bytes($array.as_primitive::<$t>().value($row)).as_ref())
    };
}

fn write_value(array: &dyn Array, row: usize, bytes: &mut Vec<u8>) {
    downcast_primitive! {
        array.data_type() => (write_primitive, array, row, bytes),
        DataType::Boolean => bytes.push(u8::from(array.as_boolean().value(row))),
        DataType::Utf8View => write_sized(array.as_string_view().value(row).as_bytes(), bytes),
        DataType::BinaryView => write_sized(array.as_binary_view().value(row), bytes),
        DataType::Utf8 => write_sized(array.as_string::<i32>().value(row).as_bytes(), bytes),
        DataType::LargeUtf8 => write_sized(array.as_string::<i64>().value(row).as_bytes(), bytes),
        DataType::Binary => write_sized(array.as_binary::<i32>().value(row), bytes),
        DataType::LargeBinary => write_sized(array.as_binary::<i64>().value(row), bytes),
        DataType::FixedSizeBinary(_) => write_sized(array.as_fixed_size_binary().value(row), bytes),
        DataType::Dictionary(_, _) => write_value(&decoded(&array.slice(row, 1)), 0, bytes),
        DataType::Struct(_) => {
            for field in array.as_struct().columns() {
                write_part(field, row, bytes);
            }
        }
        DataType::List(_) => write_list(&array.as_list::<i32>().value(row), bytes),
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(row), bytes),
        DataType::FixedSizeList(_, _) => write_list(&array.as_fixed_size_list().value(row), bytes),
        DataType::Map(_, _) => write_list(&array.as_map().value(row), bytes),
        other => unreachable!("BUG: a key of type {other}, which the planner refuses"),
    }
}

fn write_sized(value: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value);
}

fn write_list(elements: &dyn Array, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(elements.len() as u64).to_le_bytes());
    for element in 0..elements.len() {
        write_part(elements, element, bytes);
    }
}

#[cfg(test)]
mod tests;
