//! The `tests:` block: records in, time that passes, and what must come out. Run by `kaflowsql test`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::mistakes::{Mistake, Mistakes};
use super::quantity::Duration;
use super::raw_settings::Present;
use super::source_file::Span;
use super::test_value::TestValue;
use super::yaml::{Entry, Node, Value};

/// The keys of a record.
const OF_RECORD: [&str; 6] = ["table", "key", "value", "at", "partition", "headers"];

/// A test as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "steps"]))]
pub(super) struct RawTest {
    /// What the test shows; no two tests of a file have the same name.
    pub name: Option<String>,
    /// What happens, one after the other: a record (`table`), time that passes (`advance`), or what must have come out
    /// since the last such step (`expect`).
    #[schemars(with = "Option<Vec<RawStep>>")]
    pub steps: Option<Vec<Option<RawStep>>>,
}

/// A step of a test as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStep {
    /// A record of this table, by its name in SQL.
    pub table: Option<String>,
    /// The record's key; a mapping is written as JSON. Default: none.
    pub key: Option<Present>,
    /// The record's value, a mapping; `null` is a tombstone.
    pub value: Option<AnyMapping>,
    /// The record's timestamp, as in 2025-01-01T00:00:00Z, or ms since 1970. Default: the wall clock of the test.
    pub at: Option<String>,
    /// The record's partition. Default: 0.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub partition: Option<i32>,
    /// The record's headers.
    pub headers: Option<BTreeMap<String, Present>>,
    /// How far the wall clock and the time of all event tables move on.
    pub advance: Option<Duration>,
    /// The rows that must have come out since the last `expect`, in their order; each names all columns.
    pub expect: Option<Vec<Option<AnyMapping>>>,
    /// What the reasons of the dead letters since the last `expect_dead_letters` must contain, in their order.
    #[schemars(with = "Option<Vec<String>>")]
    pub expect_dead_letters: Option<Vec<Option<String>>>,
}

/// A mapping that is read from the tree later.
#[derive(Debug, Deserialize)]
pub(super) struct AnyMapping(IgnoredAny);

impl JsonSchema for AnyMapping {
    fn schema_name() -> Cow<'static, str> {
        "AnyMapping".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// A test of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineTest {
    /// What it shows.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
    /// What happens, in order.
    pub steps: Vec<TestStep>,
}

