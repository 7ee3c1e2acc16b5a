//! Values of the `tests:` block, and of what comes out: JSON whose numbers keep all their digits.

use super::yaml::{Node, Plain, Value, plain_type};

/// A value as JSON knows it. Two are equal if they mean the same: numbers by value, objects in any order of their fields.
#[derive(Clone, Debug)]
pub enum TestValue {
    /// NULL.
    Null,
    /// true or false.
    Boolean(bool),
    /// A number, as JSON writes it.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<TestValue>),
    /// Fields, in their order.
    Object(Vec<(String, TestValue)>),
}

/// A number without what its notation adds: sign, digits without zeros at either end, power of ten of the last one.
type Canonical = (bool, String, i64);

impl PartialEq for TestValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other || canonical(one) == canonical(other),
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Object(one), Self::Object(other)) => {
                one.len() == other.len() && one.iter().all(|(name, value)| field(other, name) == Some(value))
            }
            _ => false,
        }
    }
}

/// The field called `name`.
fn field<'f>(fields: &'f [(String, TestValue)], name: &str) -> Option<&'f TestValue> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

fn canonical(number: &str) -> Option<Canonical> {
    let (negative, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let dropped = (digits.len() - trimmed.len()) as i64;
    let digits = trimmed.trim_start_matches('0').to_string();
    if digits.is_empty() {
        return Some((false, digits, 0));
    }
    Some((negative, digits, exponent.saturating_add(dropped - fraction.len() as i64)))
}

impl TestValue {
    /// The fields, if it is an object.
    pub fn fields(&self) -> Option<&[(String, TestValue)]> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The field called `name`, if it is an object that has one.
    pub fn field(&self, name: &str) -> Option<&TestValue> {
        field(self.fields()?, name)
    }

    /// As JSON, on one line.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => out.push_str(&json_text(text)),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(&json_text(name));
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    /// As YAML, on one line, for a place inside `[…]` and `{…}` as elsewhere; `padded` sets spaces inside braces.
    pub fn to_yaml(&self, padded: bool) -> String {
        match self {
            Self::Null | Self::Boolean(_) | Self::Number(_) => self.to_json(),
            Self::Text(text) => yaml_text(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.to_yaml(padded)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}: {}", yaml_text(name), value.to_yaml(padded)))
                    .collect();
                let pad = if padded && !fields.is_empty() { " " } else { "" };
                format!("{{{pad}{}{pad}}}", fields.join(", "))
            }
        }
    }

    /// Reads JSON; `None` where `bytes` are none.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut reader = Reader { rest: text.trim_ascii_start() };
        let value = reader.value()?;
        reader.rest.is_empty().then_some(value)
    }

    /// The value that a node of the file is.
    ///
    /// # Errors
    /// The node that JSON has no value for.
    pub(super) fn of_node(node: &Node) -> Result<Self, &Node> {
        Ok(match &node.value {
            Value::Scalar(scalar) => match scalar.plain() {
                Plain::Null => Self::Null,
                Plain::Boolean(value) => Self::Boolean(value),
                Plain::Integer(number) => Self::Number(number.to_string()),
                Plain::Float => Self::Number(float(&scalar.text).ok_or(node)?),
                Plain::Text => Self::Text(scalar.text.clone()),
            },
            Value::Sequence(items) => Self::List(items.iter().map(Self::of_node).collect::<Result<_, _>>()?),
            Value::Mapping(entries) => {
                let fields = entries.iter().map(|entry| Ok((entry.key.clone(), Self::of_node(&entry.value)?)));
                Self::Object(fields.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// A YAML number as JSON writes it, with its digits: `+.5` is `0.5`. Infinity and NaN are none.
fn float(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !rest.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return None;
    }
    let power = rest.find(['e', 'E']).unwrap_or(rest.len());
    let (mantissa, power) = rest.split_at(power);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}{power}"))
}

/// A text as YAML: without quotes where every reader takes it for a text, in single quotes (within which nothing is
/// replaced from the environment) where it can be, else in double quotes.
pub(super) fn yaml_text(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_alphanumeric() || "_/".contains(first))
        && text.chars().all(|letter| letter.is_alphanumeric() || " _-./+@:".contains(letter))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && plain_type(text) == Plain::Text
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if is_plain {
        text.to_string()
    } else if text.chars().any(|letter| letter.is_control() || matches!(letter, '\u{feff}' | '\u{2028}' | '\u{2029}')) {
        json_text(text)
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads JSON that an encoder has written.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn eat(&mut self, prefix: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(prefix)?.trim_ascii_start();
        Some(())
    }

    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest.trim_ascii_start();
        taken
    }

    fn value(&mut self) -> Option<TestValue> {
        Some(match self.rest.bytes().next()? {
            b'n' => self.eat("null").map(|()| TestValue::Null)?,
            b't' => self.eat("true").map(|()| TestValue::Boolean(true))?,
            b'f' => self.eat("false").map(|()| TestValue::Boolean(false))?,
            b'"' => TestValue::Text(self.text()?),
            b'[' => {
                self.eat("[")?;
                let mut items = Vec::new();
                while self.eat("]").is_none() {
                    if !items.is_empty() {
                        self.eat(",")?;
                    }
                    items.push(self.value()?);
                }
                TestValue::List(items)
            }
            b'{' => {
                self.eat("{")?;
                let mut fields = Vec::new();
                while self.eat("}").is_none() {
                    if !fields.is_empty() {
                        self.eat(",")?;
                    }
                    let name = self.text()?;
                    self.eat(":")?;
                    fields.push((name, self.value()?));
                }
                TestValue::Object(fields)
            }
            _ => {
                let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
                let len = self.rest.bytes().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
                let number = self.take(len);
                serde_json::from_str::<serde_json::Number>(number).ok()?;
                TestValue::Number(number.to_string())
            }
        })
    }

    fn text(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        serde_json::from_str(self.take(end + 1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> TestValue {
        TestValue::Number(text.to_string())
    }

    #[test]
    fn numbers_are_equal_by_value() {
        for (one, other) in [("5", "5.0"), ("1e3", "1000"), ("-0", "0.00"), ("0.10", "1E-1"), ("120", "1.2e2")] {
            assert_eq!(number(one), number(other));
        }
        for (one, other) in
            [("5", "-5"), ("1", "10"), ("0.1", "0.10000000000000001"), ("9007199254740993", "9007199254740992")]
        {
            assert_ne!(number(one), number(other));
        }
    }

    #[test]
    fn json_is_read_and_written_with_all_digits() {
        let text = r#"{"a":12345678901234567890.123456789,"b":[true,null,"x\"\\\u00e4"],"c":{},"d":[],"e":"é"}"#;
        let value = TestValue::from_json(text.as_bytes()).expect("JSON");
        assert_eq!(value.to_json(), text.replace("\\u00e4", "ä"));
        assert_eq!(TestValue::from_json(b" { \"a\" : 1 } ").expect("JSON").to_json(), "{\"a\":1}");
        for broken in ["", "{", "{\"a\":}", "[1 2]", "1 2", "\"a", "nul", "-", "{\"a\" 1}"] {
            assert!(TestValue::from_json(broken.as_bytes()).is_none(), "{broken}");
        }
    }

    #[test]
    fn fields_may_stand_in_any_order_but_none_may_lack() {
        let value = |text: &str| TestValue::from_json(text.as_bytes()).expect("JSON");
        assert_eq!(value(r#"{"a":1,"b":2}"#), value(r#"{"b":2.0,"a":1}"#));
        assert_ne!(value(r#"{"a":1,"b":null}"#), value(r#"{"a":1}"#));
        assert_ne!(value(r#"{"a":1,"b":null}"#), value(r#"{"a":1,"c":null}"#));
        assert_ne!(value("[1,2]"), value("[2,1]"));
        assert_ne!(value("1"), value("\"1\""));
    }

    #[test]
    fn yaml_needs_as_few_quotes_as_is_safe() {
        let json = r#"{"a":"x y","t":"2025-01-01T00:00:00Z","n":"5","e":"","c":"a: b","q":"it's","no":"no","l":[1,"x\n"],"o":{}}"#;
        let value = TestValue::from_json(json.as_bytes()).expect("JSON");
        let yaml = "{a: x y, t: 2025-01-01T00:00:00Z, 'n': '5', e: '', c: 'a: b', q: 'it''s', 'no': 'no', \
                    l: [1, \"x\\n\"], o: {}}";
        assert_eq!(value.to_yaml(false), yaml);
        let (tree, found) = super::super::yaml::parse(yaml);
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(TestValue::of_node(&tree.expect("YAML")).expect("JSON"), value);
        assert_eq!(TestValue::from_json(b"{\"a\":1}").expect("JSON").to_yaml(true), "{ a: 1 }");
    }

    #[test]
    fn numbers_of_yaml_become_numbers_of_json() {
        for (yaml, json) in [("1.50", "1.50"), ("+.5", "0.5"), ("-.5e3", "-0.5e3"), ("007.", "7"), ("1.", "1")] {
            assert_eq!(float(yaml).as_deref(), Some(json));
        }
        assert_eq!(float(".inf"), None);
        assert_eq!(float("-.nan"), None);
    }
}
