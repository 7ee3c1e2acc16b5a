//! The types of `schema:` and the Arrow types that they are.
//!
//! ```text
//! type  = string | boolean | int8 … int64 | uint8 … uint64 | int | bigint | float | double | decimal(p[, s]) | date
//!       | timestamp[(s | ms | us | ns)] | binary | list<type> | struct<name: type, …>
//! ```
//! Names are read in any case; a field of a struct whose name is no plain word stands in backticks.

use std::fmt::Write;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, TimeUnit};

/// How deep types may nest.
pub(super) const DEPTH_MAX: usize = 32;

/// The names that a type without parameters can have, the first of each kind being the one printed.
static NAMES: [(&str, DataType); 33] = [
    ("string", DataType::Utf8View),
    ("varchar", DataType::Utf8View),
    ("text", DataType::Utf8View),
    ("boolean", DataType::Boolean),
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("tinyint", DataType::Int8),
    ("int16", DataType::Int16),
    ("smallint", DataType::Int16),
    ("int", DataType::Int32),
    ("int32", DataType::Int32),
    ("integer", DataType::Int32),
    ("bigint", DataType::Int64),
    ("int64", DataType::Int64),
    ("long", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float", DataType::Float32),
    ("float32", DataType::Float32),
    ("real", DataType::Float32),
    ("double", DataType::Float64),
    ("float64", DataType::Float64),
    ("date", DataType::Date32),
    ("date32", DataType::Date32),
    ("binary", DataType::BinaryView),
    ("bytes", DataType::BinaryView),
    ("varbinary", DataType::BinaryView),
    // Other layouts of the same values, which expressions may give.
    ("string", DataType::Utf8),
    ("string", DataType::LargeUtf8),
    ("binary", DataType::Binary),
    ("binary", DataType::LargeBinary),
];

/// The names that take parameters.
const PARAMETRIC: [&str; 6] = ["decimal", "numeric", "timestamp", "list", "array", "struct"];

/// A text that is no type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TypeError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where: in bytes of the text.
    pub offset: usize,
}

/// The Arrow type that `text` names. The unit of a timestamp is also that of its numbers in JSON.
///
/// # Errors
/// Where the text stops being a type, and why.
pub fn parse_type(text: &str) -> Result<DataType, TypeError> {
    let mut parser = Parser { text, at: 0 };
    let data_type = parser.data_type(0)?;
    parser.skip_space();
    match parser.rest() {
        "" => Ok(data_type),
        rest => Err(parser.error(format!("`{}` follows a complete type", rest.trim_end()))),
    }
}

/// The text that names `data_type`: `parse_type` reads it back. Types that `schema:` can't name are shown as Arrow does.
pub fn type_name(data_type: &DataType) -> String {
    if let Some((name, _)) = NAMES.iter().find(|(_, named)| named == data_type) {
        return name.to_string();
    }
    match data_type {
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Second, _) => "timestamp(s)".to_string(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => "timestamp".to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp(us)".to_string(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp(ns)".to_string(),
        DataType::List(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let mut name = "struct<".to_string();
            for (index, field) in fields.iter().enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                let quote = if is_word(field.name()) { "" } else { "`" };
                let field_name = field.name().replace('`', "``");
                write!(name, "{separator}{quote}{field_name}{quote}: {}", type_name(field.data_type()))
                    .expect("BUG: writing to a string");
            }
            name + ">"
        }
        other => other.to_string(),
    }
}

/// A list of nullable items.
pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Field::new_list_field(item, true).into())
}

/// A struct of nullable fields.
pub(super) fn struct_of(fields: Vec<(String, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect::<Fields>())
}

/// A timestamp of `unit`, in UTC.
pub(super) fn timestamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

/// A decimal, if there is one of this many digits.
pub(super) fn decimal(precision: i64, scale: i64) -> Result<DataType, String> {
    let precision = u8::try_from(precision)
        .ok()
        .filter(|precision| (1..=DECIMAL128_MAX_PRECISION).contains(precision))
        .ok_or(format!("a decimal has 1 to {DECIMAL128_MAX_PRECISION} digits, not {precision}"))?;
    let scale = i8::try_from(scale)
        .ok()
        .filter(|scale| (0..=precision as i8).contains(scale))
        .ok_or(format!("a decimal of {precision} digits has 0 to {precision} of them after the point, not {scale}"))?;
    Ok(DataType::Decimal128(precision, scale))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_letter)
}

