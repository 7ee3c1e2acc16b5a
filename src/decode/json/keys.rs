//! Which field a name is: guessed from what came after the field before it in earlier records, and only looked up where
//! the guess is wrong.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::fault::{Fault, Result};
use super::skip;
use super::string::{self, Piece};
use super::text::Text;

/// How many names are remembered, those that no column asks for included. Objects whose fields are data would else fill
/// the memory.
const NAMES_MAX: usize = 1024;
/// Longer names that no column asks for are not remembered.
const NAME_LENGTH_MAX: usize = 64;

/// A name that was seen, by its place among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u32);

impl Name {
    /// What comes before the first field of an object.
    pub const START: Name = Name(0);
    /// Any name that is not remembered.
    const STRANGER: Name = Name(1);
}

/// The names of an object's fields.
#[derive(Debug)]
pub struct Keys {
    names: Vec<Entry>,
    table: HashTable<Name>,
}

#[derive(Debug)]
struct Entry {
    /// The first sixteen bytes of `"name":`, in `pattern` where `mask` has ones.
    pattern: u128,
    mask: u128,
    /// All of `"name":`.
    quoted: Box<[u8]>,
    /// The field that it names, if it is asked for.
    field: Option<u32>,
    /// What last came after it, and what had come before that.
    next: [Name; 2],
}

impl Keys {
    /// The names of the fields that are asked for, in the order of their numbers.
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let strangers = [Entry::new(b""), Entry::new(b"")].map(|entry| Entry { mask: 0, pattern: 1, ..entry });
        let mut keys = Self { names: Vec::from(strangers), table: HashTable::new() };
        for (field, name) in fields.into_iter().enumerate() {
            let Name(place) = keys.remember(name.as_bytes());
            keys.names[place as usize].field = Some(field as u32);
        }
        // Until records teach better: in the order of the schema.
        for place in 2..keys.names.len() {
            let before = if place == 2 { 0 } else { place - 1 };
            keys.names[before].next = [Name(place as u32); 2];
        }
        keys
    }

    /// The field of that name, if it is asked for.
    #[inline(always)]
    pub fn field(&self, name: Name) -> Option<usize> {
        self.names[name.0 as usize].field.map(|field| field as usize)
    }

    /// Reads the name at `at`, which comes after the field `previous`, its colon and white space; returns the place
    /// after them.
    ///
    /// # Errors
    /// When there is no name with a colon.
    #[inline(always)]
    pub fn read(
        &mut self,
        previous: Name,
        text: &Text<'_>,
        at: usize,
        unescaped: &mut Vec<u8>,
    ) -> Result<(Name, usize)> {
        let guess = self.names[previous.0 as usize].next[0];
        let entry = &self.names[guess.0 as usize];
        if entry.stands_at(text, at) {
            return Ok((guess, text.skip_white_space(at + entry.quoted.len())));
        }
        self.look_up(previous, text, at, unescaped)
    }

    #[inline(never)]
    fn look_up(
        &mut self,
        previous: Name,
        text: &Text<'_>,
        at: usize,
        unescaped: &mut Vec<u8>,
    ) -> Result<(Name, usize)> {
        let [first, second] = self.names[previous.0 as usize].next;
        let entry = &self.names[second.0 as usize];
        if entry.stands_at(text, at) {
            let after = at + entry.quoted.len();
            self.names[previous.0 as usize].next = [second, first];
            return Ok((second, text.skip_white_space(after)));
        }
        if text.byte(at) != b'"' {
            return Err(Fault::new(at, "expected the name of a field, in quotes"));
        }
        let (piece, after) = string::read(text, at, unescaped)?;
        let after = skip::colon(text, after)?;
        let name = match piece {
            Piece::Plain { start, end } => self.find(text.slice(start, end)),
            Piece::Unescaped { start } => {
                let name = self.find(&unescaped[start..]);
                unescaped.truncate(start);
                name
            }
        };
        if name != first {
            self.names[previous.0 as usize].next = [name, first];
        }
        Ok((name, after))
    }

    fn find(&mut self, name: &[u8]) -> Name {
        let known = self.table.find(xxh3_64(name), |place| self.names[place.0 as usize].name() == name);
        match known {
            Some(known) => *known,
            None if self.names.len() < NAMES_MAX && name.len() <= NAME_LENGTH_MAX => self.remember(name),
            None => Name::STRANGER,
        }
    }

    fn remember(&mut self, name: &[u8]) -> Name {
        let place = Name(self.names.len() as u32);
        self.names.push(Entry::new(name));
        let names = &self.names;
        self.table.insert_unique(xxh3_64(name), place, |place| xxh3_64(names[place.0 as usize].name()));
        place
    }
}

