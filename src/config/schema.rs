//! A tree against the JSON Schema of the raw types: every wrong key and value, then the raw value less what is wrong.
//!
//! The schema is what `schemars` derives from the raw types, and it is walked here rather than by a general validator
//! because only this walk knows the place of each node, the nearest right key, and what comes with a later version
//! (`x-later` in the schema).

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::mistakes::{Mistake, Mistakes};
use super::quantity::{Duration, Milliseconds, Size};
use super::secrets::{self, MASKED};
use super::source_file::Span;
use super::yaml::{Entry, Node, Plain, Scalar, Value};

/// The JSON Schema of a raw type, its parts in place but for what recurses.
pub(super) fn json_schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Checks the tree of `mistakes` against the schema of `T`, adds what is wrong, and gives what is right: the fields of
/// `T` are all optional, so that further checks see everything that could be read.
///
/// `what` names the file in messages, and `spelling` is how its keys are written where the user's own says nothing.
pub(super) fn read<T: JsonSchema + DeserializeOwned + Default>(
    mistakes: &mut Mistakes,
    what: &str,
    spelling: fn(&str) -> String,
) -> T {
    let schema = json_schema::<T>();
    let source = mistakes.source().clone();
    let mut walk = Walk { root: &schema, text: source.text(), spelling, found: Vec::new() };
    let raw = match source.tree() {
        Some(tree) if !tree.is_null() => walk.value(&schema, tree, what, tree.span),
        _ => {
            walk.required(&schema, &[], &[], Span { start: 0, end: 0 }, what);
            None
        }
    };
    let broken = !walk.found.is_empty();
    walk.found.into_iter().for_each(|mistake| mistakes.add(mistake));
    match raw.map(serde_json::from_value) {
        Some(Ok(raw)) => raw,
        None => T::default(),
        Some(Err(error)) => {
            assert!(broken, "BUG: the schema accepts what its type does not: {error}");
            T::default()
        }
    }
}

/// `fetch_max_wait` to `fetchMaxWait`.
pub(super) fn to_camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_string();
    words.fold(first, |camel, word| {
        let mut letters = word.chars();
        camel + &letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    })
}

