//! Decodes the records of one table, batch after batch.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::identity::IdentityReader;
use super::json::{self, Behind, Fault, Object, Text};
use super::{metadata, reject};
use crate::batch::{DecodedBatch, RawBatch, Reject, Slices};
use crate::plan::{Column, Identity, Role, Table};

/// Whether JSON is decoded into columns of `data_type`: booleans, numbers up to 64 bits, `Decimal128`, `Utf8View`,
/// `Date32`, `Timestamp`, `Binary` and `BinaryView` (from base64), and lists and structs of these.
pub fn supports(data_type: &DataType) -> bool {
    json::Column::new(data_type, true, 0).is_some()
}

/// The fields among `columns`, each with an empty column.
pub fn fields<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<json::Field> {
    let fields = columns.filter_map(|column| match column {
        Column::Field { name, data_type } => Some((name, data_type)),
        _ => None,
    });
    let fields = fields.map(|(name, data_type)| {
        let column = json::Column::new(data_type, true, 1);
        json::Field::new(name, column.expect("BUG: the plan keeps only columns whose types are supported"))
    });
    fields.collect()
}

/// Decodes the records of one table.
///
/// Values are JSON objects. The rules: a field that is absent or null is NULL; a field that no column names is passed
/// over, but must be well-formed; a field that comes twice, a value that is not of its column's type or would lose
/// digits, and all that JSON does not allow make the record a bad one. Numbers are not taken for strings, nor strings for
/// numbers (except decimals). A bad record costs only itself.
#[derive(Debug)]
pub struct TableDecoder {
    table: Table,
    object: Object,
    /// Which field is the time of a row.
    event_time: Option<usize>,
    /// Which fields of a dimension's rows must not be NULL.
    identity: Vec<usize>,
    /// Whether records need a key, and whether it must be text.
    needs_key: bool,
    needs_text_key: bool,
    /// Reads tombstones; an event table has none.
    tombstones: Option<IdentityReader>,
    /// Strings of the batch that held escapes, and bytes that were base64.
    rewritten: Vec<u8>,
}

impl TableDecoder {
    /// A decoder of the records of `table`, whose fields are all of types that are supported (see `supports`).
    pub fn new(table: &Table) -> Self {
        // A field that only tells the time is decoded like the others, as the last of them.
        let only_time = table.event_time.as_ref().filter(|time| !table.columns.contains(time));
        let fields = || table.columns.iter().chain(only_time).filter(|column| matches!(column, Column::Field { .. }));
        let place = |column: &Column| fields().position(|field| field.name() == column.name());
        let of_identity: Vec<Column> = match &table.identity {
            Some(Identity::Columns(places)) => places.iter().map(|place| table.columns[*place].clone()).collect(),
            Some(Identity::RecordKey(place)) => vec![table.columns[*place].clone()],
            None => Vec::new(),
        };
        let has = |column: &Column| of_identity.contains(column);
        Self {
            object: Object::new(self::fields(fields()), 1),
            event_time: table.event_time.as_ref().and_then(place),
            identity: of_identity.iter().filter_map(place).collect(),
            needs_key: table.columns.contains(&Column::Identity) || has(&Column::Key) || has(&Column::Identity),
            needs_text_key: table.columns.contains(&Column::Key),
            tombstones: (table.role == Role::Dimension).then(|| IdentityReader::new(of_identity)),
            rewritten: Vec::new(),
            table: table.clone(),
        }
    }

    /// Decodes `raw`, whose records are all of this table.
    pub fn decode(&mut self, raw: &RawBatch) -> DecodedBatch {
        let count = raw.len();
        let mut batch = DecodedBatch {
            table: raw.table,
            columns: Vec::new(),
            rows: 0,
            records: Vec::with_capacity(count),
            times: Vec::with_capacity(count),
            tombstones: Vec::new(),
            tombstone_identity: Vec::new(),
            rejects: Vec::new(),
        };
        self.object.reserve(count);
        let utf8 = Utf8 {
            values: simdutf8::basic::from_utf8(covered(&raw.values)).is_ok(),
            keys: self.needs_text_key && covered(&raw.keys).is_ascii(),
        };
        for record in 0..count {
            let decoded = match raw.values.spans()[record].is_absent() {
                true => self.read_tombstone(raw, record).map(|()| batch.tombstones.push(record as u32)),
                false => self.append(raw, record, utf8).map(|time| {
                    batch.records.push(record as u32);
                    batch.times.push(time);
                }),
            };
            if let Err(error) = decoded {
                batch.rejects.push(Reject { record: record as u32, error });
            }
        }
        batch.rows = batch.records.len();
        batch.columns = self.finish(raw, &batch.records);
        if let Some(reader) = &mut self.tombstones {
            batch.tombstone_identity = reader.finish(&self.table.topic, raw, &batch.tombstones);
        }
        batch
    }

    fn read_tombstone(&mut self, raw: &RawBatch, record: usize) -> Result<(), String> {
        self.check_length(raw, record)?;
        match &mut self.tombstones {
            Some(reader) => reader.read(raw, record),
            None => Ok(()),
        }
    }

