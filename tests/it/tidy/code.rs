//! Rust text as the rules see it: without comments, without the contents of strings, without tests.

/// A file's code; every line is where it was.
pub struct Code {
    pub path: String,
    /// The text with comments, strings and test items blanked.
    pub text: String,
    /// How many lines stand outside test items.
    pub lines: usize,
}

impl Code {
    pub fn new(path: &str, text: &str) -> Self {
        let mut text = without_strings(text);
        let mut lines = text.lines().count();
        for (start, end) in test_items(&text) {
            lines -= text[start..end].matches('\n').count();
            text.replace_range(start..end, &blank(&text[start..end]));
        }
        Self { path: path.to_string(), text, lines }
    }

    /// The line of a place in `text`, from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        line_of(&self.text, offset)
    }

    /// The identifiers, with the places where they start.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut rest = 0;
        std::iter::from_fn(move || {
            let start = rest + self.text[rest..].find(is_word)?;
            let end = self.text[start..].find(|c| !is_word(c)).map_or(self.text.len(), |length| start + length);
            rest = end;
            Some((start, &self.text[start..end]))
        })
    }

    /// What follows a place.
    pub fn after(&self, word_start: usize, word: &str) -> &str {
        self.text[word_start + word.len()..].trim_start()
    }
}

/// The line of a place in a text, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// The modules that a file declares for tests only, as paths without `.rs`.
pub fn test_modules(path: &str, text: &str) -> Vec<String> {
    let text = without_strings(text);
    let folder = path.trim_end_matches(".rs");
    let folder = match folder.rsplit_once('/') {
        Some((parent, "mod" | "lib" | "main")) => parent,
        _ => folder,
    };
    test_items(&text)
        .into_iter()
        .filter_map(|(start, end)| {
            let declared = text[start..end].trim_end().strip_suffix(';')?;
            let (_, name) = declared.rsplit_once("mod ")?;
            Some(format!("{folder}/{}", name.trim()))
        })
        .collect()
}

/// Where each item under `#[cfg(test)]` starts and ends.
fn test_items(text: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("#[cfg(test)]") {
        let start = from + found;
        from = item_end(text, start);
        items.push((start, from));
    }
    items
}

/// Where an item ends: after its body, or after its semicolon.
fn item_end(text: &str, start: usize) -> usize {
    match body(text, start) {
        Some((_, end)) => end,
        None => text[start..].find(';').map_or(text.len(), |length| start + length + 1),
    }
}

/// The braces of the item that starts at `start`, unless a semicolon outside brackets ends it first.
pub fn body(text: &str, start: usize) -> Option<(usize, usize)> {
    let mut depth = 0_usize;
    let mut opened = None;
    for (offset, character) in text[start..].char_indices() {
        match character {
            '(' | '[' | '{' => {
                if character == '{' && depth == 0 {
                    opened = Some(start + offset);
                }
                depth += 1;
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if let Some(open) = opened.filter(|_| depth == 0) {
                    return Some((open, start + offset + 1));
                }
            }
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Spaces, and the line ends where they were.
fn blank(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect()
}

/// The text with comments and the contents of strings and characters blanked.
fn without_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = code.chars().next_back().is_some_and(is_word);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            Some(rest).filter(|_| !after_word).and_then(raw_string).unwrap_or(0)
        };
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
        }
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 3),
        Some(_) => match characters.next() {
            Some((offset, '\'')) => offset + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// The length of `r"…"`, `br#"…"#` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"]
        .into_iter()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"')))?;
    let hashes = text[prefix.len()..].find('"')?;
    let start = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[start..].find(&close).map_or(text.len(), |length| start + length + close.len()))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn comments_and_strings_are_blank() {
    let text = "a // b\n/* c /* d */ e */ f \"g\\\"h\" i r#\"j\"k\"# l 'm' n '\\'' o &'p str b\"q\" r";
    let code = Code::new("src/x.rs", text);
    let words: Vec<&str> = code.words().map(|(_, word)| word).collect();
    assert_eq!(words, ["a", "f", "i", "l", "n", "o", "p", "str", "b", "r"]);
    assert_eq!(code.text.matches('\n').count(), 1);
}

#[test]
fn tests_are_left_out() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b(x: [u8; 2]) { \"}\"; }\n}\n#[cfg(test)]\nuse c;\nfn d() {}\n";
    let code = Code::new("src/x.rs", text);
    let words: Vec<&str> = code.words().map(|(_, word)| word).collect();
    assert_eq!(words, ["fn", "a", "fn", "d"]);
    assert_eq!(code.line_of(code.text.find('d').expect("fn d")), 8);
    assert_eq!(code.lines, 4, "a, the last lines of both test items, d");
}
