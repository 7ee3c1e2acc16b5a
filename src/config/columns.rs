//! A `schema:` block to columns: the short form `{column: type}`, types nested as mappings and `[type]`, and the long
//! form of Avro, `{name: …, fields: [{name: …, type: …}]}`.

use arrow::datatypes::{DataType, TimeUnit};

use super::mistakes::{Mistake, Mistakes};
use super::place;
use super::source_file::Span;
use super::types::{DEPTH_MAX, decimal, list_of, parse_type, struct_of, timestamp};
use super::yaml::{Entry, Node, Value};

/// Names that every table has of its own (SEMANTICS 1.5), and the one that the engine adds.
const HIDDEN: [&str; 6] = ["_key", "_topic", "_partition", "_offset", "_timestamp", "_identity"];

/// The columns of the `schema:` at `path`. A column whose type is a mistake is of type Null, which no text names.
pub(super) fn read(mistakes: &mut Mistakes, path: &[&str]) -> Option<Vec<(String, DataType)>> {
    let source = mistakes.source().clone();
    let node = source.node(path).filter(|node| !node.is_null())?;
    let mut reader = Reader { text: source.text(), found: Vec::new() };
    let columns = reader.columns(node);
    reader.found.into_iter().for_each(|mistake| mistakes.add(mistake));
    columns
}

struct Reader<'t> {
    text: &'t str,
    found: Vec<Mistake>,
}

/// The value of a key, `None` if it is not there.
fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

/// `{fields: [a list]}` is the long form; a column called `fields` has a type, which is no list of mappings.
fn is_long(entries: &[Entry]) -> bool {
    match get(entries, "fields").map(|fields| &fields.value) {
        Some(Value::Sequence(items)) => items.iter().all(|item| matches!(item.value, Value::Mapping(_))),
        _ => false,
    }
}