/// The nearest of `choices` to `wrong`, if any is near enough to be what was meant.
pub(super) fn nearest<'c>(wrong: &str, choices: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let wrong = wrong.to_lowercase();
    choices
        .map(|choice| (strsim::damerau_levenshtein(&wrong, &choice.to_lowercase()), choice))
        .filter(|(distance, choice)| *distance <= (choice.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

/// `a`, `b` or `c`.
pub(super) fn one_of<S: AsRef<str>>(choices: &[S]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

struct Walk<'w> {
    root: &'w Json,
    text: &'w str,
    spelling: fn(&str) -> String,
    found: Vec<Mistake>,
}

impl Walk<'_> {
    fn mistake(&mut self, span: Span, message: String, help: Option<String>) {
        self.found.push(Mistake::new(Some(span), message, help));
    }

    /// The JSON of `node`, called `name` in messages, or nothing where it breaks `schema`. What it lacks is said at `key`.
    fn value(&mut self, schema: &Json, node: &Node, name: &str, key: Span) -> Option<Json> {
        if node.is_unknown() {
            return None;
        }
        let branches = branches(schema);
        let fitting = branches.iter().find(|branch| kind(branch).is_none_or(|kind| kind == node_kind(node)));
        let Some(branch) = fitting else {
            let expected: Vec<&str> = branches.iter().map(|branch| describe(branch)).collect();
            let (expected, actual) = (expected.join(" or "), describe_node(node, name));
            let message = format!("{} must be {expected}, but this is {actual}", quoted(name));
            self.mistake(node.span, message, schema["description"].as_str().map(str::to_string));
            return None;
        };
        match &node.value {
            // Read from the tree later: the schema says nothing about what is inside.
            _ if kind(branch).is_none() => Some(Json::Bool(true)),
            Value::Scalar(scalar) => self.scalar(branch, node, scalar, name),
            Value::Sequence(items) => {
                let name = format!("an item of {}", quoted(name));
                let items =
                    items.iter().map(|item| self.value(&branch["items"], item, &name, item.span).unwrap_or(Json::Null));
                Some(items.collect())
            }
            Value::Mapping(entries) => Some(self.mapping(branch, entries, name, key)),
        }
    }

    fn mapping(&mut self, schema: &Json, entries: &[Entry], name: &str, key: Span) -> Json {
        let mut object = Map::new();
        let Some(properties) = schema["properties"].as_object() else {
            for entry in entries {
                if let Some(value) =
                    self.value(&schema["additionalProperties"], &entry.value, &entry.key, entry.key_span)
                {
                    object.insert(entry.key.clone(), value);
                }
            }
            return Json::Object(object);
        };
        let mut given: Vec<(&str, &Entry)> = Vec::new();
        let mut misspelt: Vec<&str> = Vec::new();
        for entry in entries {
            let known = properties.keys().find(|key| **key == entry.key || to_camel(key) == entry.key);
            let Some(key) = known else {
                misspelt.extend(self.unknown_key(properties, entry, name));
                continue;
            };
            if let Some((_, first)) = given.iter().find(|(other, _)| other == key) {
                let line = self.text[..first.key_span.start].matches('\n').count() + 1;
                let message = format!("`{}` is given twice: it is `{}` of line {line}", entry.key, first.key);
                self.mistake(entry.key_span, message, Some("keep one of them".to_string()));
                continue;
            }
            given.push((key, entry));
            let property = &properties[key];
            if let Some(later) = property["x-later"].as_str() {
                self.mistake(entry.key_span, format!("`{}` {later}", entry.key), Some("leave it out".to_string()));
            } else if !entry.value.is_null()
                && let Some(value) = self.value(property, &entry.value, &entry.key, entry.key_span)
            {
                object.insert(key.clone(), value);
            }
        }
        self.required(schema, &given, &misspelt, key, name);
        Json::Object(object)
    }

    /// Adds the required keys that are missing, or that have nothing after their colon; not those that are `misspelt`,
    /// which are a mistake already.
    fn required(&mut self, schema: &Json, given: &[(&str, &Entry)], misspelt: &[&str], span: Span, name: &str) {
        let Some(required) = schema["required"].as_array() else { return };
        for key in required.iter().filter_map(Json::as_str) {
            let purpose = schema["properties"][key]["description"].as_str().map(|text| format!("`{key}`: {text}"));
            match given.iter().find(|(known, _)| *known == key) {
                Some((_, entry)) if entry.value.is_null() => {
                    self.mistake(entry.key_span, format!("`{key}` has no value"), purpose);
                }
                Some(_) => {}
                None if misspelt.contains(&key) => {}
                None => self.mistake(span, format!("{} lacks the key `{key}`", quoted(name)), purpose),
            }
        }
    }

    /// Adds an unknown key, and gives the key that may be meant.
    fn unknown_key<'p>(&mut self, properties: &'p Map<String, Json>, entry: &Entry, name: &str) -> Option<&'p str> {
        let mut elsewhere = Vec::new();
        homes(self.root, &entry.key, "", &mut elsewhere);
        let spellings = properties.keys().flat_map(|key| [(key.clone(), key), (to_camel(key), key)]);
        let spellings: Vec<(String, &String)> = spellings.collect();
        let near = nearest(&entry.key, spellings.iter().map(|(spelling, _)| spelling.as_str()));
        let near = spellings.iter().find(|(spelling, _)| Some(spelling.as_str()) == near).map(|(_, key)| *key);
        let help = match (elsewhere.as_slice(), near) {
            ([home], _) => format!("`{}` belongs under {home}", entry.key),
            (_, Some(near)) => format!("did you mean `{}`?", self.spelled_like(&entry.key, near)),
            ([first, second], None) => format!("`{}` belongs under {first} or {second}", entry.key),
            _ => {
                let available = properties.iter().filter(|(_, schema)| schema["x-later"].is_null());
                let keys: Vec<String> = available.map(|(key, _)| (self.spelling)(key)).collect();
                format!("the keys are {}", one_of(&keys).replace(" or ", " and "))
            }
        };
        self.mistake(entry.key_span, format!("unknown key `{}` in {}", entry.key, quoted(name)), Some(help));
        near.map(String::as_str)
    }

    /// `known` in camelCase or snake_case, as `wrong` is written, or else as the file's keys usually are.
    fn spelled_like(&self, wrong: &str, known: &str) -> String {
        match wrong {
            _ if wrong.contains(|letter: char| letter.is_ascii_uppercase()) => to_camel(known),
            _ if wrong.contains('_') => known.to_string(),
            _ => (self.spelling)(known),
        }
    }

    fn scalar(&mut self, schema: &Json, node: &Node, scalar: &Scalar, name: &str) -> Option<Json> {
        let text = &scalar.text;
        let plain = scalar.plain();
        if plain == Plain::Null {
            self.mistake(node.span, format!("{} has no value", quoted(name)), None);
            return None;
        }
        let choices = choices(schema);
        if !choices.is_empty() {
            return self.choice(&choices, node, text, name);
        }
        let quantity = match schema["format"].as_str() {
            Some("duration") => Duration::parse(text).err().map(|why| ("duration", why, "write `30s`, `5m` or `1.5h`")),
            Some("milliseconds") => Milliseconds::parse(text)
                .err()
                .map(|why| ("duration", why, "write a number of milliseconds, or `100ms`")),
            Some("size") => Size::parse(text).err().map(|why| ("size", why, "write a number of bytes, or `64MiB`")),
            _ => return self.typed(schema, node, scalar, name),
        };
        match quantity {
            None => Some(Json::String(text.clone())),
            Some((what, why, help)) => {
                self.mistake(
                    node.span,
                    format!("`{text}` is not a {what} for {}: {why}", quoted(name)),
                    Some(help.to_string()),
                );
                None
            }
        }
    }

    fn choice(&mut self, choices: &[&Json], node: &Node, text: &str, name: &str) -> Option<Json> {
        let given = choices.iter().find(|choice| choice["const"] == text);
        let later = given.and_then(|choice| choice["x-later"].as_str());
        let available: Vec<&str> = choices
            .iter()
            .filter(|choice| choice["x-later"].is_null())
            .filter_map(|choice| choice["const"].as_str())
            .collect();
        let (message, help) = match (given, later) {
            (Some(_), None) => return Some(Json::String(text.to_string())),
            (_, Some(later)) => {
                (format!("`{name}: {text}` {later}"), format!("in this version it is {}", one_of(&available)))
            }
            (None, None) => {
                let near = nearest(text, choices.iter().filter_map(|choice| choice["const"].as_str()));
                let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let choices = one_of(&available).replace(" or ", " and ");
                let help = match available.len() {
                    1 => format!("in this version it is {choices}"),
                    _ => format!("{near}the choices are {choices}"),
                };
                (format!("{} can't be `{text}`", quoted(name)), help)
            }
        };
        self.mistake(node.span, message, Some(help));
        None
    }

    fn typed(&mut self, schema: &Json, node: &Node, scalar: &Scalar, name: &str) -> Option<Json> {
        let wrong = |walk: &mut Self, help: Option<&str>| {
            let (expected, actual) = (describe(schema), describe_node(node, name));
            let message = format!("{} must be {expected}, but this is {actual}", quoted(name));
            walk.mistake(node.span, message, help.map(str::to_string));
            None
        };
        match (json_type(schema), scalar.plain()) {
            // What the file says is what is meant: no quotes are needed around a topic called 2024.
            ("string", _) => Some(Json::String(scalar.text.clone())),
            ("boolean", Plain::Boolean(value)) => Some(Json::Bool(value)),
            ("boolean", _) => match scalar.text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => wrong(self, Some("write `true`")),
                "no" | "off" | "n" => wrong(self, Some("write `false`")),
                _ => wrong(self, None),
            },
            ("integer", Plain::Integer(number)) => {
                let limit = |key: &str, default: i128| schema[key].as_i64().map_or(default, i128::from);
                let (least, most) = (limit("minimum", 0), limit("maximum", i128::from(i64::MAX)));
                if (least..=most).contains(&number) {
                    return i64::try_from(number).ok().map(Json::from);
                }
                let help = format!("write a number from {least} to {most}");
                self.mistake(node.span, format!("{} can't be {number}", quoted(name)), Some(help));
                None
            }
            _ => wrong(self, None),
        }
    }
}

