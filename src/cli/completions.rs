//! `kaflowsql completions`: what a shell completes.

use std::io::Write;

use super::arguments::CompletionsArguments;
use crate::error::{Error, Result};

/// Prints them.
pub(super) fn completions(arguments: &CompletionsArguments, command: &mut clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "kaflowsql", &mut text);
    std::io::stdout().write_all(&text).map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))
}
