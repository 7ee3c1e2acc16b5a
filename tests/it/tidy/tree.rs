//! The text files that are, or would be, committed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::code::{Code, test_modules};

/// A text file and its path from the root.
pub struct File {
    pub path: String,
    pub text: String,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rust, wherever it lies.
    Rust,
    /// A document for people.
    Markdown,
    /// Scripts, the Makefile, CI.
    Script,
    /// What lies in `pipelines/`.
    Pipeline,
    /// What lies in `testdata/`.
    TestData,
    /// All else.
    Other,
}

impl File {
    pub fn kind(&self) -> Kind {
        let path = self.path.as_str();
        match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            _ if path.starts_with("testdata/") => Kind::TestData,
            _ if path.starts_with("pipelines/") => Kind::Pipeline,
            "rs" => Kind::Rust,
            "md" => Kind::Markdown,
            "sh" | "py" => Kind::Script,
            _ if path == "Makefile" || path.starts_with(".ci/") => Kind::Script,
            _ => Kind::Other,
        }
    }
}

/// Every text file.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads what git knows and what it would take in; files that are not text are left out.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = Command::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .expect("git can be run");
        assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        let paths: BTreeSet<String> = String::from_utf8_lossy(&listed.stdout)
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(Into::into)
            .collect();
        let files = paths.into_iter().filter_map(|path| {
            let text = String::from_utf8(std::fs::read(root.join(&path)).ok()?).ok()?;
            Some(File { path, text })
        });
        Self { files: files.collect() }
    }

    /// Files of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.kind() == kind)
    }

    /// The engine and the functions, less what is compiled for tests only.
    pub fn production(&self) -> Vec<Code> {
        let sources: Vec<&File> = self
            .of_kind(Kind::Rust)
            .filter(|file| file.path.starts_with("src/") || file.path.starts_with("udfs/src/"))
            .collect();
        let for_tests: Vec<String> = sources.iter().flat_map(|file| test_modules(&file.path, &file.text)).collect();
        let is_for_tests = |path: &str| {
            let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
            for_tests.iter().any(|tests| module == tests || module.starts_with(&format!("{tests}/")))
        };
        sources
            .into_iter()
            .filter(|file| !is_for_tests(&file.path))
            .map(|file| Code::new(&file.path, &file.text))
            .collect()
    }
}

#[test]
fn files_of_test_modules_are_no_production() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let tree = Tree {
        files: vec![
            file("src/state/mod.rs", "mod table;\n#[cfg(test)]\nmod tests;\n"),
            file("src/state/table.rs", "#[cfg(test)] mod cases;"),
            file("src/state/table/cases.rs", ""),
            file("src/state/tests.rs", ""),
            file("src/state/tests/apply.rs", ""),
            file("tests/it/main.rs", ""),
        ],
    };
    let paths: Vec<String> = tree.production().into_iter().map(|code| code.path).collect();
    assert_eq!(paths, ["src/state/mod.rs", "src/state/table.rs"]);
}
