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

/// The longest text between two values that is remembered.
const LEAD_MAX: usize = 32;

/// A name that was seen, by its place among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u32);

impl Name {
    /// What comes before the first field of an object.
    pub const START: Name = Name(0);
    /// Any name that is not remembered.
    const STRANGER: Name = Name(1);
}

/// What comes after a value, or after the opening brace, of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A field.
    Field {
        /// Its name.
        name: Name,
        /// Its number, if it is asked for.
        field: Option<u32>,
        /// Where its value begins.
        at: usize,
    },
    /// The closing brace, just before this place.
    End(usize),
}

/// The names of an object's fields.
#[derive(Debug)]
pub struct Keys {
    names: Vec<Entry>,
    table: HashTable<Name>,
}

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    /// The number of the field, if it is asked for.
    field: Option<u32>,
    /// What last came after it, and what had come before that.
    guesses: [Guess; 2],
}

/// What came after a field: all that stood between its value and the next one, white space included.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// The text, `,"name":`, where `mask` has ones.
    lead: [u128; LEAD_MAX / 16],
    mask: [u128; LEAD_MAX / 16],
    length: usize,
    name: Name,
    field: Option<u32>,
}

impl Keys {
    /// The names of the fields that are asked for, in the order of their numbers.
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut keys = Self { names: vec![Entry::new(b""), Entry::new(b"")], table: HashTable::new() };
        for (field, name) in fields.into_iter().enumerate() {
            let Name(place) = keys.remember(name.as_bytes());
            keys.names[place as usize].field = Some(field as u32);
        }
        keys
    }

    /// Reads what comes after the value of the field `previous`, which ended at `at`: the comma, the next field's name and
    /// its colon, with white space around them; or the closing brace.
    ///
    /// # Errors
    /// When that is malformed.
    #[inline(always)]
    pub fn next(&mut self, previous: Name, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<Next> {
        let [guess, _] = &self.names[previous.0 as usize].guesses;
        if guess.stands_at(text, at) {
            return Ok(guess.next(text, at));
        }
        if text.byte(at) == b'}' {
            return Ok(Next::End(at + 1));
        }
        self.look_up(previous, text, at, unescaped)
    }

    #[inline(never)]
    fn look_up(&mut self, previous: Name, text: &Text<'_>, at: usize, unescaped: &mut Vec<u8>) -> Result<Next> {
        let [first, second] = self.names[previous.0 as usize].guesses;
        if second.stands_at(text, at) {
            self.names[previous.0 as usize].guesses = [second, first];
            return Ok(second.next(text, at));
        }
        let mut quote = text.skip_white_space(at);
        match text.byte(quote) {
            b'}' => return Ok(Next::End(quote + 1)),
            b',' if previous != Name::START => quote = text.skip_white_space(quote + 1),
            _ if previous == Name::START => {}
            _ => return Err(Fault::new(quote, "expected `,` or `}` after a field of an object")),
        }
        if text.byte(quote) != b'"' {
            return Err(Fault::new(quote, "expected the name of a field, in quotes"));
        }
        let (piece, after) = string::read(text, quote, unescaped)?;
        let value = skip::colon(text, after)?;
        let name = match piece {
            Piece::Plain { start, end } => self.find(text.slice(start, end)),
            Piece::Unescaped { start } => {
                let name = self.find(&unescaped[start..]);
                unescaped.truncate(start);
                name
            }
        };
        let field = self.names[name.0 as usize].field;
        if name != Name::STRANGER
            && let Some(guess) = Guess::new(text.slice(at, value), name, field)
        {
            self.names[previous.0 as usize].guesses = [guess, first];
        }
        Ok(Next::Field { name, field, at: value })
    }

    fn find(&mut self, name: &[u8]) -> Name {
        let known = self.table.find(xxh3_64(name), |place| *self.names[place.0 as usize].name == *name);
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
        self.table.insert_unique(xxh3_64(name), place, |place| xxh3_64(&names[place.0 as usize].name));
        place
    }
}

impl Entry {
    fn new(name: &[u8]) -> Self {
        Self { name: name.into(), field: None, guesses: [Guess::NONE; 2] }
    }
}

impl Guess {
    /// Sixteen bytes 0, which stand in no JSON.
    const NONE: Guess = Guess { lead: [0; 2], mask: [u128::MAX; 2], length: 0, name: Name::STRANGER, field: None };

    /// `None` for a lead that is too long, or has a brace in it: only so can no guess reach beyond the end of a record.
    fn new(lead: &[u8], name: Name, field: Option<u32>) -> Option<Self> {
        if lead.len() > LEAD_MAX || lead.contains(&b'}') {
            return None;
        }
        let mut guess = Self { lead: [0; 2], mask: [0; 2], length: lead.len(), name, field };
        for (place, byte) in lead.iter().enumerate() {
            guess.lead[place / 16] |= u128::from(*byte) << (place % 16 * 8);
            guess.mask[place / 16] |= 0xFF << (place % 16 * 8);
        }
        Some(guess)
    }

    #[inline(always)]
    fn stands_at(&self, text: &Text<'_>, at: usize) -> bool {
        text.matches(at, self.lead[0], self.mask[0])
            && (self.length <= 16 || text.matches(at + 16, self.lead[1], self.mask[1]))
    }

