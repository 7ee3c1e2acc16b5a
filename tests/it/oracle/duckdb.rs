//! The engine against DuckDB, over thousands of random histories: SEMANTICS 7 by an outside judge, which is asked about all
//! of them at once. What fails is shrunk.

mod histories;
mod queries;

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;
use tempfile::TempDir;

use super::runner;
use crate::cli::pipelines::{has_python, script};
use crate::joins::engine::{Engine, Planned, START_MS, results};
use histories::{Entry, shown};
use queries::Question;

/// Histories that each query is asked.
const HISTORIES: usize = 160;
/// How often a history that fails is made smaller.
const ROUNDS_MAX: usize = 40;

/// What comes out of a history, in any order.
type Rows = Vec<String>;

/// A history and the question that it is asked (its place among all).
#[derive(Clone, Debug)]
struct Case {
    question: usize,
    entries: Vec<Entry>,
}

#[test]
fn engine_and_duckdb_agree_on_thousands_of_histories() {
    if !has_python() {
        return;
    }
    let questions = queries::all();
    let planned: Vec<Planned> = questions.iter().map(|question| Planned::of(&question.yaml())).collect();
    let cases = some_cases(&questions);
    assert!(cases.len() >= 2000, "only {} histories", cases.len());
    let judged = judge(&questions, &cases);
    let mut rows = vec![0; questions.len()];
    for (case, expected) in cases.iter().zip(&judged) {
        let actual = came_out(&planned[case.question], case);
        if actual.as_ref() != Ok(expected) {
            let case = shrunk(&questions, &planned, case.clone());
            let expected = judge(&questions, std::slice::from_ref(&case)).remove(0);
            let actual = came_out(&planned[case.question], &case);
            let (question, history) = (&questions[case.question], shown(&case.entries));
            panic!("{}\n{history}DuckDB says {expected:#?}\nthe engine says {actual:#?}", question.yaml());
        }
        rows[case.question] += expected.len();
    }
    for (question, rows) in questions.iter().zip(rows) {
        assert!(rows > HISTORIES / 4, "only {rows} rows came out of {}", question.sql());
    }
}

/// The histories that each query is asked; the same every time.
fn some_cases(questions: &[Question]) -> Vec<Case> {
    let mut runner = runner(1);
    let mut cases = Vec::new();
    for (question, Question { kind, .. }) in questions.iter().enumerate() {
        let strategy = histories::histories(*kind);
        let mut history = || strategy.new_tree(&mut runner).expect("nothing is filtered").current();
        cases.extend((0..HISTORIES).map(|_| Case { question, entries: history() }));
    }
    cases
}

/// What the engine gives, and that nothing of it was late or rejected.
fn came_out(planned: &Planned, case: &Case) -> Result<Rows, String> {
    let mut engine = Engine::new(planned);
    engine.clock().advance_ms(histories::WALL_MS);
    // Partitions of which nothing has come yet hold time back, so that none of their rows is late.
    let events =
        ["d", "s", "t"].into_iter().filter(|table| planned.plan.tables.iter().any(|known| known.name == *table));
    events.for_each(|table| engine.set_partitions(table, &[(0, false), (1, false)]));
    let mut rows = Vec::new();
    for cut in case.entries.split(|entry| matches!(entry, Entry::Cut)).filter(|cut| !cut.is_empty()) {
        let records: Vec<_> = cut.iter().filter_map(|entry| entry.record(START_MS)).collect();
        let records: Vec<_> = records.into_iter().filter(|record| engine.reads(&record.table)).collect();
        let outcome = engine.cut(&records).map_err(|error| error.to_string())?;
        let late: u64 = outcome.report.late.iter().sum();
        if late > 0 || !outcome.dead_letters.is_empty() {
            return Err(format!("{late} late rows, dead letters: {:?}", outcome.dead_letters));
        }
        rows.extend(results(&outcome).into_iter().map(|row| row.value));
    }
    rows.sort();
    Ok(rows)
}

/// What DuckDB gives for each.
fn judge(questions: &[Question], cases: &[Case]) -> Vec<Rows> {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file can be written");
    let mut tables = histories::tables();
    for (number, case) in cases.iter().enumerate() {
        for (place, entry) in case.entries.iter().enumerate() {
            if let Some((table, row)) = entry.row(place) {
                let text = tables.get_mut(table).expect("one of the tables");
                writeln!(text, "{},{number},{row}", case.question).expect("strings take all");
            }
        }
    }
    tables.iter().for_each(|(table, text)| write(&format!("{table}.csv"), text));
    let asked: Vec<String> = questions.iter().map(Question::judged).collect();
    write("queries.json", &serde_json::to_string(&asked).expect("texts are JSON"));
    script("oracle_histories.py", &[folder.path().to_str().expect("UTF-8").to_string()]);
    let mut judged = vec![Rows::new(); cases.len()];
    for question in 0..questions.len() {
        let path = folder.path().join(format!("answer-{question}.ndjson"));
        for line in std::fs::read_to_string(path).expect("an answer").lines() {
            let mut row: BTreeMap<usize, _> = ordered(line);
            let (_, history) = row.remove(&0).expect("the first column");
            let row: serde_json::Map<String, Value> = row.into_values().collect();
            judged[history.as_u64().expect("a number") as usize].push(Value::Object(row).to_string());
        }
    }
    judged.iter_mut().for_each(|rows| rows.sort());
    judged
}

/// The columns of a row, by their places.
fn ordered(line: &str) -> BTreeMap<usize, (String, Value)> {
    let row: serde_json::Map<String, Value> = serde_json::from_str(line).expect("DuckDB writes JSON");
    row.into_iter().enumerate().collect()
}

/// The smallest history found that fails: of all that lack some of its entries, the first that still does, and so on.
fn shrunk(questions: &[Question], planned: &[Planned], mut case: Case) -> Case {
    for _ in 0..ROUNDS_MAX {
        let smaller = smaller(&case);
        let judged = judge(questions, &smaller);
        let fails = |(case, expected): &(Case, Rows)| came_out(&planned[case.question], case).as_ref() != Ok(expected);
        match smaller.into_iter().zip(judged).find(fails) {
            Some((smaller, _)) => case = smaller,
            None => break,
        }
    }
    case
}

/// The history without half of it, a quarter, … and each single entry.
fn smaller(case: &Case) -> Vec<Case> {
    let count = case.entries.len();
    let lengths = std::iter::successors(Some(count / 2), |length| (*length > 1).then_some(length / 2));
    let without = |(first, length): (usize, usize)| {
        let mut entries = case.entries.clone();
        entries.drain(first..(first + length).min(count));
        Case { question: case.question, entries }
    };
    let places = |length: usize| (0..count).step_by(length.max(1)).map(move |first| (first, length.max(1)));
    lengths.flat_map(places).map(without).collect()
}

#[test]
fn a_smaller_history_lacks_one_part() {
    let case = Case { question: 0, entries: vec![Entry::Cut; 5] };
    let lengths: Vec<_> = smaller(&case).iter().map(|case| case.entries.len()).collect();
    assert_eq!(lengths, [3, 3, 4, 4, 4, 4, 4, 4]);
}
