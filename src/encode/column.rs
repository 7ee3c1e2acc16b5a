//! One column's cells as JSON: what to do is found once a batch, and done by one `match` a cell.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, ByteView, FixedSizeBinaryArray, GenericByteViewArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray, StringViewBuilder,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::arena::Arena;
use super::list::Items;
use super::time::LastDate;
use super::{number, text, time};

/// The longest text that lies within its view.
const INLINE_LEN_MAX: u32 = 12;

/// A column whose cells can be written.
pub(super) struct Column {
    nulls: Option<NullBuffer>,
    cells: Cells,
}

enum Cells {
    Null,
    Boolean(BooleanBuffer),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal128(ScalarBuffer<i128>, i8),
    Decimal256(ScalarBuffer<i256>, i8),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedSizeBinary(FixedSizeBinaryArray),
    Date32(ScalarBuffer<i32>),
    Date64(ScalarBuffer<i64>),
    Time(ScalarBuffer<i64>, TimeUnit),
    Timestamp { values: ScalarBuffer<i64>, unit: TimeUnit, utc: bool, last: Cell<LastDate> },
    Duration(ScalarBuffer<i64>, TimeUnit),
    YearMonth(ScalarBuffer<i32>),
    DayTime(ScalarBuffer<IntervalDayTime>),
    MonthDayNano(ScalarBuffer<IntervalMonthDayNano>),
    List(Items, Box<Column>),
    Struct(Vec<(Box<[u8]>, Column)>),
    Map(Items, Box<Column>, Box<Column>),
}

/// What stands before each field's value, quotes, comma and colon included: `{"a":`, then `,"b":`. An object of no
/// fields is written as `{` and `}`.
pub(super) fn field_prefixes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Box<[u8]>> {
    names
        .enumerate()
        .map(|(place, name)| {
            let mut prefix = Arena::default();
            prefix.push(if place == 0 { b'{' } else { b',' });
            text::write_quoted(&mut prefix, name);
            prefix.push(b':');
            prefix.finish().into_boxed_slice()
        })
        .collect()
}

fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> ScalarBuffer<T::Native> {
    array.as_primitive::<T>().values().clone()
}

/// The few columns of types that are better written as another one.
fn widened<T: ArrowPrimitiveType, W: ArrowPrimitiveType>(
    array: &dyn Array,
    widen: impl Fn(T::Native) -> W::Native,
) -> ScalarBuffer<W::Native> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    array.values().iter().map(|value| widen(*value)).collect()
}

impl Column {
    pub(super) fn new(array: &ArrayRef) -> Self {
        let cells = match array.data_type() {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Boolean(array.as_boolean().values().clone()),
            data_type if data_type.is_numeric() => number_cells(array),
            data_type if data_type.is_temporal() => temporal_cells(array),
            DataType::Utf8 => Cells::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Cells::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Cells::Utf8View(array.as_string_view().clone()),
            DataType::Binary => Cells::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Cells::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Cells::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Cells::FixedSizeBinary(array.as_fixed_size_binary().clone()),
            data_type if data_type.is_nested() => return nested_column(array),
            _ => return unpacked(array),
        };
        Column { nulls: array.nulls().cloned(), cells }
    }

