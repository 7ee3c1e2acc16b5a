//! Stream time (SEMANTICS 4.2): how far the rows of each event table have come, and which of them are late.

use std::collections::BTreeMap;

use crate::batch::PartitionState;
use crate::emit::Until;

/// A row, as far as time goes: its partition, its time, and its record's timestamp.
pub type Tick = (i32, i64, i64);

/// The stream times of all event tables.
#[derive(Debug)]
pub struct StreamTimes {
    tables: Vec<StreamTime>,
    /// How long a partition that has been read to its end still counts, ms.
    idle_timeout_ms: i64,
}

/// The stream time of one table.
#[derive(Debug)]
struct StreamTime {
    lateness_ms: i64,
    partitions: BTreeMap<i32, Partition>,
    /// Whether the source tells which partitions it reads; otherwise they are those that ever had a row.
    is_told: bool,
    /// The least time of the partitions that count; it never goes back.
    now_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    /// The greatest time of its rows.
    time_ms: Option<i64>,
    /// Since when it is at its end, by the wall clock.
    ended_ms: Option<i64>,
}

/// The partition of which rows are being taken.
#[derive(Clone, Copy, Debug)]
struct Current {
    partition: i32,
    time_ms: i64,
    /// The least time of the other partitions that count; `i64::MIN` if one has none yet.
    others_ms: i64,
}

/// What became of some rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many rows were taken.
    pub rows: usize,
    /// How many of these were late.
    pub late: u64,
}

impl StreamTimes {
    /// No row yet; `lateness_ms` by table.
    pub fn new(lateness_ms: impl Iterator<Item = i64>, idle_timeout_ms: i64) -> Self {
        let table = |lateness_ms| StreamTime { lateness_ms, partitions: BTreeMap::new(), is_told: false, now_ms: None };
        Self { tables: lateness_ms.map(table).collect(), idle_timeout_ms }
    }

    /// Forgets all times: no row yet.
    pub fn clear(&mut self) {
        for table in &mut self.tables {
            *table = StreamTime { partitions: BTreeMap::new(), is_told: false, now_ms: None, ..*table };
        }
    }

    /// Which partitions are read, and which of them are at their ends.
    pub fn tell(&mut self, partitions: &[PartitionState], wall_ms: i64) {
        if partitions.is_empty() {
            return;
        }
        for (place, table) in self.tables.iter_mut().enumerate() {
            let of_table = || partitions.iter().filter(|state| state.table.index() == place);
            table.is_told = true;
            table.partitions.retain(|partition, _| of_table().any(|state| state.partition == *partition));
            for state in of_table() {
                let known =
                    table.partitions.entry(state.partition).or_insert(Partition { time_ms: None, ended_ms: None });
                // Where the wall clock counts as after every row, an end is an end for good.
                let is_over = wall_ms == i64::MAX;
                let ended_ms = if is_over { i64::MIN } else { known.ended_ms.unwrap_or(wall_ms) };
                known.ended_ms = state.at_end.then_some(ended_ms);
            }
        }
    }

    /// Records of these partitions of a table are about to be taken: they are not at their ends, so they count.
    pub fn have_rows(&mut self, table: usize, partitions: &[i32], wall_ms: i64) {
        for partition in partitions.chunk_by(|left, right| left == right).map(|same| same[0]) {
            if let Some(Partition { ended_ms: Some(ended_ms), .. }) = self.tables[table].partitions.get_mut(&partition)
            {
                *ended_ms = wall_ms;
            }
        }
    }

    /// Takes rows of a table, in order, up to the first with which something expires.
    pub fn advance(
        &mut self,
        table: usize,
        rows: impl Iterator<Item = Tick>,
        wall_ms: i64,
        mut until: Option<Until>,
    ) -> Taken {
        let idle_timeout_ms = self.idle_timeout_ms;
        let table = &mut self.tables[table];
        let mut taken = Taken { rows: 0, late: 0 };
        let mut current: Option<Current> = None;
        for (partition, time_ms, timestamp_ms) in rows {
            taken.rows += 1;
            taken.late += u64::from(table.is_late(time_ms));
            // One wrong clock must not make everybody else's rows late.
            let reached_ms = time_ms.min(timestamp_ms).min(wall_ms);
            let current = match &mut current {
                Some(current) if current.partition == partition => current,
                _ => {
                    table.settle(current.take(), wall_ms);
                    current.insert(table.enter(partition, wall_ms, idle_timeout_ms))
                }
            };
            current.time_ms = current.time_ms.max(reached_ms);
            let least_ms = current.time_ms.min(current.others_ms);
            if least_ms > i64::MIN {
                table.now_ms = table.now_ms.max(Some(least_ms));
            }
            if let Some(until) = &mut until
                && until.is_reached(time_ms, table.now_ms)
            {
                break;
            }
        }
        table.settle(current, wall_ms);
        taken
    }

