//! What becomes of a record or a row that can't be processed: `on_error`.

use crate::batch::{DeadLetter, RawBatch, Report, Stage};
use crate::config::OnError;
use crate::error::{Error, Result};

/// Turns rejects into what the pipeline's `on_error` says.
#[derive(Clone, Copy, Debug)]
pub struct Rejection {
    /// The pipeline's choice.
    pub on_error: OnError,
}

impl Rejection {
    /// Record `record` of `raw` was rejected; `value` stands for its own value where the row itself is sent.
    ///
    /// # Errors
    /// Under `on_error: fail`, naming the record.
    pub fn reject(
        self,
        (raw, topic): (&RawBatch, &str),
        record: usize,
        value: Option<Vec<u8>>,
        (stage, error): (Stage, String),
        into: (&mut Vec<DeadLetter>, &mut Report),
    ) -> Result<()> {
        let headers = raw.headers.binary_search_by_key(&(record as u32), |(record, _)| *record);
        let letter = DeadLetter {
            key: raw.keys.get(record).map(<[u8]>::to_vec),
            value: value.or_else(|| raw.values.get(record).map(<[u8]>::to_vec)),
            headers: headers.map(|place| raw.headers[place].1.clone()).unwrap_or_default(),
            topic: topic.to_string(),
            partition: raw.partitions[record],
            offset: raw.offsets[record],
            timestamp: raw.timestamps[record],
            stage,
            error,
        };
        self.reject_letter(letter, into)
    }

    /// Something was rejected, and this is its dead letter.
    ///
    /// # Errors
    /// Under `on_error: fail`, naming the record.
    pub fn reject_letter(self, letter: DeadLetter, into: (&mut Vec<DeadLetter>, &mut Report)) -> Result<()> {
        let (letters, report) = into;
        let DeadLetter { topic, partition, offset, stage, error, .. } = &letter;
        match report.rejected.iter_mut().find(|(of, _)| of == stage) {
            Some((_, count)) => *count += 1,
            None => report.rejected.push((*stage, 1)),
        }
        report.first_rejection.get_or_insert_with(|| {
            format!("topic {topic}, partition {partition}, offset {offset}: {}: {error}", stage.name())
        });
        match self.on_error {
            OnError::Skip => Ok(()),
            OnError::Fail => Err(Error::Stop(format!(
                "topic {topic}, partition {partition}, offset {offset}: {} failed: {error}\n\
                 (on_error: fail stops the pipeline here; nothing from this batch on is committed)",
                stage.name()
            ))),
            OnError::DeadLetter => {
                letters.push(letter);
                Ok(())
            }
        }
    }
}