    #[inline(always)]
    fn next(&self, text: &Text<'_>, at: usize) -> Next {
        // There may be more white space than last time.
        let at = text.skip_white_space(at + self.length);
        Next::Field { name: self.name, field: self.field, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the names of an object whose values are all `1`.
    fn names(keys: &mut Keys, json: &str) -> std::result::Result<Vec<Option<u32>>, usize> {
        let padded = format!("{json}{}", " ".repeat(40));
        let text = Text::of_all(padded.as_bytes());
        let (mut previous, mut place, mut fields) = (Name::START, 1, Vec::new());
        loop {
            match keys.next(previous, &text, place, &mut Vec::new()).map_err(|fault| fault.at)? {
                Next::End(end) => {
                    assert_eq!(end, json.len());
                    return Ok(fields);
                }
                Next::Field { name, field, at } => {
                    assert_eq!(text.byte(at), b'1', "{json} at {at}");
                    fields.push(field);
                    (previous, place) = (name, at + 1);
                }
            }
        }
    }

    #[test]
    fn names_are_found_in_any_order_and_spelling() {
        let long = "a_name_that_is_longer_than_any_guess";
        let mut keys = Keys::new(["id", "of_more_than_sixteen", long, "quo\"te", "☃", "}"]);
        let all = [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)];
        for _ in 0..3 {
            let compact = format!(r#"{{"id":1,"of_more_than_sixteen":1,"{long}":1,"quo\"te":1,"☃":1,"}}":1}}"#);
            let spaced = format!(
                "{{ \"id\" : 1 ,\n\"of_more_than_sixteen\": 1, \"{long}\" :1,\t\"quo\\\"te\": \r\n 1, \"☃\": 1,\"}}\":1 }}"
            );
            for _ in 0..2 {
                assert_eq!(names(&mut keys, &compact).unwrap(), all);
                assert_eq!(names(&mut keys, &spaced).unwrap(), all);
            }
            assert_eq!(names(&mut keys, r#"{"\u2603":1,"other":1,"id" :1}"#).unwrap(), [Some(4), None, Some(0)]);
            assert_eq!(names(&mut keys, r#"{"i":1,"idx":1,"of_more_than_sixteeN":1}"#).unwrap(), [None, None, None]);
            assert_eq!(names(&mut keys, "{ }").unwrap(), []);
            assert_eq!(names(&mut keys, r#"{"id":1,"id":1,"id":1}"#).unwrap(), [Some(0); 3]);
            assert_eq!(names(&mut keys, r#"{"id":1,"id":  1,"id":1}"#).unwrap(), [Some(0); 3]);
        }
    }

    #[test]
    fn optional_fields_are_guessed_both_ways() {
        let mut keys = Keys::new(["a", "b", "c"]);
        names(&mut keys, r#"{"a":1,"c":1}"#).unwrap();
        names(&mut keys, r#"{"a":1,"b":1,"c":1}"#).unwrap();
        assert_eq!(keys.names[2].guesses.map(|guess| guess.field), [Some(1), Some(2)]);
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut keys = Keys::new(["a"]);
        for number in 0..10_000 {
            assert_eq!(names(&mut keys, &format!(r#"{{"n{number}":1,"a":1}}"#)).unwrap(), [None, Some(0)]);
        }
        assert_eq!(names(&mut keys, &format!(r#"{{"{}":1,"a":1}}"#, "x".repeat(1000))).unwrap(), [None, Some(0)]);
        assert_eq!(keys.names.len(), NAMES_MAX);
    }

    #[test]
    fn a_guess_never_reaches_beyond_the_record() {
        let mut keys = Keys::new(["a}"]);
        let arena = br#"{"a}":1}                                        "#;
        for _ in 0..2 {
            names(&mut keys, r#"{"a}":1}"#).unwrap();
            let (text, start) = Text::of_object(arena, 0, 4).unwrap();
            assert!(keys.next(Name::START, &text, start + 1, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn what_is_malformed_is_refused_whatever_was_learned() {
        let mut keys = Keys::new(["a", "b"]);
        for _ in 0..3 {
            assert_eq!(names(&mut keys, r#"{"a":1,"b":1,"a":1}"#).unwrap(), [Some(0), Some(1), Some(0)]);
            assert_eq!(names(&mut keys, r#"{"b":1}"#).unwrap(), [Some(1)]);
            assert_eq!(names(&mut keys, r#"{"a":1"b":1}"#), Err(6));
            assert_eq!(names(&mut keys, r#"{"b":1"a":1}"#), Err(6));
            assert_eq!(names(&mut keys, r#"{,"b":1}"#), Err(1));
            assert_eq!(names(&mut keys, r#"{"a":1,}"#), Err(7));
            assert_eq!(names(&mut keys, r#"{"a":1,,"b":1}"#), Err(7));
            assert_eq!(names(&mut keys, r#"{a:1}"#), Err(1));
            assert_eq!(names(&mut keys, r#"{"a" 1}"#), Err(5));
            assert_eq!(names(&mut keys, r#"{"a"#), Err(1));
        }
    }
}
