//! What must not be shown: passwords and tokens, in messages, in the lines of a file around a mistake, in `Debug`.

use super::yaml::{Node, Value};

/// What stands for a secret.
pub(super) const MASKED: &str = "***";

/// Whether the value of `key` is a secret, going by its name.
pub(super) fn is_secret(key: &str) -> bool {
    let letters: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ["password", "passphrase", "secret", "token", "keypem", "oauthbearerconfig", "accesskey"]
        .iter()
        .any(|word| letters.contains(word))
}

/// `text`, as long as it was, less its secrets and its control characters.
pub(super) fn mask(text: &str, tree: Option<&Node>) -> String {
    let mut secret = vec![false; text.len()];
    match tree {
        Some(tree) => mark(text, tree, false, &mut secret),
        None => guess(text, &mut secret),
    }
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let bare_return = letter == '\r' && letters.peek().is_none_or(|(_, next)| *next != '\n');
        match letter {
            _ if bare_return => shown.push('\n'),
            '\t' | '\n' | '\r' => shown.push(letter),
            _ if secret[at] && letter != ' ' => shown.extend(std::iter::repeat_n('*', letter.len_utf8())),
            _ if letter.is_control() => shown.extend(std::iter::repeat_n('?', letter.len_utf8())),
            _ => shown.push(letter),
        }
    }
    shown
}

fn mark(text: &str, node: &Node, inside: bool, secret: &mut [bool]) {
    match &node.value {
        Value::Scalar(_) if inside && !is_reference(&text[node.span.start..node.span.end]) => {
            secret[node.span.start..node.span.end].fill(true);
        }
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter().for_each(|item| mark(text, item, inside, secret)),
        Value::Mapping(entries) => {
            for entry in entries.iter().filter(|entry| entry.value.span != entry.key_span) {
                mark(text, &entry.value, inside || is_secret(&entry.key), secret);
            }
        }
    }
}

/// Whether a scalar only names a variable: a default after `:-` would be a secret in the file.
fn is_reference(scalar: &str) -> bool {
    let inner = scalar.trim_matches('"').strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        inner.split_once(":-").is_none_or(|(_, default)| default.is_empty()) && !inner.contains('$')
    })
}

/// For a file that is not YAML: everything after a secret's name, and the deeper lines that follow.
fn guess(text: &str, secret: &mut [bool]) {
    let mut below = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || below.is_some_and(|depth| indent > depth) {
            secret[start..start + line.len()].fill(below.is_some());
        } else {
            below = None;
            let value = line.match_indices(':').find(|(at, _)| {
                is_secret(line[..*at].rsplit(['{', ',', ' ']).find(|word| !word.is_empty()).unwrap_or_default())
            });
            if let Some((at, _)) = value {
                secret[start + at + 1..start + line.len()].fill(true);
                below = Some(indent);
            }
        }
        start += line.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn shown(text: &str) -> String {
        mask(text, yaml::parse(text).0.as_ref())
    }

    #[test]
    fn secrets_of_a_tree_are_masked_and_references_are_not() {
        assert_eq!(shown("http: {token: abc, listen: x}"), "http: {token: ***, listen: x}");
        assert_eq!(shown("sasl.password: ${PASSWORD}"), "sasl.password: ${PASSWORD}");
        assert_eq!(shown("sasl.password: ${PASSWORD:-x}"), "sasl.password: **************");
        assert_eq!(shown("ssl.key.pem: |\n  ab cd\n  ef\nother: 1"), "ssl.key.pem: |\n  ** **\n  **\nother: 1");
        assert_eq!(shown("token:\nother: 1"), "token:\nother: 1");
    }

    #[test]
    fn secrets_of_a_broken_file_are_masked() {
        assert_eq!(shown("a: [\nsasl.password: xyz\nb: c"), "a: [\nsasl.password: ***\nb: c");
        assert_eq!(shown("a: [\nk: {token: abc"), "a: [\nk: {token: ***");
        assert_eq!(shown("a: [\nkey.pem: |\n  abc\n\n  def\nb: c"), "a: [\nkey.pem: *\n  ***\n\n  ***\nb: c");
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(shown("a: \u{1b}[31m\u{9b}"), "a: ?[31m??");
    }
}
