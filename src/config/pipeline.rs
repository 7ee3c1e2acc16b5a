//! A pipeline: one YAML file, checked as far as that goes without looking into its SQL.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::Deserialize;

use super::emission::{self, EmissionRules};
use super::mistakes::Mistakes;
use super::raw_pipeline::{RawBatch, RawDimension, RawEvents, RawOutput, RawPipeline, RawSource};
use super::settings::{WORD_LETTERS_MAX, check_word, word_mistake};
use super::source_file::SourceFile;
use super::types::type_name;
use super::{columns, schema};

/// Records larger than this can't be asked for: with a batch of them, arenas stay below their 4 GiB.
const RECORD_BYTES_MAX: u64 = 64 << 20;
/// What a dead-letter topic is called after the output topic.
const DEAD_LETTER_SUFFIX: &str = ".dlq";
/// The largest batch, bytes.
const BATCH_BYTES_MAX: u64 = 1 << 30;
/// The longest wait for a fuller batch, ms.
const BATCH_WAIT_MS_MAX: i64 = 60_000;
/// A row's lateness where the pipeline doesn't say, ms; a shorter ttl counts instead.
const LATENESS_MS: i64 = 60_000;

/// One pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name: in its consumer group, metrics and logs.
    pub name: String,
    /// Its file, for mistakes that are found later.
    pub file: Arc<SourceFile>,
    /// The SQL.
    pub query: String,
    /// What is said about tables, by their names in SQL.
    pub sources: BTreeMap<String, SourceTable>,
    /// Where results go.
    pub output: Output,
    /// When results come out.
    pub emission: EmissionRules,
    /// Time in event tables.
    pub events: EventRules,
    /// The dimension tables.
    pub dimensions: Vec<Dimension>,
    /// How large a batch may grow.
    pub batch: BatchLimits,
    /// What happens to records that can't be processed.
    pub on_error: OnError,
    /// The largest record that is decoded, bytes.
    pub max_record_bytes: usize,
    /// What was found in the file that does not keep it from being used; later stages add to a clone of it.
    pub warnings: Mistakes,
}

/// What `sources:` says about a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceTable {
    /// The topic, where it is not called like the table.
    pub topic: Option<String>,
    /// The declared columns, in their order.
    pub schema: Option<Vec<(String, DataType)>>,
    /// The column that is a row's time.
    pub event_time: Option<String>,
}

/// Where results go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The topic of the results.
    pub topic: String,
    /// The output column that is the record's key.
    pub key: Option<String>,
    /// The topic of what can't be processed.
    pub dead_letter: String,
    /// Columns and types that the result is checked against and cast to.
    pub schema: Option<Vec<(String, DataType)>>,
}

/// Time in event tables (SEMANTICS 4).
#[derive(Clone, Debug, PartialEq)]
pub struct EventRules {
    /// `state.events.default_ttl`, ms.
    pub default_ttl_ms: Option<i64>,
    /// The pipeline's `window`, ms.
    pub window_ms: Option<i64>,
    /// The ttl of single tables, ms.
    pub overrides_ms: BTreeMap<String, i64>,
    /// How far behind its table's time a row may be before it is late, ms.
    pub lateness_ms: Option<i64>,
    /// How long a partition read to its end holds its table's time back, ms.
    pub idle_timeout_ms: i64,
    /// How far an `event_time` may lie ahead of its record's timestamp, ms.
    pub max_future_ms: i64,
}

impl EventRules {
    /// How long rows of `table` live, ms (SEMANTICS 4.1).
    pub fn ttl_ms(&self, table: &str, process_ttl_ms: i64) -> i64 {
        let own = self.overrides_ms.get(table).copied();
        own.or(self.default_ttl_ms).or(self.window_ms).unwrap_or(process_ttl_ms)
    }

    /// How far behind its table's time a row may be before it is late, ms (SEMANTICS 4.2).
    pub fn lateness_ms(&self, ttl_ms: i64) -> i64 {
        self.lateness_ms.unwrap_or(LATENESS_MS.min(ttl_ms))
    }
}

/// A dimension table.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its name in SQL.
    pub table: String,
    /// The columns that name a row.
    pub key: Option<Vec<String>>,
}

/// How large a batch may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub max_records: usize,
    /// Bytes of keys and values.
    pub max_bytes: usize,
    /// How long to wait for more, ms; 0 never waits when there is work.
    pub max_wait_ms: u64,
}

/// What happens to records that can't be processed (SEMANTICS 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// They go to the dead-letter topic.
    DeadLetter,
    /// They are counted.
    Skip,
    /// The pipeline stops at the first.
    Fail,
}