    /// Reads a byte of each long text of some rows: a loop that does nothing but miss the cache, so that many misses are
    /// under way at a time. The texts of dimension rows lie all over the dimension.
    pub(super) fn touch(&self, rows: Range<usize>) {
        match &self.cells {
            Cells::Utf8View(strings) => touch(strings, rows),
            Cells::BinaryView(bytes) => touch(bytes, rows),
            _ => {}
        }
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) || matches!(self.cells, Cells::Null)
    }

    /// Appends the cell as a JSON value.
    #[inline]
    pub(super) fn write_json(&self, out: &mut Arena, row: usize) {
        if self.is_null(row) {
            return out.push_all(b"null");
        }
        match &self.cells {
            Cells::Utf8View(strings) => text::write_quoted(out, strings.value(row)),
            Cells::Utf8(strings) => text::write_quoted(out, strings.value(row)),
            Cells::LargeUtf8(strings) => text::write_quoted(out, strings.value(row)),
            // These four are written by `write_text` too; here they save a second jump, and they are most cells.
            Cells::Int64(values) => number::write_integer(out, values[row]),
            Cells::Boolean(values) if values.value(row) => out.push_all(b"true"),
            Cells::Boolean(_) => out.push_all(b"false"),
            Cells::Float64(values) if values[row].is_finite() => number::write_float64(out, values[row]),
            Cells::Timestamp { values, unit, utc, last } => {
                out.push(b'"');
                time::write_timestamp(out, values[row], *unit, *utc, last);
                out.push(b'"');
            }
            Cells::Float64(_) => out.push_all(b"null"),
            Cells::Float32(values) if !values[row].is_finite() => out.push_all(b"null"),
            Cells::Binary(bytes) => text::write_base64(out, bytes.value(row)),
            Cells::LargeBinary(bytes) => text::write_base64(out, bytes.value(row)),
            Cells::BinaryView(bytes) => text::write_base64(out, bytes.value(row)),
            Cells::FixedSizeBinary(bytes) => text::write_base64(out, bytes.value(row)),
            Cells::Date32(_)
            | Cells::Date64(_)
            | Cells::Time(..)
            | Cells::Duration(..)
            | Cells::YearMonth(_)
            | Cells::DayTime(_)
            | Cells::MonthDayNano(_) => {
                out.push(b'"');
                self.write_text(out, row);
                out.push(b'"');
            }
            _ => self.write_text(out, row),
        }
    }

    /// Appends the cell as a record key: strings and bytes as they are, numbers and times as their text without
    /// quotes, nested values as JSON. The cell is not NULL.
    #[inline]
    pub(super) fn write_text(&self, out: &mut Arena, row: usize) {
        match &self.cells {
            Cells::Null => out.push_all(b"null"),
            Cells::Boolean(values) if values.value(row) => out.push_all(b"true"),
            Cells::Boolean(_) => out.push_all(b"false"),
            Cells::Int8(values) => number::write_integer(out, values[row]),
            Cells::Int16(values) => number::write_integer(out, values[row]),
            Cells::Int32(values) => number::write_integer(out, values[row]),
            Cells::Int64(values) => number::write_integer(out, values[row]),
            Cells::UInt8(values) => number::write_integer(out, values[row]),
            Cells::UInt16(values) => number::write_integer(out, values[row]),
            Cells::UInt32(values) => number::write_integer(out, values[row]),
            Cells::UInt64(values) => number::write_integer(out, values[row]),
            Cells::Float32(values) => number::write_float32(out, values[row]),
            Cells::Float64(values) => number::write_float64(out, values[row]),
            Cells::Decimal128(values, scale) => number::write_decimal(out, values[row], *scale),
            Cells::Decimal256(values, scale) => number::write_wide_decimal(out, values[row], *scale),
            Cells::Utf8(strings) => out.extend_short(strings.value(row).as_bytes()),
            Cells::LargeUtf8(strings) => out.extend_short(strings.value(row).as_bytes()),
            Cells::Utf8View(strings) => out.extend_short(strings.value(row).as_bytes()),
            Cells::Binary(bytes) => out.extend_from_slice(bytes.value(row)),
            Cells::LargeBinary(bytes) => out.extend_from_slice(bytes.value(row)),
            Cells::BinaryView(bytes) => out.extend_from_slice(bytes.value(row)),
            Cells::FixedSizeBinary(bytes) => out.extend_from_slice(bytes.value(row)),
            Cells::Date32(days) => time::write_date(out, i64::from(days[row])),
            Cells::Date64(millis) => time::write_date(out, millis[row].div_euclid(86_400_000)),
            Cells::Time(values, unit) => time::write_time(out, values[row], *unit),
            Cells::Timestamp { values, unit, utc, last } => time::write_timestamp(out, values[row], *unit, *utc, last),
            Cells::Duration(values, unit) => time::write_duration(out, values[row], *unit),
            Cells::YearMonth(months) => time::write_interval(out, months[row], 0, 0, TimeUnit::Millisecond),
            Cells::DayTime(values) => {
                let IntervalDayTime { days, milliseconds } = values[row];
                time::write_interval(out, 0, days, i64::from(milliseconds), TimeUnit::Millisecond);
            }
            Cells::MonthDayNano(values) => {
                let IntervalMonthDayNano { months, days, nanoseconds } = values[row];
                time::write_interval(out, months, days, nanoseconds, TimeUnit::Nanosecond);
            }
            Cells::List(items, column) => write_list(out, items.of_row(row), column),
            Cells::Struct(fields) => write_struct(out, fields, row),
            Cells::Map(entries, keys, values) => write_map(out, entries.of_row(row), keys, values),
        }
    }
}