fn is_word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error(&self, message: String) -> TypeError {
        TypeError { message, offset: self.at }
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, sign: char, what: &str) -> Result<(), TypeError> {
        if self.take(sign) {
            return Ok(());
        }
        let actual =
            self.rest().chars().next().map_or("the text ends".to_string(), |next| format!("`{next}` is there"));
        Err(self.error(format!("`{sign}` expected {what}, but {actual}")))
    }

    fn word(&mut self) -> &'t str {
        self.skip_space();
        let rest = self.rest();
        let length = rest.find(|letter| !is_word_letter(letter)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, TypeError> {
        if depth == DEPTH_MAX {
            return Err(self.error(format!("more than {DEPTH_MAX} levels of types")));
        }
        self.skip_space();
        let start = self.at;
        let word = self.word();
        let lower = word.to_ascii_lowercase();
        if let Some((_, data_type)) = NAMES.iter().find(|(name, _)| *name == lower) {
            return Ok(data_type.clone());
        }
        match lower.as_str() {
            "timestamp" => self.timestamp(),
            "decimal" | "numeric" => self.decimal(start),
            "list" | "array" => {
                self.expect('<', "after `list`")?;
                let item = self.data_type(depth + 1)?;
                self.expect('>', "after the list's item type")?;
                Ok(list_of(item))
            }
            "struct" => self.fields(depth),
            _ => Err(TypeError { message: self.unknown(word), offset: start }),
        }
    }

    fn unknown(&self, word: &str) -> String {
        if word.is_empty() {
            return match self.rest().chars().next() {
                None => "a type is missing".to_string(),
                Some(next) => format!("a type expected, but `{next}` is there"),
            };
        }
        let lower = word.to_ascii_lowercase();
        let hint = match lower.as_str() {
            "map" => Some("maps are not among the types; name the keys as struct<a: int, …>".to_string()),
            "time" => Some("a time of day is read as `string`".to_string()),
            "datetime" => Some("did you mean `timestamp`?".to_string()),
            _ => NAMES
                .iter()
                .map(|(name, _)| *name)
                .chain(PARAMETRIC)
                .map(|name| (strsim::damerau_levenshtein(name, &lower), name))
                .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
                .min_by_key(|(distance, _)| *distance)
                .map(|(_, name)| format!("did you mean `{name}`?")),
        };
        format!("there is no type `{word}`{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default())
    }

    fn timestamp(&mut self) -> Result<DataType, TypeError> {
        if !self.take('(') {
            return Ok(timestamp(TimeUnit::Millisecond));
        }
        self.skip_space();
        let start = self.at;
        let unit = match self.word().to_ascii_lowercase().as_str() {
            "s" => TimeUnit::Second,
            "ms" => TimeUnit::Millisecond,
            "us" => TimeUnit::Microsecond,
            "ns" => TimeUnit::Nanosecond,
            _ => {
                let message = "the unit of a timestamp is s, ms, us or ns".to_string();
                return Err(TypeError { message, offset: start });
            }
        };
        self.expect(')', "after the timestamp's unit")?;
        Ok(timestamp(unit))
    }

    fn decimal(&mut self, start: usize) -> Result<DataType, TypeError> {
        if !self.take('(') {
            let message = "a decimal needs its digits: `decimal(10,2)`".to_string();
            return Err(TypeError { message, offset: start });
        }
        let precision = self.number()?;
        let scale = if self.take(',') { self.number()? } else { 0 };
        self.expect(')', "after the decimal's digits")?;
        decimal(precision, scale).map_err(|message| TypeError { message, offset: start })
    }

    fn number(&mut self) -> Result<i64, TypeError> {
        self.skip_space();
        let start = self.at;
        let word = self.word();
        word.parse().map_err(|_| TypeError { message: "a whole number expected".to_string(), offset: start })
    }

    fn fields(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.expect('<', "after `struct`")?;
        let mut fields: Vec<(String, DataType)> = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let name = self.field_name()?;
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(TypeError { message: format!("the field `{name}` is there twice"), offset: start });
            }
            self.expect(':', "after the field's name")?;
            fields.push((name, self.data_type(depth + 1)?));
            if !self.take(',') {
                break;
            }
        }
        self.expect('>', "after the struct's fields")?;
        Ok(struct_of(fields))
    }

    fn field_name(&mut self) -> Result<String, TypeError> {
        if !self.take('`') {
            return match self.word() {
                "" => Err(self.error("the name of a field expected".to_string())),
                word => Ok(word.to_string()),
            };
        }
        let mut name = String::new();
        while let Some(end) = self.rest().find('`') {
            name.push_str(&self.rest()[..end]);
            self.at += end + 1;
            if !self.rest().starts_with('`') {
                return Ok(name);
            }
            name.push('`');
            self.at += 1;
        }
        Err(self.error("this backtick is never closed".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_is_read_in_any_case() {
        for (text, data_type) in [
            ("string", DataType::Utf8View),
            ("BOOL", DataType::Boolean),
            ("Int", DataType::Int32),
            ("long", DataType::Int64),
            ("uint64", DataType::UInt64),
            ("double", DataType::Float64),
            ("bytes", DataType::BinaryView),
            ("date", DataType::Date32),
            (" decimal ( 10 , 2 ) ", DataType::Decimal128(10, 2)),
            ("decimal(38)", DataType::Decimal128(38, 0)),
            ("timestamp", timestamp(TimeUnit::Millisecond)),
            ("timestamp(ms)", timestamp(TimeUnit::Millisecond)),
            ("TIMESTAMP(S)", timestamp(TimeUnit::Second)),
            ("timestamp(us)", timestamp(TimeUnit::Microsecond)),
            ("timestamp(ns)", timestamp(TimeUnit::Nanosecond)),
            ("list<list<int>>", list_of(list_of(DataType::Int32))),
            (
                "struct<lat: double, `odd ``name`: list<string>>",
                struct_of(vec![
                    ("lat".to_string(), DataType::Float64),
                    ("odd `name".to_string(), list_of(DataType::Utf8View)),
                ]),
            ),
        ] {
            assert_eq!(parse_type(text), Ok(data_type), "{text}");
        }
    }

    #[test]
    fn what_is_no_type_says_where_and_why() {
        for (text, offset, message) in [
            ("", 0, "a type is missing"),
            ("strng", 0, "there is no type `strng`; did you mean `string`?"),
            (
                "map<string, int>",
                0,
                "there is no type `map`; maps are not among the types; name the keys as struct<a: int, …>",
            ),
            ("geometry", 0, "there is no type `geometry`"),
            ("list<strin>", 5, "there is no type `strin`; did you mean `string`?"),
            ("list<string", 11, "`>` expected after the list's item type, but the text ends"),
            ("list", 4, "`<` expected after `list`, but the text ends"),
            ("int 5", 4, "`5` follows a complete type"),
            ("decimal", 0, "a decimal needs its digits: `decimal(10,2)`"),
            ("decimal(39,0)", 0, "a decimal has 1 to 38 digits, not 39"),
            ("decimal(4,5)", 0, "a decimal of 4 digits has 0 to 4 of them after the point, not 5"),
            ("decimal(a)", 8, "a whole number expected"),
            ("timestamp(min)", 10, "the unit of a timestamp is s, ms, us or ns"),
            ("struct<a int>", 9, "`:` expected after the field's name, but `i` is there"),
            ("struct<a: int, a: int>", 15, "the field `a` is there twice"),
            ("struct<>", 7, "the name of a field expected"),
            ("struct<`a: int>", 8, "this backtick is never closed"),
        ] {
            assert_eq!(parse_type(text), Err(TypeError { message: message.to_string(), offset }), "{text}");
        }
        let deep = "list<".repeat(10_000);
        assert_eq!(parse_type(&deep).expect_err("too deep").message, "more than 32 levels of types");
    }

    fn data_types() -> impl Strategy<Value = DataType> {
        let leaf = prop_oneof![
            proptest::sample::select(NAMES[..29].iter().map(|(_, data_type)| data_type.clone()).collect::<Vec<_>>()),
            (1_u8..=38).prop_flat_map(|precision| {
                (0..=precision as i8).prop_map(move |scale| DataType::Decimal128(precision, scale))
            }),
            proptest::sample::select(vec![
                timestamp(TimeUnit::Second),
                timestamp(TimeUnit::Millisecond),
                timestamp(TimeUnit::Microsecond),
                timestamp(TimeUnit::Nanosecond),
            ]),
        ];
        leaf.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(list_of),
                proptest::collection::btree_map("[a-zäB_` :>]{1,6}", inner, 1..4)
                    .prop_map(|fields| struct_of(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_name_of_a_type_is_read_back(data_type in data_types()) {
            prop_assert_eq!(parse_type(&type_name(&data_type)), Ok(data_type));
        }

        #[test]
        fn no_text_panics(text in "([a-z]{0,5}|list<|struct<|decimal\\(|[<>(),:` 0-9ä])*") {
            if let Err(error) = parse_type(&text) {
                prop_assert!(text.is_char_boundary(error.offset));
            }
        }
    }
}
