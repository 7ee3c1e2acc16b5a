//! Arguments to a verb, and a verb's end to an exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{completions, explain, functions, infer, invoke, run, schema, test, validate};
use crate::error::{Error, Result};

/// SQL joins over Kafka topics: one YAML file, one query, one binary.
///
/// Exit codes: 0 done, 1 failed, 2 a mistake in the arguments, the config or a pipeline. Results go to stdout, all else
/// to stderr.
#[derive(Debug, Parser)]
#[command(name = "kaflowsql", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(RunArguments),
    Demo(DemoArguments),
    Invoke(InvokeArguments),
    Validate(ValidateArguments),
    Explain(ExplainArguments),
    Test(TestArguments),
    Infer(InferArguments),
    Functions(FunctionsArguments),
    Schema(SchemaArguments),
    Completions(CompletionsArguments),
}

/// Run pipelines against Kafka, until stopped.
///
/// SIGTERM and SIGINT finish the batch, commit and exit 0; a second one exits at once.
#[derive(Args, Debug)]
pub(super) struct RunArguments {
    /// The settings of the process; by default ./config.yaml, if it exists.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Pipelines, or folders of them.
    #[arg(value_name = "PIPELINE", default_value = "pipelines")]
    pub(super) pipelines: Vec<PathBuf>,
}

/// Watch a pipeline at work: flights are replayed into an embedded broker and come out enriched.
///
/// No Kafka is needed. Ctrl-C ends it with a summary.
#[derive(Args, Debug)]
pub(super) struct DemoArguments {
    /// Flights a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) rate: u64,
    /// End by itself after so many enriched flights.
    #[arg(long, value_name = "ROWS")]
    pub(super) rows: Option<u64>,
    /// Where the flights are.
    #[arg(long, value_name = "FOLDER", default_value = "testdata/flights")]
    pub(super) data: PathBuf,
    /// The pipeline that enriches them.
    #[arg(long, value_name = "PIPELINE", default_value = "pipelines/flights.yaml")]
    pub(super) pipeline: PathBuf,
}

/// Run one pipeline over files of one JSON object a line, to their ends; no broker.
///
/// Dimensions are read first; then the event files are merged by event time, each in its own order. Results go to stdout or to --output. A record
/// that can't be processed goes to --dead-letters and is counted on stderr.
#[derive(Args, Debug)]
pub(super) struct InvokeArguments {
    /// The pipeline.
    #[arg(value_name = "PIPELINE")]
    pub(super) pipeline: PathBuf,
    /// A file for a table (its name or its topic); `-` is the standard input. Several for one table are read in order.
    #[arg(long, short, value_name = "TOPIC=FILE", required = true)]
    pub(super) input: Vec<String>,
    /// Where results go instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Where records and rows go that can't be processed.
    #[arg(long, value_name = "FILE")]
    pub(super) dead_letters: Option<PathBuf>,
}

/// Say everything that is wrong with pipelines, at once.
#[derive(Args, Debug)]
pub(super) struct ValidateArguments {
    /// Ask no broker for the columns of tables that declare none; their queries are then checked in part.
    #[arg(long)]
    pub(super) offline: bool,
    /// One JSON array of findings, for programs.
    #[arg(long)]
    pub(super) json: bool,
    /// Let warnings count as mistakes.
    #[arg(long)]
    pub(super) deny_warnings: bool,
    /// The settings of the process; checked too. By default ./config.yaml, if it exists.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Pipelines, or folders of them.
    #[arg(value_name = "PIPELINE", required = true)]
    pub(super) pipelines: Vec<PathBuf>,
}

/// Show what a pipeline reads, remembers, joins and computes.
#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// The pipeline.
    #[arg(value_name = "PIPELINE")]
    pub(super) pipeline: PathBuf,
    /// The settings of the process, for its broker. By default ./config.yaml, if it exists.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Run the tests: blocks of pipelines: records in, rows out, on a virtual clock; no broker.
///
/// Exit code 1: a test has failed. 2: a file has mistakes, or there is nothing to test.
#[derive(Args, Debug)]
pub(super) struct TestArguments {
    /// Only tests whose names hold this text.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Write what came out into the expect: lists of the files; all else in them stays as it is.
    #[arg(long)]
    pub(super) update: bool,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(super) json: bool,
    /// A report in JUnit's XML besides, for CI.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// The settings of the process, for state.ttl. By default ./config.yaml, if it exists.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Pipelines, or folders of them.
    #[arg(value_name = "PIPELINE", required = true)]
    pub(super) pipelines: Vec<PathBuf>,
}

/// List the SQL functions that a query may use, or describe one.
#[derive(Args, Debug)]
pub(super) struct FunctionsArguments {
    /// The function to describe.
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// One JSON array, for programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// Print the JSON Schema of pipelines or of config.yaml, for editors.
#[derive(Args, Debug)]
pub(super) struct SchemaArguments {
    /// Of which file.
    #[arg(value_name = "FILE", value_enum, default_value = "pipeline")]
    pub(super) file: SchemaFile,
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum SchemaFile {
    /// pipelines/*.yaml
    Pipeline,
    /// config.yaml
    Config,
}

/// Print the completions of a shell.
///
/// For bash: kaflowsql completions bash > /etc/bash_completion.d/kaflowsql
#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// Which shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// Guess a table's columns from its first records, as YAML to paste into a pipeline.
#[derive(Args, Debug)]
pub(super) struct InferArguments {
    /// A file of one JSON object a line; `-` is the standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "topic", conflicts_with = "topic")]
    pub(super) file: Option<PathBuf>,
    /// A topic.
    #[arg(long, value_name = "TOPIC")]
    pub(super) topic: Option<String>,
    /// The field that is a row's time.
    #[arg(long, value_name = "FIELD")]
    pub(super) event_time: Option<String>,
    /// The table's name; by default the file's or the topic's.
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
    /// How many records to look at.
    #[arg(long, value_name = "RECORDS", default_value_t = 10_000)]
    pub(super) records: usize,
    /// The settings of the process, for its broker. By default ./config.yaml, if it exists.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result: Result<()> = match arguments.verb {
        Verb::Test(arguments) => match test::test(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Verb::Functions(arguments) => functions::functions(&arguments),
        Verb::Schema(arguments) => schema::schema(&arguments),
        Verb::Completions(arguments) => completions::completions(&arguments, &mut Arguments::command()),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Demo(arguments) => super::demo::demo(&arguments),
        Verb::Invoke(arguments) => invoke::invoke(&arguments),
        Verb::Validate(arguments) => validate::validate(&arguments),
        Verb::Explain(arguments) => explain::explain(&arguments),
        Verb::Infer(arguments) => infer::infer(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_quiet(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let label = if matches!(error, Error::Mistake(_)) { "" } else { "error: " };
            let text = error.to_string();
            let _ = writeln!(std::io::stderr(), "{label}{}", text.trim_end());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whoever read the output has had enough: `kaflowsql invoke … | head`.
fn is_quiet(error: &Error) -> bool {
    crate::sink::is_closed_pipe(error)
}