fn touch<T: ByteViewType>(array: &GenericByteViewArray<T>, rows: Range<usize>) {
    let buffers = array.data_buffers();
    if buffers.is_empty() {
        return;
    }
    let first_byte = |view: &u128| {
        let view = ByteView::from(*view);
        // What a NULL's view says means nothing.
        let buffer = (view.length > INLINE_LEN_MAX).then(|| buffers.get(view.buffer_index as usize)).flatten();
        buffer.and_then(|buffer| buffer.get(view.offset as usize)).copied().unwrap_or(0)
    };
    black_box(array.views()[rows].iter().fold(0, |touched, view| touched ^ first_byte(view)));
}

fn write_list(out: &mut Arena, items: Range<usize>, column: &Column) {
    out.push(b'[');
    let first = items.start;
    for item in items {
        if item != first {
            out.push(b',');
        }
        column.write_json(out, item);
    }
    out.push(b']');
}

fn write_struct(out: &mut Arena, fields: &[(Box<[u8]>, Column)], row: usize) {
    if fields.is_empty() {
        out.push(b'{');
    }
    for (prefix, column) in fields {
        out.extend_short(prefix);
        column.write_json(out, row);
    }
    out.push(b'}');
}

/// A JSON name is a string, so keys of other types are written as their text in quotes (bytes that are not UTF-8 with
/// replacement characters).
fn write_map(out: &mut Arena, entries: Range<usize>, keys: &Column, values: &Column) {
    out.push(b'{');
    let first = entries.start;
    for entry in entries {
        if entry != first {
            out.push(b',');
        }
        if matches!(keys.cells, Cells::Utf8(_) | Cells::LargeUtf8(_) | Cells::Utf8View(_)) {
            keys.write_json(out, entry);
        } else {
            let mut key = Arena::default();
            keys.write_text(&mut key, entry);
            text::write_quoted(out, &String::from_utf8_lossy(&key.finish()));
        }
        out.push(b':');
        values.write_json(out, entry);
    }
    out.push(b'}');
}

fn number_cells(array: &ArrayRef) -> Cells {
    match array.data_type() {
        DataType::Int8 => Cells::Int8(values::<Int8Type>(array)),
        DataType::Int16 => Cells::Int16(values::<Int16Type>(array)),
        DataType::Int32 => Cells::Int32(values::<Int32Type>(array)),
        DataType::Int64 => Cells::Int64(values::<Int64Type>(array)),
        DataType::UInt8 => Cells::UInt8(values::<UInt8Type>(array)),
        DataType::UInt16 => Cells::UInt16(values::<UInt16Type>(array)),
        DataType::UInt32 => Cells::UInt32(values::<UInt32Type>(array)),
        DataType::UInt64 => Cells::UInt64(values::<UInt64Type>(array)),
        DataType::Float16 => Cells::Float32(widened::<Float16Type, Float32Type>(array, |value| value.to_f32())),
        DataType::Float32 => Cells::Float32(values::<Float32Type>(array)),
        DataType::Float64 => Cells::Float64(values::<Float64Type>(array)),
        DataType::Decimal32(_, scale) => {
            Cells::Decimal128(widened::<Decimal32Type, Decimal128Type>(array, i128::from), *scale)
        }
        DataType::Decimal64(_, scale) => {
            Cells::Decimal128(widened::<Decimal64Type, Decimal128Type>(array, i128::from), *scale)
        }
        DataType::Decimal128(_, scale) => Cells::Decimal128(values::<Decimal128Type>(array), *scale),
        DataType::Decimal256(_, scale) => Cells::Decimal256(values::<Decimal256Type>(array), *scale),
        other => unreachable!("BUG: {other} is a number of no known width"),
    }
}

