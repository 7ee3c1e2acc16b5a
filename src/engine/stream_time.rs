//! Stream time (SEMANTICS 4.2) of the driving table: how far its rows have come, and which of them are late.

use std::collections::BTreeMap;

/// The stream time of one table.
#[derive(Debug)]
pub struct StreamTime {
    lateness_ms: i64,
    idle_timeout_ms: i64,
    partitions: BTreeMap<i32, Partition>,
    /// The least time of the partitions that count; it never goes back.
    now_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    time_ms: i64,
    /// Wall clock of the last batch that had a row of it.
    seen_ms: i64,
}

impl StreamTime {
    /// No row yet.
    pub fn new(lateness_ms: i64, idle_timeout_ms: i64) -> Self {
        Self { lateness_ms, idle_timeout_ms, partitions: BTreeMap::new(), now_ms: None }
    }

    /// Takes the rows of a batch, in order: (partition, time, record timestamp). Returns how many of them are late.
    pub fn advance(&mut self, rows: impl Iterator<Item = (i32, i64, i64)>, wall_ms: i64) -> u64 {
        let mut late = 0;
        let mut current: Option<(i32, Partition)> = None;
        for (partition, time_ms, timestamp_ms) in rows {
            if self.now_ms.is_some_and(|now_ms| time_ms < now_ms - self.lateness_ms) {
                late += 1;
            }
            // One wrong clock must not make everybody else's rows late.
            let reached_ms = time_ms.min(timestamp_ms).min(wall_ms);
            match &mut current {
                Some((of, state)) if *of == partition => state.time_ms = state.time_ms.max(reached_ms),
                _ => {
                    self.settle(current.take(), wall_ms);
                    let before_ms = self.partitions.get(&partition).map_or(i64::MIN, |state| state.time_ms);
                    let time_ms = before_ms.max(reached_ms);
                    current = Some((partition, Partition { time_ms, seen_ms: wall_ms }));
                }
            }
        }
        self.settle(current, wall_ms);
        late
    }

    fn settle(&mut self, done: Option<(i32, Partition)>, wall_ms: i64) {
        let Some((partition, state)) = done else { return };
        self.partitions.insert(partition, state);
        let active = self.partitions.values().filter(|state| wall_ms - state.seen_ms <= self.idle_timeout_ms);
        self.now_ms = self.now_ms.max(active.map(|state| state.time_ms).min());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_time(partition: i32, time_ms: i64) -> (i32, i64, i64) {
        (partition, time_ms, time_ms)
    }

    #[test]
    fn the_slowest_partition_counts() {
        let mut time = StreamTime::new(0, 30_000);
        time.advance([on_time(0, 100), on_time(1, 50)].into_iter(), 1_000);
        assert_eq!(time.now_ms, Some(100), "partition 1 had not been seen when partition 0 was done");
        let mut time = StreamTime::new(0, 30_000);
        time.advance([on_time(1, 50), on_time(0, 100)].into_iter(), 1_000);
        assert_eq!(time.now_ms, Some(50));
    }

    #[test]
    fn a_row_is_late_beyond_lateness_only() {
        let mut time = StreamTime::new(10, 30_000);
        assert_eq!(time.advance([on_time(0, 100)].into_iter(), 1_000), 0);
        assert_eq!(time.advance([on_time(0, 90), on_time(0, 89)].into_iter(), 1_000), 1);
    }

    #[test]
    fn a_wrong_clock_advances_nothing() {
        let mut time = StreamTime::new(0, 30_000);
        time.advance([(0, 900, 100)].into_iter(), 1_000);
        assert_eq!(time.now_ms, Some(100), "a row advances to its record's timestamp at most");
        time.advance([(0, 5_000, 5_000)].into_iter(), 1_000);
        assert_eq!(time.now_ms, Some(1_000), "and never beyond the wall clock");
    }

    #[test]
    fn an_idle_partition_does_not_hold_the_others() {
        let mut time = StreamTime::new(0, 30);
        time.advance([on_time(1, 50), on_time(0, 60)].into_iter(), 100);
        time.advance([on_time(0, 90)].into_iter(), 120);
        assert_eq!(time.now_ms, Some(50));
        time.advance([on_time(0, 95)].into_iter(), 131);
        assert_eq!(time.now_ms, Some(95));
    }
}
