//! How far a Kafka source is: for `/readyz` and the metrics, read from other threads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::batch::TableId;
use crate::kafka_client::lock;

/// Load and lag of a source. Numbers are as of the last cut, lags as of half a second ago at most while cuts come.
pub struct LoadProgress {
    dimensions: Vec<DimensionProgress>,
    assigned: AtomicUsize,
    reading: AtomicBool,
    waiting_for: Mutex<String>,
    partitions: Mutex<Vec<Arc<PartitionProgress>>>,
}

/// The load of one dimension (SEMANTICS 2.7).
pub struct DimensionProgress {
    /// Whose.
    pub table: TableId,
    /// Its topic.
    pub topic: String,
    pub(super) rows: AtomicU64,
    pub(super) read: AtomicI64,
    pub(super) end: AtomicI64,
    pub(super) loaded: AtomicBool,
}

impl DimensionProgress {
    /// Records handed over so far, those after the load included.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Offsets passed so far of `end`. A compacted topic has fewer records than offsets.
    pub fn read(&self) -> i64 {
        if self.is_loaded() { self.end() } else { self.read.load(Ordering::Relaxed).min(self.end()) }
    }

    /// How many offsets the topic held when the load began.
    pub fn end(&self) -> i64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether it was read to the end that it had at start.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }
}

/// One partition that is being read.
pub(super) struct PartitionProgress {
    pub(super) table: TableId,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) lag: AtomicI64,
}

/// How far behind the end of its partition the source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Whose partition.
    pub table: TableId,
    /// Its topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Offsets between the position and the high watermark; 0 where a read_committed reader has reached the end.
    pub offsets: i64,
}

impl LoadProgress {
    pub(super) fn new(dimensions: &[(TableId, String)]) -> Self {
        let dimension = |(table, topic): &(TableId, String)| DimensionProgress {
            table: *table,
            topic: topic.clone(),
            rows: AtomicU64::new(0),
            read: AtomicI64::new(0),
            end: AtomicI64::new(0),
            loaded: AtomicBool::new(false),
        };
        Self {
            dimensions: dimensions.iter().map(dimension).collect(),
            assigned: AtomicUsize::new(0),
            reading: AtomicBool::new(false),
            waiting_for: Mutex::new("the source has not started".to_owned()),
            partitions: Mutex::new(Vec::new()),
        }
    }

    /// The dimensions, in the order of the pipeline.
    pub fn dimensions(&self) -> &[DimensionProgress] {
        &self.dimensions
    }

    /// How many event partitions this process owns.
    pub fn assigned_partitions(&self) -> usize {
        self.assigned.load(Ordering::Relaxed)
    }

    /// Why events are not being read, or `None` if they are.
    pub fn not_ready(&self) -> Option<String> {
        (!self.reading.load(Ordering::Relaxed)).then(|| lock(&self.waiting_for).clone())
    }

    /// The lag of every partition that is being read.
    pub fn lags(&self) -> Vec<Lag> {
        let lag = |partition: &Arc<PartitionProgress>| Lag {
            table: partition.table,
            topic: Arc::clone(&partition.topic),
            partition: partition.partition,
            offsets: partition.lag.load(Ordering::Relaxed),
        };
        lock(&self.partitions).iter().map(lag).collect()
    }

    /// Events are read from now on, from `partitions` partitions.
    pub(super) fn reading(&self, partitions: usize) {
        self.assigned.store(partitions, Ordering::Relaxed);
        self.reading.store(true, Ordering::Relaxed);
    }

    /// Events are not read: why. True if that is news.
    pub(super) fn waiting_for(&self, reason: &str) -> bool {
        self.assigned.store(0, Ordering::Relaxed);
        self.reading.store(false, Ordering::Relaxed);
        let mut waiting_for = lock(&self.waiting_for);
        let news = *waiting_for != reason;
        if news {
            reason.clone_into(&mut waiting_for);
        }
        news
    }

    /// Shows a partition's lag from now on.
    pub(super) fn register(&self, table: TableId, topic: &Arc<str>, partition: i32) -> Arc<PartitionProgress> {
        let progress =
            Arc::new(PartitionProgress { table, topic: Arc::clone(topic), partition, lag: AtomicI64::new(0) });
        lock(&self.partitions).push(Arc::clone(&progress));
        progress
    }

    /// Shows a partition no longer.
    pub(super) fn forget(&self, progress: &Arc<PartitionProgress>) {
        lock(&self.partitions).retain(|other| !Arc::ptr_eq(other, progress));
    }
}
