//! A column that grows by one value of a record at a time, and can take back what a bad record left in it.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::bits::Bits;
use super::fault::{Fault, Result};
use super::object::{Field, Object};
use super::text::Text;
use super::time;
use super::values::{
    Booleans, ByteViews, Bytes, Dates, Decimals, Floats, Integers, Lists, Strings, Structs, Timestamps, Values,
};
use super::views::Behind;

/// A column under construction.
#[derive(Debug)]
pub struct Column {
    kind: Kind,
    nulls: Bits,
    nullable: bool,
}

#[derive(Debug)]
enum Kind {
    Boolean(Booleans),
    Integer(Integers),
    Float32(Floats<f32>),
    Float64(Floats<f64>),
    Decimal(Decimals),
    String(Strings),
    Bytes(Bytes),
    ByteViews(ByteViews),
    Date(Dates),
    Timestamp(Timestamps),
    List(Box<Lists>),
    Struct(Box<Structs>),
}

/// The values of a kind, whichever it is.
macro_rules! values {
    ($kind:expr, $values:ident => $do:expr) => {
        match $kind {
            Kind::Boolean($values) => $do,
            Kind::Integer($values) => $do,
            Kind::Float32($values) => $do,
            Kind::Float64($values) => $do,
            Kind::Decimal($values) => $do,
            Kind::String($values) => $do,
            Kind::Bytes($values) => $do,
            Kind::ByteViews($values) => $do,
            Kind::Date($values) => $do,
            Kind::Timestamp($values) => $do,
            Kind::List($values) => $do,
            Kind::Struct($values) => $do,
        }
    };
}

impl Column {
    /// A column of `data_type` whose values lie within `depth` objects and lists; `None` if JSON is not decoded into
    /// that type.
    pub fn new(data_type: &DataType, nullable: bool, depth: usize) -> Option<Self> {
        let kind = match data_type {
            DataType::Boolean => Kind::Boolean(Booleans::default()),
            DataType::Float32 => Kind::Float32(Floats::default()),
            DataType::Float64 => Kind::Float64(Floats::default()),
            DataType::Decimal128(precision, scale) => Kind::Decimal(Decimals::new(*precision, *scale)),
            DataType::Utf8View => Kind::String(Strings::default()),
            DataType::Binary => Kind::Bytes(Bytes::default()),
            DataType::BinaryView => Kind::ByteViews(ByteViews::default()),
            DataType::Date32 => Kind::Date(Dates::default()),
            DataType::Timestamp(unit, timezone) => Kind::Timestamp(Timestamps::new(*unit, timezone.clone())),
            DataType::List(field) => {
                let elements = Column::new(field.data_type(), field.is_nullable(), depth + 1)?;
                Kind::List(Box::new(Lists::new(field, elements)))
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().map(|field| {
                    let column = Column::new(field.data_type(), field.is_nullable(), depth + 1)?;
                    Some(Field::new(field.name(), column))
                });
                let object = Object::new(columns.collect::<Option<_>>()?, depth + 1);
                Kind::Struct(Box::new(Structs::new(fields, object)))
            }
            other => Kind::Integer(Integers::new(other)?),
        };
        Some(Self { kind, nulls: Bits::default(), nullable })
    }

