//! One test: a pipeline with empty state, one record a cut, and a clock that moves when the test says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::difference::{Change, difference, matches};
use crate::batch::{Cut, DeadLetter, Outcome, Position, TableId};
use crate::clock::{Clock, Stopwatch};
use crate::config::{
    Expectation, ExpectedItem, ExpectedList, OnError, Pipeline, PipelineTest, Span, TestAction, TestRecord, TestValue,
};
use crate::engine::{DecodeStage, JoinStage};
use crate::error::Result;
use crate::plan::Plan;
use crate::source::RawBatchBuilder;

/// Where the wall clock starts, unless the first record of the test has an `at`: 2025-01-01T00:00:00Z, ms since the epoch.
const START_MS: i64 = 1_735_689_600_000;

/// What became of a test.
pub(super) struct Tested {
    /// Its name.
    pub(super) name: String,
    /// Where its name stands.
    pub(super) span: Span,
    /// What went wrong.
    pub(super) failures: Vec<Failure>,
    /// How long it took.
    pub(super) took: Duration,
    /// Whether the file was changed to what came out.
    pub(super) updated: bool,
}

/// Something that went wrong.
pub(super) struct Failure {
    /// The step, or the row.
    pub(super) span: Span,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// Where a list differs: what, and the list.
    pub(super) list: Option<WrongList>,
}

/// A list of the test that is not what came out.
pub(super) struct WrongList {
    /// As the file says.
    pub(super) expected: ExpectedList,
    /// What came out.
    pub(super) actual: Vec<TestValue>,
    /// How the one becomes the other.
    pub(super) changes: Vec<Change>,
}

/// Runs a test from empty state.
pub(super) fn run_test(plan: &Arc<Plan>, pipeline: &Pipeline, test: &PipelineTest) -> Tested {
    let watch = Stopwatch::start();
    let mut session = Session::new(plan, pipeline, test);
    let mut failures = Vec::new();
    for step in &test.steps {
        let done = match &step.action {
            TestAction::Record(record) => session.record(record),
            TestAction::Advance(by_ms) => session.advance(*by_ms),
            TestAction::Expect(expectation) => {
                session.expect(expectation, &mut failures);
                Ok(())
            }
        };
        if let Err(error) = done {
            failures.push(Failure::new(step.span, format!("the pipeline stopped here: {error}")));
            break;
        }
    }
    if let Some(last) = test.steps.last().filter(|last| !matches!(last.action, TestAction::Expect(_))) {
        let failure = Failure::new(last.span, "nothing says what must come out after this step");
        failures.push(failure.help("add `- expect: […]` behind it; `- expect: []` if nothing may come out"));
    }
    session.unexpected_letters(test, &mut failures);
    Tested { name: test.name.clone(), span: test.span, failures, took: watch.elapsed(), updated: false }
}

impl Failure {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, list: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A pipeline under test.
struct Session {
    plan: Arc<Plan>,
    clock: Clock,
    decode: DecodeStage,
    join: JoinStage,
    /// The next offset of each partition.
    offsets: BTreeMap<(TableId, i32), i64>,
    /// Rows that no `expect` has seen.
    rows: Vec<TestValue>,
    /// Dead letters that no `expect_dead_letters` has seen, and the step of each.
    letters: Vec<(DeadLetter, usize)>,
    steps: usize,
}

impl Session {
    fn new(plan: &Arc<Plan>, pipeline: &Pipeline, test: &PipelineTest) -> Self {
        // Whatever becomes of a bad record, a test is told of it.
        let pipeline = Pipeline { on_error: OnError::DeadLetter, ..pipeline.clone() };
        let first = test.steps.iter().find_map(|step| match &step.action {
            TestAction::Record(record) => Some(record),
            _ => None,
        });
        let clock = Clock::standing_at(first.and_then(|record| record.at_ms).unwrap_or(START_MS));
        Self {
            decode: DecodeStage::new(Arc::clone(plan), pipeline.on_error),
            join: JoinStage::new(Arc::clone(plan), &pipeline, clock.clone()),
            plan: Arc::clone(plan),
            clock,
            offsets: BTreeMap::new(),
            rows: Vec::new(),
            letters: Vec::new(),
            steps: 0,
        }
    }

    /// A record is a cut of its own, after which all is read.
    fn record(&mut self, record: &TestRecord) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let at_ms = record.at_ms.unwrap_or(now_ms);
        self.clock.advance_ms((at_ms - now_ms).max(0));
        let table = self.plan.tables.iter().find(|table| table.name == record.table);
        let table = table.expect("BUG: a pipeline whose tests have unknown tables was loaded").id;
        let next = self.offsets.entry((table, record.partition)).or_default();
        let mut batch = RawBatchBuilder::new(table);
        batch.push(record.key.as_deref(), record.value.as_deref(), record.partition, *next, at_ms);
        if !record.headers.is_empty() {
            batch.push_headers(record.headers.clone());
        }
        *next += 1;
        self.cut(Cut { batches: batch.take().into_iter().collect(), ..Cut::default() })
    }

    fn advance(&mut self, by_ms: i64) -> Result<()> {
        self.clock.advance_ms(by_ms);
        self.cut(Cut { stream_time_ms: Some(self.clock.now_ms()), ..Cut::default() })
    }