/// What becomes of a row that has waited too long for what it lacks (SEMANTICS 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// It is counted.
    Drop,
    /// It comes out as it is.
    Emit,
    /// It goes to the dead-letter topic.
    DeadLetter,
}

/// Reads a pipeline's file.
///
/// # Errors
/// Everything wrong in it that shows without looking into the SQL.
pub fn load_pipeline(path: &Path) -> Result<Pipeline, Mistakes> {
    let name = path.display().to_string();
    let text = SourceFile::read(path)?;
    parse_pipeline(&name, text, &|variable| std::env::var(variable).ok())
}

/// Reads the text of a pipeline's file called `file`, with `env` as the environment.
///
/// # Errors
/// Everything wrong in it that shows without looking into the SQL.
pub fn parse_pipeline(file: &str, text: String, env: &dyn Fn(&str) -> Option<String>) -> Result<Pipeline, Mistakes> {
    let mut mistakes = SourceFile::parse(file, text, env);
    if mistakes.is_fatal() && mistakes.source().tree().is_none() {
        return Err(mistakes);
    }
    let raw: RawPipeline = schema::read(&mut mistakes, "the pipeline", str::to_string);
    let pipeline = check(raw, &mut mistakes);
    if mistakes.is_fatal() { Err(mistakes) } else { Ok(Pipeline { warnings: mistakes, ..pipeline }) }
}

/// The pipeline; what is a mistake stands at its default, and is not used.
fn check(raw: RawPipeline, mistakes: &mut Mistakes) -> Pipeline {
    if let Some(name) = &raw.name {
        check_word(mistakes, &["name"], name, "a pipeline's name");
    }
    if raw.query.as_ref().is_some_and(|query| query.trim().is_empty()) {
        mistakes.at_key(&["query"], "`query` is empty", Some("write the SQL below it".to_string()));
    }
    if raw.copartitioned == Some(true) {
        let help = Some("leave it out".to_string());
        mistakes.at(&["copartitioned"], "`copartitioned: true` comes with a later version", help);
    }
    let emission = emission::read(raw.emission.unwrap_or_default(), mistakes);
    let sources = check_sources(raw.sources.unwrap_or_default(), mistakes);
    let output = check_output(raw.output.unwrap_or_default(), &sources, mistakes);
    let tables = raw.state.unwrap_or_default();
    let dimensions = check_dimensions(tables.dimensions.unwrap_or_default(), mistakes);
    let events = check_events(tables.events.unwrap_or_default(), raw.window.map(|window| window.0), mistakes);
    check_overrides(&events, &dimensions, mistakes);
    let record_bytes = raw.max_record_bytes.map_or(1 << 20, |size| size.0);
    check_size(mistakes, &["max_record_bytes"], record_bytes, RECORD_BYTES_MAX, "64MiB");
    Pipeline {
        name: raw.name.unwrap_or_default(),
        query: raw.query.unwrap_or_default(),
        sources,
        output,
        emission,
        events,
        dimensions,
        batch: check_batch(raw.batch.unwrap_or_default(), mistakes),
        on_error: raw.on_error.unwrap_or(OnError::DeadLetter),
        max_record_bytes: record_bytes as usize,
        file: mistakes.source().clone(),
        warnings: Mistakes::new(mistakes.source().clone()),
    }
}

fn check_sources(raw: BTreeMap<String, RawSource>, mistakes: &mut Mistakes) -> BTreeMap<String, SourceTable> {
    let mut sources = BTreeMap::new();
    for (table, source) in raw {
        match &source.topic {
            Some(topic) => check_word(mistakes, &["sources", &table, "topic"], topic, "a topic"),
            None if mistakes.source().node(&["sources", &table, "topic"]).is_none() => {
                if let Some(message) = word_mistake(&table, "a topic") {
                    let help =
                        format!("a table without `topic:` is read from the topic called like it; give `{table}` one");
                    mistakes.at_key(&["sources", &table], message, Some(help));
                }
            }
            None => {}
        }
        let columns = columns::read(mistakes, &["sources", &table, "schema"]);
        if let (Some(columns), Some(event_time)) = (&columns, &source.event_time) {
            check_event_time(&table, event_time, columns, mistakes);
        }
        sources.insert(table, SourceTable { topic: source.topic, schema: columns, event_time: source.event_time });
    }
    sources
}

