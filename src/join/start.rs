//! What a walk starts from, and what it walks over.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array};

use crate::state::{DimensionTable, EventTable};

/// The tables, as they stand during a walk.
#[derive(Clone, Copy)]
pub struct State<'a> {
    /// The event tables of the plan; none if there is only one, whose rows nobody needs again.
    pub events: &'a [EventTable],
    /// The dimensions of the plan.
    pub dimensions: &'a [DimensionTable],
}

/// What is known of every event row besides its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// The partition of its record (`Int32`).
    Partition,
    /// The offset of its record (`Int64`).
    Offset,
    /// The timestamp of its record, ms since the epoch (`Int64`).
    Timestamp,
    /// Its time (SEMANTICS 1.6), ms since the epoch (`Int64`).
    Time,
}

/// Rows of one event table that a walk starts with.
#[derive(Clone, Debug)]
pub struct Given {
    /// The columns that the plan keeps of the table.
    pub columns: Vec<ArrayRef>,
    /// By `Hidden`.
    pub hidden: [ArrayRef; 4],
    /// Where a LEFT join has found no row; `None` if there is a row everywhere.
    pub absent: Option<BooleanArray>,
}

impl Given {
    /// Rows that are all there.
    pub fn new(
        columns: Vec<ArrayRef>,
        partitions: Vec<i32>,
        offsets: Vec<i64>,
        timestamps: Vec<i64>,
        times: Vec<i64>,
    ) -> Self {
        let hidden: [ArrayRef; 4] = [
            Arc::new(Int32Array::from(partitions)),
            Arc::new(Int64Array::from(offsets)),
            Arc::new(Int64Array::from(timestamps)),
            Arc::new(Int64Array::from(times)),
        ];
        Self { columns, hidden, absent: None }
    }
}

/// The rows that a walk starts with: new rows of one event table, or combinations of rows of all of them.
#[derive(Clone, Debug)]
pub struct Start {
    /// By event table of the plan: its rows, if they are given.
    pub given: Vec<Option<Given>>,
    /// How many rows.
    pub rows: usize,
    /// The event table whose new rows these are; none if they are combinations that were formed before.
    pub new: Option<usize>,
}

impl Start {
    /// New rows of one of `events` event tables.
    pub fn of_event(event: usize, events: usize, rows: usize, given: Given) -> Self {
        let mut all = vec![None; events];
        all[event] = Some(given);
        Self { given: all, rows, new: Some(event) }
    }
}
