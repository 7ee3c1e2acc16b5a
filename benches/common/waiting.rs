//! Combinations that wait: parking them, and finding and removing what a key wakes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use arrow::datatypes::DataType;
use criterion::{BenchmarkId, Criterion, Throughput};
use kaflowsql::clock::Stopwatch;
use kaflowsql::shard::hash_keys;
use kaflowsql::state::{Parked, Waiting, Waker};

/// Combinations that come or go at once.
const SIZE: u64 = 4096;

struct Crowd {
    parked: Parked,
    /// The first that waits, and the next to come.
    first: u64,
    next: u64,
}

impl Crowd {
    fn keys(numbers: std::ops::Range<u64>) -> ArrayRef {
        let mixed = numbers.map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24);
        Arc::new(Int64Array::from_iter_values(mixed.map(|number| number as i64)))
    }

    fn park(&mut self) -> Duration {
        let numbers = self.next..self.next + SIZE;
        self.next += SIZE;
        let texts = numbers.clone().map(|number| format!("merchant-{number:08}"));
        let columns = [Self::keys(numbers.clone()), Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef];
        let waiting = |number: u64| Waiting {
            deadline_ms: number as i64,
            parked_ms: number as i64 / 1000,
            driver: (0, number as i64),
            is_partial: false,
        };
        let entries: Vec<Waiting> = numbers.map(waiting).collect();
        let hashes = hash_keys(&columns[..1]).hashes.into_iter().enumerate();
        let wakers: Vec<Waker> = hashes.map(|(entry, hash)| Waker { entry: entry as u32, lookup: 0, hash }).collect();
        let watch = Stopwatch::start();
        black_box(self.parked.park(&columns, &entries, &wakers));
        watch.elapsed()
    }

    fn wake(&mut self) -> Duration {
        let hashes = hash_keys(&[Self::keys(self.first..self.first + SIZE)]);
        self.first += SIZE;
        let watch = Stopwatch::start();
        let mut found = Vec::new();
        self.parked.woken(0, &hashes, &mut found);
        let ids: Vec<_> = found.into_iter().map(|(_, id)| id).collect();
        black_box(self.parked.gather_all(&ids));
        self.parked.remove(&ids);
        assert_eq!(ids.len(), SIZE as usize);
        watch.elapsed()
    }
}

/// With few that wait, and with a million.
pub fn parked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parked");
    group.throughput(Throughput::Elements(SIZE));
    for waiting in [SIZE, 1 << 20] {
        let parked = Parked::new(&[DataType::Int64, DataType::Utf8View], 1);
        let mut crowd = Crowd { parked, first: 0, next: 0 };
        while crowd.next < waiting {
            crowd.park();
        }
        group.bench_function(BenchmarkId::new("park", waiting), |bencher| {
            bencher.iter_custom(|iterations| {
                let of_one = |_| {
                    let spent = crowd.park();
                    crowd.wake();
                    spent
                };
                (0..iterations).map(of_one).sum()
            });
        });
        group.bench_function(BenchmarkId::new("wake", waiting), |bencher| {
            bencher.iter_custom(|iterations| {
                let of_one = |_| {
                    crowd.park();
                    crowd.wake()
                };
                (0..iterations).map(of_one).sum()
            });
        });
    }
    group.finish();
}
