//! Collects what comes out, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Sink;
use crate::batch::{DeadLetter, EncodedBatch};
use crate::error::Result;

/// Keeps everything that it is given.
#[derive(Debug, Default)]
pub struct MemorySink {
    collected: Arc<Mutex<Collected>>,
}

/// What a `MemorySink` was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Result records, in order.
    pub records: Vec<CollectedRecord>,
    /// Dead letters, in order.
    pub dead_letters: Vec<DeadLetter>,
    /// How often it was flushed.
    pub flushes: usize,
}

/// One result record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedRecord {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
}

impl MemorySink {
    /// What it has been given, now and later.
    pub fn collected(&self) -> Arc<Mutex<Collected>> {
        Arc::clone(&self.collected)
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    fn write(&mut self, records: &EncodedBatch) -> Result<()> {
        let records = (0..records.values.len()).map(|record| CollectedRecord {
            key: records.keys.get(record).map(<[u8]>::to_vec),
            value: records.values.get(record).map(<[u8]>::to_vec),
            timestamp: records.timestamps[record],
        });
        self.lock().records.extend(records);
        Ok(())
    }

    fn write_dead_letters(&mut self, letters: &[DeadLetter]) -> Result<()> {
        self.lock().dead_letters.extend_from_slice(letters);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.lock().flushes += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::SlicesBuilder;

    #[test]
    fn keeps_everything_in_order() {
        let mut sink = MemorySink::default();
        let collected = sink.collected();
        for timestamp in [5, 6] {
            let (mut keys, mut values) = (SlicesBuilder::default(), SlicesBuilder::default());
            keys.push(None);
            values.push(Some(b"{}"));
            let batch = EncodedBatch { keys: keys.finish(), values: values.finish(), timestamps: vec![timestamp] };
            sink.write(&batch).unwrap();
        }
        sink.flush().unwrap();
        let collected = collected.lock().unwrap();
        let record = |timestamp| CollectedRecord { key: None, value: Some(b"{}".to_vec()), timestamp };
        assert_eq!(collected.records, [record(5), record(6)]);
        assert_eq!(collected.flushes, 1);
    }
}
