//! A schema guessed from records, for `kaflowsql infer` and for topics without one (SEMANTICS 1.4). Once per table.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::json::{self, Beyond, DEPTH_MAX, Misfit, Piece, Text};

/// What records look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Inferred {
    /// Fields of the records in the order in which they were first seen, and their types.
    pub fields: Vec<(String, DataType)>,
    /// How many records were looked at, tombstones not among them.
    pub records: usize,
    /// How many of them are no JSON objects; they say nothing.
    pub unreadable: usize,
    /// Guesses that a person should look at, one sentence each.
    pub notes: Vec<String>,
}

/// Guesses the schema of `records`, by the decoder's own reading of JSON: what it finds unreadable is rejected later too.
///
/// Whole numbers are `Int64`; where one is beyond it `UInt64`, or `Decimal128(38, 0)`, never a double, which would change
/// them; numbers of which one has a point or an exponent are `Float64`; a field that was always null is `Utf8View`, and
/// so is one of mixed kinds, with a note that its other values will be rejected. `event_time` becomes
/// `Timestamp(Millisecond, UTC)` if all its values read as instants.
pub fn infer<'a>(records: impl Iterator<Item = &'a [u8]>, event_time: Option<&str>) -> Inferred {
    let mut root = Shape::default();
    let mut inferred = Inferred { fields: Vec::new(), records: 0, unreadable: 0, notes: Vec::new() };
    for record in records {
        inferred.records += 1;
        if !is_readable(record) || root.observe_record(record).is_err() {
            inferred.unreadable += 1;
        }
    }
    for (name, shape) in root.objects.names.iter().zip(&root.objects.shapes) {
        let data_type = match event_time {
            Some(time) if time == name && shape.is_instant() => {
                shape.note_small_instants(name, &mut inferred.notes);
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
            }
            _ => shape.data_type(name, &mut inferred.notes),
        };
        inferred.fields.push((name.clone(), data_type));
    }
    if let Some(time) = event_time {
        let is_instant = |(name, data_type): &(String, DataType)| name == time && data_type.is_temporal();
        if !inferred.fields.iter().any(is_instant) {
            inferred.notes.push(format!(
                "event_time {time}: its values are not all instants (RFC 3339, or numbers of ms since 1970), or there are none"
            ));
        }
    }
    if inferred.unreadable > 0 {
        inferred.notes.push(format!("{} of {} records are no JSON objects", inferred.unreadable, inferred.records));
    }
    inferred
}

/// Whether the whole record is a JSON object.
fn is_readable(record: &[u8]) -> bool {
    let read = || {
        let (text, brace) = Text::of_object(record, 0, record.len()).ok()?;
        let after = json::skip_value(&text, brace, 0).ok()?;
        (after == text.end()).then_some(())
    };
    std::str::from_utf8(record).is_ok() && read().is_some()
}

/// What the values of a field look like, by how many there are of each kind.
#[derive(Debug, Default)]
struct Shape {
    nulls: usize,
    booleans: usize,
    /// Whole numbers, the least and greatest of them.
    integers: usize,
    least: i128,
    greatest: i128,
    /// Numbers with a point, an exponent or more digits than `Decimal128` has.
    floats: usize,
    strings: usize,
    /// Strings that read as instants.
    instants: usize,
    lists: usize,
    elements: Option<Box<Shape>>,
    object_count: usize,
    objects: Objects,
}

/// What the fields of objects look like.
#[derive(Debug, Default)]
struct Objects {
    names: Vec<String>,
    shapes: Vec<Shape>,
    places: HashMap<String, usize>,
}

impl Objects {
    fn shape_of(&mut self, name: &str) -> &mut Shape {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.places.insert(name.to_string(), self.names.len());
                self.names.push(name.to_string());
                self.shapes.push(Shape::default());
                self.names.len() - 1
            }
        };
        &mut self.shapes[place]
    }
}

impl Shape {
    /// Takes note of a record that is readable.
    fn observe_record(&mut self, record: &[u8]) -> json::Result<()> {
        let (text, brace) = Text::of_object(record, 0, record.len())?;
        self.observe(&text, brace, 0)?;
        Ok(())
    }

    /// Takes note of the value at `at`; returns the place after it. `depth` never passes `DEPTH_MAX` in a readable record.
    fn observe(&mut self, text: &Text<'_>, at: usize, depth: usize) -> json::Result<usize> {
        assert!(depth <= DEPTH_MAX, "BUG: a readable record is not that deep");
        match text.byte(at) {
            b'{' => return self.observe_object(text, at, depth),
            b'[' => return self.observe_list(text, at, depth),
            b'"' => {
                let mut unescaped = Vec::new();
                let (piece, after) = json::read_string(text, at, &mut unescaped)?;
                self.strings += 1;
                self.instants += usize::from(json::moment(content(text, piece, &unescaped)).is_some());
                return Ok(after);
            }
            b'n' => self.nulls += 1,
            b't' | b'f' => self.booleans += 1,
            _ => self.observe_number(text.slice(at, json::skip_number(text, at)?)),
        }
        json::skip_value(text, at, depth)
    }

