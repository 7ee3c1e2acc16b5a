//! Objects: the columns of their fields, filled together.

use arrow::array::ArrayRef;

use super::column::Column;
use super::fault::{Fault, Result};
use super::keys::{Keys, Name, Next};
use super::skip;
use super::text::Text;
use super::views::Behind;

/// A field that is asked for.
#[derive(Debug)]
pub struct Field {
    name: String,
    column: Column,
    /// The turn in which it last got a value: so are fields found that came twice, or not at all.
    turn: u64,
}

impl Field {
    /// The field `name`, whose values `column` takes.
    pub fn new(name: &str, column: Column) -> Self {
        Self { name: name.to_string(), column, turn: 0 }
    }
}

/// The objects of a record, or of a field of records.
#[derive(Debug)]
pub struct Object {
    fields: Vec<Field>,
    keys: Keys,
    /// How many objects and lists are open within this one, itself included.
    depth: usize,
    rows: usize,
    turn: u64,
}

impl Object {
    /// Objects of `fields`, which lie within `depth` objects and lists, themselves included.
    pub fn new(fields: Vec<Field>, depth: usize) -> Self {
        let keys = Keys::new(fields.iter().map(|field| field.name.as_str()));
        Self { fields, keys, depth, rows: 0, turn: 0 }
    }

    /// Appends the object whose brace is at `at`: one value to each column, NULL where there is none; returns the place
    /// after it. Columns of an object that fails may hold pieces of it: it must be truncated.
    ///
    /// # Errors
    /// When it is malformed, a field is not of its type, or comes twice.
    pub fn append(&mut self, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        self.turn += 1;
        let mut missing = self.fields.len();
        let mut previous = Name::START;
        let mut place = at + 1;
        let end = loop {
            match self.keys.next(previous, text, place, unescaped)? {
                Next::Field { name, field: Some(field), at } => {
                    place = self.append_field(field as usize, text, at, unescaped)?;
                    previous = name;
                    missing -= 1;
                }
                Next::Field { name, field: None, at } => {
                    place = skip::value(text, at, self.depth)?;
                    previous = name;
                }
                Next::End(end) => break end,
            }
        };
        if missing > 0 {
            self.append_missing(end - 1)?;
        }
        self.rows += 1;
        Ok(end)
    }

    #[inline(always)]
    fn append_field(&mut self, field: usize, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<usize> {
        let field = &mut self.fields[field];
        if field.turn == self.turn {
            return Err(Fault::new(at, "expected no second value of a field").in_field(&field.name));
        }
        field.turn = self.turn;
        field.column.append(text, at, unescaped).map_err(|fault| fault.in_field(&field.name))
    }

    #[inline(never)]
    fn append_missing(&mut self, at: usize) -> Result<()> {
        for field in self.fields.iter_mut().filter(|field| field.turn != self.turn) {
            field.column.append_null(at).map_err(|fault| fault.in_field(&field.name))?;
        }
        Ok(())
    }

    /// Appends an object that stands where there is none.
    pub fn append_placeholder(&mut self) {
        self.fields.iter_mut().for_each(|field| field.column.append_placeholder());
        self.rows += 1;
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The name of a field.
    pub fn name(&self, field: usize) -> &str {
        &self.fields[field].name
    }

    /// The column of a field.
    pub fn column(&self, field: usize) -> &Column {
        &self.fields[field].column
    }

    /// Appends an object of one field, whose value `append` appends.
    ///
    /// # Errors
    /// What `append` says; then the object must be truncated.
    pub fn append_only(&mut self, append: impl FnOnce(&mut Column) -> Result<()>) -> Result<()> {
        let [field] = &mut self.fields[..] else { unreachable!("BUG: an object of one field has one") };
        append(&mut field.column).map_err(|fault| fault.in_field(&field.name))?;
        self.rows += 1;
        Ok(())
    }

    /// Forgets the objects from `rows` on, and what of one more was begun.
    pub fn truncate(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|field| field.column.truncate(rows));
        self.rows = self.rows.min(rows);
    }

    /// Makes room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|field| field.column.reserve(rows));
    }

    /// The finished columns, in the order of the fields; no rows remain.
    pub fn finish(&mut self, behind: &Behind) -> Vec<ArrayRef> {
        self.rows = 0;
        self.fields.iter_mut().map(|field| field.column.finish(behind)).collect()
    }
}