impl Reader<'_> {
    fn mistake<T>(&mut self, span: Span, message: impl Into<String>, help: Option<&str>) -> Option<T> {
        self.found.push(Mistake::new(Some(span), message, help.map(str::to_string)));
        None
    }

    fn columns(&mut self, node: &Node) -> Option<Vec<(String, DataType)>> {
        let Value::Mapping(entries) = &node.value else {
            return self.mistake(node.span, "`schema` must be a mapping", Some("write `column: type` lines"));
        };
        let columns = if is_long(entries) { self.record(entries, 0) } else { self.fields(entries, 0) };
        let columns = columns?;
        if columns.is_empty() && self.found.is_empty() {
            return self.mistake(node.span, "`schema` declares no column", Some("leave it out to have it inferred"));
        }
        Some(columns)
    }

    /// `{column: type}`.
    fn fields(&mut self, entries: &[Entry], depth: usize) -> Option<Vec<(String, DataType)>> {
        let mut fields = Vec::with_capacity(entries.len());
        for entry in entries {
            self.check_name(&entry.key, entry.key_span, depth);
            fields.push((entry.key.clone(), self.short_type(&entry.value, depth).unwrap_or(DataType::Null)));
        }
        Some(fields)
    }

    fn check_name(&mut self, name: &str, span: Span, depth: usize) {
        if depth == 0 && HIDDEN.contains(&name) {
            let help = "every table has it of its own; leave it out, or rename the column";
            self.mistake::<()>(span, format!("`{name}` can't be declared"), Some(help));
        } else if name.is_empty() {
            self.mistake::<()>(span, "a column needs a name", None);
        }
    }

    fn short_type(&mut self, node: &Node, depth: usize) -> Option<DataType> {
        if depth == DEPTH_MAX {
            return self.mistake(node.span, format!("more than {DEPTH_MAX} levels of types"), None);
        }
        match &node.value {
            Value::Scalar(_) => self.text_type(node),
            Value::Sequence(items) => match items.as_slice() {
                [item] => self.short_type(item, depth + 1).map(list_of),
                _ => self.mistake(node.span, "a list type has one item type", Some("write `[type]`")),
            },
            Value::Mapping(entries) if entries.is_empty() => self.mistake(node.span, "a struct needs a field", None),
            Value::Mapping(entries) => self.fields(entries, depth + 1).map(struct_of),
        }
    }

    fn text_type(&mut self, node: &Node) -> Option<DataType> {
        let Some(text) = node.text() else {
            if node.is_unknown() {
                return None;
            }
            return self.mistake(node.span, "a type is missing", Some("write `column: string`, for instance"));
        };
        match parse_type(text) {
            Ok(data_type) => Some(data_type),
            Err(error) => {
                let start = text[..error.offset].chars().count();
                self.mistake(place::place(self.text, node, start, None), error.message, None)
            }
        }
    }

    /// `{name: …, fields: […]}`.
    fn record(&mut self, entries: &[Entry], depth: usize) -> Option<Vec<(String, DataType)>> {
        self.known_keys(entries, &["name", "fields", "type", "namespace", "doc"]);
        let Some(Value::Sequence(items)) = get(entries, "fields").map(|fields| &fields.value) else { return None };
        let mut fields: Vec<(String, DataType)> = Vec::with_capacity(items.len());
        for item in items {
            let Some((name, data_type)) = self.long_field(item, depth) else { continue };
            if fields.iter().any(|(other, _)| *other == name) {
                let span = item.child("name").map_or(item.span, |name| name.span);
                self.mistake::<()>(span, format!("the field `{name}` is there twice"), Some("keep one of them"));
            } else {
                fields.push((name, data_type));
            }
        }
        Some(fields)
    }

    fn long_field(&mut self, item: &Node, depth: usize) -> Option<(String, DataType)> {
        let Value::Mapping(entries) = &item.value else {
            return self.mistake(item.span, "a field must be a mapping", Some("write `{name: …, type: …}`"));
        };
        self.known_keys(entries, &["name", "type", "default", "doc"]);
        if let Some(default) = get(entries, "default").filter(|default| !default.is_null()) {
            let help = "a column without a value is NULL; write `default: null`, or leave it out";
            self.mistake::<()>(default.span, "a default other than null comes with a later version", Some(help));
        }
        let Some(name) = get(entries, "name") else { return self.mistake(item.span, "the field lacks a `name`", None) };
        let Some(text) = name.text() else { return self.mistake(name.span, "the field's `name` must be a text", None) };
        self.check_name(text, name.span, depth);
        let Some(data_type) = get(entries, "type") else {
            return self.mistake(item.span, format!("the field `{text}` lacks a `type`"), None);
        };
        Some((text.to_string(), self.long_type(data_type, depth + 1).unwrap_or(DataType::Null)))
    }

    fn known_keys(&mut self, entries: &[Entry], known: &[&str]) {
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = format!("the keys here are {}", super::schema::one_of(known).replace(" or ", " and "));
            self.mistake::<()>(entry.key_span, format!("unknown key `{}` in an Avro schema", entry.key), Some(&help));
        }
    }

    fn long_type(&mut self, node: &Node, depth: usize) -> Option<DataType> {
        if depth == DEPTH_MAX {
            return self.mistake(node.span, format!("more than {DEPTH_MAX} levels of types"), None);
        }
        match &node.value {
            Value::Scalar(_) => self.text_type(node),
            Value::Sequence(branches) => self.union(node, branches, depth),
            Value::Mapping(entries) => self.complex(node, entries, depth),
        }
    }

    /// `["null", type]`: columns are nullable anyway.
    fn union(&mut self, node: &Node, branches: &[Node], depth: usize) -> Option<DataType> {
        let is_null = |branch: &&Node| matches!(&branch.value, Value::Scalar(scalar) if scalar.text == "null");
        let others: Vec<&Node> = branches.iter().filter(|branch| !is_null(branch)).collect();
        match others.as_slice() {
            [one] => self.long_type(one, depth + 1),
            _ => {
                self.mistake(node.span, "a union must be of null and one other type", Some("write `[\"null\", type]`"))
            }
        }
    }

    fn complex(&mut self, node: &Node, entries: &[Entry], depth: usize) -> Option<DataType> {
        let Some(kind) = get(entries, "type") else {
            return self.mistake(node.span, "the type lacks a `type`", None);
        };
        if let Some(logical) = get(entries, "logicalType") {
            return self.logical(entries, logical);
        }
        match kind.text() {
            Some("array") => {
                self.known_keys(entries, &["type", "items", "doc"]);
                match get(entries, "items") {
                    Some(items) => self.long_type(items, depth + 1).map(list_of),
                    None => self.mistake(node.span, "the array lacks its `items`", None),
                }
            }
            Some("record") if is_long(entries) => {
                self.record(entries, depth).filter(|fields| !fields.is_empty()).map(struct_of)
            }
            Some("record") => self.mistake(node.span, "the record lacks its `fields`", None),
            Some(other @ ("map" | "enum" | "fixed")) => {
                self.mistake(kind.span, format!("Avro's `{other}` is not among the types"), None)
            }
            _ => {
                self.known_keys(entries, &["type", "doc"]);
                self.long_type(kind, depth + 1)
            }
        }
    }

    fn logical(&mut self, entries: &[Entry], logical: &Node) -> Option<DataType> {
        self.known_keys(entries, &["type", "logicalType", "precision", "scale", "doc"]);
        let number = |key: &str| get(entries, key).and_then(Node::text).and_then(|text| text.parse::<i64>().ok());
        match logical.text() {
            Some("timestamp-millis") => Some(timestamp(TimeUnit::Millisecond)),
            Some("timestamp-micros") => Some(timestamp(TimeUnit::Microsecond)),
            Some("timestamp-nanos") => Some(timestamp(TimeUnit::Nanosecond)),
            Some("date") => Some(DataType::Date32),
            Some("uuid") => Some(DataType::Utf8View),
            Some("decimal") => match decimal(number("precision").unwrap_or(0), number("scale").unwrap_or(0)) {
                Ok(data_type) => Some(data_type),
                Err(message) => self.mistake(logical.span, message, Some("give `precision` and `scale`")),
            },
            _ => self.mistake(
                logical.span,
                "this logical type is not among the types",
                Some("there are decimal, date, uuid, timestamp-millis, timestamp-micros and timestamp-nanos"),
            ),
        }
    }
}
