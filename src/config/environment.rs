//! `${VAR}`, `${VAR:-default}` and `${VAR:?message}` in plain and double-quoted scalars; `$$` is a dollar sign.
//!
//! Replaced in the tree, not in the text, so that a value can't become a key or a second value.

use saphyr_parser::ScalarStyle;

use super::mistakes::Mistake;
use super::place;
use super::yaml::{Expansion, Node, Value};

/// Looks a variable up.
pub(super) type Lookup<'l> = dyn Fn(&str) -> Option<String> + 'l;

/// Replaces the variables of the whole tree but for `query` at its top, where `$` belongs to SQL.
pub(super) fn expand(text: &str, tree: &mut Node, lookup: &Lookup<'_>) -> Vec<Mistake> {
    let mut found = Vec::new();
    match &mut tree.value {
        Value::Mapping(entries) => {
            for entry in entries.iter_mut().filter(|entry| entry.key != "query") {
                expand_node(text, &mut entry.value, lookup, &mut found);
            }
        }
        _ => expand_node(text, tree, lookup, &mut found),
    }
    found
}

fn expand_node(text: &str, node: &mut Node, lookup: &Lookup<'_>, found: &mut Vec<Mistake>) {
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| expand_node(text, item, lookup, found)),
        Value::Mapping(entries) => {
            entries.iter_mut().for_each(|entry| expand_node(text, &mut entry.value, lookup, found));
        }
        Value::Scalar(scalar) => {
            let replaced = matches!(scalar.style, ScalarStyle::Plain | ScalarStyle::DoubleQuoted);
            if !replaced || !scalar.text.contains('$') {
                return;
            }
            let failure = match expand_text(&scalar.text, lookup) {
                Ok(expanded) if expanded == scalar.text => return,
                Ok(expanded) => {
                    scalar.text = expanded;
                    scalar.expansion = Expansion::Done;
                    return;
                }
                Err(failure) => failure,
            };
            let character = |byte: usize| scalar.text[..byte].chars().count();
            let (start, end) = (character(failure.start), character(failure.end));
            let span = place::place(text, node, start, Some(end));
            found.push(Mistake::new(Some(span), failure.message, Some(failure.help)));
            if let Value::Scalar(scalar) = &mut node.value {
                scalar.expansion = Expansion::Failed;
            }
        }
    }
}

/// A reference that can't be replaced: its bytes in the scalar, and why.
#[derive(Debug, PartialEq)]
struct Failure {
    start: usize,
    end: usize,
    message: String,
    help: String,
}

fn expand_text(text: &str, lookup: &Lookup<'_>) -> Result<String, Failure> {
    let mut expanded = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
        expanded.push_str(&text[at..dollar]);
        let rest = &text[dollar..];
        if rest.starts_with("$$") {
            expanded.push('$');
            at = dollar + 2;
        } else if let Some(inner) = rest.strip_prefix("${") {
            let fail = |length: usize, (message, help)| Failure { start: dollar, end: dollar + length, message, help };
            let Some(length) = inner.find('}') else {
                let help = "close it with `}`; a dollar sign itself is written `$$`".to_string();
                return Err(fail(rest.len(), ("`${` is never closed".to_string(), help)));
            };
            expanded.push_str(&reference(&inner[..length], lookup).map_err(|why| fail(length + 3, why))?);
            at = dollar + length + 3;
        } else {
            expanded.push('$');
            at = dollar + 1;
        }
    }
    expanded.push_str(&text[at..]);
    Ok(expanded)
}

