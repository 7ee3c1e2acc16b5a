//! Whose time is over: queues by time, from which what is gone is dropped when it comes to the front.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::parked::ParkedId;

/// More that are gone than so many, and than are there, are dropped all at once.
const GONE_MIN: usize = 1 << 10;
/// Times mostly rise, those of each partition for themselves: so many rising runs are kept apart. A queue is taken from in
/// order of its memory, a heap of a million across all of it, which costs a cache miss a level.
const RUNS_MAX: usize = 8;

/// Parked combinations by a time, and those of one time in the order of parking.
///
/// The least of all is parked, if there is any; of the others some may be gone.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Each ascends.
    runs: Vec<VecDeque<Item>>,
    /// What fits behind no run.
    heap: BinaryHeap<Reverse<Item>>,
}

/// A time, the place in the order of parking, and the combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    time_ms: i64,
    order: u64,
    id: u32,
}

/// Where an item is: a run, or the heap.
type Source = Option<usize>;

impl Due {
    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let items = self.runs.iter().map(VecDeque::capacity).sum::<usize>() + self.heap.capacity();
        items * size_of::<Item>() + self.runs.capacity() * size_of::<VecDeque<Item>>()
    }

    /// `order` is greater than any before.
    pub(super) fn push(&mut self, time_ms: i64, order: u64, id: ParkedId) {
        let item = Item { time_ms, order, id: id.0 };
        let fits = |place: &usize| self.runs[*place].back().is_none_or(|last| *last < item);
        // As close behind another as can be, so that runs with earlier ends stay open for earlier times.
        let behind = (0..self.runs.len()).filter(fits).max_by_key(|place| self.runs[*place].back());
        match behind {
            Some(run) => self.runs[run].push_back(item),
            None if self.runs.len() < RUNS_MAX => self.runs.push(VecDeque::from([item])),
            None => self.heap.push(Reverse(item)),
        }
    }

    /// The least time.
    pub(super) fn first(&self) -> Option<i64> {
        self.least().map(|(item, _)| item.time_ms)
    }

    /// Those whose time is at most `time_ms`, in order, at most `limit` of them. They stay. `is_parked` says of a place in
    /// the order of parking and its combination whether it is not gone.
    pub(super) fn until(
        &mut self,
        time_ms: i64,
        limit: usize,
        is_parked: impl Fn(u64, ParkedId) -> bool,
    ) -> Vec<ParkedId> {
        let mut due: Vec<(Item, Source)> = Vec::new();
        while due.len() < limit
            && let Some((item, source)) = self.least()
            && item.time_ms <= time_ms
        {
            self.pop(source);
            if is_parked(item.order, ParkedId(item.id)) {
                due.push((item, source));
            }
        }
        for (item, source) in due.iter().rev() {
            match source {
                Some(run) => self.runs[*run].push_front(*item),
                None => self.heap.push(Reverse(*item)),
            }
        }
        due.into_iter().map(|(item, _)| ParkedId(item.id)).collect()
    }

    /// Drops what is gone, where it would be in the way or takes more memory than the `parked` that are there.
    pub(super) fn forget(&mut self, parked: usize, is_parked: impl Fn(u64, ParkedId) -> bool) {
        let is_there = |item: &Item| is_parked(item.order, ParkedId(item.id));
        let len = self.runs.iter().map(VecDeque::len).sum::<usize>() + self.heap.len();
        if parked == 0 {
            self.runs.iter_mut().for_each(VecDeque::clear);
            self.heap.clear();
        } else if len > 2 * parked + GONE_MIN {
            self.runs.iter_mut().for_each(|run| run.retain(is_there));
            self.heap.retain(|Reverse(item)| is_there(item));
        }
        while let Some((item, source)) = self.least()
            && !is_there(&item)
        {
            self.pop(source);
        }
        for run in &mut self.runs {
            if run.capacity() > 4 * run.len() + 4 * GONE_MIN {
                run.shrink_to(2 * run.len());
            }
        }
        if self.heap.capacity() > 4 * self.heap.len() + 4 * GONE_MIN {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }

    fn least(&self) -> Option<(Item, Source)> {
        let runs = self.runs.iter().enumerate().filter_map(|(place, run)| Some((*run.front()?, Some(place))));
        runs.chain(self.heap.peek().map(|Reverse(item)| (*item, None))).min()
    }

    fn pop(&mut self, source: Source) {
        match source {
            Some(run) => drop(self.runs[run].pop_front()),
            None => drop(self.heap.pop()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rising times with few exceptions, and falling ones, of which most go to the heap.
        #[test]
        fn it_is_a_sorted_list(
            steps in proptest::collection::vec((-2_i64..40, 0_usize..4, any::<bool>()), 1..200),
            falls in any::<bool>(),
        ) {
            let mut due = Due::default();
            let mut model: Vec<(i64, u64)> = Vec::new();
            for (order, (jitter, gone, asks)) in steps.into_iter().enumerate() {
                let time_ms = if falls { -(order as i64) } else { order as i64 } + jitter * jitter / 9;
                due.push(time_ms, order as u64, ParkedId(order as u32));
                model.push((time_ms, order as u64));
                model.sort_unstable();
                if gone > 0 {
                    model.remove((order * 7 + gone) % model.len());
                }
                let is_parked = |order: u64, _| model.iter().any(|(_, of)| *of == order);
                due.forget(model.len(), is_parked);
                prop_assert_eq!(due.first(), model.first().map(|(time_ms, _)| *time_ms));
                if asks {
                    let expected = model.iter().filter(|(of, _)| *of <= time_ms).take(5);
                    let expected: Vec<ParkedId> = expected.map(|(_, order)| ParkedId(*order as u32)).collect();
                    prop_assert_eq!(due.until(time_ms, 5, is_parked), expected.clone());
                    prop_assert_eq!(due.until(time_ms, 5, is_parked), expected);
                }
            }
        }
    }

    #[test]
    fn partitions_of_different_times_have_a_run_each() {
        let mut due = Due::default();
        for order in 0..40_000 {
            due.push((order % 4 * 1_000_000 + order) as i64, order, ParkedId(order as u32));
        }
        assert!(due.heap.is_empty());
        assert_eq!(due.until(8, 9, |_, _| true), [0, 4, 8].map(ParkedId));
    }
}