    fn cut(&mut self, cut: Cut) -> Result<()> {
        let events = self.offsets.iter().filter(|((table, _), _)| table.index() < self.plan.events.len());
        let positions = events.map(|(&(table, partition), &offset)| Position { table, partition, offset });
        let cut = Cut { positions: positions.collect(), at_end: true, ..cut };
        let step = self.steps;
        self.steps += 1;
        let (rows, letters) = (&mut self.rows, &mut self.letters);
        self.join.process(self.decode.decode(cut)?, &mut |outcome: Outcome| {
            for batch in &outcome.records {
                let values = (0..batch.values.len()).filter_map(|row| batch.values.get(row));
                rows.extend(values.map(|value| TestValue::from_json(value).expect("BUG: a result is not JSON")));
            }
            letters.extend(outcome.dead_letters.into_iter().map(|letter| (letter, step)));
            Ok(())
        })
    }

    fn expect(&mut self, expectation: &Expectation, failures: &mut Vec<Failure>) {
        if let Some(expected) = &expectation.rows {
            let actual = std::mem::take(&mut self.rows);
            failures.extend(compare(expected, actual, "row", &|one, other| one == other));
        }
        if let Some(expected) = &expectation.dead_letters {
            let actual = std::mem::take(&mut self.letters);
            let actual = actual.into_iter().map(|(letter, _)| TestValue::Text(letter.error)).collect();
            failures.extend(compare(expected, actual, "dead letter", &|expected, actual| match (expected, actual) {
                (TestValue::Text(part), TestValue::Text(reason)) => reason.contains(part.as_str()),
                (TestValue::Null, _) => false,
                (other, TestValue::Text(reason)) => reason.contains(&other.to_json()),
                _ => false,
            }));
        }
        self.steps += 1;
    }

    fn unexpected_letters(self, test: &PipelineTest, failures: &mut Vec<Failure>) {
        for (letter, step) in self.letters {
            let span = test.steps.get(step).map_or(test.span, |step| step.span);
            let table = self.plan.tables.iter().find(|table| table.topic == letter.topic);
            let table = table.map_or(letter.topic.as_str(), |table| table.name.as_str());
            let message = format!("`{table}`: {}: {}", letter.stage.name(), letter.error);
            let failure = Failure::new(span, format!("a dead letter that is not expected: {message}"));
            failures.push(failure.help("if it is meant, add `- expect_dead_letters: [a part of the reason]`"));
        }
    }
}

impl ExpectedItem {
    /// The first field that differs, or the row.
    fn differs_at(&self, actual: &TestValue) -> Span {
        let fields = self.value.fields().unwrap_or_default().iter().zip(&self.fields);
        let mut differing = fields.filter(|((name, value), _)| actual.field(name) != Some(value));
        differing.find_map(|(_, span)| *span).unwrap_or(self.span)
    }
}

fn compare(
    expected: &ExpectedList,
    actual: Vec<TestValue>,
    what: &str,
    same: &dyn Fn(&TestValue, &TestValue) -> bool,
) -> Option<Failure> {
    let values: Vec<&TestValue> = expected.items.iter().map(|item| &item.value).collect();
    let changes = difference(&values, &actual, same);
    if matches(&changes) {
        return None;
    }
    let count = |count: usize| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let first = changes.iter().find_map(|change| match change {
        Change::Same(..) => None,
        Change::Changed(place, came) => Some(expected.items[*place].differs_at(&actual[*came])),
        Change::Missing(place) => Some(expected.items[*place].span),
        Change::Unexpected(_) => Some(expected.key_span),
    });
    let message = match (values.len(), actual.len()) {
        (1, 1) => format!("another {what} came out than expected"),
        (wanted, came) if wanted == came => format!("other {what}s came out than expected"),
        (wanted, came) => format!("expected {}, and {} came out", count(wanted), count(came)),
    };
    let lacks_nulls = changes.iter().find_map(|change| match change {
        Change::Changed(place, came) => only_nulls_left_out(values[*place], &actual[*came]),
        _ => None,
    });
    let help = lacks_nulls.map(|columns| format!("a row names all its columns: add {columns}"));
    let list = Some(WrongList { expected: expected.clone(), actual, changes });
    Some(Failure { span: first.unwrap_or(expected.span), message, help, list })
}

/// The columns that `expected` leaves out, if all of them are NULL in `actual` and nothing else differs.
fn only_nulls_left_out(expected: &TestValue, actual: &TestValue) -> Option<String> {
    let (expected, actual) = (expected.fields()?, actual.fields()?);
    let given = |name: &str| expected.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let is_column = |(name, _): &(String, TestValue)| actual.iter().any(|(other, _)| other == name);
    let agrees = |(name, value): &(String, TestValue)| match given(name) {
        Some(expected) => expected == value,
        None => *value == TestValue::Null,
    };
    let left_out = actual.iter().filter(|(name, _)| given(name).is_none());
    let left_out: Vec<String> = left_out.map(|(name, _)| format!("`{name}: null`")).collect();
    (expected.iter().all(is_column) && actual.iter().all(agrees)).then(|| left_out.join(", "))
}
