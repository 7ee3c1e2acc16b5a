//! One bit a row: where a column is NULL, or true.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Bits that are 0 until they are set. Rows whose bit stays 0 cost nothing: a column without NULLs never touches it.
#[derive(Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Sets the bit of `row`.
    pub fn set(&mut self, row: usize) {
        let word = row / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }

    /// Whether the bit of `row` is set.
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// Forgets the bits from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.words.truncate(rows.div_ceil(64));
        if let Some(last) = self.words.get_mut(rows / 64) {
            *last &= (1 << (rows % 64)) - 1;
        }
    }

    /// The bits of `rows` rows; none remain.
    pub fn finish(&mut self, rows: usize) -> BooleanBuffer {
        let mut words = std::mem::take(&mut self.words);
        words.resize(rows.div_ceil(64), 0);
        BooleanBuffer::new(Buffer::from_vec(words), 0, rows)
    }

    /// The same where set bits mean NULL: `None` if no row is.
    pub fn finish_nulls(&mut self, rows: usize) -> Option<NullBuffer> {
        self.words.iter_mut().for_each(|word| *word = !*word);
        if self.words.iter().all(|word| *word == u64::MAX) {
            self.words.clear();
            return None;
        }
        self.words.resize(rows.div_ceil(64), u64::MAX);
        Some(NullBuffer::new(self.finish(rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_truncation_below_and_vanish_above() {
        let mut bits = Bits::default();
        for row in [0, 63, 64, 70, 200] {
            bits.set(row);
        }
        assert!(bits.contains(200) && !bits.contains(199) && !bits.contains(100_000));
        bits.truncate(70);
        assert!(bits.contains(64) && !bits.contains(70) && !bits.contains(200));
        bits.truncate(64);
        bits.truncate(64);
        assert!(bits.contains(63) && !bits.contains(64));
        bits.set(100);
        let finished = bits.finish(130);
        assert_eq!(finished.set_indices().collect::<Vec<_>>(), [0, 63, 100]);
        assert_eq!(bits.finish(3).count_set_bits(), 0, "none remain");
    }

    #[test]
    fn nulls_are_there_only_if_a_row_is_null() {
        let mut bits = Bits::default();
        assert_eq!(bits.finish_nulls(1000), None);
        bits.set(5);
        bits.truncate(5);
        assert_eq!(bits.finish_nulls(5), None);
        bits.set(5);
        let nulls = bits.finish_nulls(1000).unwrap();
        assert_eq!((nulls.len(), nulls.null_count(), nulls.is_null(5)), (1000, 1, true));
    }
}