    fn observe_number(&mut self, number: &[u8]) {
        let is_whole = number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        let value: Result<i128, Misfit> = json::scaled(number, 0, Beyond::Refuse);
        match value {
            Ok(value) if is_whole => {
                let first = self.integers == 0;
                self.least = if first { value } else { self.least.min(value) };
                self.greatest = if first { value } else { self.greatest.max(value) };
                self.integers += 1;
            }
            _ => self.floats += 1,
        }
    }

    fn observe_object(&mut self, text: &Text<'_>, at: usize, depth: usize) -> json::Result<usize> {
        self.object_count += 1;
        let mut unescaped = Vec::new();
        let mut at = text.skip_white_space(at + 1);
        while text.byte(at) != b'}' {
            unescaped.clear();
            let (piece, after) = json::read_string(text, at, &mut unescaped)?;
            let name = String::from_utf8_lossy(content(text, piece, &unescaped));
            let after = json::colon(text, after)?;
            at = self.objects.shape_of(&name).observe(text, after, depth + 1)?;
            at = text.skip_white_space(at);
            if text.byte(at) == b',' {
                at = text.skip_white_space(at + 1);
            }
        }
        Ok(at + 1)
    }

    fn observe_list(&mut self, text: &Text<'_>, at: usize, depth: usize) -> json::Result<usize> {
        self.lists += 1;
        let elements = self.elements.get_or_insert_default();
        let mut at = text.skip_white_space(at + 1);
        while text.byte(at) != b']' {
            at = elements.observe(text, at, depth + 1)?;
            at = text.skip_white_space(at);
            if text.byte(at) == b',' {
                at = text.skip_white_space(at + 1);
            }
        }
        Ok(at + 1)
    }

    /// The type that holds the values of the field at `path`.
    fn data_type(&self, path: &str, notes: &mut Vec<String>) -> DataType {
        let kinds = [
            ("booleans", self.booleans),
            ("numbers", self.integers + self.floats),
            ("strings", self.strings),
            ("lists", self.lists),
            ("objects", self.object_count),
        ];
        let seen: Vec<_> = kinds.iter().filter(|(_, count)| *count > 0).collect();
        match seen[..] {
            [("booleans", _)] => DataType::Boolean,
            [("numbers", _)] => self.number_type(path, notes),
            [("strings", _)] => DataType::Utf8View,
            [("lists", _)] => {
                let elements = self.elements.as_deref().map(|elements| elements.data_type(&format!("{path}[]"), notes));
                DataType::List(Field::new("item", elements.unwrap_or(DataType::Utf8View), true).into())
            }
            [("objects", _)] => {
                let fields = self.objects.names.iter().zip(&self.objects.shapes);
                let fields = fields
                    .map(|(name, shape)| Field::new(name, shape.data_type(&format!("{path}.{name}"), notes), true));
                DataType::Struct(fields.collect::<Fields>())
            }
            [] => {
                notes.push(format!("{path}: no value seen; taken for a string; declare its type"));
                DataType::Utf8View
            }
            _ => {
                let counts: Vec<_> = seen.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                notes.push(format!(
                    "{path}: {}; no type holds them all; taken for a string, so records with another kind will be \
                     rejected: declare the type that is meant",
                    counts.join(", ")
                ));
                DataType::Utf8View
            }
        }
    }

    fn number_type(&self, path: &str, notes: &mut Vec<String>) -> DataType {
        const EXACT_IN_A_DOUBLE: i128 = 1 << 53;
        let is_wide = self.integers > 0 && (self.least < i64::MIN.into() || self.greatest > i64::MAX.into());
        if self.floats > 0 {
            if self.integers > 0 && self.least.abs().max(self.greatest.abs()) > EXACT_IN_A_DOUBLE {
                notes.push(format!("{path}: has whole numbers beyond 2^53, which a double rounds; declare a decimal"));
            }
            return DataType::Float64;
        }
        match is_wide {
            false => DataType::Int64,
            true if self.least >= 0 && self.greatest <= u64::MAX.into() => {
                notes.push(format!("{path}: has whole numbers beyond 64 bits with a sign; taken for unsigned"));
                DataType::UInt64
            }
            true => {
                notes.push(format!("{path}: has whole numbers beyond 64 bits; taken for decimal(38, 0)"));
                DataType::Decimal128(38, 0)
            }
        }
    }

    /// Whether all values are there and read as instants, all in one way.
    fn is_instant(&self) -> bool {
        let others = self.booleans + self.floats + self.lists + self.object_count + self.strings - self.instants;
        let fits = self.least >= i64::MIN.into() && self.greatest <= i64::MAX.into();
        others == 0 && fits && (self.instants > 0 || self.integers > 0)
    }

    /// Milliseconds before March 1973 are more likely to be seconds.
    fn note_small_instants(&self, path: &str, notes: &mut Vec<String>) {
        const LIKELY_SECONDS: i128 = 100_000_000_000;
        if self.integers > 0 && self.greatest > 1_000_000_000 && self.greatest < LIKELY_SECONDS {
            notes.push(format!(
                "{path}: numbers are taken for ms since 1970; if they are seconds, declare timestamp(s)"
            ));
        }
    }
}

fn content<'a>(text: &Text<'a>, piece: Piece, unescaped: &'a [u8]) -> &'a [u8] {
    match piece {
        Piece::Plain { start, end } => text.slice(start, end),
        Piece::Unescaped { start } => &unescaped[start..],
    }
}
