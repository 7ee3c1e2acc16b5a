//! Who may know whom.

use super::Finding;
use super::code::Code;

/// What every stage may use; these use each other and no stage.
const SHARED: [&str; 8] = ["batch", "clock", "config", "error", "expression", "fault", "plan", "telemetry"];

/// Stages, and doors to the outside: they know nobody but `SHARED`.
const STAGES: [&str; 11] =
    ["backend", "decode", "emit", "encode", "join", "kafka_client", "serve", "shard", "sink", "source", "state"];

/// A stage, and another that it may use all the same.
const EXCEPTIONS: [(&str, &str); 8] = [
    ("emit", "join"),
    ("emit", "shard"),
    ("emit", "state"),
    ("join", "shard"),
    ("join", "state"),
    ("sink", "kafka_client"),
    ("source", "kafka_client"),
    ("state", "shard"),
];

/// What puts the stages together.
const SEES_ALL: [&str; 6] = ["bin", "cli", "commit", "engine", "lib", "main"];

/// A crate, where it may be used (beginnings of paths), and why only there.
const FOREIGN: [(&str, &[&str], &str); 3] = [
    (
        "rdkafka",
        &["src/kafka_client", "src/source/kafka", "src/sink/kafka", "src/cli/demo", "src/bin/fakegen"],
        "Kafka stays behind `Source` and `Sink`",
    ),
    (
        "datafusion",
        &["src/plan/", "src/expression", "src/backend/", "udfs/src/"],
        "SQL is planned in `plan` and run by `expression`",
    ),
    ("rocksdb", &["src/state/rocks.rs"], "the disk has one door"),
];

/// Reads of a clock.
const CLOCKS: [&str; 5] = ["Instant::now", "SystemTime::now", "Utc::now", "Local::now", "clippy::disallowed_methods"];

/// Uses of a stage by a stage.
pub fn siblings(code: &Code) -> Vec<Finding> {
    let Some(area) = area(&code.path) else { return Vec::new() };
    if SEES_ALL.contains(&area) {
        return Vec::new();
    }
    if !SHARED.contains(&area) && !STAGES.contains(&area) {
        let what = format!("`{area}` is neither a stage nor shared: say what it is in tests/it/tidy/imports.rs");
        return vec![Finding::new(&code.path, 1, what)];
    }
    let may_use = |used: &str| {
        used == area
            || SHARED.contains(&used)
            || (!SHARED.contains(&area) && EXCEPTIONS.contains(&(area, used)))
            || !(STAGES.contains(&used) || SEES_ALL.contains(&used))
    };
    let used = crate_paths(code).into_iter().filter(|(_, used)| !may_use(used));
    used.map(|(line, used)| {
        let what = format!("`{area}` uses `{used}`: hand what it needs over through `batch`, or let the engine do it");
        Finding::new(&code.path, line, what)
    })
    .collect()
}

/// Uses of a crate outside its door.
pub fn foreign_crates(code: &Code) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, word) in code.words() {
        let Some((name, doors, why)) = FOREIGN.iter().find(|(name, ..)| is_crate(word, name)) else { continue };
        let is_path = code.after(start, word).starts_with("::");
        if is_path && !doors.iter().any(|door| code.path.starts_with(door)) {
            let what = format!("`{name}` here: {why}; it belongs in {}", doors.join(", "));
            findings.push(Finding::new(&code.path, code.line_of(start), what));
        }
    }
    findings
}

/// Reads of a clock outside `clock.rs`.
pub fn clocks(code: &Code) -> Vec<Finding> {
    if code.path == "src/clock.rs" {
        return Vec::new();
    }
    let places = CLOCKS.iter().flat_map(|clock| code.text.match_indices(clock));
    places
        .map(|(start, clock)| {
            let what = format!("`{clock}`: ask a `Clock` for the time, or measure with a `Stopwatch`");
            Finding::new(&code.path, code.line_of(start), what)
        })
        .collect()
}

/// The module under `src/` in which a file lies; none for another crate's.
fn area(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    Some(inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs"))
}

fn is_crate(word: &str, name: &str) -> bool {
    word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The modules that paths from `crate::` start in, with their lines.
fn crate_paths(code: &Code) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (start, _) in code.words().filter(|(_, word)| *word == "crate") {
        let Some(path) = code.after(start, "crate").strip_prefix("::") else { continue };
        let line = code.line_of(start);
        paths.extend(first_names(path.trim_start()).into_iter().map(|name| (line, name)));
    }
    paths
}

/// `a` of `a::b`, and `a`, `c` of `{a::{b, x}, c}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![name(group)];
    let mut depth = 1;
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&group[offset + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::super::expect_lines;
    use super::*;

    #[test]
    fn a_stage_that_uses_a_sibling_is_found() {
        let decode = "use crate::batch::Cut;\nuse crate::sink::Sink;\nfn f() { crate::state::g() }\n// crate::sink\n";
        expect_lines(&siblings(&Code::new("src/decode/json.rs", decode)), &[2, 3]);
        expect_lines(&siblings(&Code::new("src/cli/run.rs", decode)), &[]);
        let join = "use crate::{batch::{Cut, sink}, state::Table,\n    shard};\n";
        expect_lines(&siblings(&Code::new("src/join/mod.rs", join)), &[]);
        expect_lines(&siblings(&Code::new("src/encode/mod.rs", join)), &[1, 1]);
    }

    #[test]
    fn a_shared_module_that_uses_a_stage_is_found() {
        expect_lines(&siblings(&Code::new("src/plan/table.rs", "use crate::config::A;\nuse crate::state::B;")), &[2]);
        expect_lines(&siblings(&Code::new("src/batch.rs", "use crate::engine::A;")), &[1]);
    }

    #[test]
    fn a_new_folder_has_to_be_placed() {
        expect_lines(&siblings(&Code::new("src/novelty/mod.rs", "")), &[1]);
    }

    #[test]
    fn crates_outside_their_doors_are_found() {
        let text = "use rdkafka::Message;\nuse datafusion_expr::Expr;\nlet rdkafka = 1;\n";
        expect_lines(&foreign_crates(&Code::new("src/join/mod.rs", text)), &[1, 2]);
        expect_lines(&foreign_crates(&Code::new("src/source/kafka/reader.rs", text)), &[2]);
        expect_lines(&foreign_crates(&Code::new("src/plan/query.rs", text)), &[1]);
        expect_lines(&foreign_crates(&Code::new("udfs/src/mask_email.rs", text)), &[1]);
    }

    #[test]
    fn clocks_are_found() {
        let text = "let a = Instant::now();\nlet b = std::time::SystemTime::now();\nuse std::time::Duration;\n";
        expect_lines(&clocks(&Code::new("src/serve/mod.rs", text)), &[1, 2]);
        expect_lines(&clocks(&Code::new("src/clock.rs", text)), &[]);
        let tests = "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }";
        expect_lines(&clocks(&Code::new("src/serve/mod.rs", tests)), &[]);
    }
}