/// A step of a test.
#[derive(Clone, Debug)]
pub struct TestStep {
    /// Where it stands.
    pub span: Span,
    /// What happens.
    pub action: TestAction,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub enum TestAction {
    /// A record comes.
    Record(TestRecord),
    /// Time passes, ms.
    Advance(i64),
    /// Something must have come out.
    Expect(Expectation),
}

/// A record of a test.
#[derive(Clone, Debug, Default)]
pub struct TestRecord {
    /// Of which table.
    pub table: String,
    /// Where that is said.
    pub table_span: Span,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value, JSON; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its timestamp, ms since the epoch, if the test says one.
    pub at_ms: Option<i64>,
    /// Its partition.
    pub partition: i32,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What must have come out.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Result rows, in order.
    pub rows: Option<ExpectedList>,
    /// What the reasons of the dead letters contain, in order.
    pub dead_letters: Option<ExpectedList>,
}

/// A list of a test as it stands in the file.
#[derive(Clone, Debug)]
pub struct ExpectedList {
    /// Where its key stands.
    pub key_span: Span,
    /// Where it stands; that of its key where there is nothing behind it.
    pub span: Span,
    /// What is in it.
    pub items: Vec<ExpectedItem>,
}

/// An item of a list of a test as it stands in the file.
#[derive(Clone, Debug)]
pub struct ExpectedItem {
    /// What it is.
    pub value: TestValue,
    /// Where it stands.
    pub span: Span,
    /// Of an object: where the value of each field stands; none where there is nothing behind the key.
    pub fields: Vec<Option<Span>>,
}

/// The tests of a file; `raw` is what the schema let through, and the file's tree has the rest.
pub(super) fn read(raw: Option<Vec<Option<RawTest>>>, mistakes: &mut Mistakes) -> Vec<PipelineTest> {
    let mut tests: Vec<PipelineTest> = Vec::new();
    let source = mistakes.source().clone();
    for (place, test) in raw.unwrap_or_default().into_iter().enumerate() {
        let path = ["tests", &place.to_string()];
        let (Some(test), Some(node)) = (test, source.node(&path)) else { continue };
        let span = node.entry("name").map_or(node.span, |entry| entry.value.span);
        let Some(name) = test.name else { continue };
        if tests.iter().any(|other| other.name == name) {
            let help = Some("give each test a name of its own".to_string());
            mistakes.add(Mistake::new(Some(span), format!("two tests are called `{name}`"), help));
        }
        if test.steps.as_ref().is_some_and(Vec::is_empty) {
            let help = Some("add a record and an `expect`".to_string());
            mistakes.at_key(&[&path[..], &["steps"]].concat(), format!("the test `{name}` has no steps"), help);
        }
        let nodes = node.child("steps");
        let mut steps = Vec::new();
        for (place, step) in test.steps.unwrap_or_default().into_iter().enumerate() {
            let node = nodes.and_then(|nodes| nodes.child(&place.to_string()));
            let (Some(step), Some(node)) = (step, node) else { continue };
            match action(step, node) {
                Ok(action) => steps.push(TestStep { span: node.span, action }),
                Err(mistake) => mistakes.add(mistake),
            }
        }
        tests.push(PipelineTest { name, span, steps });
    }
    tests
}

fn action(raw: RawStep, node: &Node) -> Result<TestAction, Mistake> {
    let has = |key: &str| node.entry(key).is_some();
    let is_record = OF_RECORD.into_iter().any(has);
    let is_expectation = has("expect") || has("expect_dead_letters");
    match (is_record, has("advance"), is_expectation) {
        (true, false, false) => record(raw, node).map(TestAction::Record),
        (false, true, false) => match raw.advance {
            Some(by) => Ok(TestAction::Advance(by.0)),
            // The schema has said what is wrong with it, unless there is nothing.
            None => match node.entry("advance").filter(|entry| entry.value.is_null()) {
                Some(entry) => Err(Mistake::new(Some(entry.key_span), "`advance` has no value", None)),
                None => Ok(TestAction::Advance(0)),
            },
        },
        (false, false, true) => expectation(node).map(TestAction::Expect),
        (false, false, false) => {
            let help = "write a record (`table`, `value`), `advance` or `expect`".to_string();
            Err(Mistake::new(Some(node.span), "a step without anything to do", Some(help)))
        }
        _ => {
            let help = "give each a step, a list item, of its own".to_string();
            let message = "a step is either a record, or `advance`, or `expect`";
            Err(Mistake::new(Some(node.span), message, Some(help)))
        }
    }
}

fn record(raw: RawStep, node: &Node) -> Result<TestRecord, Mistake> {
    let at = |span: Span, message: String, help: &str| Mistake::new(Some(span), message, Some(help.to_string()));
    let table = node.entry("table").filter(|entry| !entry.value.is_null());
    let Some(table) = table else {
        return Err(at(node.span, "a record without a `table`".into(), "write `table:` and its name in SQL"));
    };
    let Some(value) = node.entry("value") else {
        let is_known = |entry: &Entry| OF_RECORD.contains(&entry.key.as_str());
        if matches!(&node.value, Value::Mapping(entries) if !entries.iter().all(is_known)) {
            // A key that nobody knows, which is a mistake already, is most likely this one.
            return Ok(TestRecord::default());
        }
        let help = "write `value: {…}`, or `value: null` for a tombstone";
        return Err(at(node.span, "a record without a `value`".into(), help));
    };
    let no_json = |node: &Node| at(node.span, "JSON has no such number".into(), "write null, or a finite number");
    let value = TestValue::of_node(&value.value).map_err(no_json)?;
    let at_ms = match (raw.at, node.entry("at")) {
        (Some(text), Some(entry)) => Some(instant_ms(&text).ok_or_else(|| {
            at(entry.value.span, format!("`{text}` is not an instant"), "write 2025-01-01T00:00:00Z, or ms since 1970")
        })?),
        _ => None,
    };
    let bytes = |node: &Node| -> Result<Option<Vec<u8>>, Mistake> {
        match TestValue::of_node(node).map_err(no_json)? {
            TestValue::Null => Ok(None),
            _ if node.text().is_some() => Ok(node.text().map(|text| text.as_bytes().to_vec())),
            value => Ok(Some(value.to_json().into_bytes())),
        }
    };
    let headers = node.child("headers").map_or(&[][..], |headers| match &headers.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    });
    Ok(TestRecord {
        table: raw.table.unwrap_or_default(),
        table_span: table.value.span,
        key: node.child("key").map(bytes).transpose()?.flatten(),
        value: (!matches!(value, TestValue::Null)).then(|| value.to_json().into_bytes()),
        at_ms,
        partition: raw.partition.unwrap_or(0),
        headers: headers.iter().map(|entry| Ok((entry.key.clone(), bytes(&entry.value)?))).collect::<Result<_, _>>()?,
    })
}

/// Ms since the epoch.
fn instant_ms(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| Some(string_to_timestamp_nanos(text).ok()?.div_euclid(1_000_000)))
}

fn expectation(node: &Node) -> Result<Expectation, Mistake> {
    let list = |key: &str| -> Result<Option<ExpectedList>, Mistake> {
        let Some(entry) = node.entry(key) else { return Ok(None) };
        let items = match &entry.value.value {
            Value::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        let no_json = |node: &Node| Mistake::new(Some(node.span), "JSON has no such number", None);
        let field = |entry: &Entry| (entry.value.span != entry.key_span).then_some(entry.value.span);
        let item = |item: &Node| {
            let fields = match &item.value {
                Value::Mapping(entries) => entries.iter().map(field).collect(),
                _ => Vec::new(),
            };
            Ok(ExpectedItem { value: TestValue::of_node(item).map_err(no_json)?, span: item.span, fields })
        };
        let items = items.iter().map(item).collect::<Result<_, _>>()?;
        Ok(Some(ExpectedList { key_span: entry.key_span, span: entry.value.span, items }))
    };
    Ok(Expectation { rows: list("expect")?, dead_letters: list("expect_dead_letters")? })
}