fn check_event_time(table: &str, event_time: &str, columns: &[(String, DataType)], mistakes: &mut Mistakes) {
    let path = ["sources", table, "event_time"];
    match columns.iter().find(|(name, _)| name == event_time) {
        Some((_, DataType::Timestamp(_, _) | DataType::Null)) => {}
        Some((_, other)) => {
            let message = format!("`{event_time}` is of type {}, but a row's time is a timestamp", type_name(other));
            let help =
                format!("declare `{event_time}: timestamp`; timestamp(s), (us) or (ns) if its numbers aren't ms");
            mistakes.at(&path, message, Some(help));
        }
        None => {
            let help = match schema::nearest(event_time, columns.iter().map(|(name, _)| name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `{event_time}: timestamp` to it"),
            };
            mistakes.at(&path, format!("`{event_time}` is not a column of the schema of `{table}`"), Some(help));
        }
    }
}

/// The table that is read from `topic`, as far as `sources:` says.
fn reader<'s>(sources: &'s BTreeMap<String, SourceTable>, topic: &str) -> Option<&'s String> {
    sources.iter().find(|(table, source)| source.topic.as_ref().unwrap_or(table) == topic).map(|(table, _)| table)
}

fn check_dead_letter(
    topic: &str,
    given: Option<&str>,
    sources: &BTreeMap<String, SourceTable>,
    mistakes: &mut Mistakes,
) {
    let dead_letter = given.map_or_else(|| format!("{topic}{DEAD_LETTER_SUFFIX}"), str::to_string);
    let path = if given.is_some() { ["output", "dead_letter"] } else { ["output", "topic"] };
    if given.is_some() {
        check_word(mistakes, &path, &dead_letter, "a topic");
    } else if dead_letter.len() > WORD_LETTERS_MAX && topic.len() <= WORD_LETTERS_MAX {
        let help = Some("name it: `dead_letter: …`".to_string());
        mistakes.at(
            &path,
            format!("the name of the dead-letter topic, with `{DEAD_LETTER_SUFFIX}`, gets too long"),
            help,
        );
    }
    if dead_letter == topic {
        let help = Some(format!("leave it out, and it is `{topic}{DEAD_LETTER_SUFFIX}`"));
        mistakes.at(&path, "dead letters can't go to the topic of the results", help);
    } else if let Some(table) = reader(sources, &dead_letter) {
        let help = Some("name another `dead_letter`: bad records would be read again for ever".to_string());
        mistakes.at(&path, format!("the dead-letter topic `{dead_letter}` is also read, as the table `{table}`"), help);
    }
}

fn check_output(raw: RawOutput, sources: &BTreeMap<String, SourceTable>, mistakes: &mut Mistakes) -> Output {
    let dead_letter = raw.dead_letter.clone();
    if let Some(topic) = &raw.topic {
        check_word(mistakes, &["output", "topic"], topic, "a topic");
        check_dead_letter(topic, dead_letter.as_deref(), sources, mistakes);
        if let Some(table) = reader(sources, topic) {
            let help = Some("write to another topic: this one would feed itself for ever".to_string());
            mistakes.at(&["output", "topic"], format!("`{topic}` is also read, as the table `{table}`"), help);
        }
    }
    let topic = raw.topic.unwrap_or_default();
    let dead_letter = dead_letter.unwrap_or_else(|| format!("{topic}{DEAD_LETTER_SUFFIX}"));
    let columns = columns::read(mistakes, &["output", "schema"]);
    if let (Some(columns), Some(key)) = (&columns, &raw.key)
        && !columns.iter().any(|(name, _)| name == key)
    {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let help = match schema::nearest(key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its columns are {}", schema::one_of(&names).replace(" or ", " and ")),
        };
        mistakes.at(&["output", "key"], format!("`{key}` is not a column of the output's schema"), Some(help));
    }
    Output { topic, key: raw.key, dead_letter, schema: columns }
}

fn check_dimensions(raw: Vec<Option<RawDimension>>, mistakes: &mut Mistakes) -> Vec<Dimension> {
    let mut dimensions: Vec<Dimension> = Vec::with_capacity(raw.len());
    for (index, dimension) in raw.into_iter().enumerate() {
        let index = index.to_string();
        let path = ["state", "dimensions", &index];
        let dimension = match dimension {
            Some(RawDimension::Name(table)) => Dimension { table, key: None },
            Some(RawDimension::Keyed(keyed)) => {
                let Some(table) = keyed.table else { continue };
                Dimension { table, key: check_key(keyed.key, &path, mistakes) }
            }
            None => continue,
        };
        if dimensions.iter().any(|other| other.table == dimension.table) {
            let help = Some("keep one of them".to_string());
            mistakes.at(&path, format!("the dimension `{}` is listed twice", dimension.table), help);
            continue;
        }
        dimensions.push(dimension);
    }
    dimensions
}

