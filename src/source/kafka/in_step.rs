//! Keeping partitions in step (SEMANTICS 4.4): which of them may run ahead, and how far. Pure, so that it can be tested.

/// What the source knows of a partition when it plans a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The greatest record time handed over, ms since the epoch; `None` before the first record: it may be as old as can
    /// be, so the others wait for it.
    pub(super) time_ms: Option<i64>,
    /// Whether it has records that were not handed over. A partition that should have some but gives none for long (its
    /// leader is gone, say) does not count either, or it would hold up all others.
    pub(super) unread: bool,
}

/// The least times of the partitions with unread records: enough to tell each one how far it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InStep {
    max_ahead_ms: i64,
    slowest: Option<(usize, i64)>,
    second_ms: Option<i64>,
}

impl InStep {
    /// Looks at all partitions; none may be more than `max_ahead_ms` ahead of the slowest other one.
    pub(super) fn of(max_ahead_ms: i64, paces: impl Iterator<Item = Pace>) -> Self {
        let mut in_step = Self { max_ahead_ms, slowest: None, second_ms: None };
        for (index, pace) in paces.enumerate() {
            if !pace.unread {
                continue;
            }
            let time_ms = pace.time_ms.unwrap_or(i64::MIN);
            match in_step.slowest {
                Some((_, slowest_ms)) if slowest_ms <= time_ms => {
                    in_step.second_ms = Some(in_step.second_ms.map_or(time_ms, |second_ms| second_ms.min(time_ms)));
                }
                slowest => {
                    in_step.second_ms = slowest.map(|(_, slowest_ms)| slowest_ms);
                    in_step.slowest = Some((index, time_ms));
                }
            }
        }
        in_step
    }

    /// The record time up to which the partition at `index` may be read: it is paused once it is past it.
    pub(super) fn limit_ms(&self, index: usize) -> i64 {
        let others_ms = match self.slowest {
            Some((slowest, slowest_ms)) if slowest != index => Some(slowest_ms),
            _ => self.second_ms,
        };
        others_ms.map_or(i64::MAX, |others_ms| others_ms.saturating_add(self.max_ahead_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(time_ms: i64) -> Pace {
        Pace { time_ms: Some(time_ms), unread: true }
    }

    fn limits(paces: &[Pace]) -> Vec<i64> {
        let in_step = InStep::of(10, paces.iter().copied());
        (0..paces.len()).map(|index| in_step.limit_ms(index)).collect()
    }

    #[test]
    fn each_is_measured_against_the_slowest_other() {
        assert_eq!(limits(&[unread(100), unread(5), unread(50)]), [15, 60, 15]);
        assert_eq!(limits(&[unread(5), unread(50), unread(100)]), [60, 15, 15]);
        assert_eq!(limits(&[unread(50), unread(100), unread(5), unread(7)]), [15, 15, 17, 15]);
        assert_eq!(limits(&[unread(7), unread(7)]), [17, 17]);
    }

    #[test]
    fn the_last_with_unread_records_is_free() {
        let at_end = Pace { time_ms: Some(1), unread: false };
        assert_eq!(limits(&[unread(100)]), [i64::MAX]);
        assert_eq!(limits(&[unread(100), at_end]), [i64::MAX, 110]);
        assert_eq!(limits(&[at_end, at_end]), [i64::MAX, i64::MAX]);
        assert_eq!(limits(&[]), [0; 0]);
    }

    #[test]
    fn all_wait_for_one_that_has_not_told_its_time() {
        let unknown = Pace { time_ms: None, unread: true };
        assert_eq!(limits(&[unread(100), unknown, unread(5)]), [i64::MIN + 10, 15, i64::MIN + 10]);
        assert_eq!(limits(&[unknown, unknown]), [i64::MIN + 10, i64::MIN + 10]);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        assert_eq!(limits(&[unread(i64::MAX), unread(i64::MAX - 3)]), [i64::MAX, i64::MAX]);
    }
}
