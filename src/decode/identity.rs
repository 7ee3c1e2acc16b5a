//! What a tombstone removes: the identity, as the record's key says it (SEMANTICS 1.8).

use arrow::array::ArrayRef;

use super::json::{self, Behind, Fault, Object, Piece, Text};
use super::{metadata, reject};
use crate::batch::RawBatch;
use crate::plan;

/// Reads identities from keys.
///
/// Where the identity is one field, the key is that field's value, as plain text (`42`, `abc`), as JSON (`"abc"`), or
/// as a JSON object that has the field, which is how Debezium writes keys. Where it is several, the key is a JSON
/// object that has them all. A text that begins with a brace or a quote is JSON: what can't be read must be seen, and
/// not remove a row that was never there.
#[derive(Debug)]
pub struct IdentityReader {
    columns: Vec<plan::Column>,
    /// The fields among `columns`.
    object: Object,
    field_count: usize,
    needs_text: bool,
    rewritten: Vec<u8>,
}

impl IdentityReader {
    /// A reader of identities that consist of `columns`.
    pub fn new(columns: Vec<plan::Column>) -> Self {
        let fields = super::table::fields(columns.iter());
        let field_count = fields.len();
        let needs_text = field_count > 0 || columns.contains(&plan::Column::Key);
        Self { columns, object: Object::new(fields, 1), field_count, needs_text, rewritten: Vec::new() }
    }

    /// Reads the identity that the key of `record` names.
    ///
    /// # Errors
    /// When the key says none; the text is for a person.
    pub fn read(&mut self, raw: &RawBatch, record: usize) -> Result<(), String> {
        let Some(key) = raw.keys.get(record) else {
            return Err(
                "a tombstone needs a key that says what it removes: this record has neither value nor key".into()
            );
        };
        if self.needs_text && std::str::from_utf8(key).is_err() {
            return Err(format!("{WHAT}: expected UTF-8, found `{}`", key[..key.len().min(40)].escape_ascii()));
        }
        let start = raw.keys.spans()[record].start as usize;
        let end = start + key.len();
        let rows = self.object.len();
        let rewritten = self.rewritten.len();
        self.append(raw.keys.arena(), start, end).map_err(|fault| {
            self.object.truncate(rows);
            self.rewritten.truncate(rewritten);
            format!("{WHAT}: {}", reject::describe(&fault, raw.keys.arena(), start, end))
        })
    }

    fn append(&mut self, arena: &[u8], start: usize, end: usize) -> json::Result<()> {
        let row = self.object.len();
        let first = arena[start..end].iter().copied().find(|byte| !byte.is_ascii_whitespace());
        match (self.field_count, first) {
            (0, _) => return Ok(()),
            (1, Some(b'"')) => self.append_quoted(arena, start, end)?,
            (1, first) if first != Some(b'{') => {
                let (text, rewritten) = (Text::of_all(arena), &mut self.rewritten);
                self.object.append_only(|column| column.append_plain(&text, start, end, rewritten))?;
            }
            _ => {
                let (text, brace) = Text::of_object(arena, start, end)?;
                let after = self.object.append(&text, brace, &mut self.rewritten)?;
                if after != text.end() {
                    return Err(Fault::new(after, "expected nothing after the object"));
                }
            }
        }
        match (0..self.field_count).find(|field| self.object.column(*field).is_null(row)) {
            Some(field) => {
                let fault = Fault::new(start, "expected a value of this column");
                Err(fault.in_field(self.object.name(field)))
            }
            None => Ok(()),
        }
    }

    /// A key that is a JSON string: the value itself if such values are strings in JSON, else its text in quotes.
    fn append_quoted(&mut self, arena: &[u8], start: usize, end: usize) -> json::Result<()> {
        let text = Text::of_all(&arena[..end]);
        let rewritten = &mut self.rewritten;
        let quote = text.skip_white_space(start);
        let mut after = end;
        self.object.append_only(|column| {
            if column.takes_strings() {
                after = column.append(&text, quote, rewritten)?;
                return Ok(());
            }
            let (piece, end) = json::read_string(&text, quote, rewritten)?;
            after = end;
            match piece {
                Piece::Plain { start, end } => column.append_plain(&text, start, end, rewritten),
                Piece::Unescaped { .. } => Err(Fault::new(quote, "expected a value without escapes")),
            }
        })?;
        match text.skip_white_space(after) {
            after if after < end => Err(Fault::new(after, "expected nothing after the string")),
            _ => Ok(()),
        }
    }

    /// The columns of the identities that were read, those of the records `tombstones`; none remain.
    pub fn finish(&mut self, topic: &str, raw: &RawBatch, tombstones: &[u32]) -> Vec<ArrayRef> {
        let behind = Behind::new(raw.keys.arena(), std::mem::take(&mut self.rewritten));
        let mut fields = self.object.finish(&behind).into_iter();
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            columns.push(match column {
                plan::Column::Field { .. } => fields.next().expect("BUG: one column for each field"),
                other => metadata::column(other, topic, raw, tombstones),
            });
        }
        columns
    }
}

const WHAT: &str = "the key of a tombstone must say which row it removes";
