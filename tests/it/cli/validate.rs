//! `validate`: everything that is wrong, at once, each at its place.

use std::path::Path;

use serde_json::Value;

use super::{Shop, root, run};

#[path = "../../../src/config/compare.rs"]
mod compare;

const BROKEN: &str = "testdata/config/broken";
const BROKEN_SQL: &str = "testdata/config/broken/sql";
const ONE_BROKEN: &str = "\n1 pipeline checked: mistakes in 1\n";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What a person reads about a broken file.
fn report(file: &Path) -> String {
    let file = text(file);
    let ran = run(&["validate", "--offline", file]).ended(2);
    assert_eq!(ran.stdout, "", "{file}");
    ran.stderr.strip_suffix(ONE_BROKEN).unwrap_or_else(|| panic!("{file}: {}", ran.stderr)).to_string()
}

#[test]
fn mistakes_in_the_sql_are_reported_as_expected() {
    let files = compare::compare(Path::new(BROKEN_SQL), report);
    assert!(files >= 60, "{files}");
}

#[test]
fn reports_speak_of_no_crate_and_no_bug() {
    for file in compare::yaml_files(Path::new(BROKEN_SQL)) {
        let report = report(&file);
        for word in
            ["Error during planning", "Internal error", "Execution error", "github.com", "Utf8View", "base#", "column#"]
        {
            assert!(!report.contains(word), "{report}");
        }
    }
}

/// The texts that a file's findings underline, each with its message.
fn underlined(file: &Path) -> Vec<(String, String)> {
    let ran = run(&["validate", "--offline", "--json", text(file)]).ended(2);
    assert_eq!(ran.stderr, &ONE_BROKEN[1..]);
    let found: Value = serde_json::from_str(&ran.stdout).expect("valid JSON");
    let lines: Vec<Vec<char>> = std::fs::read_to_string(root().join(file))
        .expect("the broken file")
        .lines()
        .map(|line| line.chars().collect())
        .collect();
    let found = found.as_array().expect("an array").iter().map(|finding| {
        assert_eq!(finding["file"], text(file));
        let number = |key: &str| finding[key].as_u64().unwrap_or_else(|| panic!("{key} of {finding}")) as usize;
        let (line, column) = (number("line"), number("column"));
        let end = if number("end_line") == line { number("end_column") } else { lines[line - 1].len() + 1 };
        let underlined = lines[line - 1][column - 1..end - 1].iter().collect();
        (underlined, finding["message"].as_str().expect("a message").to_string())
    });
    found.collect()
}

#[test]
fn every_finding_underlines_something() {
    for file in compare::yaml_files(Path::new(BROKEN_SQL)) {
        let found = underlined(&file);
        assert!(!found.is_empty(), "{}", file.display());
        for (text, message) in found {
            assert!(!text.trim().is_empty(), "{}: {message}", file.display());
        }
    }
}

