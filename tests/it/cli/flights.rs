//! Every pipeline of `pipelines/`, over real flights, against DuckDB.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use kaflowsql::config::load_pipeline;
use tempfile::TempDir;

use super::{root, run};

/// `--input` for each table.
pub fn inputs(tables: &[&str]) -> Vec<String> {
    let input = |table: &&str| ["--input".to_string(), format!("{table}=testdata/flights/{table}.ndjson")];
    tables.iter().flat_map(input).collect()
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

/// Runs a script that must succeed.
pub fn script(name: &str, arguments: &[String]) {
    let mut command = Command::new(root().join("scripts").join(name));
    let output =
        command.current_dir(root()).args(arguments).env_remove("PYTHONPATH").output().expect("the script runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}\n{said}", arguments.join(" "));
}

#[test]
fn every_pipeline_runs_and_gives_what_duckdb_says() {
    let mut seen = BTreeSet::new();
    let judged = has_python();
    for entry in std::fs::read_dir(root().join("pipelines")).expect("the folder of pipelines") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let file = format!("pipelines/{name}");
        let pipeline = load_pipeline(Path::new(&file)).expect("a good pipeline");
        let tables: Vec<&str> = pipeline.sources.keys().map(String::as_str).collect();
        let arguments: Vec<String> = ["invoke".to_string(), file.clone()].into_iter().chain(inputs(&tables)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = run(&arguments).ended(0);
        assert!(ran.stdout.lines().count() > 5000, "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(" 0 rejected "), "{file}: {}", ran.stderr);
        assert_eq!(run(&arguments).ended(0).stdout, ran.stdout, "{file}: two runs differ");
        if judged {
            let folder = TempDir::new().expect("a temporary folder");
            let [expected, actual] =
                ["expected", "actual"].map(|name| folder.path().join(name).to_str().expect("UTF-8").to_string());
            std::fs::write(&actual, &ran.stdout).expect("a file in a temporary folder");
            let oracle = [vec![file.clone()], inputs(&tables), vec!["--output".to_string(), expected.clone()]].concat();
            script("oracle.py", &oracle);
            script("compare.py", &[expected, actual]);
        }
        seen.insert(name);
    }
    assert!(seen.contains("flights.yaml") && seen.contains("weather.yaml"), "{seen:?}");
}
