//! `kaflowsql test`: what it says, what it writes, how it ends.

use serde_json::Value;

use super::{Ran, Shop, golden, root, run};

/// The tests of a shop: one that is right, and one of each way to be wrong.
const TESTS: &str = "testdata/cli/shop-tests.yaml";

/// What `test` says, without the times that it took.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" ms") {
        let digits = rest[..at].chars().rev().take_while(char::is_ascii_digit).count();
        out.push_str(&rest[..at - digits]);
        out.push_str(if digits > 0 { "N ms" } else { " ms" });
        rest = &rest[at + " ms".len()..];
    }
    out + rest
}

fn test(arguments: &[&str]) -> Ran {
    let all: Vec<&str> = ["test"].iter().chain(arguments).copied().collect();
    run(&all)
}

/// The shop's pipeline with these tests.
fn shop_with(tests: &str) -> Shop {
    let shop = Shop::new();
    let pipeline = shop.read("shop.yaml");
    shop.write("shop.yaml", format!("{pipeline}tests:\n{tests}"));
    shop
}

#[test]
fn every_failure_says_where_and_what() {
    let ran = test(&[TESTS]).ended(1);
    assert_eq!(ran.stderr, "");
    golden("testdata/cli/test-shop.txt", &without_times(&ran.stdout));
}

#[test]
fn update_makes_every_list_right_and_keeps_all_else() {
    let shop = Shop::new();
    shop.write("tests.yaml", std::fs::read_to_string(root().join(TESTS)).expect("the tests"));
    let path = shop.file("tests.yaml");
    let ran = test(&["--update", &path]).ended(1);
    assert!(ran.stdout.contains("updated"), "{}", ran.stdout);
    let updated = shop.read("tests.yaml");
    golden("testdata/cli/shop-tests-updated.yaml", &updated);
    // What is left is wrong in other ways than a list; a second time changes nothing.
    let again = test(&["--update", &path]).ended(1);
    assert!(!again.stdout.contains("updated"), "{}", again.stdout);
    assert_eq!(shop.read("tests.yaml"), updated);
}

