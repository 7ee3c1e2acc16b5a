//! The judge judged: `scripts/compare.py` sees what differs and nothing else, `scripts/oracle.py` answers as SEMANTICS
//! says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn script(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
    command.env_remove("PYTHONPATH");
    command
}

fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("python3 is there: `make setup` installs it");
    (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path
}

fn compare(expected: &str, actual: &str) -> (bool, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let (expected, actual) = (write(&folder, "expected", expected), write(&folder, "actual", actual));
    run(script("compare.py").arg(expected).arg(actual))
}

const ROWS: &str = "{\"a\":1,\"b\":0.5,\"c\":null}\n{\"a\":2,\"b\":2.0,\"c\":\"2013-01-01T10:00:00.500Z\"}\n";

#[test]
fn compare_takes_other_spellings_and_orders() {
    for same in [
        "{\"c\":\"2013-01-01T10:00:00.5Z\",\"b\":2,\"a\":2}\n{\"a\":1,\"b\":0.5,\"c\":null}\n",
        "{\"a\":1.0,\"b\":0.50000000000000001,\"c\":null}\n{\"a\":2,\"b\":2e0,\"c\":\"2013-01-01T10:00:00.5+00:00\"}",
    ] {
        let (equal, said) = compare(ROWS, same);
        assert!(equal && said.contains("2 rows expected, 2 actual"), "{same}{said}");
    }
}

#[test]
fn compare_sees_every_difference() {
    let rows: Vec<&str> = ROWS.lines().collect();
    for (what, other) in [
        ("a changed number", ROWS.replace("0.5", "0.500001")),
        ("a changed instant", ROWS.replace("00.500Z", "00.501Z")),
        ("a number as text", ROWS.replace("\"a\":1", "\"a\":\"1\"")),
        ("a null that is absent", ROWS.replace(",\"c\":null", "")),
        ("a missing row", rows[0].to_string()),
        ("a row twice", format!("{ROWS}{}", rows[0])),
        ("a row instead of another", format!("{0}\n{0}\n", rows[0])),
        ("a field twice", ROWS.replace("\"c\":null", "\"c\":null,\"c\":null")),
        ("a broken line", ROWS.replace("null}", "null")),
        ("no row", String::new()),
    ] {
        assert_ne!(other, ROWS, "{what}");
        let (equal, said) = compare(ROWS, &other);
        assert!(!equal, "{what} was not seen: {said}");
    }
    let (equal, said) = compare("", "");
    assert!(!equal, "two empty files prove nothing: {said}");
}

