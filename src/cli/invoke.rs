//! `kaflowsql invoke`: one pipeline over files, to their ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::arguments::InvokeArguments;
use super::load::{self, Loaded};
use super::progress::with_progress;
use super::sample::file_fields;
use super::tally::Tally;
use crate::clock::Clock;
use crate::commit::Commit;
use crate::config::{OnError, Settings};
use crate::decode::TableDecoder;
use crate::engine::{DecodeStage, Ends, JoinStage, run};
use crate::error::{Error, Result};
use crate::plan::{Plan, Table};
use crate::sink::{FileSink, Output};
use crate::source::{FileInput, FileSource, Source, TimesOf};

/// Runs it.
pub(super) fn invoke(arguments: &InvokeArguments) -> Result<()> {
    let inputs = inputs(&arguments.input)?;
    let settings = Settings::default();
    let mut sampler = |table: &str, topic: &str, event_time: Option<&str>| {
        let paths = inputs.get(table).or_else(|| inputs.get(topic)).ok_or_else(|| missing(table, topic))?;
        file_fields(&paths[0].1, event_time)
    };
    let Loaded { pipeline, mut plan } = load::load(&arguments.pipeline, &settings, &mut sampler)?;
    for table in &mut plan.tables {
        // A file's records have no timestamps, and the wall clock counts as after every row: no time is in the future.
        table.max_future_ms = i64::MAX;
    }
    let plan = Arc::new(plan);
    let (max_records, max_bytes) = (pipeline.batch.max_records, pipeline.batch.max_bytes);
    let source = FileSource::new(file_inputs(inputs, &plan.tables)?, max_records, max_bytes, times_of(&plan))?;
    let progress = source.progress();
    refuse_overlap(arguments)?;
    let results = arguments.output.as_deref().map_or_else(|| Ok(Output::stdout()), Output::create)?;
    let letters = arguments.dead_letters.as_deref().map(Output::create).transpose()?;
    let no_letters = letters.is_none();
    let committer = source.committer();
    let tally = Tally::new(&plan);
    let commit = Commit::new(Box::new(FileSink::new(results, letters)), committer, Box::new(tally.clone()));
    let decode = DecodeStage::new(Arc::clone(&plan), pipeline.on_error);
    let mut join = JoinStage::new(plan, &pipeline, Clock::standing_at(Clock::System.now_ms()));
    join.trust_times();
    let ends = Ends { source: Box::new(source), commit };
    let show = || (progress.bytes_read(), progress.bytes_total(), tally.to_string());
    with_progress(show, || run(ends, decode, join, &AtomicBool::new(false)))?;
    eprintln!("{tally}");
    let counts = tally.counts();
    if let Some(first) = counts.first_rejection {
        eprintln!("the first that was rejected: {first}");
    }
    if counts.rejected > 0 && no_letters && pipeline.on_error == OnError::DeadLetter {
        eprintln!("--dead-letters FILE keeps all that were rejected, each with its reason");
    }
    Ok(())
}

/// Reads the event times of records, and nothing else of them.
fn times_of(plan: &Plan) -> TimesOf {
    let events = &plan.tables[..plan.events.len()];
    let reader = |table: &Table| {
        let only_time = Table { columns: Vec::new(), ..table.clone() };
        table.event_time.is_some().then(|| TableDecoder::new(&only_time))
    };
    let mut readers: Vec<Option<TableDecoder>> = events.iter().map(reader).collect();
    Box::new(move |batch| {
        let Some(reader) = &mut readers[batch.table.index()] else { return vec![Some(0); batch.len()] };
        let rows = reader.decode(batch);
        let mut times = vec![None; batch.len()];
        rows.records.iter().zip(&rows.times).for_each(|(&record, &time)| times[record as usize] = Some(time));
        times
    })
}

/// Files are emptied when they are opened for writing.
fn refuse_overlap(arguments: &InvokeArguments) -> Result<()> {
    let inputs = arguments.input.iter().filter_map(|input| Some(Path::new(input.split_once('=')?.1)));
    let outputs = [("--output", &arguments.output), ("--dead-letters", &arguments.dead_letters)];
    let mut taken: Vec<PathBuf> = inputs.filter_map(|path| path.canonicalize().ok()).collect();
    for (option, path) in outputs.iter().filter_map(|(option, path)| Some((option, path.as_ref()?))) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let full = path.canonicalize().ok().or_else(|| Some(folder.canonicalize().ok()?.join(path.file_name()?)));
        if full.as_ref().is_some_and(|full| taken.contains(full) && (full.is_file() || !full.exists())) {
            return Err(Error::Mistake(format!("{option} {}: that file is read or written already", path.display())));
        }
        taken.extend(full);
    }
    Ok(())
}

/// The files of each table, each with its place among the options.
type Inputs = BTreeMap<String, Vec<(usize, PathBuf)>>;

fn inputs(arguments: &[String]) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    let stdins = arguments.iter().filter(|argument| argument.ends_with("=-")).count();
    if stdins > 1 {
        let message = format!("--input …=-: the standard input can be read once, and is asked for {stdins} times");
        return Err(Error::Mistake(message));
    }
    for (rank, argument) in arguments.iter().enumerate() {
        let (name, path) =
            argument.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty()).ok_or_else(|| {
                Error::Mistake(format!("--input {argument}: expected TOPIC=FILE, as in --input users=users.ndjson"))
            })?;
        if path != "-" && !Path::new(path).exists() {
            return Err(Error::Mistake(format!("--input {argument}: there is no file {path}")));
        }
        inputs.entry(name.to_string()).or_default().push((rank, PathBuf::from(path)));
    }
    Ok(inputs)
}

fn missing(table: &str, topic: &str) -> Error {
    Error::Mistake(format!("the query reads `{table}`, and no --input gives it; add --input {topic}=FILE"))
}

/// The files of each table.
fn file_inputs(mut inputs: Inputs, tables: &[Table]) -> Result<Vec<FileInput>> {
    let mut found = Vec::new();
    for table in tables {
        let mut paths = inputs.remove(&table.name).unwrap_or_default();
        if table.topic != table.name {
            paths.extend(inputs.remove(&table.topic).unwrap_or_default());
        }
        if paths.is_empty() {
            return Err(missing(&table.name, &table.topic));
        }
        let (ranks, paths) = paths.into_iter().unzip();
        found.push(FileInput { table: table.id, topic: table.topic.clone(), role: table.role, paths, ranks });
    }
    match inputs.keys().next() {
        None => Ok(found),
        Some(unread) => {
            let tables: Vec<_> = tables.iter().map(|table| table.topic.as_str()).collect();
            Err(Error::Mistake(format!("--input {unread}=…: the query reads {}, and not {unread}", tables.join(", "))))
        }
    }
}
