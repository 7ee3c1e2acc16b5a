//! Dimension rows into state.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};

use super::decode::DecodedTable;
use crate::batch::RawBatch;
use crate::expression::Expression;
use crate::plan::{Column, Dimension, Identity, Plan};
use crate::state::{Applied, DimensionSpec, DimensionTable, Tombstones, Upserts};

/// The dimensions of a plan.
pub struct Dimensions {
    plan: Arc<Plan>,
    /// The tables, in the order of the plan.
    pub tables: Vec<DimensionTable>,
    /// What names the rows of each, once a record was seen.
    identities: Vec<Option<Identity>>,
}

/// The changes of a batch of records: what is applied, in the order of records.
pub struct Changes {
    /// All columns of the rows as they are stored.
    pub columns: Vec<ArrayRef>,
    /// The record of each row, ascending.
    pub records: Vec<u32>,
    /// The identities that are deleted.
    pub deleted: Vec<ArrayRef>,
    /// The record of each, ascending.
    pub tombstones: Vec<u32>,
    /// Rows that could not be computed: the record, and why.
    pub rejected: Vec<(u32, String)>,
}

impl Dimensions {
    /// Empty dimensions.
    pub fn new(plan: &Arc<Plan>) -> Self {
        Self {
            tables: plan.dimensions.iter().map(|dimension| empty(plan, dimension, None)).collect(),
            identities: vec![None; plan.dimensions.len()],
            plan: Arc::clone(plan),
        }
    }

    /// What a batch of records changes in dimension `place`.
    pub fn changes(&mut self, place: usize, table: DecodedTable) -> (RawBatch, Changes) {
        let dimension = &self.plan.dimensions[place];
        if self.identities[place] != table.identity {
            self.tables[place] = empty(&self.plan, dimension, table.identity.as_ref());
            self.identities[place] = table.identity;
        }
        let rows = table.rows;
        let plain = self.plan.tables[dimension.table.index()].columns.len();
        let computed = compute_each(&dimension.computed, &rows.columns, rows.rows);
        let mut changes = Changes {
            columns: rows.columns,
            records: rows.records,
            deleted: rows.tombstone_identity,
            tombstones: rows.tombstones,
            rejected: computed.failed.iter().map(|(row, error)| (*row, error.clone())).collect(),
        };
        for (row, _) in &mut changes.rejected {
            *row = changes.records[*row as usize];
        }
        if !computed.failed.is_empty() {
            let good = UInt32Array::from(computed.good.clone());
            changes.columns = changes.columns.iter().map(|column| taken(column, &good)).collect();
            changes.records = computed.good.iter().map(|&row| changes.records[row as usize]).collect();
        }
        changes.columns = with_computed(changes.columns, computed.columns, plain);
        (table.raw, changes)
    }

    /// Applies the changes of the records `first..end`.
    pub fn apply(&mut self, place: usize, raw: &RawBatch, changes: &Changes, (first, end): (u32, u32)) -> Applied {
        let range = |records: &[u32]| {
            records.partition_point(|record| *record < first)..records.partition_point(|record| *record < end)
        };
        let of = |records: &[u32]| -> (Vec<i32>, Vec<i64>) {
            let each = records.iter().map(|&record| record as usize);
            each.map(|record| (raw.partitions[record], raw.timestamps[record])).unzip()
        };
        let slice = |columns: &[ArrayRef], rows: &std::ops::Range<usize>| -> Vec<ArrayRef> {
            columns.iter().map(|column| column.slice(rows.start, rows.len())).collect()
        };
        let rows = range(&changes.records);
        let columns = slice(&changes.columns, &rows);
        let (partitions, timestamps) = of(&changes.records[rows.clone()]);
        let upserts = Upserts {
            columns: &columns,
            records: &changes.records[rows],
            partitions: &partitions,
            timestamps: &timestamps,
        };
        let gone = range(&changes.tombstones);
        let identity = slice(&changes.deleted, &gone);
        let (partitions, timestamps) = of(&changes.tombstones[gone.clone()]);
        let tombstones = Tombstones {
            identity: &identity,
            records: &changes.tombstones[gone],
            partitions: &partitions,
            timestamps: &timestamps,
        };
        self.tables[place].apply(upserts, tombstones)
    }
}

/// Computed columns of some rows.
pub(super) struct Computed {
    /// The columns, of the good rows.
    pub(super) columns: Vec<ArrayRef>,
    /// The rows that did not fail; not filled if none failed.
    pub(super) good: Vec<u32>,
    /// The rows that failed, and why.
    pub(super) failed: Vec<(u32, String)>,
}

/// Evaluates expressions over columns that they name by their places; a row for which one fails fails alone.
pub(super) fn compute_each(expressions: &[Expression], columns: &[ArrayRef], rows: usize) -> Computed {
    if let Ok(columns) = compute(expressions, columns, rows) {
        return Computed { columns, good: Vec::new(), failed: Vec::new() };
    }
    // Whether an expression fails for a row may depend on its neighbours: AND looks at the right side only if it has to.
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    let mut pieces: Vec<Vec<ArrayRef>> = vec![Vec::new(); expressions.len()];
    for row in 0..rows {
        let one: Vec<_> = columns.iter().map(|column| column.slice(row, 1)).collect();
        match compute(expressions, &one, 1) {
            Ok(computed) => {
                good.push(row as u32);
                pieces.iter_mut().zip(computed).for_each(|(pieces, piece)| pieces.push(piece));
            }
            Err(error) => failed.push((row as u32, error)),
        }
    }
    let whole = |(pieces, expression): (&Vec<ArrayRef>, &Expression)| {
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        match pieces[..] {
            [] => new_empty_array(expression.data_type()),
            _ => concat(&pieces).expect("BUG: pieces of one computed column differ in type"),
        }
    };
    Computed { columns: pieces.iter().zip(expressions).map(whole).collect(), good, failed }
}

fn compute(expressions: &[Expression], columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String> {
    let inputs = |inputs: &[usize]| inputs.iter().map(|&input| Arc::clone(&columns[input])).collect();
    expressions.iter().map(|expression| expression.evaluate(inputs(expression.inputs()), rows)).collect()
}

/// Computed columns stand behind the plain ones, and before the record's key.
fn with_computed(mut columns: Vec<ArrayRef>, computed: Vec<ArrayRef>, plain: usize) -> Vec<ArrayRef> {
    let key = columns.split_off(plain.min(columns.len()));
    columns.extend(computed);
    columns.extend(key);
    columns
}

pub(super) fn taken(column: &ArrayRef, rows: &UInt32Array) -> ArrayRef {
    take(column.as_ref(), rows, None).expect("BUG: rows to take lie within the column")
}

fn empty(plan: &Plan, dimension: &Dimension, identity: Option<&Identity>) -> DimensionTable {
    let table = &plan.tables[dimension.table.index()];
    let mut columns: Vec<_> = table.columns.iter().map(Column::data_type).collect();
    columns.extend(dimension.computed.iter().map(|expression| expression.data_type().clone()));
    let identity = match identity {
        Some(Identity::Columns(columns)) => columns.clone(),
        Some(Identity::RecordKey(_)) => {
            columns.push(Column::Identity.data_type());
            vec![columns.len() - 1]
        }
        // No record was seen yet: the table is empty, and made anew with the first.
        None => vec![0],
    };
    DimensionTable::new(DimensionSpec { columns, identity, indexes: dimension.indexes.clone() })
}
