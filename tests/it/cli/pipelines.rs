//! Every pipeline of `pipelines/`: its tests, and what it gives over the records in `testdata/`, against what was checked
//! in and against DuckDB.

use std::collections::BTreeSet;
use std::process::Command;

use tempfile::TempDir;

use super::{Ran, golden, root, run};

/// A pipeline and the records over which it is run.
struct Case {
    name: &'static str,
    folder: &'static str,
    /// Whose files the folder has, in the order in which they are given.
    topics: &'static [&'static str],
    /// Events are joined by LEFT: rows without a match come out before those with one.
    has_superseded: bool,
}

const CASES: [Case; 6] = [
    Case {
        name: "flights",
        folder: "flights",
        topics: &["flights", "airlines", "planes", "airports"],
        has_superseded: false,
    },
    Case { name: "weather", folder: "flights", topics: &["flights", "weather"], has_superseded: false },
    Case { name: "fraud", folder: "fraud", topics: &["transactions", "users", "merchants"], has_superseded: false },
    Case {
        name: "personalization",
        folder: "personalization",
        topics: &["views", "users", "products", "bestsellers"],
        has_superseded: false,
    },
    Case { name: "iot", folder: "iot", topics: &["readings", "alarms", "devices", "limits"], has_superseded: false },
    Case {
        name: "orders",
        folder: "orders",
        topics: &["orders", "payments", "shipments", "customers"],
        has_superseded: true,
    },
];

/// Of results that are longer than this, so many rows are checked in.
const EXPECTED_ROWS_MAX: usize = 350;

impl Case {
    fn named(name: &str) -> &'static Case {
        CASES.iter().find(|case| case.name == name).expect("a case")
    }

    fn path(&self) -> String {
        format!("pipelines/{}.yaml", self.name)
    }

    fn inputs(&self) -> Vec<String> {
        inputs(self.folder, self.topics)
    }

    /// Runs a pipeline, this one's or a variant of it, over its records.
    fn invoke(&self, pipeline: &str) -> Ran {
        let arguments = [vec!["invoke".to_string(), pipeline.to_string()], self.inputs()].concat();
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ended(0)
    }

    /// Compares what a pipeline gave with what DuckDB gives, row for row; under LEFT, rows may come that were superseded.
    fn judge(&self, pipeline: &str, rows: &str, has_superseded: bool) {
        let folder = TempDir::new().expect("a temporary folder");
        let [expected, actual, superseded] = ["expected", "actual", "superseded"]
            .map(|name| folder.path().join(name).to_str().expect("UTF-8").to_string());
        std::fs::write(&actual, rows).expect("a file in a temporary folder");
        let mut oracle = [vec![pipeline.to_string()], self.inputs()].concat();
        oracle.extend(["--output".to_string(), expected.clone()]);
        let mut compare = vec![expected, actual];
        if has_superseded {
            oracle.extend(["--superseded".to_string(), superseded.clone()]);
            compare.extend(["--also".to_string(), superseded]);
        }
        script("oracle.py", &oracle);
        script("compare.py", &compare);
    }
}

/// `--input` for each topic of a folder of `testdata/`.
pub fn inputs(folder: &str, topics: &[&str]) -> Vec<String> {
    let input = |topic: &&str| ["--input".to_string(), format!("{topic}=testdata/{folder}/{topic}.ndjson")];
    topics.iter().flat_map(input).collect()
}

/// Whether the judge can be asked; if not, says so, and with CI set fails.
pub fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").is_err(), "python3 is missing, and DuckDB with it: `make setup` installs both");
        println!("not compared with DuckDB: python3 is missing; `make setup` installs it");
    }
    found
}

/// Runs a script of the project's, which must succeed.
pub fn script(name: &str, arguments: &[String]) {
    let mut command = Command::new(root().join("scripts").join(name));
    let output =
        command.current_dir(root()).args(arguments).env_remove("PYTHONPATH").output().expect("the script runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}\n{said}", arguments.join(" "));
}

