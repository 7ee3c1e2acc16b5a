//! A golden script: a pipeline, then records, batch borders and the clock, and behind each border what came out.
//!
//! ```text
//! # What it shows.
//! # tags: any-batch
//! name: pipeline          (YAML, up to the dashes)
//! ---
//! produce TABLE [key=K] [at=10s] [partition=1] [header=name:value] VALUE
//! tombstone TABLE [key=K] [at=10s] [partition=1]
//! cut                     (the records since the last one are one batch)
//! > K {"a":1}             (what came out: written by the test, read by people)
//! advance 5m              (moves the wall clock)
//! idle                    (a batch without records: all inputs are read to their ends)
//! end                     (the same, and stream time is over)
//! partitions TABLE 0,1 [ended 0]  (which partitions the batches from here on read, and which of them to their ends)
//! explain                 (prints the plan)
//! refuse QUERY            (prints why a query is refused)
//! ```
//!
//! VALUE is JSON as it stands; or `@hex ff00`, `@nested N` (N lists within each other), `@padded N` (a string of N
//! bytes). Tags: `any-batch`, `timestamps`, `parked` (what waits is counted), `forgotten` (so are rows that state forgot).
//! A key may be `@hex:ff00`. `at` counts from 2025-01-01T00:00:00Z, where the wall clock starts; without it a record is written now.

use kaflowsql::batch::{DeadLetter, Outcome, Parked, Stage};
use kaflowsql::config::Pipeline;
use kaflowsql::error::Error;

use super::engine::{Came, Engine, Passing, Planned, Record, START_MS, plan_pipeline, results};

/// A script.
pub struct Script {
    file: String,
    text: String,
}

enum Command {
    Take(Record),
    Cut,
    Advance(i64),
    Idle,
    End,
    Partitions(String, Vec<(i32, bool)>),
    Explain,
    Refuse(String),
}

/// Keys and values longer than this are cut in what is printed, bytes.
const SHOWN_BYTES_MAX: usize = 240;

impl Script {
    pub fn new(file: String, text: String) -> Self {
        Self { file, text }
    }