    /// Brings all tables up to date after a batch: partitions that have become idle no longer hold their table back, and a
    /// table of which none counts takes the least time of the others. `floor_ms`: what each is at least.
    pub fn settle(&mut self, wall_ms: i64, floor_ms: Option<i64>) {
        let idle_timeout_ms = self.idle_timeout_ms;
        for table in &mut self.tables {
            let least_ms = table.least_ms(wall_ms, idle_timeout_ms);
            table.now_ms = table.now_ms.max(least_ms.flatten()).max(floor_ms);
        }
        let counting = self.tables.iter().filter(|table| table.least_ms(wall_ms, idle_timeout_ms).is_some());
        let others_ms = counting.map(|table| table.now_ms).min().flatten();
        for table in &mut self.tables {
            if table.least_ms(wall_ms, idle_timeout_ms).is_none() {
                table.now_ms = table.now_ms.max(others_ms);
            }
        }
    }

    /// The stream time of a table, if it has one yet.
    #[cfg(test)]
    pub fn of(&self, table: usize) -> Option<i64> {
        self.tables[table].now_ms
    }

    /// The time from which on a row of a table is not late: nothing older than this needs to be expected.
    pub fn late_before_ms(&self, table: usize) -> Option<i64> {
        let StreamTime { now_ms, lateness_ms, .. } = &self.tables[table];
        now_ms.map(|now_ms| now_ms.saturating_sub(*lateness_ms))
    }

    /// The least stream time of all tables; none while one has none.
    pub fn least_ms(&self) -> Option<i64> {
        self.tables.iter().map(|table| table.now_ms).min().flatten()
    }

    /// The least stream time of the other tables than this, those that follow the others left out; none while one has none.
    pub fn least_of_others_ms(&self, table: usize, wall_ms: i64) -> Option<i64> {
        let others = self.tables.iter().enumerate().filter(|(place, _)| *place != table).map(|(_, other)| other);
        let counting = others.filter(|other| other.least_ms(wall_ms, self.idle_timeout_ms).is_some());
        counting.map(|other| other.now_ms).min().unwrap_or(Some(i64::MAX))
    }
}

impl StreamTime {
    fn is_late(&self, time_ms: i64) -> bool {
        self.now_ms.is_some_and(|now_ms| time_ms < now_ms.saturating_sub(self.lateness_ms))
    }

    /// The least time of the partitions that count; `None` if none counts, `Some(None)` if one of them has no time yet.
    fn least_ms(&self, wall_ms: i64, idle_timeout_ms: i64) -> Option<Option<i64>> {
        if self.partitions.is_empty() && !self.is_told {
            return Some(None);
        }
        let counting = self.partitions.values().filter(|partition| partition.counts(wall_ms, idle_timeout_ms));
        counting.map(|partition| partition.time_ms).min()
    }

    fn enter(&self, partition: i32, wall_ms: i64, idle_timeout_ms: i64) -> Current {
        let others = self.partitions.iter().filter(|(of, _)| **of != partition);
        let counting = others.filter(|(_, state)| state.counts(wall_ms, idle_timeout_ms));
        let own = self.partitions.get(&partition).and_then(|state| state.time_ms);
        Current {
            partition,
            time_ms: own.unwrap_or(i64::MIN),
            others_ms: counting.map(|(_, state)| state.time_ms.unwrap_or(i64::MIN)).min().unwrap_or(i64::MAX),
        }
    }

    fn settle(&mut self, done: Option<Current>, wall_ms: i64) {
        let Some(Current { partition, time_ms, .. }) = done else { return };
        let was = self.partitions.get(&partition).copied();
        // Where nobody tells, what was given is all that there is.
        let at_end = was.map_or(!self.is_told, |was| was.ended_ms.is_some() || !self.is_told);
        let state = Partition { time_ms: Some(time_ms), ended_ms: at_end.then_some(wall_ms) };
        self.partitions.insert(partition, state);
    }
}

