//! What editors and shells are told: schema, functions, completions.

use serde_json::Value;

use super::run;

fn json(arguments: &[&str]) -> Value {
    let ran = run(arguments).ended(0);
    assert_eq!(ran.stderr, "");
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn both_files_have_a_schema_with_both_spellings() {
    let pipeline = json(&["schema"]);
    assert_eq!(pipeline, json(&["schema", "pipeline"]));
    assert_eq!(pipeline["additionalProperties"], false);
    for key in ["max_record_bytes", "maxRecordBytes", "tests", "query"] {
        assert!(pipeline["properties"][key]["description"].is_string(), "{key}");
    }
    let settings = json(&["schema", "config"]);
    let kafka = settings["properties"]["kafka"].to_string();
    assert!(kafka.contains("fetch_max_wait") && kafka.contains("fetchMaxWait"), "{kafka}");
    assert!(!kafka.contains("schemaRegistry"), "what comes with a later version is not offered");
}

#[test]
fn every_function_has_a_line_and_its_own_come_first() {
    let said = run(&["functions"]).ended(0).stdout;
    let first = said.lines().next().expect("a line");
    assert!(first.starts_with("mask_email(") && first.contains("[KaflowSQL]"), "{first}");
    for name in ["upper(", "date_trunc(", "array_length(", "unnest(", "md5("] {
        assert!(said.lines().any(|line| line.starts_with(name)), "{name}");
    }
    let all = json(&["functions", "--json"]);
    let all = all.as_array().expect("a list");
    assert!(all.len() > 150 && all.len() == said.lines().count(), "{}", all.len());
    let undescribed: Vec<&Value> = all.iter().filter(|it| it["description"] == "").map(|it| &it["name"]).collect();
    assert!(undescribed.len() < 10, "{undescribed:?}");
}

#[test]
fn one_function_is_described_by_any_of_its_names() {
    let said = run(&["functions", "SPLIT_PART"]).ended(0).stdout;
    assert!(said.starts_with("split_part(str, delimiter, pos)\n\nSplits a string"), "{said}");
    assert!(said.contains("\nArguments\n  str: "), "{said}");
    let alias = json(&["functions", "--json", "datetrunc"]);
    assert_eq!(alias[0]["name"], "date_trunc");
}

#[test]
fn shells_complete_verbs_and_options() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = run(&["completions", shell]).ended(0).stdout;
        assert!(said.contains("kaflowsql") && said.contains("junit") && said.contains("invoke"), "{shell}");
    }
}