    /// Appends the row of `record` and returns its time, or says why there is none; then nothing is appended.
    #[inline(always)]
    fn append(&mut self, raw: &RawBatch, record: usize, utf8: Utf8) -> Result<i64, String> {
        self.check_length(raw, record)?;
        if self.needs_key || self.needs_text_key {
            self.check_key(raw, record, utf8)?;
        }
        let arena = raw.values.arena().as_slice();
        let span = raw.values.spans()[record];
        let (start, end) = (span.start as usize, (span.start + span.len) as usize);
        if !utf8.values {
            check_utf8(&arena[start..end])?;
        }
        let (rows, rewritten) = (self.object.len(), self.rewritten.len());
        let appended = match self.append_object(arena, start, end) {
            Ok(()) => self.check_row(rows, raw.timestamps[record]),
            Err(fault) => Err(reject::describe(&fault, arena, start, end)),
        };
        if appended.is_err() {
            self.object.truncate(rows);
            self.rewritten.truncate(rewritten);
        }
        appended
    }

    #[inline(always)]
    fn append_object(&mut self, arena: &[u8], start: usize, end: usize) -> json::Result<()> {
        let (text, brace) = Text::of_object(arena, start, end)?;
        let after = self.object.append(&text, brace, &mut self.rewritten)?;
        if after != text.end() {
            return Err(Fault::new(after, "expected nothing after the object"));
        }
        Ok(())
    }

    #[inline(always)]
    fn check_length(&self, raw: &RawBatch, record: usize) -> Result<(), String> {
        let length = |slices: &Slices| {
            let span = slices.spans()[record];
            if span.is_absent() { 0 } else { span.len as usize }
        };
        let bytes = length(&raw.keys) + length(&raw.values);
        if bytes > self.table.max_record_bytes {
            return Err(too_long(bytes, self.table.max_record_bytes));
        }
        Ok(())
    }

    fn check_key(&self, raw: &RawBatch, record: usize, utf8: Utf8) -> Result<(), String> {
        match raw.keys.get(record) {
            None if self.needs_key => {
                Err("expected a key: it is the identity of this dimension's rows, and the record has none".into())
            }
            Some(key) if self.needs_text_key && !utf8.keys => {
                let excerpt = || key[..key.len().min(40)].escape_ascii();
                std::str::from_utf8(key)
                    .map(|_| ())
                    .map_err(|_| format!("the query uses _key: expected a key in UTF-8, found `{}`", excerpt()))
            }
            _ => Ok(()),
        }
    }

    /// Checks what SEMANTICS ask of the row that was just appended, and returns its time.
    #[inline(always)]
    fn check_row(&self, row: usize, timestamp: i64) -> Result<i64, String> {
        for field in &self.identity {
            if self.object.column(*field).is_null(row) {
                let name = self.object.name(*field);
                return Err(format!(
                    "field `{name}`: expected a value: it is of the identity of this dimension's rows"
                ));
            }
        }
        let Some(field) = self.event_time else { return Ok(timestamp) };
        match self.object.column(field).milliseconds(row) {
            Some(time) if time <= timestamp.saturating_add(self.table.max_future_ms) => Ok(time),
            time => Err(self.bad_time(field, time, timestamp)),
        }
    }

    #[cold]
    fn bad_time(&self, field: usize, time: Option<i64>, timestamp: i64) -> String {
        let name = self.object.name(field);
        match time {
            None => format!("field `{name}`: expected an instant: it is the event time of this table's rows"),
            Some(time) => format!(
                "field `{name}`: expected an event time at most {} ms (max_future) ahead of the record's timestamp, found \
                 {time}, which is {} ms ahead of {timestamp}",
                self.table.max_future_ms,
                time.saturating_sub(timestamp)
            ),
        }
    }

    fn finish(&mut self, raw: &RawBatch, records: &[u32]) -> Vec<ArrayRef> {
        let behind = Behind::new(raw.values.arena(), std::mem::take(&mut self.rewritten));
        let mut fields = self.object.finish(&behind).into_iter();
        let columns = self.table.columns.iter().map(|column| match column {
            Column::Field { .. } => fields.next().expect("BUG: one column for each field"),
            other => metadata::column(other, &self.table.topic, raw, records),
        });
        columns.collect()
    }
}

/// What is known of all records of a batch at once, so that not each must be checked.
#[derive(Clone, Copy, Debug)]
struct Utf8 {
    /// That all values are UTF-8: that they are so together is enough, for a record that is an object neither begins nor
    /// ends within a character.
    values: bool,
    /// That all keys are.
    keys: bool,
}

/// The part of the arena in which the byte strings lie.
fn covered(slices: &Slices) -> &[u8] {
    let present = slices.spans().iter().filter(|span| !span.is_absent());
    let bounds = present.map(|span| (span.start as usize, (span.start + span.len) as usize));
    let (start, end) = bounds.fold((usize::MAX, 0), |(start, end), (from, to)| (start.min(from), end.max(to)));
    slices.arena().get(start..end).unwrap_or(&[])
}

#[cold]
fn check_utf8(record: &[u8]) -> Result<(), String> {
    let Err(error) = simdutf8::compat::from_utf8(record) else { return Ok(()) };
    let at = error.valid_up_to();
    let fault = Fault::new(at, "expected UTF-8");
    Err(reject::describe(&fault, record, 0, record.len()))
}

#[cold]
fn too_long(bytes: usize, bytes_max: usize) -> String {
    format!("expected at most {bytes_max} bytes (max_record_bytes) of key and value, found {bytes}")
}
