//! Any text as a pipeline and as the settings: what is wrong with it is said, at its place.

use std::collections::BTreeMap;

use kaflowsql::config::{Mistakes, Pipeline, Severity, parse_pipeline, parse_settings};
use kaflowsql::plan::{Catalog, Fields, Mistake, Place, Plan, parse, plan, tables_of};

const PROCESS_TTL_MS: i64 = 3_600_000;

/// The environment: one variable, whose value could end anything.
fn environment(name: &str) -> Option<String> {
    (name == "A").then(|| "a: '\"}\n".to_string())
}

/// Reads `bytes` as both files; a pipeline is planned, too.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match parse_settings("config.yaml", text.clone(), &environment) {
        Ok(_) => {}
        Err(mistakes) => expect_told(&mistakes),
    }
    match parse_pipeline("pipeline.yaml", text, &environment) {
        Ok(pipeline) => {
            expect_rendered(&pipeline.warnings);
            let declared = pipeline.sources.iter();
            let fields = declared.filter_map(|(name, source)| Some((name.clone(), source.schema.clone()?))).collect();
            plan_or_tell(&pipeline, &fields);
        }
        Err(mistakes) => expect_told(&mistakes),
    }
}

/// Plans a pipeline whose tables have these columns. A plan explains itself; mistakes are told at their places.
pub fn plan_or_tell(pipeline: &Pipeline, fields: &BTreeMap<String, Fields>) -> Option<Plan> {
    let catalog = Catalog::new();
    match plan(pipeline, fields, PROCESS_TTL_MS, &catalog) {
        Ok(plan) => {
            let read = parse(&pipeline.query).map(|query| tables_of(&query)).expect("what is planned can be read");
            let explained = plan.to_string();
            assert_eq!(plan.tables.len(), read.len(), "{read:?}\n{explained}");
            assert!(read.iter().all(|table| explained.contains(table.as_str())), "{read:?}\n{explained}");
            Some(plan)
        }
        Err(found) => {
            let mut mistakes = Mistakes::new(pipeline.file.clone());
            found.into_iter().for_each(|mistake| add(mistake, &mut mistakes));
            expect_told(&mistakes);
            None
        }
    }
}

/// A mistake of the plan at its place in the file.
fn add(mistake: Mistake, mistakes: &mut Mistakes) {
    let Mistake { place, message, help } = mistake;
    match place {
        Place::Query(span) => {
            let end = (span.end > span.start).then_some((span.end.line, span.end.column));
            mistakes.in_query((span.start.line, span.start.column), end, message, help);
        }
        Place::Value(path) => mistakes.at(&path.iter().map(String::as_str).collect::<Vec<_>>(), message, help),
        Place::Key(path) => mistakes.at_key(&path.iter().map(String::as_str).collect::<Vec<_>>(), message, help),
    }
}

fn expect_told(mistakes: &Mistakes) {
    assert!(mistakes.found().iter().any(|mistake| mistake.severity == Severity::Mistake), "refused, and no reason");
    expect_rendered(mistakes);
}

/// What is shown to a person and to a program lies within the file, and says something.
fn expect_rendered(mistakes: &Mistakes) {
    let text = mistakes.source().text();
    for mistake in mistakes.found() {
        assert!(!mistake.message.trim().is_empty(), "a mistake without words");
        if let Some(span) = mistake.span {
            assert!(span.start <= span.end && span.end <= text.len(), "{span:?} of {} bytes", text.len());
            assert!(
                text.is_char_boundary(span.start) && text.is_char_boundary(span.end),
                "{span:?} within a character"
            );
        }
    }
    let [plain, coloured] = [false, true].map(|colour| mistakes.render(colour));
    assert!(mistakes.is_empty() || !plain.trim().is_empty() && !coloured.trim().is_empty(), "{:?}", mistakes.found());
    let listed = mistakes.to_json();
    assert_eq!(listed.as_array().map(Vec::len), Some(mistakes.found().len()));
}
