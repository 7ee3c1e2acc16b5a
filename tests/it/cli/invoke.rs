//! `invoke`: a batch tool in its own right.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use super::{ENRICHED, ORDERS, Shop, kaflowsql, run, run_with_input};

#[test]
fn results_go_to_stdout_and_all_else_to_stderr() {
    let shop = Shop::new();
    let ran = shop.invoke(&[]).ended(0);
    assert_eq!(ran.stdout, ENRICHED);
    assert!(ran.stderr.starts_with("4 events in, 3 rows out, 0 rejected in "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("; found: customers 66.7 %\n"), "{}", ran.stderr);
}

#[test]
fn an_output_file_takes_the_place_of_stdout() {
    let shop = Shop::new();
    shop.write("results.ndjson", "what was there before");
    let ran = shop.invoke(&["--output", &shop.file("results.ndjson")]).ended(0);
    assert_eq!((ran.stdout.as_str(), shop.read("results.ndjson").as_str()), ("", ENRICHED));
    shop.invoke(&["--output", "no/such/folder/results"]).refused(&["no/such/folder/results: can't be created"]);
}

#[test]
fn a_table_is_given_by_its_name_or_its_topic() {
    let shop = Shop::new();
    let customers = format!("customers={}", shop.file("customers.ndjson"));
    let orders = shop.file("orders.ndjson");
    let run_with = |table: &str, file: &str| {
        run(&["invoke", &shop.file("shop.yaml"), "--input", &customers, "-i", &format!("{table}={file}")])
    };
    assert_eq!(run_with("shop.orders", &orders).ended(0).stdout, ENRICHED);
    run_with("order", &orders).refused(&["orders", "shop.orders=FILE"]);
    run_with("orders", "no/such.ndjson").refused(&["--input orders=no/such.ndjson: there is no file no/such.ndjson"]);
    run_with("orders", "docs").refused(&["docs"]);
    run_with("", &orders).refused(&["expected TOPIC=FILE"]);
    shop.invoke(&["--input", "orders"]).refused(&["--input orders: expected TOPIC=FILE"]);
    let unknown = format!("clicks={orders}");
    shop.invoke(&["--input", &unknown]).refused(&["--input clicks=…", "shop.orders, customers"]);
}

#[test]
fn several_files_of_a_table_are_read_in_order() {
    let shop = Shop::new();
    shop.write("more.ndjson", "{\"order_id\":9,\"customer_id\":\"c1\",\"amount\":1}");
    let ran = shop.invoke(&["--input", &format!("orders={}", shop.file("more.ndjson"))]).ended(0);
    assert_eq!(ran.stdout, format!("{ENRICHED}{{\"order_id\":9,\"customer\":\"AUGUSTA ADA\",\"amount\":1.0}}\n"));
}

#[test]
fn the_standard_input_is_a_file_too() {
    let shop = Shop::new();
    let customers = format!("customers={}", shop.file("customers.ndjson"));
    let file = shop.file("shop.yaml");
    let arguments = ["invoke", &file, "--input", "orders=-", "--input", &customers];
    assert_eq!(run_with_input(&arguments, ORDERS.as_bytes()).ended(0).stdout, ENRICHED);
    // Its columns are guessed from its first records, which are joined all the same.
    shop.change(
        "topic: shop.orders, schema: { order_id: bigint, customer_id: string, amount: double }",
        "topic: shop.orders",
    );
    assert_eq!(run_with_input(&arguments, ORDERS.as_bytes()).ended(0).stdout, ENRICHED);
    let twice = ["invoke", &file, "--input", "orders=-", "--input", "customers=-"];
    run_with_input(&twice, b"").refused(&["the standard input can be read once"]);
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters() {
    let shop = Shop::new();
    let bad = "{\"order_id\":\"x\",\"customer_id\":\"c1\",\"amount\":1}\n\nnot JSON\n";
    shop.write("orders.ndjson", format!("{bad}{ORDERS}"));
    let ran = shop.invoke(&["--dead-letters", &shop.file("letters.ndjson")]).ended(0);
    assert_eq!(ran.stdout, ENRICHED, "the good records around it come out");
    assert!(
        ran.stderr.contains("6 events in, 3 rows out, 2 rejected") && !ran.stderr.contains("--dead-letters"),
        "{ran:?}"
    );
    let letters = shop.read("letters.ndjson");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(letters.len(), 2);
    for (letter, (offset, value)) in letters.iter().zip([(0, bad.lines().next().expect("a line")), (2, "not JSON")]) {
        let coordinates = (&letter["topic"], &letter["partition"], &letter["offset"], &letter["stage"]);
        assert_eq!(
            coordinates,
            (&"shop.orders".into(), &0.into(), &offset.into(), &"decode".into()),
            "the place of its line"
        );
        assert_eq!(letter["value"], value);
        assert!(letter["error"].as_str().is_some_and(|error| !error.is_empty()), "{letter}");
    }
    assert!(letters[0]["error"].as_str().expect("a text").contains("order_id"), "{}", letters[0]);
    let without = shop.invoke(&[]).ended(0);
    assert_eq!(without.stdout, ENRICHED);
    assert!(without.stderr.contains("--dead-letters FILE keeps all"), "{}", without.stderr);
    assert!(without.stderr.contains("the first that was rejected: topic "), "{}", without.stderr);
}

#[test]
fn one_row_whose_sql_fails_goes_there_alone() {
    let shop = Shop::new();
    shop.change("o.amount\n  FROM", "10 / (o.order_id - 2) AS quotient\n  FROM");
    let ran = shop.invoke(&["--dead-letters", &shop.file("letters.ndjson")]).ended(0);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    let letter: Value = serde_json::from_str(shop.read("letters.ndjson").trim()).expect("one letter");
    assert_eq!((&letter["stage"], &letter["offset"]), (&"sql".into(), &1.into()));
    assert!(letter["error"].as_str().is_some_and(|error| error.to_lowercase().contains("divide by zero")), "{letter}");
}

#[test]
fn on_error_is_obeyed() {
    let shop = Shop::new();
    shop.write("orders.ndjson", format!("{ORDERS}nonsense\n"));
    shop.change("output:", "on_error: skip\noutput:");
    let ran = shop.invoke(&["--dead-letters", &shop.file("letters.ndjson")]).ended(0);
    assert_eq!((ran.stdout.as_str(), shop.read("letters.ndjson").as_str()), (ENRICHED, ""));
    assert!(ran.stderr.contains("1 rejected"), "{}", ran.stderr);
    shop.change("on_error: skip", "on_error: fail");
    let ran = shop.invoke(&[]).ended(1);
    for words in ["error: topic shop.orders, partition 0, offset 4: decode failed", "on_error: fail"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn whoever_has_read_enough_ends_it_quietly() {
    let mut arguments = vec!["invoke", "pipelines/flights.yaml"];
    let inputs = super::pipelines::inputs("flights", &["flights", "airlines", "planes", "airports"]);
    arguments.extend(inputs.iter().map(String::as_str));
    let mut command = kaflowsql(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be started");
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.starts_with("{\"flight_id\":"), "{first}");
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("it ends").code(), stderr.as_str()), (Some(0), ""));
}

/// What can be read only once is sampled and then read wholly, also where it is no standard input.
#[test]
fn columns_are_guessed_from_a_pipe_and_no_record_is_lost() {
    let shop = Shop::new();
    shop.change(", schema: { order_id: bigint, customer_id: string, amount: double }", "");
    shop.change("  customers: { schema: { customer_id: string, name: string } }\n", "");
    let script = format!(
        "{} invoke {} --input orders=<(cat {}) --input customers=<(cat {})",
        env!("CARGO_BIN_EXE_kaflowsql"),
        shop.file("shop.yaml"),
        shop.file("orders.ndjson"),
        shop.file("customers.ndjson"),
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
    let ran = super::Ran::from(output).ended(0);
    assert_eq!(ran.stdout, ENRICHED);
}