#[test]
fn the_offending_text_is_underlined() {
    for (file, expected) in [
        ("column-near", &["nmae"][..]),
        ("alias-unknown", &["cu", "x"]),
        ("function-arguments", &["date_trunc(o.ordered_at)", "upper(c.name, 1)"]),
        ("cast-unknown-type", &["CAST(o.amount AS money)"]),
        ("join-right", &["RIGHT JOIN"]),
        ("join-full", &["FULL OUTER JOIN"]),
        ("distinct", &["DISTINCT"]),
        ("order-by-limit", &["ORDER BY o.amount", "LIMIT 10 OFFSET 5"]),
        ("union", &["UNION"]),
        ("scalar-sub-select", &["(SELECT max(name) FROM customers)"]),
        ("join-without-equality", &["o.amount > 100 AND c.active"]),
        ("syntax-literal", &["JION"]),
        ("syntax-folded", &[">"]),
        ("syntax-quoted", &["="]),
        ("not-ascii", &["nmae"]),
        ("output-key", &["order_di"]),
        ("output-schema", &["c.name", "o.tags AS tags", "nmae"]),
        ("dimension-key", &["customer"]),
        ("event-time", &["quantity"]),
        ("tables-not-read", &["custmers", "products", "order"]),
        ("several-in-file", &["nmae", "orders", "id"]),
        ("several-in-sql", &["DISTINCT", "order_di", "upr", "count", "customer", "activ", "ORDER BY o.amount"]),
    ] {
        let path = Path::new(BROKEN_SQL).join(format!("{file}.yaml"));
        let found: Vec<String> = underlined(&path).into_iter().map(|(text, _)| text).collect();
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn mistakes_of_the_config_layer_come_through_the_binary() {
    let files = compare::yaml_files(Path::new(BROKEN));
    assert!(files.len() >= 50, "{}", files.len());
    for file in files {
        let expected = std::fs::read_to_string(file.with_extension("expected")).expect("the expected report");
        let is_config = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config-"));
        let arguments = if is_config {
            vec!["validate", "--offline", "-c", text(&file), "pipelines/flights.yaml"]
        } else {
            vec!["validate", "--offline", text(&file)]
        };
        let ran = run(&arguments).ended(2);
        assert_eq!((ran.stdout.as_str(), ran.stderr.starts_with(&expected)), ("", true), "{expected}\n{}", ran.stderr);
    }
}

#[test]
fn good_pipelines_are_good() {
    let ran = run(&["validate", "pipelines"]).ended(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "6 pipelines checked: nothing wrong\n"));
    let ran = run(&["validate", "--json", "pipelines/flights.yaml", "pipelines/weather.yaml"]).ended(0);
    assert_eq!(ran.stdout, "[]\n");
}

#[test]
fn all_files_are_checked_at_once() {
    let broken = |name: &str| format!("{BROKEN_SQL}/{name}.yaml");
    let files = [broken("distinct"), "pipelines/flights.yaml".to_string(), broken("output-key")];
    let ran = run(&["validate", &files[0], &files[1], &files[2]]).ended(2);
    for words in ["DISTINCT would", "has no column `order_di`", "\n3 pipelines checked: mistakes in 2\n"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn warnings_are_shown_and_counted_where_asked() {
    let shop = Shop::new();
    shop.change("state: {", "window: 1h\nstate: { events: { default_ttl: 2h },");
    let file = shop.file("shop.yaml");
    let words = "`window` has no effect";
    let warned = run(&["validate", &file]).ended(0);
    assert!(
        warned.stderr.contains(words) && warned.stderr.ends_with("1 pipeline checked: no mistakes\n"),
        "{warned:?}"
    );
    run(&["validate", "--deny-warnings", &file]).refused(&[words, "warnings in 1, which --deny-warnings denies"]);
    let json = run(&["validate", "--json", "--deny-warnings", &file]).ended(2).stdout;
    let json: Value = serde_json::from_str(&json).expect("valid JSON");
    assert_eq!(json[0]["severity"], "warning");
    let explained = run(&["explain", &file]).ended(0);
    assert!(explained.stderr.contains(words) && explained.stdout.starts_with("pipeline shop\n"), "{explained:?}");
    assert!(shop.invoke(&[]).ended(0).stderr.contains(words));
    shop.change("o.amount\n", "o.amuont\n");
    run(&["validate", &file]).refused(&[words, "there is no column `amuont`", "1 mistake, 1 warning"]);
}

#[test]
fn offline_checks_what_needs_no_columns() {
    let shop = Shop::new();
    shop.change("  customers: { schema: { customer_id: string, name: string } }\n", "");
    let file = shop.file("shop.yaml");
    let ran = run(&["validate", "--offline", &file]).ended(0);
    assert!(ran.stderr.contains("no columns are declared for customers, so the query was checked in part"), "{ran:?}");
    shop.change("  WHERE o.amount > 0\n", "  WHERE o.amount > 0\n  ORDER BY 1\n");
    run(&["validate", "--offline", &file]).refused(&["ORDER BY needs", "checked in part"]);
    // Nobody is asked for columns while the query can't be run anyway.
    run(&["validate", &file]).refused(&["ORDER BY needs"]);
}
