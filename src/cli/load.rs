//! Files to pipelines and plans, with every mistake at its place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{
    self, Mistakes, Pipeline, Settings, Severity, TestAction, load_pipeline, load_settings, type_name,
};
use crate::decode::supports;
use crate::error::{Error, Result};
use crate::plan::{Catalog, Fields, Mistake, Place, Plan, check_without_columns, parse, plan, tables_of};

/// A pipeline that can be run.
pub(super) struct Loaded {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) plan: Plan,
}

/// Gives the columns of a table that declares none: by its name, its topic, and the field that is its time.
pub(super) type Sampler<'a> = &'a mut dyn FnMut(&str, &str, Option<&str>) -> Result<Fields>;

/// Loads and plans a pipeline; warnings are shown.
pub(super) fn load(path: &Path, settings: &Settings, sampler: Sampler<'_>) -> Result<Loaded> {
    let pipeline = load_pipeline(path).map_err(reported)?;
    let fields = fields_of(&pipeline, sampler)?;
    let plan = plan_of(&pipeline, &fields, settings, &Catalog::new()).map_err(reported)?;
    if !pipeline.warnings.is_empty() {
        eprintln!("{}", pipeline.warnings.render(std::io::stderr().is_terminal()));
    }
    Ok(Loaded { pipeline: Arc::new(pipeline), plan })
}

/// The columns of every table that the query reads: declared, or sampled.
pub(super) fn fields_of(pipeline: &Pipeline, sampler: Sampler<'_>) -> Result<BTreeMap<String, Fields>> {
    let mut fields = declared_fields(pipeline);
    // A query that can't be read is reported by planning.
    let Ok(query) = parse(&pipeline.query) else { return Ok(fields) };
    for table in tables_of(&query) {
        let Entry::Vacant(place) = fields.entry(table) else { continue };
        let table = place.key();
        let source = pipeline.sources.get(table);
        let topic = source.and_then(|source| source.topic.as_deref()).unwrap_or(table);
        let sampled = sampler(table, topic, source.and_then(|source| source.event_time.as_deref()))?;
        place.insert(sampled);
    }
    Ok(fields)
}

/// The columns of the tables that declare theirs.
pub(super) fn declared_fields(pipeline: &Pipeline) -> BTreeMap<String, Fields> {
    let declared = pipeline.sources.iter();
    declared.filter_map(|(name, source)| Some((name.clone(), source.schema.clone()?))).collect()
}

/// Plans a pipeline.
pub(super) fn plan_of(
    pipeline: &Pipeline,
    fields: &BTreeMap<String, Fields>,
    settings: &Settings,
    catalog: &Catalog,
) -> std::result::Result<Plan, Mistakes> {
    let mut mistakes = pipeline.warnings.clone();
    undecodable(fields, &mut mistakes);
    unread_by_tests(pipeline, &mut mistakes);
    match plan(pipeline, fields, settings.ttl_ms, catalog) {
        Ok(plan) if !mistakes.is_fatal() => return Ok(plan),
        Ok(_) => {}
        Err(found) => found.into_iter().for_each(|mistake| add(mistake, &mut mistakes)),
    }
    Err(mistakes)
}

/// All that is wrong with a pipeline as far as it shows without asking a broker, and its warnings.
pub(super) fn mistakes_offline(pipeline: &Pipeline, settings: &Settings) -> Mistakes {
    if undeclared(pipeline).is_empty() {
        return planned(pipeline, &declared_fields(pipeline), settings);
    }
    let mut mistakes = pipeline.warnings.clone();
    unread_by_tests(pipeline, &mut mistakes);
    check_without_columns(pipeline).into_iter().for_each(|mistake| add(mistake, &mut mistakes));
    mistakes
}

/// Mistakes of the plan, or the pipeline's warnings.
pub(super) fn planned(pipeline: &Pipeline, fields: &BTreeMap<String, Fields>, settings: &Settings) -> Mistakes {
    plan_of(pipeline, fields, settings, &Catalog::new()).err().unwrap_or_else(|| pipeline.warnings.clone())
}

/// The tables that the query reads and that declare no columns.
pub(super) fn undeclared(pipeline: &Pipeline) -> Vec<String> {
    let declared = declared_fields(pipeline);
    let read = parse(&pipeline.query).map(|query| tables_of(&query)).unwrap_or_default();
    read.into_iter().filter(|table| !declared.contains_key(table)).collect()
}

