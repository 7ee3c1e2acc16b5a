//! `kaflowsql infer`: a `sources:` block guessed from records, to paste.

use std::io::Write;

use super::arguments::InferArguments;
use super::load;
use super::sample::SAMPLE_BYTES_MAX;
use crate::config::type_name;
use crate::decode::{Inferred, infer as infer_fields};
use crate::error::{Error, Result};
use crate::source;

/// Prints the block.
pub(super) fn infer(arguments: &InferArguments) -> Result<()> {
    let event_time = arguments.event_time.as_deref();
    let (name, inferred) = match (&arguments.file, &arguments.topic) {
        (Some(path), _) => {
            let sample = source::sample(path, arguments.records, SAMPLE_BYTES_MAX)?;
            let inferred = infer_fields((0..sample.len()).filter_map(|record| sample.get(record)), event_time);
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            (name, inferred)
        }
        (None, Some(topic)) => {
            let settings = load::settings(arguments.config.as_deref())?;
            let sample = super::kafka::sample(&settings, topic, arguments.records)?;
            (topic.clone(), infer_fields(sample.iter().filter_map(|(_, value)| value.as_deref()), event_time))
        }
        (None, None) => return Err(Error::Mistake("give --file or --topic".into())),
    };
    if inferred.fields.is_empty() {
        let seen = format!("{} records, {} of them can't be read", inferred.records, inferred.unreadable);
        return Err(Error::Stop(format!("nothing can be guessed about {name} ({seen})")));
    }
    let block = block(arguments.table.as_deref().unwrap_or(&name), event_time, &inferred);
    let mut out = std::io::stdout().lock();
    out.write_all(block.as_bytes()).map_err(|error| Error::Stop(format!("can't write to stdout: {error}")))?;
    eprintln!("guessed from {} records, {} of which can't be read", inferred.records, inferred.unreadable);
    for note in &inferred.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}

fn block(table: &str, event_time: Option<&str>, inferred: &Inferred) -> String {
    let mut text = format!("sources:\n  {}:\n", quoted(table));
    if let Some(field) = event_time {
        text.push_str(&format!("    event_time: {}\n", quoted(field)));
    }
    text.push_str("    schema:\n");
    for (name, data_type) in &inferred.fields {
        text.push_str(&format!("      {}: {}\n", quoted(name), quoted_type(&type_name(data_type))));
    }
    text
}

/// A type as a YAML value: quoted if `: ` or a name within it could be read as YAML. Single quotes, within which nothing
/// is replaced from the environment.
fn quoted_type(text: &str) -> String {
    let is_plain =
        text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '<' | '>' | '(' | ')' | ','));
    match (is_plain, text.contains(char::is_control)) {
        (true, _) => text.to_string(),
        (false, false) => format!("'{}'", text.replace('\'', "''")),
        (false, true) => serde_json::Value::from(text).to_string(),
    }
}

/// A YAML key: quoted if it could be read as anything but a string.
fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
        && !matches!(name.to_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if is_plain { name.to_string() } else { serde_json::Value::from(name).to_string() }
}
