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