#[test]
fn every_pipeline_is_run_and_has_a_page() {
    let entries = std::fs::read_dir(root().join("pipelines")).expect("the folder of pipelines");
    let files: BTreeSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    let cases: BTreeSet<String> = CASES.iter().map(|case| format!("{}.yaml", case.name)).collect();
    assert_eq!(files, cases);
    for case in &CASES {
        let page = format!("docs/pipelines/{}.md", case.name);
        assert!(root().join(&page).exists(), "{page} is missing");
    }
}

#[test]
fn their_tests_pass() {
    let said = run(&["test", "pipelines"]).ended(0).stdout;
    assert!(!said.contains("no tests") && !said.contains("left out"), "{said}");
    for case in &CASES {
        assert!(said.contains(&case.path()), "{said}");
    }
}

#[test]
fn every_pipeline_gives_what_is_expected_and_what_duckdb_says() {
    let judged = has_python();
    for case in &CASES {
        let file = case.path();
        let ran = case.invoke(&file);
        assert!(ran.stderr.contains(" 0 rejected "), "{file}: {}", ran.stderr);
        assert_eq!(case.invoke(&file).stdout, ran.stdout, "{file}: two runs differ");
        let rows: String = ran.stdout.split_inclusive('\n').take(EXPECTED_ROWS_MAX).collect();
        golden(&format!("testdata/expected/{}.ndjson", case.name), &rows);
        if judged {
            case.judge(&file, &ran.stdout, case.has_superseded);
        }
    }
}

/// The weather of each flight, with those whose weather nobody reported.
fn left_weather(folder: &TempDir, emission: &str) -> String {
    let text = std::fs::read_to_string(root().join("pipelines/weather.yaml")).expect("the pipeline");
    let variant =
        text.replace("  JOIN weather", "  LEFT JOIN weather").replace("\nstate:", &format!("\n{emission}state:"));
    assert_eq!(variant.len(), text.len() + "LEFT ".len() + emission.len(), "the pipeline has another form");
    let path = folder.path().join("weather.yaml").to_str().expect("UTF-8").to_string();
    std::fs::write(&path, variant).expect("a file in a temporary folder");
    path
}

/// A flight comes out without weather first, and again with it: but where it waits, once.
#[test]
fn every_flight_comes_out_and_once_if_it_waits() {
    let folder = TempDir::new().expect("a temporary folder");
    let case = Case::named("weather");
    let flights = std::fs::read_to_string(root().join("testdata/flights/flights.ndjson")).expect("the flights");
    let flights = flights.lines().count();

    let immediate = left_weather(&folder, "");
    let at_once = case.invoke(&immediate).stdout;
    let spurious = at_once.lines().count() - flights;
    assert!(spurious > 1000, "{spurious} rows were superseded: the case shows nothing");
    let smart = left_weather(&folder, "emission: { type: smart, require: [celsius], max_wait: 1d, on_expire: emit }\n");
    let waited = case.invoke(&smart).stdout;
    assert_eq!(waited.lines().count(), flights);
    if has_python() {
        case.judge(&immediate, &at_once, true);
        case.judge(&smart, &waited, false);
    }
}

#[test]
fn the_samples_are_what_their_generator_makes() {
    if !has_python() {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    script("samples.py", &["--to".to_string(), folder.path().to_str().expect("UTF-8").to_string()]);
    for case in CASES.iter().filter(|case| case.folder == case.name && case.name != "flights") {
        for topic in case.topics {
            let file = format!("{}/{topic}.ndjson", case.folder);
            let made = std::fs::read_to_string(folder.path().join(&file)).expect("a sample");
            let kept = std::fs::read_to_string(root().join("testdata").join(&file)).expect("a sample");
            assert!(made == kept, "testdata/{file} differs: scripts/samples.py --to testdata");
        }
    }
}
