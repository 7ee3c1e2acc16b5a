//! Two topics that are joined with each other: orders, and the payments that find them, whichever comes first.

use kaflowsql::batch::{Cut, RawBatch, SlicesBuilder, TableId};

use super::numbers::{Numbers, event};

/// When the first record of both topics happens, ms since the epoch.
const BEGIN_MS: i64 = 1_742_000_000_000;

/// Records of both topics, in step, without end: the next of one and the next of the other happen at one time.
///
/// Every order has a key of its own and one payment. Keys come in blocks; within a block the payments' order is another
/// one, so that a payment is up to a block before or behind its order, and where that is lies out of the caches.
pub struct Streams {
    /// Keys in a block: a power of two.
    block: u64,
    /// Records of a topic in a second of event time.
    rate: u64,
    /// How many records of each topic there were.
    pub given: [u64; 2],
    numbers: Numbers,
}

impl Streams {
    /// From the beginning.
    pub fn new(block: u64, rate: u64) -> Self {
        assert!(block.is_power_of_two(), "a block of {block} keys");
        Self { block, rate, given: [0; 2], numbers: Numbers(42) }
    }

    /// The next records: half of them payments, half orders, as one batch of each; one record is of either in turn.
    pub fn cut(&mut self, records: usize) -> Cut {
        if records == 1 {
            let table = usize::from(self.given[0] == self.given[1]);
            return Cut { batches: vec![self.batch(table, 1)], ..Cut::default() };
        }
        Cut { batches: vec![self.batch(1, records / 2), self.batch(0, records / 2)], ..Cut::default() }
    }

    /// The time of a topic's record, ms since the epoch.
    pub fn time_ms(&self, record: u64) -> i64 {
        BEGIN_MS + (record * 1000 / self.rate) as i64
    }

    /// The key of a topic's record, which is the number of its order.
    pub fn key(&self, table: usize, record: u64) -> u64 {
        let within = record & (self.block - 1);
        // An odd factor makes this a permutation of the block.
        let place = if table == 0 { within } else { within.wrapping_mul(0x9E37_79B1) & (self.block - 1) };
        record - within + place
    }

    fn batch(&mut self, table: usize, records: usize) -> RawBatch {
        let first = self.given[table];
        self.given[table] += records as u64;
        let of_record = |record| (record, self.key(table, record), self.time_ms(record));
        let records: Vec<_> = (first..self.given[table]).map(of_record).collect();
        batch(table, &records, &mut self.numbers)
    }
}

/// Events of a table: (number, key, time in ms since the epoch) of each.
pub fn batch(table: usize, records: &[(u64, u64, i64)], numbers: &mut Numbers) -> RawBatch {
    let (mut values, mut keys) = (SlicesBuilder::default(), SlicesBuilder::default());
    for (record, key, _) in records {
        values.push(Some(event(*record, *key, numbers).as_bytes()));
        keys.push(Some(format!("user-{key}").as_bytes()));
    }
    RawBatch {
        table: TableId(table as u32),
        values: values.finish(),
        keys: keys.finish(),
        partitions: vec![0; records.len()],
        offsets: records.iter().map(|(record, ..)| *record as i64).collect(),
        timestamps: records.iter().map(|(.., time_ms)| *time_ms).collect(),
        headers: Vec::new(),
    }
}