impl Partition {
    fn counts(&self, wall_ms: i64, idle_timeout_ms: i64) -> bool {
        self.ended_ms.is_none_or(|ended_ms| wall_ms.saturating_sub(ended_ms) <= idle_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::TableId;

    fn times(lateness_ms: i64, idle_timeout_ms: i64) -> StreamTimes {
        StreamTimes::new([lateness_ms].into_iter(), idle_timeout_ms)
    }

    fn on_time(partition: i32, time_ms: i64) -> Tick {
        (partition, time_ms, time_ms)
    }

    fn advance<const N: usize>(times: &mut StreamTimes, rows: [Tick; N], wall_ms: i64) -> u64 {
        times.advance(0, rows.into_iter(), wall_ms, None).late
    }

    fn state(table: u32, partition: i32, at_end: bool) -> PartitionState {
        PartitionState { table: TableId(table), partition, at_end }
    }

    #[test]
    fn the_slowest_partition_counts() {
        let mut first = times(0, 30_000);
        advance(&mut first, [on_time(0, 100), on_time(1, 50)], 1_000);
        assert_eq!(first.of(0), Some(100), "partition 1 had not been seen when partition 0 was done");
        let mut second = times(0, 30_000);
        advance(&mut second, [on_time(1, 50), on_time(0, 100)], 1_000);
        assert_eq!(second.of(0), Some(50));
    }

    #[test]
    fn a_partition_that_is_read_and_has_no_row_yet_holds_its_table_back() {
        let mut times = times(0, 30);
        times.tell(&[state(0, 0, false), state(0, 1, false)], 100);
        advance(&mut times, [on_time(0, 100)], 100);
        assert_eq!(times.of(0), None);
        times.tell(&[state(0, 0, false), state(0, 1, true)], 200);
        times.settle(230, None);
        assert_eq!(times.of(0), None, "at its end for 30 ms only");
        times.settle(231, None);
        assert_eq!(times.of(0), Some(100));
    }

    #[test]
    fn a_row_is_late_beyond_lateness_only() {
        let mut times = times(10, 30_000);
        assert_eq!(advance(&mut times, [on_time(0, 100)], 1_000), 0);
        assert_eq!(advance(&mut times, [on_time(0, 90), on_time(0, 89)], 1_000), 1);
        assert_eq!(advance(&mut times, [on_time(0, 200), on_time(0, 189)], 1_000), 1, "also in one batch");
        assert_eq!(times.late_before_ms(0), Some(190));
    }

    #[test]
    fn a_wrong_clock_advances_nothing() {
        let mut times = times(0, 30_000);
        advance(&mut times, [(0, 900, 100)], 1_000);
        assert_eq!(times.of(0), Some(100), "a row advances to its record's timestamp at most");
        advance(&mut times, [(0, 5_000, 5_000)], 1_000);
        assert_eq!(times.of(0), Some(1_000), "and never beyond the wall clock");
    }

    #[test]
    fn an_idle_partition_does_not_hold_the_others() {
        let mut times = times(0, 30);
        advance(&mut times, [on_time(1, 50), on_time(0, 60)], 100);
        advance(&mut times, [on_time(0, 90)], 120);
        assert_eq!(times.of(0), Some(50));
        advance(&mut times, [on_time(0, 95)], 131);
        assert_eq!(times.of(0), Some(95));
    }

    #[test]
    fn a_table_of_which_no_partition_counts_takes_the_least_of_the_others() {
        let mut times = StreamTimes::new([0, 0, 0].into_iter(), 30);
        times.tell(&[state(0, 0, false), state(1, 0, false), state(2, 0, true)], 60);
        times.advance(0, [on_time(0, 70)].into_iter(), 100, None);
        times.advance(1, [on_time(0, 50)].into_iter(), 100, None);
        times.settle(90, None);
        assert_eq!((times.of(2), times.least_ms()), (None, None), "it may still have rows");
        times.settle(100, None);
        assert_eq!((times.of(2), times.least_ms()), (Some(50), Some(50)));
        assert_eq!(times.least_of_others_ms(1, 100), Some(70), "table 2 follows");
        times.advance(2, [on_time(0, 20)].into_iter(), 100, None);
        times.settle(100, None);
        assert_eq!(times.of(2), Some(50), "it never goes back");
        times.settle(100, Some(1_000));
        assert_eq!(times.least_ms(), Some(1_000));
    }

    #[test]
    fn rows_are_taken_until_a_time_is_reached() {
        let mut times = times(0, 30);
        let rows = [on_time(0, 10), on_time(0, 20), on_time(0, 30)];
        let until = |deadline_ms, others_ms| Until {
            deadline_ms: Some(deadline_ms),
            max_wait_ms: None,
            others_ms,
            before_ms: None,
        };
        assert_eq!(times.advance(0, rows.into_iter(), 100, Some(until(20, 99))).rows, 2);
        assert_eq!(times.advance(0, rows.into_iter(), 100, Some(until(90, 99))), Taken { rows: 3, late: 1 });
        assert_eq!(times.advance(0, rows.into_iter(), 100, Some(until(20, 19))).rows, 3, "another table is behind");
        let waits = Until { deadline_ms: None, max_wait_ms: Some(15), others_ms: 99, before_ms: Some(30) };
        let rows = [on_time(0, 40), on_time(0, 54), on_time(0, 55), on_time(0, 56)];
        assert_eq!(times.advance(0, rows.into_iter(), 100, Some(waits)).rows, 3, "the first of them waits until 55");
        let late = [on_time(0, 5), on_time(0, 60)];
        assert_eq!(times.advance(0, late.into_iter(), 100, Some(waits)).rows, 2, "what was over needs no pause");
        let late = [on_time(0, 20), on_time(0, 60)];
        assert_eq!(times.advance(0, late.into_iter(), 100, Some(waits)).rows, 1, "what is over now ends here");
    }
}
