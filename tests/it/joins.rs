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
const RULES: [&str; 20] = [
    "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "2.1", "2.2", "2.4", "2.5", "2.6", "3.1", "3.4", "4.1", "4.2",
    "5.1", "5.2", "5.3",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/joins")
}

/// All scripts, by file name.
fn scripts() -> Vec<(String, Script)> {
    let files = std::fs::read_dir(folder()).expect("testdata/joins is there");
    let mut names: Vec<String> = files
        .map(|file| file.expect("a file").file_name().into_string().expect("a name in UTF-8"))
        .collect();
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

/// The lines in which two texts differ, each part with its place.
fn difference(name: &str, expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(left, right)| left == right).count();
    let start = same(&mut expected.iter().zip(&actual));
    let (expected_rest, actual_rest) = (&expected[start..], &actual[start..]);
    let end = same(&mut expected_rest.iter().rev().zip(actual_rest.iter().rev()));
    let context = expected[..start].iter().rev().find(|line| !line.starts_with('>')).copied().unwrap_or_default();
    let marked = |mark: char, lines: &[&str]| -> String {
        lines[..lines.len() - end].iter().map(|line| format!("  {mark} {line}\n")).collect()
    };
    let (expected, actual) = (marked('-', expected_rest), marked('+', actual_rest));
    format!("testdata/joins/{name}:{}: after `{context}`\n{expected}{actual}", start + 1)
}

#[test]
fn batch_borders_change_nothing_where_a_script_says_so() {
    let mut tried = 0;
    for (name, script) in scripts().into_iter().filter(|(_, script)| script.has_tag("any-batch")) {
        let own = comparable(script.run_with_own_borders());
        for (other, borders) in script.run_with_other_borders().into_iter().zip(["after each record", "nowhere"]) {
            assert_eq!(comparable(other), own, "testdata/joins/{name}: with batch borders {borders}");
        }
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} scripts have the tag any-batch");
}

/// Results in their order; dead letters, of which each stage gives its own, in any.
fn comparable(came: Came) -> (Vec<engine::ResultRow>, Vec<String>) {
    let mut letters: Vec<_> = came.dead_letters.iter().map(|letter| format!("{letter:?}")).collect();
    letters.sort();
    (came.results, letters)
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
