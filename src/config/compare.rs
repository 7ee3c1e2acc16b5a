//! Broken files and their reports: `NAME.yaml` and, beside it, `NAME.expected`. Depends on the standard library alone,
//! so that integration tests can take it in by its path.

use std::fs;
use std::path::{Path, PathBuf};

/// The YAML files of `folder`, by name.
pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of test files").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

/// Compares `report` of every YAML file of `folder` with its `.expected`, and returns how many there are. With
/// `KAFLOWSQL_UPDATE=1` in the environment the files are rewritten instead, to be looked at with `git diff`.
pub fn compare(folder: &Path, report: impl Fn(&Path) -> String) -> usize {
    let update = std::env::var("KAFLOWSQL_UPDATE").is_ok_and(|value| value == "1");
    let files = yaml_files(folder);
    let mut differences = String::new();
    for file in &files {
        let expected_path = file.with_extension("expected");
        let actual = report(file);
        if update {
            fs::write(&expected_path, &actual).expect("writing the expected report");
            continue;
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if expected != actual {
            differences += &format!("== {}\n-- expected\n{expected}\n-- actual\n{actual}\n", expected_path.display());
        }
    }
    assert!(differences.is_empty(), "{differences}\nKAFLOWSQL_UPDATE=1 rewrites the expected reports");
    files.len()
}