#[test]
fn oracle_answers_over_current_rows_and_good_input() {
    let folder = TempDir::new().expect("a temporary folder");
    let pipeline = write(
        &folder,
        "pipeline.yaml",
        "
name: orders
query: SELECT o.id, o.price, c.name, to_char(o.at, '%Y') AS year FROM orders o LEFT JOIN customers c ON o.customer = c.id
sources:
  orders: {topic: shop.orders, schema: {id: bigint, price: 'decimal(10,2)', customer: string, at: timestamp}, event_time: at}
  customers: {schema: {id: string, name: string}}
output: {topic: named}
state: {dimensions: [{table: customers, key: [id]}]}
",
    );
    let orders = write(
        &folder,
        "orders",
        r#"{"id":1,"price":1.5,"customer":"x","at":"2020-01-01T00:30:00+01:00","more":[]}
{"id":2,"price":2,"customer":"unknown","at":"2020-01-01T00:00:00Z"}
{"id":3,"customer":null,"at":"2020-01-01T00:00:00Z"}
{"id":4,"price":4,"customer":"x"}
"#,
    );
    let customers = write(
        &folder,
        "customers",
        "{\"id\":\"x\",\"name\":\"old\"}\n{\"id\":null,\"name\":\"nobody\"}\n{\"id\":\"x\",\"name\":\"new\"}\n",
    );
    let answer = folder.path().join("answer");
    let (answered, said) = run(script("oracle.py")
        .arg(pipeline)
        .args(["--input", &format!("shop.orders={}", orders.display())])
        .args(["--input", &format!("customers={}", customers.display())])
        .arg("--output")
        .arg(&answer));
    assert!(answered, "{said}");
    let expected = "{\"id\":1,\"price\":1.5,\"name\":\"new\",\"year\":\"2019\"}
{\"id\":2,\"price\":2,\"name\":null,\"year\":\"2020\"}
{\"id\":3,\"price\":null,\"name\":null,\"year\":\"2020\"}\n";
    let answer = std::fs::read_to_string(answer).expect("the oracle wrote its answer");
    let (equal, said) = compare(expected, &answer);
    assert!(equal, "{said}");
}

#[test]
fn compare_takes_rows_that_were_superseded_and_each_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let row = |name: &str, value: &str| format!("{{\"a\":\"{name}\",\"b\":{value}}}\n");
    let expected = write(&folder, "expected", &(row("x", "1") + &row("y", "null")));
    let also = write(&folder, "also", &row("x", "null"));
    let compare = |actual: &str| {
        let actual = write(&folder, "actual", actual);
        run(script("compare.py").arg(&expected).arg(actual).arg("--also").arg(&also))
    };
    let complete = row("y", "null") + &row("x", "1");
    for same in [complete.clone(), complete.clone() + &row("x", "null")] {
        let (equal, said) = compare(&same);
        assert!(equal, "{said}");
    }
    let twice = complete.clone() + &row("x", "null").repeat(2);
    let of_another = complete + &row("y", "null");
    for (what, other) in [
        ("a superseded row twice", twice),
        ("the only row of a row without a match twice", of_another),
        ("a superseded row instead of the last", row("y", "null") + &row("x", "null")),
    ] {
        let (equal, said) = compare(&other);
        assert!(!equal, "{what} was not seen: {said}");
    }
}

/// Three event tables, of which payments live for a second, shipments for two, and orders for ten.
const EVENTS: &str = "
name: orders
query: SELECT o.id, p.n AS p, s.n AS s FROM orders o LEFT JOIN payments p ON p.id = o.id LEFT JOIN shipments s ON s.id = o.id
sources:
  orders: {schema: {id: bigint, at: timestamp}, event_time: at}
  payments: {schema: {id: bigint, n: bigint, at: timestamp}, event_time: at}
  shipments: {schema: {id: bigint, n: bigint, at: timestamp}, event_time: at}
output: {topic: joined}
state: {events: {default_ttl: 1s, overrides: {orders: 10s, shipments: 2000ms}}}
";

/// Asks the oracle for what a pipeline over the three event tables gives, and for what is superseded.
fn ask_of_events(pipeline: &str) -> (String, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let pipeline = write(&folder, "pipeline.yaml", pipeline);
    let rows = |rows: &[(u8, u8, &str)]| {
        let line = |(id, n, second): &(u8, u8, &str)| {
            format!("{{\"id\":{id},\"n\":{n},\"at\":\"2020-01-01T00:00:{second}Z\"}}\n")
        };
        rows.iter().map(line).collect::<String>()
    };
    let orders = write(&folder, "orders", &rows(&[(1, 0, "20"), (2, 0, "20"), (3, 0, "20")]));
    let payments = write(&folder, "payments", &rows(&[(1, 1, "19"), (1, 2, "18.999"), (2, 3, "30"), (2, 4, "30.001")]));
    let shipments = write(&folder, "shipments", &rows(&[(1, 5, "18"), (2, 6, "17.999"), (2, 7, "20"), (2, 8, "20")]));
    let [answer, superseded] = ["answer", "superseded"].map(|name| folder.path().join(name));
    let mut command = script("oracle.py");
    for (name, path) in [("orders", orders), ("payments", payments), ("shipments", shipments)] {
        command.args(["--input", &format!("{name}={}", path.display())]);
    }
    command.arg(pipeline).arg("--output").arg(&answer).arg("--superseded").arg(&superseded);
    let (answered, said) = run(&mut command);
    assert!(answered, "{said}");
    let sorted = |path: PathBuf| {
        let text = std::fs::read_to_string(path).expect("the oracle wrote its answer");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    (sorted(answer), sorted(superseded))
}

#[test]
fn oracle_joins_events_that_met_alive() {
    let (answer, superseded) = ask_of_events(EVENTS);
    let lines = |rows: &[(u8, &str, &str)]| {
        let line = |(id, p, s): &(u8, &str, &str)| format!("{{\"id\":{id},\"p\":{p},\"s\":{s}}}");
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(answer, lines(&[(1, "1", "5"), (2, "3", "7"), (2, "3", "8"), (3, "null", "null")]));
    let early = [(1, "1", "null"), (1, "null", "5"), (1, "null", "null"), (2, "3", "null")];
    let of_two = [(2, "null", "7"), (2, "null", "8"), (2, "null", "null")];
    assert_eq!(superseded, lines(&[&early[..], &of_two[..]].concat()));
}

#[test]
fn oracle_leaves_out_what_waits_in_vain() {
    let smart = |on_expire: &str| {
        let emission = format!("emission: {{type: smart, require: [p], on_expire: {on_expire}}}\n");
        ask_of_events(&(EVENTS.to_string() + &emission)).0.lines().count()
    };
    assert_eq!((smart("drop"), smart("emit")), (3, 4));
}
