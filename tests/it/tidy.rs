//! The rules of the house that a program can check, over every file that would be committed. A rule is a function over
//! text, with a test that sees it fail; what it finds says where, and what to do.

mod code;
mod data;
mod imports;
mod shape;
mod tree;
mod words;

use code::Code;
use tree::{Kind, Tree};

/// What a rule found: a place and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_string(), line, what: what.into() }
    }
}

#[track_caller]
fn expect_none(findings: Vec<Finding>) {
    let lines: Vec<String> =
        findings.iter().map(|finding| format!("{}:{}: {}", finding.path, finding.line, finding.what)).collect();
    assert!(lines.is_empty(), "{} to mend:\n{}", lines.len(), lines.join("\n"));
}

/// Asserts that a rule found something on these lines, and nowhere else.
#[cfg(test)]
#[track_caller]
fn expect_lines(findings: &[Finding], lines: &[usize]) {
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), lines, "{findings:#?}");
}

/// Asks a rule of every file of the engine and of the functions, outside their tests.
fn of_production(rule: impl Fn(&Code) -> Vec<Finding>) -> Vec<Finding> {
    let tree = Tree::read();
    let files = tree.production();
    assert!(files.len() > 10, "only {} files were looked at", files.len());
    files.iter().flat_map(rule).collect()
}

#[test]
fn stages_do_not_know_each_other() {
    expect_none(of_production(imports::siblings));
}

#[test]
fn foreign_crates_stay_behind_their_doors() {
    expect_none(of_production(imports::foreign_crates));
}

#[test]
fn time_comes_through_the_clock() {
    expect_none(of_production(imports::clocks));
}

#[test]
fn files_are_short() {
    expect_none(of_production(shape::long_file));
}

#[test]
fn functions_fit_a_screen() {
    expect_none(of_production(shape::long_functions));
}

#[test]
fn nothing_panics_by_habit() {
    expect_none(of_production(words::forbidden_code));
}

#[test]
fn modules_say_what_they_are() {
    let tree = Tree::read();
    expect_none(tree.of_kind(Kind::Rust).flat_map(|file| words::missing_module_doc(&file.path, &file.text)).collect());
}

#[test]
fn names_mean_something() {
    let tree = Tree::read();
    expect_none(
        tree.of_kind(Kind::Rust).flat_map(|file| words::empty_names(&Code::new(&file.path, &file.text))).collect(),
    );
}

#[test]
fn no_test_is_ignored() {
    let tree = Tree::read();
    expect_none(tree.of_kind(Kind::Rust).flat_map(|file| words::ignored_tests(&file.path, &file.text)).collect());
}

#[test]
fn nothing_names_a_workplace() {
    let tree = Tree::read();
    expect_none(tree.files.iter().flat_map(|file| words::workplace(&file.path, &file.text)).collect());
}

#[test]
fn no_note_is_left_for_later() {
    let tree = Tree::read();
    expect_none(tree.of_kind(Kind::Rust).flat_map(|file| words::notes_for_later(&file.path, &file.text)).collect());
}

#[test]
fn test_data_is_used() {
    expect_none(data::unused_test_data(&Tree::read()));
}

#[test]
fn pipelines_are_shown_or_tested() {
    expect_none(data::unnamed_pipelines(&Tree::read()));
}

#[test]
fn links_lead_somewhere() {
    expect_none(data::broken_links(&Tree::read()));
}