    /// Appends the value at `at`; returns the place after it. A column that fails may hold a piece of the value: it must
    /// be truncated.
    ///
    /// # Errors
    /// When there is no value of the column's type.
    #[inline(always)]
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        if text.byte(at) == b'n' {
            return self.append_literal_null(text, at);
        }
        match &mut self.kind {
            Kind::String(strings) => strings.append(text, at, unescaped),
            Kind::Integer(integers) => integers.append(text, at),
            Kind::Float64(floats) => floats.append(text, at),
            Kind::Timestamp(timestamps) => timestamps.append(text, at, unescaped),
            other => other.append(text, at, unescaped),
        }
    }

    fn append_literal_null(&mut self, text: &Text<'_>, at: usize) -> Result<usize> {
        if !text.has(at, b"null") {
            return Err(Fault::new(at, "expected a JSON value"));
        }
        self.append_null(at)?;
        Ok(at + 4)
    }

    /// Appends NULL, for a value that is `null` or missing at `at`.
    ///
    /// # Errors
    /// When the column must not be NULL: only fields of declared objects can be such.
    pub fn append_null(&mut self, at: usize) -> Result<()> {
        if !self.nullable {
            return Err(Fault::new(at, "expected a value: the schema says that there is one"));
        }
        self.append_placeholder();
        Ok(())
    }

    /// Appends NULL where the object that would hold the value is NULL itself.
    pub fn append_placeholder(&mut self) {
        self.nulls.set(self.len());
        values!(&mut self.kind, values => values.append_placeholder());
    }

    /// How many values.
    pub fn len(&self) -> usize {
        values!(&self.kind, values => values.len())
    }

    /// Whether `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.contains(row)
    }

    /// Of a column of instants: that of `row`, ms since the epoch; `None` if it is NULL or out of reach.
    pub fn milliseconds(&self, row: usize) -> Option<i64> {
        match &self.kind {
            Kind::Timestamp(timestamps) if !self.is_null(row) => timestamps.milliseconds(row),
            _ => None,
        }
    }

    /// Forgets the rows from `rows` on, and what of one more was begun.
    pub fn truncate(&mut self, rows: usize) {
        self.nulls.truncate(rows);
        values!(&mut self.kind, values => values.truncate(rows));
    }

    /// Makes room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        values!(&mut self.kind, values => values.reserve(rows));
    }

    /// The finished column; no rows remain.
    pub fn finish(&mut self, behind: &Behind) -> ArrayRef {
        let nulls = self.nulls.finish_nulls(self.len());
        values!(&mut self.kind, values => values.finish(nulls, behind))
    }

    /// Appends what `start..end` of `text` says outside of JSON: a string without its quotes, or a number as it is.
    ///
    /// # Errors
    /// When that is no value of the column's type.
    pub fn append_plain(&mut self, text: &Text<'_>, start: usize, end: usize, rewritten: &mut Vec<u8>) -> Result<()> {
        let content = text.slice(start, end);
        let taken = match &mut self.kind {
            Kind::String(strings) => {
                strings.append_slice(text, start, end);
                return Ok(());
            }
            Kind::Decimal(decimals) => decimals.append_text(content),
            Kind::Date(dates) => dates.append_text(content),
            Kind::Timestamp(instants) if time::moment(content).is_some() => instants.append_text(content),
            Kind::Bytes(bytes) => bytes.append_text(content),
            Kind::ByteViews(bytes) => bytes.append_text(content, rewritten),
            other => {
                let after = other.append(&Text::of_all(text.slice(0, end)), start, rewritten)?;
                return if after == end { Ok(()) } else { Err(Fault::new(after, "expected nothing after the value")) };
            }
        };
        taken.map_err(|expected| Fault::new(start, expected))
    }

    /// Whether JSON says values of this column's type as strings.
    pub fn takes_strings(&self) -> bool {
        match self.kind {
            Kind::String(_) | Kind::Decimal(_) | Kind::Date(_) | Kind::Timestamp(_) => true,
            Kind::Bytes(_) | Kind::ByteViews(_) => true,
            Kind::Boolean(_) | Kind::Integer(_) | Kind::Float32(_) | Kind::Float64(_) => false,
            Kind::List(_) | Kind::Struct(_) => false,
        }
    }
}

impl Kind {
    #[inline(never)]
    fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        match self {
            Kind::Boolean(booleans) => booleans.append(text, at),
            Kind::Integer(integers) => integers.append(text, at),
            Kind::Float32(floats) => floats.append(text, at),
            Kind::Float64(floats) => floats.append(text, at),
            Kind::Decimal(decimals) => decimals.append(text, at, unescaped),
            Kind::String(strings) => strings.append(text, at, unescaped),
            Kind::Bytes(bytes) => bytes.append(text, at, unescaped),
            Kind::ByteViews(bytes) => bytes.append(text, at, unescaped),
            Kind::Date(dates) => dates.append(text, at, unescaped),
            Kind::Timestamp(timestamps) => timestamps.append(text, at, unescaped),
            Kind::List(lists) => lists.append(text, at, unescaped),
            Kind::Struct(structs) => structs.append(text, at, unescaped),
        }
    }
}
