//! Golden scripts: for every rule of SEMANTICS at least one file in testdata/joins that shows it, named after the rule.
//! `KAFLOWSQL_UPDATE=1` writes down what comes out; read it against the page before it is committed.

pub mod engine;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::Came;
use script::Script;

/// The rules that this version builds and that show in what comes out of a pipeline. Not among them: 1.9, 2.7, 6.1 and
/// 6.2 are about reading and writing Kafka (see kafka.rs).
const RULES: [&str; 24] = [
    "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.1", "3.2",
    "3.3", "3.4", "4.1", "4.2", "4.3", "5.1", "5.2", "5.3",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/joins")
}

/// All scripts, by file name.
fn scripts() -> Vec<(String, Script)> {
    let files = std::fs::read_dir(folder()).expect("testdata/joins is there");
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("a name in UTF-8")).collect();
    names.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder().join(&name)).expect("a script can be read");
        (name.clone(), Script::new(format!("testdata/joins/{name}"), text))
    };
    names.into_iter().map(read).collect()
}

#[test]
fn every_script_says_what_comes_out() {
    let update = std::env::var_os("KAFLOWSQL_UPDATE").is_some();
    let mut differences = Vec::new();
    for (name, script) in scripts() {
        let path = folder().join(&name);
        let expected = std::fs::read_to_string(&path).expect("a script can be read");
        let actual = script.run();
        if update && actual != expected {
            std::fs::write(&path, &actual).expect("a script can be written");
        } else if actual != expected {
            differences.push(difference(&name, &expected, &actual));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What came out otherwise than expected, command by command, each with its place.
fn difference(name: &str, expected: &str, actual: &str) -> String {
    let marked = |mark: char, lines: &[&str]| lines.iter().map(|line| format!("  {mark} {line}\n")).collect::<String>();
    let mut text = String::new();
    for ((line, command, expected), (_, _, actual)) in blocks(expected).into_iter().zip(blocks(actual)) {
        if expected != actual {
            text.push_str(&format!("testdata/joins/{name}:{line}: after `{command}`\n"));
            text.push_str(&(marked('-', &expected) + &marked('+', &actual)));
        }
    }
    text
}

/// Each command of a script: its line, its text, and what came out behind it.
fn blocks(script: &str) -> Vec<(usize, &str, Vec<&str>)> {
    let mut blocks: Vec<(usize, &str, Vec<&str>)> = Vec::new();
    for (number, line) in script.lines().enumerate() {
        match blocks.last_mut() {
            Some((_, _, came_out)) if line.starts_with('>') => came_out.push(line),
            _ => blocks.push((number + 1, line, Vec::new())),
        }
    }
    blocks
}

#[test]
fn a_difference_says_where_and_what() {
    let expected = "a\n---\ncut\n> 1\n> 2\ncut\n> 3\n";
    let actual = "a\n---\ncut\n> 1\ncut\n> 4\n> 5\n";
    let said = "testdata/joins/x.txt:3: after `cut`\n  - > 1\n  - > 2\n  + > 1\n\
                testdata/joins/x.txt:6: after `cut`\n  - > 3\n  + > 4\n  + > 5\n";
    assert_eq!(difference("x.txt", expected, actual), said);
}

#[test]
fn batch_borders_change_nothing_where_a_script_says_so() {
    let mut tried = 0;
    for (name, script) in scripts().into_iter().filter(|(_, script)| script.has_tag("any-batch")) {
        let is_sorted = script.joins_events();
        let own = comparable(script.run_with_own_borders(), is_sorted);
        for (other, borders) in script.run_with_other_borders().into_iter().zip(["after each record", "nowhere"]) {
            assert_eq!(comparable(other, is_sorted), own, "testdata/joins/{name}: with batch borders {borders}");
        }
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} scripts have the tag any-batch");
}

/// Results in their order, or sorted where the order is not promised; dead letters, of which each stage gives its own, in any; and what was counted.
fn comparable(mut came: Came, is_sorted: bool) -> (Vec<engine::ResultRow>, Vec<String>, [u64; 3]) {
    if is_sorted {
        came.results.sort_by(|left, right| (&left.key, &left.value).cmp(&(&right.key, &right.value)));
    }
    let mut letters: Vec<_> = came.dead_letters.iter().map(|letter| format!("{letter:?}")).collect();
    letters.sort();
    let counts = came.counts();
    (came.results, letters, counts)
}

#[test]
fn every_rule_has_a_script() {
    let shown: BTreeSet<String> =
        scripts().into_iter().map(|(name, _)| name.split('-').next().unwrap_or_default().to_string()).collect();
    let rules: BTreeSet<String> = RULES.iter().map(ToString::to_string).collect();
    let without: Vec<_> = rules.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&rules).collect();
    assert!(without.is_empty() && unknown.is_empty(), "rules without a script: {without:?}; no rules: {unknown:?}");
}
