//! What may not be written.

use super::Finding;
use super::code::{Code, line_of};

/// Code that gives up, or hides that it does, and what to write instead.
const FORBIDDEN: [(&str, &str); 6] = [
    (".unwrap()", "say what is broken: `expect(\"BUG: …\")`, or return the error"),
    ("todo!", "finish it, or refuse with a sentence"),
    ("unimplemented!", "finish it, or refuse with a sentence"),
    ("dbg!", "take it out, or trace it"),
    ("#[allow(", "`#[expect(…, reason = \"…\")]`"),
    ("#![allow(", "`#![expect(…, reason = \"…\")]`"),
];

/// Names that say nothing about what is in them.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "helper", "helpers", "manager", "managers", "handler", "handlers", "misc"];

/// Words of machines on which the project was worked on; split, so that this file does not name them.
const WORKPLACE: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "wt"),
    concat!("/tmp/", "target"),
    concat!("artif", "actory"),
];

/// Calls and attributes of `FORBIDDEN`.
pub fn forbidden_code(code: &Code) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (forbidden, instead) in FORBIDDEN {
        for (start, _) in code.text.match_indices(forbidden) {
            let what = format!("`{forbidden}`: {instead}");
            findings.push(Finding::new(&code.path, code.line_of(start), what));
        }
    }
    findings
}

/// A file that does not begin with what it is.
pub fn missing_module_doc(path: &str, text: &str) -> Vec<Finding> {
    if text.trim_start().starts_with("//!") {
        return Vec::new();
    }
    vec![Finding::new(path, 1, "begins without a `//!` sentence: say what the module is")]
}

/// Files and modules that are called nothing.
pub fn empty_names(code: &Code) -> Vec<Finding> {
    let says_nothing = |name: &str| name.split('_').any(|word| EMPTY_NAMES.contains(&word));
    let finding =
        |line, name: &str| Finding::new(&code.path, line, format!("`{name}` says nothing: name what is in it"));
    let mut findings: Vec<Finding> = code
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .filter(|part| says_nothing(part))
        .map(|part| finding(1, part))
        .collect();
    let words: Vec<(usize, &str)> = code.words().collect();
    for pair in words.windows(2) {
        if let [(_, "mod"), (start, name)] = pair
            && says_nothing(name)
        {
            findings.push(finding(code.line_of(*start), name));
        }
    }
    findings
}

/// Tests that nobody runs.
pub fn ignored_tests(path: &str, text: &str) -> Vec<Finding> {
    let places = text.match_indices(concat!("#[", "ignore"));
    places.map(|(start, _)| Finding::new(path, line_of(text, start), "an ignored test: run it or delete it")).collect()
}

/// Notes to oneself.
pub fn notes_for_later(path: &str, text: &str) -> Vec<Finding> {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let is_note = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| notes.contains(&word));
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains("//") && is_note(line));
    lines.map(|(number, _)| Finding::new(path, number + 1, "a note for later: do it, or file an issue")).collect()
}

/// Places on somebody's machine.
pub fn workplace(path: &str, text: &str) -> Vec<Finding> {
    let lower = text.to_lowercase();
    let places = WORKPLACE.iter().flat_map(|word| lower.match_indices(word));
    places
        .map(|(start, word)| {
            let what = format!("`{word}` is a place on somebody's machine: take it as an argument, or leave it out");
            Finding::new(path, line_of(&lower, start), what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::expect_lines;
    use super::*;

    #[test]
    fn forbidden_code_is_found_outside_tests() {
        let text =
            "a.unwrap();\n#[allow(dead_code)]\ntodo!();\n// .unwrap()\n#[cfg(test)]\nmod tests { a.unwrap(); }\n";
        let mut findings = forbidden_code(&Code::new("src/a.rs", text));
        findings.sort_by_key(|finding| finding.line);
        expect_lines(&findings, &[1, 2, 3]);
    }

    #[test]
    fn a_file_without_doc_is_found() {
        expect_lines(&missing_module_doc("src/a.rs", "// A.\nuse b;\n"), &[1]);
        expect_lines(&missing_module_doc("src/a.rs", "//! A.\nuse b;\n"), &[]);
    }

    #[test]
    fn empty_names_are_found() {
        expect_lines(&empty_names(&Code::new("src/state/utils.rs", "")), &[1]);
        expect_lines(&empty_names(&Code::new("src/state/row_helpers/mod.rs", "")), &[1]);
        expect_lines(&empty_names(&Code::new("src/a.rs", "mod b;\nmod misc;\n")), &[2]);
        expect_lines(&empty_names(&Code::new("src/utility.rs", "fn handler() {}")), &[]);
    }

    #[test]
    fn ignored_tests_are_found() {
        let text = format!("#[test]\n{}]\nfn a() {{}}\n", concat!("#[", "ignore"));
        expect_lines(&ignored_tests("src/a.rs", &text), &[2]);
    }

    #[test]
    fn notes_for_later_are_found() {
        let text = format!("let a = 1;\nlet b = 2; // {}: c\nlet todos = 3; // todos\n", concat!("TO", "DO"));
        expect_lines(&notes_for_later("src/a.rs", &text), &[2]);
    }

    #[test]
    fn workplaces_are_found() {
        for word in WORKPLACE {
            expect_lines(&workplace("README.md", &format!("one\ntwo {} three\n", word.to_uppercase())), &[2]);
        }
        expect_lines(&workplace("README.md", "how it works / what it is worth\n"), &[]);
    }
}