fn check_key(raw: Option<Vec<Option<String>>>, path: &[&str], mistakes: &mut Mistakes) -> Option<Vec<String>> {
    let columns = raw?;
    let key_path = [path, &["key"]].concat();
    if columns.is_empty() {
        let help = Some("name the columns, or leave `key` out".to_string());
        mistakes.at(&key_path, "the key names no column", help);
    }
    let mut key: Vec<String> = Vec::with_capacity(columns.len());
    for (index, column) in columns.into_iter().enumerate() {
        let Some(column) = column else { continue };
        if key.contains(&column) {
            let index = index.to_string();
            let place = [&key_path[..], &[index.as_str()]].concat();
            mistakes.at(&place, format!("the key names `{column}` twice"), Some("keep one of them".to_string()));
        } else {
            key.push(column);
        }
    }
    Some(key)
}

fn check_events(raw: RawEvents, window_ms: Option<i64>, mistakes: &mut Mistakes) -> EventRules {
    let rules = EventRules {
        default_ttl_ms: raw.default_ttl.map(|ttl| ttl.0),
        window_ms,
        overrides_ms: raw.overrides.unwrap_or_default().into_iter().map(|(table, ttl)| (table, ttl.0)).collect(),
        lateness_ms: raw.lateness.map(|lateness| lateness.0),
        idle_timeout_ms: raw.idle_timeout.map_or(30_000, |timeout| timeout.0),
        max_future_ms: raw.max_future.map_or(3_600_000, |future| future.0),
    };
    if rules.window_ms == Some(0) {
        refuse_zero_ttl(mistakes, &["window"]);
    }
    if rules.default_ttl_ms == Some(0) {
        refuse_zero_ttl(mistakes, &["state", "events", "default_ttl"]);
    }
    if rules.idle_timeout_ms == 0 {
        let help = Some("write `30s`, the default".to_string());
        let message = "`idle_timeout` can't be zero: a partition would cease to count between two records";
        mistakes.at(&["state", "events", "idle_timeout"], message, help);
    }
    if rules.window_ms.is_some() && rules.default_ttl_ms.is_some() && rules.window_ms != rules.default_ttl_ms {
        let message = "`window` has no effect: `state.events.default_ttl` counts instead";
        mistakes.warn_at_key(&["window"], message, Some("keep one of them".to_string()));
    }
    rules
}

fn check_overrides(events: &EventRules, dimensions: &[Dimension], mistakes: &mut Mistakes) {
    for (table, ttl_ms) in &events.overrides_ms {
        let path = ["state", "events", "overrides", table];
        if dimensions.iter().any(|dimension| dimension.table == *table) {
            let help = "leave one of them out: rows of a dimension never expire".to_string();
            mistakes.at_key(&path, format!("`{table}` is a dimension, which has no ttl"), Some(help));
        } else if *ttl_ms == 0 {
            refuse_zero_ttl(mistakes, &path);
        }
    }
}

/// Adds the mistake of a ttl of zero.
pub(super) fn refuse_zero_ttl(mistakes: &mut Mistakes, path: &[&str]) {
    let help = "rows would be gone before anything could be joined with them; write `1h`, for instance".to_string();
    mistakes.at(path, "a ttl can't be zero", Some(help));
}

fn check_batch(raw: RawBatch, mistakes: &mut Mistakes) -> BatchLimits {
    let max_bytes = raw.max_bytes.map_or(16 << 20, |size| size.0);
    check_size(mistakes, &["batch", "max_bytes"], max_bytes, BATCH_BYTES_MAX, "1GiB");
    let max_wait_ms = raw.max_wait.map_or(0, |wait| wait.0);
    if max_wait_ms > BATCH_WAIT_MS_MAX {
        let help = Some("write `0ms` to never wait when there is work".to_string());
        mistakes.at(&["batch", "max_wait"], "a batch can't wait longer than 1m", help);
    }
    BatchLimits {
        max_records: raw.max_records.unwrap_or(10_000) as usize,
        max_bytes: max_bytes as usize,
        max_wait_ms: max_wait_ms as u64,
    }
}

fn check_size(mistakes: &mut Mistakes, path: &[&str], bytes: u64, bytes_max: u64, most: &str) {
    if !(1..=bytes_max).contains(&bytes) {
        let key = path.last().copied().unwrap_or_default();
        let message = format!("`{key}` can't be {bytes} bytes");
        mistakes.at(path, message, Some(format!("write a size from 1 to {most}")));
    }
}