/// The alternatives of a schema, less `null`: an absent value is left out before.
fn branches(schema: &Json) -> Vec<&Json> {
    match schema["anyOf"].as_array() {
        Some(any) => any.iter().filter(|branch| branch["type"] != "null").flat_map(branches).collect(),
        None => vec![schema],
    }
}

/// The JSON type that a schema asks for.
fn json_type(schema: &Json) -> &str {
    match &schema["type"] {
        Json::Array(types) => types.iter().filter_map(Json::as_str).find(|name| *name != "null").unwrap_or_default(),
        Json::String(name) => name,
        _ if schema["oneOf"].is_array() => "string",
        _ => "",
    }
}

/// What kind of node a schema asks for; none if it leaves that open.
fn kind(schema: &Json) -> Option<&'static str> {
    match json_type(schema) {
        "" => None,
        "object" => Some("mapping"),
        "array" => Some("list"),
        _ => Some("scalar"),
    }
}

fn node_kind(node: &Node) -> &'static str {
    match node.value {
        Value::Scalar(_) => "scalar",
        Value::Sequence(_) => "list",
        Value::Mapping(_) => "mapping",
    }
}

fn describe(schema: &Json) -> &'static str {
    match (json_type(schema), schema["format"].as_str()) {
        ("object", _) => "a mapping",
        ("array", _) => "a list",
        (_, Some("duration" | "milliseconds")) => "a duration",
        (_, Some("size")) => "a size",
        ("integer", _) => "a whole number",
        ("boolean", _) => "true or false",
        _ => "a text",
    }
}

