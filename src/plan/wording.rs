//! What DataFusion says about an expression, in the words of this project: its types, no prefixes, no mention of bugs.

use arrow::datatypes::{DataType, Field};

use super::mistake::Mistake;
use crate::config::{parse_type, type_name};

/// What DataFusion puts before a message, one into another.
const PREFIXES: [&str; 11] = [
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
    "Parser error: ",
    "Cast error: ",
    "Compute error: ",
    "Invalid argument error: ",
    "Optimizer rule error: ",
    "External error: ",
];

/// Types whose Arrow names messages hold; of two the one whose name holds the other's comes first.
const TYPES: [&str; 18] = [
    "timestamp",
    "timestamp(s)",
    "timestamp(us)",
    "timestamp(ns)",
    "string",
    "boolean",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int",
    "bigint",
    "float",
    "double",
    "date",
    "binary",
];

/// The mistake that a message of DataFusion's tells; its place is still to be said.
pub fn explained(message: &str) -> Mistake {
    let message = typed(plain(message));
    let said = |text: String, help: &str| Mistake::at(&["query"], text).help(help);
    if let Some(operands) = message.strip_prefix("Cannot infer common argument type for comparison operation ") {
        return said(
            format!("`{operands}`: values of these types can't be compared"),
            "cast one of them to the other's type",
        );
    }
    if let Some((operands, _)) = between(&message, "Cannot coerce arithmetic expression ", " to valid types") {
        return said(format!("`{operands}` can't be computed"), "cast to types that can be computed with");
    }
    if let Some((types, _)) = between(&message, "Failed to coerce then (", ") to common types in CASE WHEN") {
        let types = types.replace(") and else (", " and ");
        return said(format!("this CASE gives {types}, which are no one type"), "cast one of them to the other's type");
    }
    if let Some((name, rest)) = between(&message, "Function '", "' expects ")
        && let Some((expected, actual)) = rest.split_once(" but received ")
    {
        let expected = if expected == "1 arguments" { "1 argument" } else { expected };
        let actual = actual.split(',').next().unwrap_or(actual).trim_end_matches('.');
        return said(format!("{name}() takes {expected}, and here it gets {actual}"), FUNCTION_HELP);
    }
    if let Some((name, _)) = between(&message, "Function '", "' user-defined coercion failed") {
        return said(format!("{name}() can't take values of these types together"), "cast them to one type");
    }
    if let Some((name, _)) = between(&message, "Function '", "' failed to match any signature") {
        return said(format!("{name}() does not take values of these types"), FUNCTION_HELP);
    }
    if let Some(name) = message.strip_prefix("Unsupported SQL type ") {
        return said(
            format!("there is no type `{}`", name.to_lowercase()),
            "write an SQL type such as DOUBLE, BIGINT or VARCHAR",
        );
    }
    if let Some((actual, _)) = between(&message, "Cannot access field at argument 1: type ", " is not Struct") {
        return said(format!("this is of type {actual}, which has no fields"), "only a struct has fields");
    }
    if message.starts_with("unnest() can only be applied") {
        return said("unnest() takes a list, and this is none".to_string(), "leave unnest() out, or give it a list");
    }
    Mistake::at(&["query"], message)
}

const FUNCTION_HELP: &str = "DataFusion's list of scalar functions says what each takes";

/// The message without prefixes, and without what follows its first line.
fn plain(message: &str) -> &str {
    let mut text = message.lines().next().unwrap_or_default();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    if let Some((_, inner)) = text.split_once("failed to match any signature, errors: ")
        && inner.contains(" expects ")
    {
        return plain(inner);
    }
    text.trim_end_matches('.')
}

/// Arrow's names of types as `schema:` writes them.
fn typed(message: &str) -> String {
    let mut text = message.to_string();
    for data_type in TYPES.iter().filter_map(|name| parse_type(name).ok()) {
        let list = DataType::List(Field::new_list_field(data_type.clone(), true).into());
        text =
            text.replace(&list.to_string(), &type_name(&list)).replace(&data_type.to_string(), &type_name(&data_type));
    }
    text
}

/// An expression for a person: types of casts as `schema:` writes them.
pub fn cast_types(text: &str) -> String {
    let mut text = text.to_string();
    for data_type in TYPES.iter().filter_map(|name| parse_type(name).ok()) {
        text = text.replace(&format!(" AS {data_type})"), &format!(" AS {})", type_name(&data_type)));
    }
    text
}

/// What stands between `start`, with which `text` begins, and `end`; and what follows.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(start)?.split_once(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_datafusion_are_said_in_words_of_the_project() {
        for (said, expected) in [
            (
                "Error during planning: Cannot infer common argument type for comparison operation List(Utf8View) = Boolean",
                "`list<string> = boolean`: values of these types can't be compared",
            ),
            (
                "Internal error: Function 'date_trunc' failed to match any signature, errors: Error during planning: Function \
                 'date_trunc' expects 2 arguments but received 1,Error during planning: Function 'date_trunc' expects 2 \
                 arguments but received 1.\nThis issue was likely caused by a bug in DataFusion's code.",
                "date_trunc() takes 2 arguments, and here it gets 1",
            ),
            ("This feature is not implemented: Unsupported SQL type MONEY", "there is no type `money`"),
            ("Arrow error: Parser error: Error parsing timestamp from 'x'", "Error parsing timestamp from 'x'"),
            ("Execution error: some UInt32 and Timestamp(ms, \"UTC\").", "some uint32 and timestamp"),
        ] {
            assert_eq!(explained(said).message, expected);
        }
    }
}