#[test]
fn update_keeps_line_ends_and_the_mark_and_refuses_what_it_cannot_write() {
    let shop = shop_with(
        "  - name: a\n    steps:\n      - {table: orders, value: {order_id: 1, amount: 2}}\n      - expect:\n",
    );
    let text = shop.read("shop.yaml").replace('\n', "\r\n");
    shop.write("shop.yaml", format!("\u{feff}{text}"));
    test(&["--update", &shop.file("shop.yaml")]).ended(0);
    let added = " [{order_id: 1, customer: null, amount: 2.0}]";
    let updated = text.replace("- expect:", &format!("- expect:{added}"));
    assert_eq!(shop.read("shop.yaml"), format!("\u{feff}{updated}"));

    let steps = "      - {table: orders, value: {order_id: 1, amount: 2}}\n      - expect:";
    let shop =
        shop_with(&format!("  - name: a\n    steps:\n{steps} &none []\n  - name: b\n    steps:\n{steps} *none\n"));
    let before = shop.read("shop.yaml");
    let ran = test(&["--update", &shop.file("shop.yaml")]).ended(1);
    assert!(ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
    assert_eq!(shop.read("shop.yaml"), before);
}

#[test]
fn time_passes_where_the_test_says_so() {
    let shop = shop_with(
        "  - name: now
    steps:
      - { table: orders, value: { order_id: 1, amount: 1 } }
      - expect: [{ order_id: 1, at: '2025-01-01T00:00:00Z' }]
      - advance: 1h
      - { table: orders, value: { order_id: 2, amount: 1 } }
      - { table: orders, value: { order_id: 3, amount: 1 }, at: 2025-06-01T12:00:00+02:00 }
      - { table: orders, value: { order_id: 4, amount: 1 }, at: 2025-01-01T00:00:00Z }
      - expect:
          - { order_id: 2, at: '2025-01-01T01:00:00Z' }
          - { order_id: 3, at: '2025-06-01T10:00:00Z' }
          - { order_id: 4, at: '2025-06-01T10:00:00Z' }
  - name: the first record says when it begins
    steps:
      - { table: orders, value: { order_id: 1, amount: 1 }, at: 2013-01-01T00:00:00Z }
      - expect: [{ order_id: 1, at: '2013-01-01T00:00:00Z' }]
",
    );
    let select = "SELECT o.order_id, upper(c.name) AS customer, o.amount";
    shop.change(select, "SELECT o.order_id, date_trunc('second', now()) AS at");
    let said = test(&[&shop.file("shop.yaml")]).ended(0).stdout;
    assert!(said.contains("2 tests: 2 passed in "), "{said}");
}

#[test]
fn columns_are_guessed_from_the_records_of_all_tests() {
    let shop = shop_with(
        "  - name: one\n    steps:\n      - { table: orders, value: { order_id: 1, amount: 2, customer_id: c } }
      - expect: [{ order_id: 1, customer: null, amount: 2 }]
  - name: two\n    steps:\n      - { table: customers, value: { customer_id: c, name: Ada } }\n      - expect: []\n",
    );
    shop.change(", schema: { order_id: bigint, customer_id: string, amount: double }", "");
    shop.change("  customers: { schema: { customer_id: string, name: string } }\n", "");
    let said = test(&[&shop.file("shop.yaml")]).ended(0).stdout;
    assert!(said.contains("2 passed"), "{said}");
    shop.change("table: customers, value: { customer_id: c, name: Ada }", "table: orders, value: { order_id: 5 }");
    let ran = test(&[&shop.file("shop.yaml")]).ended(2);
    assert!(
        ran.stderr.contains("the columns of `customers` are not declared, and no test has a record"),
        "{}",
        ran.stderr
    );
}

#[test]
fn how_it_ends() {
    let good = "  - name: one\n    steps:\n      - expect: []\n  - name: two\n    steps:\n      - expect: []\n";
    let shop = shop_with(good);
    let path = shop.file("shop.yaml");
    test(&[&path]).ended(0);
    let said = test(&["--filter", "tw", &path]).ended(0).stdout;
    assert!(said.contains("✓ two") && !said.contains("✓ one") && said.contains("1 left out"), "{said}");
    let ran = test(&["--filter", "three", &path]).ended(2);
    assert!(ran.stderr.contains("the name of none of 2 tests holds `three`"), "{}", ran.stderr);
    let without = Shop::new();
    let untested = without.file("shop.yaml");
    without.write("more.yaml", without.read("shop.yaml"));
    let ran = test(&[&untested, &without.file("more.yaml")]).ended(2);
    assert!(ran.stderr.contains("nothing was tested: the pipelines have no `tests:` block"), "{}", ran.stderr);

    // A file without tests beside one with is no mistake; one with mistakes is, and the others are tested all the same.
    let said = test(&[&untested, &path]).ended(0).stdout;
    assert!(said.contains(&format!("{untested}: no tests")), "{said}");
    let broken =
        shop.read("shop.yaml").replace("- expect: []\n  - name: two", "- { table: order, value: {} }\n  - name: two");
    shop.write("broken.yaml", broken);
    let ran = test(&[&shop.file("broken.yaml"), &path]).ended(2);
    assert!(
        ran.stderr.contains("the query reads no table `order`") && ran.stderr.contains(":15:18]"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("2 passed, 1 file with mistakes"), "{}", ran.stdout);
    run(&["validate", "--offline", &shop.file("broken.yaml")]).refused(&["the query reads no table `order`"]);
}

#[test]
fn programs_read_what_became_of_it() {
    let shop = Shop::new();
    let xml = shop.file("junit.xml");
    let ran = test(&["--json", "--junit", &xml, TESTS]).ended(1);
    let json: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let tests = json["tests"].as_array().expect("a list");
    let failed = tests.iter().filter(|test| test["passed"] == false).count();
    assert_eq!(
        (json["failed"].as_u64(), json["passed"].as_u64()),
        (Some(failed as u64), Some((tests.len() - failed) as u64))
    );
    assert!(failed >= 4 && tests.len() > failed, "{json}");
    let list = tests.iter().flat_map(|test| test["failures"].as_array().expect("a list"));
    assert!(list.clone().all(|failure| failure["line"].as_u64() > Some(10)), "{json}");
    assert!(list.clone().any(|failure| failure["actual"][0]["order_id"] == 2), "{json}");

    let document = shop.read("junit.xml");
    let elements = parse_xml(&document);
    let count = |name: &str| elements.iter().filter(|element| element.0 == name).count();
    assert_eq!((count("testsuites"), count("testsuite")), (1, 1));
    assert_eq!((count("testcase"), count("failure")), (tests.len(), failed));
    let suite = elements.iter().find(|element| element.0 == "testsuite").expect("a suite");
    assert_eq!(suite.1["tests"], tests.len().to_string());
    assert_eq!(suite.1["failures"], failed.to_string());
    let names: Vec<&String> =
        elements.iter().filter(|element| element.0 == "testcase").map(|it| &it.1["name"]).collect();
    assert!(names.iter().any(|name| name.contains("<&\">")), "{names:?}");
}

type Element = (String, std::collections::BTreeMap<String, String>);

/// The elements of well-formed XML, with their attributes; panics where it is none. As much of XML as JUnit's has.
fn parse_xml(text: &str) -> Vec<Element> {
    let unescaped = |text: &str| {
        assert!(!text.contains('<'), "{text}");
        let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#10;", "\n"), ("&#9;", "\t"), ("&amp;", "&")];
        assert!(
            text.match_indices('&').all(|(at, _)| pairs.iter().any(|(code, _)| text[at..].starts_with(code))),
            "{text}"
        );
        pairs.iter().fold(text.to_string(), |text, (code, letter)| text.replace(code, letter))
    };
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration");
    let (mut open, mut elements): (Vec<String>, Vec<Element>) = (Vec::new(), Vec::new());
    while let Some(start) = rest.find('<') {
        let between = unescaped(&rest[..start]);
        assert!(!open.is_empty() || between.trim().is_empty(), "text outside of all elements: {between}");
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut found = std::collections::BTreeMap::new();
        while let Some((key, after)) = attributes.trim_start().split_once("=\"") {
            let (value, after) = after.split_once('"').expect("a quote is closed");
            assert!(found.insert(key.to_string(), unescaped(value)).is_none(), "{key} twice");
            attributes = after;
        }
        assert_eq!(attributes.trim(), "");
        elements.push((name.to_string(), found));
        if !closed {
            open.push(name.to_string());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    elements
}

#[test]
fn the_times_are_left_out_of_what_is_compared() {
    assert_eq!(without_times("✓ a (12 ms)\n in 0 ms\n"), "✓ a (N ms)\n in N ms\n");
}