    /// Whether the script has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        let tags = self.text.lines().filter_map(|line| line.strip_prefix("# tags: "));
        tags.flat_map(str::split_whitespace).any(|word| word == tag)
    }

    /// Whether rows of several event tables meet, so that batch borders change their order.
    pub fn joins_events(&self) -> bool {
        let (yaml, _) = self.text.split_once("\n---\n").unwrap_or_else(|| panic!("{}: no line `---`", self.file));
        Planned::read(yaml, &[]).is_ok_and(|planned| planned.plan.events.len() > 1)
    }

    /// The script with what comes out now.
    pub fn run(&self) -> String {
        let (yaml, body) = self.text.split_once("\n---\n").unwrap_or_else(|| panic!("{}: no line `---`", self.file));
        let mut text = format!("{yaml}\n---\n");
        let lines = body.lines().enumerate().filter(|(_, line)| !line.starts_with('>'));
        let first_line = yaml.lines().count() + 2;
        let commands: Vec<_> = lines.map(|(number, line)| (line, self.command(line, first_line + number))).collect();
        let (pipeline, engine) = match self.start(yaml, commands.iter().filter_map(|(_, command)| command.as_ref())) {
            Ok(started) => started,
            Err(mistakes) => return text + &quoted(&mistakes) + &rest(&commands),
        };
        Run { script: self, pipeline, engine, pending: Vec::new() }.all(&commands, &mut text);
        text
    }

    fn start<'c>(&self, yaml: &str, commands: impl Iterator<Item = &'c Command>) -> Result<(Pipeline, Engine), String> {
        let samples = samples(commands);
        let planned = Planned::read(yaml, &samples)?;
        let engine = Engine::new(&planned);
        if let Some(record) = samples.iter().find(|record| !engine.reads(&record.table)) {
            panic!("{}: the query reads no table `{}`", self.file, record.table);
        }
        Ok((planned.pipeline, engine))
    }

    /// What comes out with a batch border after each record, and with none.
    pub fn run_with_other_borders(&self) -> [Came; 2] {
        let (yaml, body) = self.text.split_once("\n---\n").unwrap_or_else(|| panic!("{}: no line `---`", self.file));
        let commands: Vec<_> = body.lines().filter_map(|line| self.command(line, 0)).collect();
        let has_borders_only =
            |command: &Command| matches!(command, Command::Take(_) | Command::Cut | Command::Explain);
        let is_free = commands.iter().all(has_borders_only);
        assert!(is_free, "{}: where time passes between records, borders matter: not `any-batch`", self.file);
        let records = samples(commands.iter());
        [vec![1; records.len()], Vec::new()].map(|sizes| {
            let (_, mut engine) = self.start(yaml, commands.iter()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            engine.cuts(&records, &sizes)
        })
    }

    /// The same with the borders that the script writes.
    pub fn run_with_own_borders(&self) -> Came {
        let (yaml, body) = self.text.split_once("\n---\n").unwrap_or_else(|| panic!("{}: no line `---`", self.file));
        let commands: Vec<_> = body.lines().filter_map(|line| self.command(line, 0)).collect();
        let (_, mut engine) = self.start(yaml, commands.iter()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut sizes = vec![0];
        for command in &commands {
            match (command, sizes.last_mut()) {
                (Command::Take(_), Some(size)) => *size += 1,
                (Command::Cut, _) => sizes.push(0),
                _ => {}
            }
        }
        engine.cuts(&samples(commands.iter()), &sizes)
    }

    fn command(&self, line: &str, number: usize) -> Option<Command> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with(['#', '>']) {
            return None;
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match verb {
            "produce" => Command::Take(self.record(rest, number, true)),
            "tombstone" => Command::Take(self.record(rest, number, false)),
            "cut" => Command::Cut,
            "advance" => Command::Advance(milliseconds(rest)),
            "idle" => Command::Idle,
            "end" => Command::End,
            "partitions" => self.partitions(rest, number),
            "explain" => Command::Explain,
            "refuse" => Command::Refuse(rest.to_string()),
            _ => panic!("{}:{number}: `{verb}` is no command", self.file),
        })
    }

    fn partitions(&self, text: &str, number: usize) -> Command {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (table, all, ended) = match words[..] {
            [table, all] => (table, all, ""),
            [table, all, "ended", ended] => (table, all, ended),
            _ => panic!("{}:{number}: expected `partitions TABLE 0,1 [ended 0]`", self.file),
        };
        let ended: Vec<&str> = ended.split(',').collect();
        let states = all.split(',').map(|one| (one.parse().expect("a partition is a number"), ended.contains(&one)));
        Command::Partitions(table.to_string(), states.collect())
    }

    fn record(&self, text: &str, number: usize, has_value: bool) -> Record {
        let (table, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut record = Record { table: table.to_string(), timestamp_ms: i64::MIN, ..Record::default() };
        while let Some((name, _)) =
            rest.split_once('=').filter(|(name, _)| name.bytes().all(|it| it.is_ascii_lowercase()))
        {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            let value = &word[name.len() + 1..];
            match name {
                "key" => {
                    record.key =
                        Some(value.strip_prefix("@hex:").map_or_else(|| value.as_bytes().to_vec(), bytes_of_hex))
                }
                "at" => record.timestamp_ms = START_MS + milliseconds(value),
                "partition" => record.partition = value.parse().expect("a partition is a number"),
                "header" => {
                    let (name, value) = value.split_once(':').expect("a header is name:value");
                    record.headers.push((name.to_string(), Some(value.as_bytes().to_vec())));
                }
                _ => panic!("{}:{number}: a record has no `{name}`", self.file),
            }
            rest = after;
        }
        assert_eq!(
            has_value,
            !rest.is_empty(),
            "{}:{number}: `{text}`: a tombstone has no value, others have",
            self.file
        );
        record.value = has_value.then(|| value_of(rest));
        record
    }
}

/// A script while it runs.
struct Run<'s> {
    script: &'s Script,
    pipeline: Pipeline,
    engine: Engine,
    pending: Vec<Record>,
}