fn temporal_cells(array: &ArrayRef) -> Cells {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Date32 => Cells::Date32(values::<Date32Type>(array)),
        DataType::Date64 => Cells::Date64(values::<Date64Type>(array)),
        DataType::Time32(Second) => {
            Cells::Time(widened::<Time32SecondType, Time64NanosecondType>(array, i64::from), Second)
        }
        DataType::Time32(unit) => {
            Cells::Time(widened::<Time32MillisecondType, Time64NanosecondType>(array, i64::from), *unit)
        }
        DataType::Time64(Microsecond) => Cells::Time(values::<Time64MicrosecondType>(array), Microsecond),
        DataType::Time64(unit) => Cells::Time(values::<Time64NanosecondType>(array), *unit),
        DataType::Timestamp(unit, zone) => {
            let values = match unit {
                Second => values::<TimestampSecondType>(array),
                Millisecond => values::<TimestampMillisecondType>(array),
                Microsecond => values::<TimestampMicrosecondType>(array),
                Nanosecond => values::<TimestampNanosecondType>(array),
            };
            Cells::Timestamp { values, unit: *unit, utc: zone.is_some(), last: Cell::default() }
        }
        DataType::Duration(unit) => {
            let values = match unit {
                Second => values::<DurationSecondType>(array),
                Millisecond => values::<DurationMillisecondType>(array),
                Microsecond => values::<DurationMicrosecondType>(array),
                Nanosecond => values::<DurationNanosecondType>(array),
            };
            Cells::Duration(values, *unit)
        }
        DataType::Interval(IntervalUnit::YearMonth) => Cells::YearMonth(values::<IntervalYearMonthType>(array)),
        DataType::Interval(IntervalUnit::DayTime) => Cells::DayTime(values::<IntervalDayTimeType>(array)),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            Cells::MonthDayNano(values::<IntervalMonthDayNanoType>(array))
        }
        other => unreachable!("BUG: {other} is a time of no known unit"),
    }
}

fn nested_column(array: &ArrayRef) -> Column {
    let boxed = |array: &ArrayRef| Box::new(Column::new(array));
    let cells = match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Cells::List(Items::Offsets(list.offsets().clone()), boxed(list.values()))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            Cells::List(Items::LargeOffsets(list.offsets().clone()), boxed(list.values()))
        }
        DataType::FixedSizeList(_, len) => {
            Cells::List(Items::Fixed(*len as usize), boxed(array.as_fixed_size_list().values()))
        }
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            Cells::List(Items::Views(list.offsets().clone(), list.sizes().clone()), boxed(list.values()))
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            Cells::List(Items::LargeViews(list.offsets().clone(), list.sizes().clone()), boxed(list.values()))
        }
        DataType::Struct(fields) => {
            let prefixes = field_prefixes(fields.iter().map(|field| field.name().as_str()));
            Cells::Struct(prefixes.into_iter().zip(array.as_struct().columns().iter().map(Column::new)).collect())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            Cells::Map(Items::Offsets(map.offsets().clone()), boxed(map.keys()), boxed(map.values()))
        }
        _ => return unpacked(array),
    };
    Column { nulls: array.nulls().cloned(), cells }
}

/// Dictionaries and runs as the values that they stand for; what Arrow can't cast (unions), as Arrow prints it.
fn unpacked(array: &ArrayRef) -> Column {
    let unpacked = match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values).ok(),
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()).ok(),
        _ => None,
    };
    if let Some(unpacked) = unpacked {
        return Column::new(&unpacked);
    }
    let options = FormatOptions::new().with_display_error(true);
    let nulls = array.logical_nulls();
    let mut texts = StringViewBuilder::with_capacity(array.len());
    match ArrayFormatter::try_new(array, &options) {
        Ok(formatter) => (0..array.len()).for_each(|row| texts.append_value(formatter.value(row).to_string())),
        Err(error) => (0..array.len()).for_each(|_| texts.append_value(error.to_string())),
    }
    Column { nulls, cells: Cells::Utf8View(texts.finish()) }
}
