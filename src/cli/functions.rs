//! `kaflowsql functions`: the SQL functions that a query may use.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::arguments::FunctionsArguments;
use crate::error::{Error, Result};
use crate::plan::Catalog;

/// A function, for a person.
#[derive(Clone, Debug, Default)]
struct Function {
    name: String,
    aliases: Vec<String>,
    syntax: String,
    description: String,
    arguments: Vec<(String, String)>,
    example: Option<String>,
    /// Whether it is KaflowSQL's own.
    own: bool,
}

/// Lists them, or describes one.
pub(super) fn functions(arguments: &FunctionsArguments) -> Result<()> {
    let all = all();
    let text = match &arguments.name {
        Some(name) => {
            let wanted = name.to_lowercase();
            let found = all.iter().find(|function| function.name == wanted || function.aliases.contains(&wanted));
            let found = found.ok_or_else(|| unknown(name, &all))?;
            if arguments.json { json_of(std::slice::from_ref(found)) } else { described(found) }
        }
        None if arguments.json => json_of(&all),
        None => all.iter().map(line).collect(),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))
}

fn unknown(name: &str, all: &[Function]) -> Error {
    let names = all.iter().flat_map(|function| std::iter::once(&function.name).chain(&function.aliases));
    let near = names.min_by_key(|known| strsim::damerau_levenshtein(&name.to_lowercase(), known));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Error::Mistake(format!("there is no function `{name}`{near} `kaflowsql functions` lists them all"))
}

/// KaflowSQL's own first, then by name.
fn all() -> Vec<Function> {
    let own: Vec<String> = kaflowsql_udfs::all().iter().map(|function| function.name().to_lowercase()).collect();
    let catalog = Catalog::new();
    let mut found: BTreeMap<(bool, String), Function> = BTreeMap::new();
    for name in catalog.names() {
        let Some(function) = catalog.scalar(name) else { continue };
        let official = function.name().to_lowercase();
        let own = own.contains(&official);
        let documentation = function.documentation();
        let entry = found.entry((!own, official.clone())).or_insert_with(|| Function {
            syntax: documentation.map_or_else(|| format!("{official}(…)"), |about| about.syntax_example.clone()),
            description: documentation.map(|about| about.description.trim().to_string()).unwrap_or_default(),
            arguments: documentation.and_then(|about| about.arguments.clone()).unwrap_or_default(),
            example: documentation.and_then(|about| about.sql_example.clone()),
            name: official.clone(),
            aliases: Vec::new(),
            own,
        });
        if name != official {
            entry.aliases.push(name.to_string());
        }
    }
    let unnest = Function {
        name: "unnest".into(),
        syntax: "unnest(list)".into(),
        description: "Gives one row for each element of a list; only as an item of SELECT.".into(),
        ..Function::default()
    };
    found.insert((true, "unnest".into()), unnest);
    found.into_values().collect()
}

/// The first sentence of a description.
fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].to_string()
}

/// "upper(str)    Converts a string to upper-case."
fn line(function: &Function) -> String {
    let own = if function.own { "[KaflowSQL] " } else { "" };
    let syntax = function.syntax.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{syntax:<40}  {own}{}\n", first_sentence(&function.description))
}

fn described(function: &Function) -> String {
    let mut text = format!("{}\n\n{}\n", function.syntax.trim(), function.description);
    if !function.arguments.is_empty() {
        text.push_str("\nArguments\n");
        let arguments = function.arguments.iter();
        text.extend(arguments.map(|(name, about)| format!("  {name}: {}\n", about.trim().replace('\n', "\n    "))));
    }
    if !function.aliases.is_empty() {
        text.push_str(&format!("\nAlso called {}\n", function.aliases.join(", ")));
    }
    if let Some(example) = &function.example {
        let code = example.lines().filter(|line| !line.trim_start().starts_with("```"));
        text.push_str(&format!("\nExample\n{}\n", code.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")));
    }
    if function.own {
        text.push_str("\nA function of KaflowSQL's own\n");
    }
    text
}

fn json_of(functions: &[Function]) -> String {
    let entry = |function: &Function| -> Value {
        let arguments = function.arguments.iter();
        json!({
            "name": function.name, "aliases": function.aliases, "syntax": function.syntax,
            "description": function.description, "example": function.example, "own": function.own,
            "arguments": arguments.map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        })
    };
    let all: Vec<Value> = functions.iter().map(entry).collect();
    serde_json::to_string_pretty(&all).expect("BUG: a list of functions can't be written as JSON") + "\n"
}