/// Columns into which JSON is not decoded.
fn undecodable(fields: &BTreeMap<String, Fields>, mistakes: &mut Mistakes) {
    for (table, columns) in fields {
        for (name, data_type) in columns.iter().filter(|(_, data_type)| !supports(data_type)) {
            let message = format!("`{name}` is of type {}, into which JSON is not decoded", type_name(data_type));
            let help = "declare a type that docs/reference.md lists".to_string();
            mistakes.at(&["sources", table, "schema", name], message, Some(help));
        }
    }
}

/// Records of tests for tables that the query does not read.
fn unread_by_tests(pipeline: &Pipeline, mistakes: &mut Mistakes) {
    let read = parse(&pipeline.query).map(|query| tables_of(&query)).unwrap_or_default();
    for step in pipeline.tests.iter().flat_map(|test| &test.steps) {
        match &step.action {
            // A query that can't be read is a mistake of its own.
            TestAction::Record(record) if !read.is_empty() && !read.contains(&record.table) => {
                let tables: Vec<&str> = read.iter().map(String::as_str).collect();
                mistakes.add(config::Mistake {
                    severity: Severity::Mistake,
                    span: Some(record.table_span),
                    message: format!("the query reads no table `{}`", record.table),
                    help: Some(format!("it reads {}", tables.join(", "))),
                });
            }
            _ => {}
        }
    }
}

fn add(mistake: Mistake, mistakes: &mut Mistakes) {
    match &mistake.place {
        Place::Query(span) if span.start.line == 0 => mistakes.at(&["query"], mistake.message, mistake.help),
        Place::Query(span) => {
            let end = (span.end > span.start).then_some((span.end.line, span.end.column));
            mistakes.in_query((span.start.line, span.start.column), end, mistake.message, mistake.help);
        }
        Place::Value(path) => mistakes.at(&parts(path), mistake.message, mistake.help),
        Place::Key(path) => mistakes.at_key(&parts(path), mistake.message, mistake.help),
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// The settings in `path`, or in ./config.yaml, or the defaults.
pub(super) fn settings(path: Option<&Path>) -> Result<Settings> {
    settings_in(path).map_err(reported)
}

/// As `settings`, with the mistakes themselves.
pub(super) fn settings_in(path: Option<&Path>) -> std::result::Result<Settings, Mistakes> {
    let default = Path::new("config.yaml");
    match path {
        Some(path) => load_settings(path),
        None if default.exists() => load_settings(default),
        None => Ok(Settings::default()),
    }
}

/// The files that arguments name: folders stand for the YAML files in them.
pub(super) fn pipeline_files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            let unreadable = |error| Error::Mistake(format!("can't read the folder {}: {error}", argument.display()));
            let entries = std::fs::read_dir(argument).map_err(unreadable)?;
            let mut found: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
                .collect();
            found.sort();
            if found.is_empty() {
                return Err(Error::Mistake(format!("there is no pipeline (*.yaml) in {}", argument.display())));
            }
            files.extend(found);
        } else if argument.exists() {
            files.push(argument.clone());
        } else {
            return Err(Error::Mistake(format!("there is no pipeline {}", argument.display())));
        }
    }
    Ok(files)
}

/// A report of mistakes, in colour for a person at a terminal.
pub(super) fn reported(mistakes: Mistakes) -> Error {
    Error::Mistake(mistakes.render(std::io::stderr().is_terminal()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::config::parse_pipeline;

    /// No text names such a type today; a format that brings one is told here rather than by a panic of the decoder.
    #[test]
    fn a_type_that_is_not_decoded_is_a_mistake_at_its_place() {
        let text =
            "name: p\nquery: SELECT b FROM t\nsources: {t: {schema: {a: int, b: float}}}\noutput: {topic: out}\n";
        let pipeline = parse_pipeline("p.yaml", text.to_string(), &|_| None).expect("a good pipeline");
        let mut fields = declared_fields(&pipeline);
        fields.get_mut("t").expect("the table")[1].1 = DataType::Float16;
        let mistakes = plan_of(&pipeline, &fields, &Settings::default(), &Catalog::new()).expect_err("a mistake");
        let found = mistakes.to_json();
        assert_eq!((&found[0]["line"], &found[0]["column"]), (&3.into(), &35.into()), "{mistakes}");
        assert_eq!(found[0]["message"], "`b` is of type Float16, into which JSON is not decoded");
    }
}
