//! Columns of tables that declare none: guessed from their first records.

use std::path::Path;

use crate::config::Settings;
use crate::decode::infer;
use crate::error::{Error, Result};
use crate::plan::Fields;
use crate::source;

/// How much of a file or topic is looked at.
pub(super) const SAMPLE_RECORDS_MAX: usize = 10_000;
/// The same in bytes.
pub(super) const SAMPLE_BYTES_MAX: usize = 16 << 20;

/// The columns of a file's records.
pub(super) fn file_fields(path: &Path, event_time: Option<&str>) -> Result<Fields> {
    let sample = source::sample(path, SAMPLE_RECORDS_MAX, SAMPLE_BYTES_MAX)?;
    let inferred = infer((0..sample.len()).filter_map(|record| sample.get(record)), event_time);
    if inferred.fields.is_empty() {
        return Err(Error::Stop(format!(
            "{}: no columns can be guessed from its first {} records ({} of them can't be read); declare a schema under \
             `sources`",
            path.display(),
            inferred.records,
            inferred.unreadable
        )));
    }
    for note in &inferred.notes {
        eprintln!("{}: {note}", path.display());
    }
    Ok(inferred.fields)
}

/// Asks the broker for records of tables that declare no columns.
pub(super) fn topic_sampler(settings: &Settings) -> impl FnMut(&str, &str, Option<&str>) -> Result<Fields> {
    let settings = settings.clone();
    move |table, topic, event_time| {
        topic_fields(&settings, topic, event_time)?.ok_or_else(|| {
            Error::Stop(format!(
                "topic {topic} is empty, so the columns of `{table}` can't be guessed; declare them under \
                 sources.{table}.schema"
            ))
        })
    }
}

/// The columns of a topic's records; `None` while it is empty.
pub(super) fn topic_fields(settings: &Settings, topic: &str, event_time: Option<&str>) -> Result<Option<Fields>> {
    let sample = super::kafka::sample(settings, topic, SAMPLE_RECORDS_MAX)?;
    let inferred = infer(sample.iter().filter_map(|(_, value)| value.as_deref()), event_time);
    if inferred.fields.is_empty() && inferred.unreadable > 0 {
        return Err(Error::Stop(format!(
            "topic {topic}: none of its first {} records is a JSON object; declare a schema under `sources`",
            inferred.records
        )));
    }
    Ok((!inferred.fields.is_empty()).then_some(inferred.fields))
}
