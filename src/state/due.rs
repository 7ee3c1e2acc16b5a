//! Whose time is over: a heap by time, from which what is gone is dropped when it comes to the top.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::parked::ParkedId;

/// More that are gone than so many, and than are there, are dropped all at once.
const GONE_MIN: usize = 1 << 10;

/// Parked combinations by a time, and those of one time in the order of parking.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The first is parked, if there is any; of the others some may be gone.
    heap: BinaryHeap<Reverse<Item>>,
}

/// A time, the place in the order of parking, and the combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    time_ms: i64,
    order: u64,
    id: u32,
}

impl Due {
    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Reverse<Item>>()
    }

    pub(super) fn push(&mut self, time_ms: i64, order: u64, id: ParkedId) {
        self.heap.push(Reverse(Item { time_ms, order, id: id.0 }));
    }

    /// The least time.
    pub(super) fn first(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse(item)| item.time_ms)
    }

    /// Those whose time is at most `time_ms`, in order, at most `limit` of them. They stay. `is_parked` says of a place in
    /// the order of parking and its combination whether it is not gone.
    pub(super) fn until(
        &mut self,
        time_ms: i64,
        limit: usize,
        is_parked: impl Fn(u64, ParkedId) -> bool,
    ) -> Vec<ParkedId> {
        let mut due: Vec<Item> = Vec::new();
        while due.len() < limit
            && let Some(Reverse(item)) = self.heap.peek().copied()
            && item.time_ms <= time_ms
        {
            self.heap.pop();
            if is_parked(item.order, ParkedId(item.id)) {
                due.push(item);
            }
        }
        self.heap.extend(due.iter().copied().map(Reverse));
        due.into_iter().map(|item| ParkedId(item.id)).collect()
    }

    /// Drops what is gone, where it would be in the way or takes more memory than the `parked` that are there.
    pub(super) fn forget(&mut self, parked: usize, is_parked: impl Fn(u64, ParkedId) -> bool) {
        let is_there = |item: &Reverse<Item>| is_parked(item.0.order, ParkedId(item.0.id));
        if parked == 0 {
            self.heap.clear();
        } else if self.heap.len() > 2 * parked + GONE_MIN {
            self.heap.retain(is_there);
        }
        while self.heap.peek().is_some_and(|item| !is_there(item)) {
            self.heap.pop();
        }
        if self.heap.capacity() > 4 * self.heap.len() + 4 * GONE_MIN {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }
}
