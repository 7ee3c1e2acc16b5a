//! `kaflowsql schema`: the JSON Schema of both files, for editors.

use std::io::Write;

use super::arguments::{SchemaArguments, SchemaFile};
use crate::config::{editor_schema, pipeline_schema, settings_schema};
use crate::error::{Error, Result};

/// Prints it.
pub(super) fn schema(arguments: &SchemaArguments) -> Result<()> {
    let schema = editor_schema(match arguments.file {
        SchemaFile::Pipeline => pipeline_schema(),
        SchemaFile::Config => settings_schema(),
    });
    let text = serde_json::to_string_pretty(&schema).expect("BUG: a schema can't be written as JSON");
    writeln!(std::io::stdout(), "{text}").map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))
}
