//! `infer`: a block to paste that says what the records are.

use super::{Shop, golden, run, run_with_input};

const FLIGHTS: &str = "testdata/flights/flights.ndjson";

#[test]
fn the_columns_of_flights() {
    let ran = run(&["infer", "--file", FLIGHTS]).ended(0);
    golden("testdata/cli/infer-flights.txt", &ran.stdout);
    assert_eq!(ran.stderr.lines().next(), Some("guessed from 6099 records, 0 of which can't be read"));
    let ran =
        run(&["infer", "--file", FLIGHTS, "--event-time", "time_hour", "--records", "100", "--table", "departures"]);
    let ran = ran.ended(0);
    golden("testdata/cli/infer-flights-event-time.txt", &ran.stdout);
    assert!(ran.stderr.starts_with("guessed from 100 records,"), "{}", ran.stderr);
}

#[test]
fn what_is_printed_can_be_pasted() {
    let shop = Shop::new();
    let block = run(&["infer", "--file", FLIGHTS, "--event-time", "time_hour"]).ended(0).stdout;
    let pipeline = format!("name: all\nquery: SELECT * FROM flights\n{block}output: {{ topic: all }}\n");
    shop.write("all.yaml", pipeline);
    let file = shop.file("all.yaml");
    assert_eq!(run(&["validate", "--deny-warnings", &file]).ended(0).stderr, "1 pipeline checked: nothing wrong\n");
    let ran = run(&["invoke", &file, "--input", &format!("flights={FLIGHTS}")]).ended(0);
    assert_eq!(ran.stdout.lines().count(), 6099);
    assert_eq!(ran.stdout.lines().next(), std::fs::read_to_string(FLIGHTS).expect("flights").lines().next());
}

#[test]
fn names_and_types_that_need_care_can_be_pasted() {
    let records = r#"{"a b":1,"true":true,"größe":1.5,"1x":"s","it's":[1,2],"o":{"p":{"q-r":"t"},"k l":2},"n":null,"#
        .to_string()
        + r#""d":"2025-01-01","x: y":1,"big":12345678901234567890}"#
        + "\n";
    let shop = Shop::new();
    let block = run_with_input(&["infer", "--file", "-", "--table", "odd-names"], records.as_bytes()).ended(0).stdout;
    shop.write("odd.yaml", format!("name: odd\nquery: SELECT * FROM \"odd-names\"\n{block}output: {{ topic: out }}\n"));
    let file = shop.file("odd.yaml");
    run(&["validate", "--deny-warnings", &file]).ended(0);
    shop.write("odd.ndjson", &records);
    let ran = run(&["invoke", &file, "--input", &format!("odd-names={}", shop.file("odd.ndjson"))]).ended(0);
    let (expected, actual): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&records).expect("JSON"),
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}\n{block}")),
    );
    assert_eq!(actual["größe"], expected["größe"]);
    assert_eq!(actual["o"], expected["o"]);
    assert_eq!(actual["it's"], expected["it's"]);
    assert_eq!(actual["d"], expected["d"]);
    assert_eq!(actual["big"].as_f64(), expected["big"].as_f64());
}

#[test]
fn records_that_cannot_be_read_are_counted() {
    let records = b"{\"a\":1}\nnot JSON\n[1]\n{\"a\":2}\n";
    let ran = run_with_input(&["infer", "--file", "-"], records).ended(0);
    assert!(ran.stdout.contains("      a: bigint\n"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("guessed from 4 records, 2 of which can't be read\n"), "{}", ran.stderr);
    run(&["infer", "--file", "no/such.ndjson"]).refused(&["no/such.ndjson"]);
    let empty = run_with_input(&["infer", "--file", "-"], b"").ended(1);
    assert!(empty.stderr.contains("0 records"), "{}", empty.stderr);
}