impl Run<'_> {
    fn all(mut self, commands: &[(&str, Option<Command>)], text: &mut String) {
        for (line, command) in commands {
            text.push_str(line.trim_end());
            text.push('\n');
            match command {
                Some(Command::Take(record)) => {
                    let now_ms = self.engine.clock().now_ms();
                    let timestamp_ms = if record.timestamp_ms == i64::MIN { now_ms } else { record.timestamp_ms };
                    self.pending.push(Record { timestamp_ms, ..record.clone() });
                }
                Some(Command::Cut) => {
                    let came = self.engine.cut(&std::mem::take(&mut self.pending));
                    text.push_str(&quoted(&self.shown(came)));
                }
                Some(Command::Idle) => self.pass(None, text),
                Some(Command::End) => self.pass(Some(i64::MAX), text),
                Some(Command::Partitions(table, states)) => self.engine.set_partitions(table, states),
                Some(Command::Advance(by_ms)) => self.engine.clock().advance_ms(*by_ms),
                Some(Command::Explain) => text.push_str(&quoted(&self.engine.plan().to_string())),
                Some(Command::Refuse(query)) => text.push_str(&quoted(&self.refusal(query))),
                None => {}
            }
        }
        assert!(self.pending.is_empty(), "{}: the last records are in no batch: write `cut`", self.script.file);
    }

    fn pass(&mut self, stream_time_ms: Option<i64>, text: &mut String) {
        assert!(self.pending.is_empty(), "{}: records before `idle` or `end` are in no batch", self.script.file);
        let came = self.engine.cut_with(&[], Passing { at_end: true, stream_time_ms });
        text.push_str(&quoted(&self.shown(came)));
    }

    fn refusal(&self, query: &str) -> String {
        let mut pipeline = self.pipeline.clone();
        pipeline.query = query.to_string();
        let read = kaflowsql::plan::parse(query).map(|query| kaflowsql::plan::tables_of(&query)).unwrap_or_default();
        pipeline.dimensions.retain(|dimension| read.contains(&dimension.table));
        pipeline.sources.retain(|name, _| read.contains(name));
        plan_pipeline(&pipeline, &[]).map_or_else(|mistakes| mistakes, |_| "accepted".to_string())
    }

    fn shown(&self, came: Result<Outcome, Error>) -> String {
        let outcome = match came {
            Ok(outcome) => outcome,
            Err(error) => return format!("the pipeline stops: {error}"),
        };
        let mut lines = Vec::new();
        for row in results(&outcome) {
            let at = match self.script.has_tag("timestamps") {
                true => format!(" at {}s", (row.timestamp_ms - START_MS) / 1000),
                false => String::new(),
            };
            lines.push(format!("{}{at} {}", row.key.as_deref().unwrap_or("(no key)"), row.value));
        }
        lines.extend(outcome.dead_letters.iter().map(shown_letter));
        let tables = self.engine.plan().tables.iter().zip(&outcome.report.tombstones);
        let tombstones = tables.filter(|(_, count)| **count > 0);
        lines.extend(tombstones.map(|(table, count)| format!("({} tombstones: {count})", table.name)));
        let late: u64 = outcome.report.late.iter().sum();
        if late > 0 {
            lines.push(format!("(late rows: {late})"));
        }
        if self.script.has_tag("parked") {
            let Parked { parked, completed, withdrawn, expired, waiting, .. } = outcome.report.parked;
            let counts = [parked, completed, withdrawn, expired, waiting];
            let names = ["parked", "completed", "withdrawn", "expired", "waiting"];
            let counts = names.iter().zip(counts).filter(|(_, count)| *count > 0);
            let counts: Vec<_> = counts.map(|(name, count)| format!("{name}: {count}")).collect();
            lines.extend((!counts.is_empty()).then(|| format!("({})", counts.join(", "))));
        }
        if self.script.has_tag("forgotten") {
            let tables = self.engine.plan().tables.iter().zip(&outcome.report.forgotten);
            let forgotten = tables.filter(|(_, count)| **count > 0);
            lines.extend(forgotten.map(|(table, count)| format!("(forgotten {}: {count})", table.name)));
        }
        let expired = outcome.dead_letters.iter().filter(|letter| letter.stage == Stage::Expire).count() as u64;
        let rejected: u64 =
            outcome.report.rejected.iter().filter(|(stage, _)| *stage != Stage::Expire).map(|(_, count)| count).sum();
        if rejected + expired != outcome.dead_letters.len() as u64 {
            lines.push(format!("(rejected: {rejected}, dead letters: {})", outcome.dead_letters.len()));
        }
        if lines.is_empty() { "nothing".to_string() } else { lines.join("\n") }
    }
}

fn samples<'c>(commands: impl Iterator<Item = &'c Command>) -> Vec<Record> {
    let mut records = Vec::new();
    for command in commands {
        if let Command::Take(record) = command {
            let timestamp_ms = if record.timestamp_ms == i64::MIN { START_MS } else { record.timestamp_ms };
            records.push(Record { timestamp_ms, ..record.clone() });
        }
    }
    records
}

fn milliseconds(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let duration = humantime::parse_duration(text).unwrap_or_else(|error| panic!("`{text}`: {error}"));
    sign * duration.as_millis() as i64
}

fn value_of(text: &str) -> Vec<u8> {
    let Some((kind, argument)) = text.strip_prefix('@').and_then(|special| special.split_once(' ')) else {
        return text.as_bytes().to_vec();
    };
    let count = || argument.parse::<usize>().expect("a count");
    match kind {
        "hex" => bytes_of_hex(argument),
        "nested" => format!("{{\"nested\":{}{}}}", "[".repeat(count()), "]".repeat(count())).into_bytes(),
        "padded" => format!("{{\"id\":\"{}\"}}", "x".repeat(count())).into_bytes(),
        _ => panic!("`@{kind}` is no kind of value"),
    }
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn shown_bytes(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "(none)".to_string() };
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let text = std::str::from_utf8(shown).map_or_else(|_| shown.escape_ascii().to_string(), str::to_string);
    if shown.len() < bytes.len() { format!("{}… ({} bytes)", &text[..40], bytes.len()) } else { text }
}

fn shown_letter(letter: &DeadLetter) -> String {
    let DeadLetter { key, value, headers, topic, partition, offset, timestamp, stage, error } = letter;
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| format!(" {name}:{}", shown_bytes(value.as_deref()))).collect();
    format!(
        "dead letter ({}) {topic} {partition}@{offset} at {}s, key {}, value {}{}\n  {}",
        stage.name(),
        (timestamp - START_MS) / 1000,
        shown_bytes(key.as_deref()),
        shown_bytes(value.as_deref()),
        if headers.is_empty() { String::new() } else { format!(", headers{}", headers.concat()) },
        error.replace('\n', "\n  ")
    )
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}").trim_end().to_string() + "\n").collect()
}

/// The lines of a script that ends with its mistakes.
fn rest(commands: &[(&str, Option<Command>)]) -> String {
    commands.iter().map(|(line, _)| format!("{}\n", line.trim_end())).collect()
}