/// The value of what stands between the braces, or what is wrong and what to do.
fn reference(inner: &str, lookup: &Lookup<'_>) -> Result<String, (String, String)> {
    let length = inner.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(length);
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        let help = "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; a dollar sign itself is `$$`";
        return Err((format!("`${{{inner}}}` names no variable"), help.to_string()));
    }
    if rest.contains("${") {
        let help = "write the default out".to_string();
        return Err((format!("the default of `${{{name}}}` can't hold another variable"), help));
    }
    let value = lookup(name);
    let filled = value.clone().filter(|value| !value.is_empty());
    match (rest.get(..2).unwrap_or(rest), rest.get(2..).unwrap_or_default()) {
        ("", _) => value.ok_or_else(|| {
            let help = format!("set it, or give a default: `${{{name}:-default}}`");
            (format!("the environment variable `{name}` is not set"), help)
        }),
        (":-", default) => Ok(filled.unwrap_or_else(|| default.to_string())),
        (":?", message) => filled.ok_or_else(|| {
            let reason = if message.is_empty() { "it has to be set" } else { message };
            (format!("the environment variable `{name}` is not set: {reason}"), format!("set `{name}`"))
        }),
        _ => {
            let help = "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`".to_string();
            Err((format!("`{rest}` can't follow the name of a variable"), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn lookup(name: &str) -> Option<String> {
        [("HOST", "h1"), ("EMPTY", ""), ("NESTED", "${HOST}"), ("YAML", "a: [b]")]
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_string())
    }

    fn expanded(text: &str) -> Result<String, String> {
        expand_text(text, &lookup)
            .map_err(|failure| format!("{}: {}", &text[failure.start..failure.end], failure.message))
    }

    #[test]
    fn the_three_forms() {
        assert_eq!(expanded("a ${HOST}:9092 b ${HOST}"), Ok("a h1:9092 b h1".to_string()));
        assert_eq!(expanded("${EMPTY}"), Ok(String::new()));
        assert_eq!(expanded("${EMPTY:-x:-y}${NO:-}${HOST:-z}"), Ok("x:-yh1".to_string()));
        assert_eq!(expanded("${HOST:?needed}"), Ok("h1".to_string()));
    }

    #[test]
    fn a_dollar_sign_alone_is_itself() {
        assert_eq!(expanded("5$ $HOST $${HOST} $$$$"), Ok("5$ $HOST ${HOST} $$".to_string()));
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        assert_eq!(expanded("${NESTED}"), Ok("${HOST}".to_string()));
    }

    #[test]
    fn failures_name_the_reference() {
        let message = |text| expanded(text).expect_err("a failure");
        assert_eq!(message("a ${NO} b"), "${NO}: the environment variable `NO` is not set");
        assert_eq!(
            message("${EMPTY:?give it}"),
            "${EMPTY:?give it}: the environment variable `EMPTY` is not set: give it"
        );
        assert_eq!(message("${HOST"), "${HOST: `${` is never closed");
        assert_eq!(message("${1A}"), "${1A}: `${1A}` names no variable");
        assert_eq!(message("${HOST-x}"), "${HOST-x}: `-x` can't follow the name of a variable");
        assert_eq!(message("${HOST:-${A}}"), "${HOST:-${A}: the default of `${HOST}` can't hold another variable");
    }

    #[test]
    fn only_plain_and_double_quoted_scalars_outside_the_query_change() {
        let text = "query: ${HOST}\na: '${HOST}'\nb: \"${HOST}\"\nc: [${HOST}x]\nd: |\n  ${HOST}\ne: ${YAML}\n";
        let text = text.replace("[${HOST}x]", "\n  - ${HOST}");
        let mut tree = yaml::parse(&text).0.expect("the test's YAML");
        assert_eq!(expand(&text, &mut tree, &lookup), []);
        let value = |path: &[&str]| path.iter().try_fold(&tree, |node, step| node.child(step)).and_then(Node::text);
        assert_eq!(value(&["query"]), Some("${HOST}"));
        assert_eq!(value(&["a"]), Some("${HOST}"));
        assert_eq!(value(&["b"]), Some("h1"));
        assert_eq!(value(&["c", "0"]), Some("h1"));
        assert_eq!(value(&["d"]), Some("${HOST}\n"));
        assert_eq!(value(&["e"]), Some("a: [b]"));
    }
}