impl Entry {
    fn new(name: &[u8]) -> Self {
        let quoted = [b"\"", name, b"\":"].concat();
        let mut pattern = [0; 16];
        let mut mask = [0; 16];
        let length = quoted.len().min(16);
        pattern[..length].copy_from_slice(&quoted[..length]);
        mask[..length].fill(0xFF);
        // A name that is written with escapes is never recognized at sight. Nor is one with a brace: only so can no
        // guess reach beyond the end of a record.
        let plain = name.iter().all(|byte| *byte >= 0x20 && !b"\"\\}".contains(byte));
        Self {
            pattern: if plain { u128::from_le_bytes(pattern) } else { 1 },
            mask: if plain { u128::from_le_bytes(mask) } else { 0 },
            quoted: quoted.into(),
            field: None,
            next: [Name::STRANGER; 2],
        }
    }

    fn name(&self) -> &[u8] {
        &self.quoted[1..self.quoted.len() - 2]
    }

    #[inline(always)]
    fn stands_at(&self, text: &Text<'_>, at: usize) -> bool {
        let Some(bytes) = text.sixteen(at) else { return false };
        u128::from_le_bytes(*bytes) & self.mask == self.pattern
            && (self.quoted.len() <= 16 || text.has(at + 16, &self.quoted[16..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &mut Keys, json: &str) -> Vec<Option<usize>> {
        let padded = format!("{json}{}", " ".repeat(16));
        let mut previous = Name::START;
        let mut at = 0;
        let mut fields = Vec::new();
        while at < json.len() {
            let (name, after) = keys.read(previous, &Text::of_all(padded.as_bytes()), at, &mut Vec::new()).unwrap();
            fields.push(keys.field(name));
            (previous, at) = (name, after);
        }
        fields
    }

    #[test]
    fn names_are_found_in_any_order_and_spelling() {
        let long = "a_name_that_is_longer_than_sixteen_bytes";
        let mut keys = Keys::new(["id", long, "quo\"te", "☃"]);
        let json = format!(r#""id":"{long}":"quo\"te":"☃":"#);
        for _ in 0..3 {
            assert_eq!(names(&mut keys, &json), [Some(0), Some(1), Some(2), Some(3)]);
            assert_eq!(names(&mut keys, r#""\u2603" : "other": "id" :"#), [Some(3), None, Some(0)]);
            assert_eq!(
                names(&mut keys, r#""i":"idx":"a_name_that_is_longer_than_sixteen_bytez":"#),
                [None, None, None]
            );
        }
    }

    #[test]
    fn optional_fields_are_guessed_both_ways() {
        let mut keys = Keys::new(["a", "b", "c"]);
        names(&mut keys, r#""a":"c":"#);
        names(&mut keys, r#""a":"b":"c":"#);
        let [first, second] = keys.names[2].next;
        assert_eq!([keys.field(first), keys.field(second)], [Some(1), Some(2)]);
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut keys = Keys::new(["a"]);
        for number in 0..10_000 {
            assert_eq!(names(&mut keys, &format!(r#""n{number}":"a":"#)), [None, Some(0)]);
        }
        assert_eq!(names(&mut keys, &format!(r#""{}":"a":"#, "x".repeat(1000))), [None, Some(0)]);
        assert_eq!(keys.names.len(), NAMES_MAX);
    }

    #[test]
    fn a_guess_never_reaches_beyond_the_record() {
        let mut keys = Keys::new(["a}"]);
        let arena = br#"{"a}":1}                "#;
        let (text, start) = Text::of_object(arena, 0, 4).unwrap();
        assert!(keys.read(Name::START, &text, start + 1, &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused_at_its_place() {
        let mut keys = Keys::new(["a"]);
        let mut place =
            |json: &str| keys.read(Name::START, &Text::of_all(json.as_bytes()), 0, &mut Vec::new()).unwrap_err().at;
        assert_eq!([place("a:"), place("\"a\" 1"), place("\"a"), place("")], [0, 4, 0, 0]);
    }
}