fn describe_node(node: &Node, name: &str) -> String {
    match &node.value {
        Value::Sequence(_) => "a list".to_string(),
        Value::Mapping(_) => "a mapping".to_string(),
        Value::Scalar(scalar) if scalar.plain() == Plain::Null => "empty".to_string(),
        Value::Scalar(_) if secrets::is_secret(name) => MASKED.to_string(),
        Value::Scalar(scalar) => format!("`{}`", scalar.text),
    }
}

/// A key in backticks; a description, such as "the pipeline", as it is.
fn quoted(name: &str) -> String {
    if name.contains(' ') { name.to_string() } else { format!("`{name}`") }
}

/// The values of an enum: with their descriptions they stand as constants under `oneOf`, without as `enum`.
fn choices(schema: &Json) -> Vec<&Json> {
    schema["oneOf"].as_array().map(|choices| choices.iter().collect()).unwrap_or_default()
}

/// Where else in the schema there is a key like this one.
fn homes(schema: &Json, key: &str, path: &str, found: &mut Vec<String>) {
    for branch in branches(schema) {
        for (name, property) in branch["properties"].as_object().into_iter().flatten() {
            if (name == key || to_camel(name) == key) && !path.is_empty() {
                found.push(format!("`{path}`"));
            }
            let separator = if path.is_empty() { "" } else { "." };
            homes(property, key, &format!("{path}{separator}{name}"), found);
        }
        if branch["additionalProperties"].is_object() {
            homes(&branch["additionalProperties"], key, &format!("{path}.<table>"), found);
        }
        if branch["items"].is_object() {
            homes(&branch["items"], key, path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_case_is_made_of_snake_case() {
        assert_eq!(to_camel("fetch_max_wait"), "fetchMaxWait");
        assert_eq!(to_camel("group"), "group");
    }

    #[test]
    fn the_nearest_is_near() {
        assert_eq!(nearest("brokrs", ["broker_list", "brokers", "properties"].into_iter()), Some("brokers"));
        assert_eq!(nearest("querry", ["query", "name"].into_iter()), Some("query"));
        assert_eq!(nearest("something", ["query", "name"].into_iter()), None);
    }

    #[test]
    fn choices_are_listed_as_people_do() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
