//! What README.md, the guide and the pages of pipelines show is run as printed, and what they say comes out does.

use std::process::Command;

use tempfile::TempDir;

use crate::cli::root;

/// The folder of the pages of pipelines. Their commands are for the root of the repository.
const PAGES: &str = "docs/pipelines";

/// The documents whose commands are run.
fn documents() -> Vec<String> {
    let entries = std::fs::read_dir(root().join(PAGES)).expect("the folder of pages");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let mut pages: Vec<String> =
        entries.map(|entry| format!("{PAGES}/{}", name(entry).to_str().expect("UTF-8"))).collect();
    pages.sort_unstable();
    ["README.md", "docs/guide.md"].map(str::to_string).into_iter().chain(pages).collect()
}

/// Commands that are not run here, by their beginnings, and why. Each stands in a block of its own.
const LEFT_OUT: [(&str, &str); 4] = [
    ("make demo", "builds the binary and runs until Ctrl-C"),
    ("make test", "would run this test"),
    ("cargo build --release", "the binary is here already"),
    ("kaflowsql run ", "needs Kafka"),
];

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in document.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                blocks.push(Block { language: language.to_string(), text: String::new(), line: number + 1 });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let block = blocks.last_mut().expect("a block is open");
                block.text += line;
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Why a block is not run, if it is not.
fn left_out(block: &Block) -> Option<&'static str> {
    LEFT_OUT.iter().find(|(start, _)| block.text.starts_with(start)).map(|(start, _)| *start)
}

/// The binary as `kaflowsql`, before all else in PATH.
fn path() -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_kaflowsql"));
    let folder = binary.parent().expect("a binary lies in a folder").display();
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}

/// Runs the `sh` blocks of a document one after the other, each where the one before it left off, and compares the
/// standard output of each with the `json` or `yaml` block behind it that is introduced as its output.
fn run_document(name: &str) -> Vec<&'static str> {
    let text = std::fs::read_to_string(root().join(name)).expect("the document");
    let blocks = blocks(&text);
    let folder = TempDir::new().expect("a temporary folder");
    if name.starts_with(PAGES) {
        // What the commands write must not lie about in the repository.
        for shown in ["pipelines", "testdata"] {
            std::os::unix::fs::symlink(root().join(shown), folder.path().join(shown)).expect("a link");
        }
    }
    let state = folder.path().join(".cwd");
    let mut skipped = Vec::new();
    let mut ran = 0;
    std::fs::write(&state, folder.path().to_str().expect("UTF-8")).expect("a file");
    for (number, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        if let Some(command) = left_out(block) {
            skipped.push(command);
            continue;
        }
        let script = format!("set -euo pipefail\ncd \"$(cat '{0}')\"\n{1}\npwd > '{0}'\n", state.display(), block.text);
        let output = Command::new("bash").args(["-c", &script]).env("PATH", path()).output().expect("bash");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}:{}: {}\n{stdout}{stderr}", block.line, block.text);
        let shown = blocks.get(number + 1).filter(|next| ["json", "text"].contains(&next.language.as_str()));
        if let Some(shown) = shown {
            assert_eq!(stdout, shown.text, "{name}:{}: the output is not what is shown", shown.line);
            ran += 1;
        }
    }
    assert!(ran > 0, "{name} shows no output of any command");
    skipped
}

#[test]
fn commands_work_as_printed() {
    let mut skipped: Vec<&str> = documents().iter().flat_map(|document| run_document(document)).collect();
    skipped.sort_unstable();
    skipped.dedup();
    assert_eq!(skipped.len(), LEFT_OUT.len(), "no document shows one of the commands that are left out: {skipped:?}");
}

/// Pipelines and configs that are shown as YAML are good ones.
#[test]
fn files_shown_are_good() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(root().join(&document)).expect("the document");
        for block in blocks(&text).into_iter().filter(|block| block.language == "yaml") {
            let file = folder.path().join("shown.yaml");
            std::fs::write(&file, &block.text).expect("a file");
            let mut command = Command::new(env!("CARGO_BIN_EXE_kaflowsql"));
            command.args(["validate", "--offline"]).current_dir(root()).env("KAFKA_PASSWORD", "secret");
            match block.text.contains("query:") {
                true => command.arg(&file),
                false => command.arg("-c").arg(&file).arg("pipelines/flights.yaml"),
            };
            let output = command.output().expect("the binary can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}:{}\n{said}", block.line);
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked}");
}

/// The keys in the tables of a section of docs/reference.md.
fn documented_keys<'d>(document: &'d str, section: &str) -> Vec<&'d str> {
    let (_, rest) = document.split_once(&format!("\n## {section}")).expect("the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let keys = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    keys.collect()
}

/// The schema of the key at `path`, whose capital words stand for names of the user's own.
fn schema_at<'s>(schema: &'s serde_json::Value, path: &[String]) -> Option<&'s serde_json::Value> {
    let Some((key, below)) = path.split_first() else { return Some(schema) };
    let is_name = key.chars().all(|letter| letter.is_ascii_uppercase());
    let here = if is_name { &schema["additionalProperties"] } else { &schema["properties"][key] };
    let branches = schema["anyOf"].as_array().into_iter().flatten();
    let inside = here.is_object().then_some(here).and_then(|here| schema_at(here, below));
    inside.or_else(|| branches.into_iter().find_map(|branch| schema_at(branch, path)))
}

/// `fetchMaxWait` to `fetch_max_wait`.
fn to_snake(key: &str) -> String {
    if key.chars().all(|letter| letter.is_ascii_uppercase()) {
        return key.to_string();
    }
    let letter = |letter: char| {
        let before = if letter.is_ascii_uppercase() { "_" } else { "" };
        format!("{before}{}", letter.to_ascii_lowercase())
    };
    key.chars().map(letter).collect()
}

#[test]
fn the_reference_names_keys_that_there_are() {
    let document = std::fs::read_to_string(root().join("docs/reference.md")).expect("the reference");
    for (section, schema) in [
        ("config.yaml", kaflowsql::config::settings_schema()),
        ("pipelines/*.yaml", kaflowsql::config::pipeline_schema()),
    ] {
        let keys = documented_keys(&document, section);
        assert!(keys.len() > 15, "{section}: {keys:?}");
        for key in keys {
            let path: Vec<String> = key.split('.').map(to_snake).collect();
            let found = schema_at(&schema, &path).unwrap_or_else(|| panic!("{section} has no key `{key}`"));
            assert!(found["x-later"].is_null(), "`{key}` comes with a later version");
        }
    }
}
