//! A batch of joined rows, by reference: columns are gathered when an expression asks for them.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, TimestampNanosecondArray, UInt32Array, new_null_array};
use arrow::compute::{nullif, take};

use crate::expression::Expression;
use crate::plan::{ColumnSource, Part, Plan};
use crate::state::{DimensionTable, Places, RowRef};

/// Joined rows: each is a row of the driving batch, and a row (or none) of each dimension looked up so far. A clone shares
/// what is as long as the batch.
#[derive(Clone)]
pub(super) struct Joined<'a> {
    plan: &'a Plan,
    dimensions: &'a [DimensionTable],
    driving: &'a [ArrayRef],
    now_ns: i64,
    rows: usize,
    /// The driving row of each row; `None` while each driving row is one row.
    driving_rows: Option<UInt32Array>,
    /// For each look-up that is done, what it found.
    found: Vec<Rc<Found>>,
    /// Columns that were asked for, by number.
    gathered: Vec<Option<ArrayRef>>,
}

/// What a look-up found.
struct Found {
    /// The dimension row of each row.
    refs: Vec<RowRef>,
    /// Where they are, once a column of them was asked for.
    places: OnceCell<Places>,
}

impl Found {
    fn new(refs: Vec<RowRef>) -> Rc<Self> {
        Rc::new(Self { refs, places: OnceCell::new() })
    }
}

impl<'a> Joined<'a> {
    /// The rows of a driving batch before any look-up.
    pub fn new(
        plan: &'a Plan,
        dimensions: &'a [DimensionTable],
        driving: &'a [ArrayRef],
        rows: usize,
        now_ns: i64,
    ) -> Self {
        let gathered = vec![None; plan.columns.len()];
        Self { plan, dimensions, driving, now_ns, rows, driving_rows: None, found: Vec::new(), gathered }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The driving row of row `row`.
    pub fn driving_row(&self, row: usize) -> u32 {
        self.driving_rows.as_ref().map_or(row as u32, |rows| rows.value(row))
    }

    /// The driving row of each row.
    pub fn driving_rows(&self) -> Vec<u32> {
        self.driving_rows.as_ref().map_or_else(|| (0..self.rows as u32).collect(), |rows| rows.values().to_vec())
    }

    /// How many driving rows found a match in every look-up.
    pub fn matched_driving_rows(&self) -> usize {
        let mut matched = 0;
        let mut last = None;
        for row in 0..self.rows {
            if self.found.iter().all(|found| !found.refs[row].is_null()) && last != Some(self.driving_row(row)) {
                last = Some(self.driving_row(row));
                matched += 1;
            }
        }
        matched
    }

    /// Row `i` is from now on what row `rows[i]` was.
    pub fn pick(&mut self, rows: &[u32]) {
        let picked = |of: &Rc<Found>| Found::new(rows.iter().map(|&row| of.refs[row as usize]).collect());
        self.found = self.found.iter().map(picked).collect();
        self.driving_rows = Some(match &self.driving_rows {
            None => rows.to_vec().into(),
            Some(before) => rows.iter().map(|&row| before.value(row as usize)).collect::<Vec<_>>().into(),
        });
        self.gathered.fill(None);
        self.rows = rows.len();
    }

    /// Keeps the rows for which `mask` is true.
    pub fn keep(&mut self, mask: &BooleanArray) {
        if mask.true_count() < self.rows {
            let kept: Vec<u32> = mask.values().set_indices().map(|row| row as u32).collect();
            self.pick(&kept);
        }
    }

    /// Adds what the next look-up found.
    pub fn push_lookup(&mut self, refs: Vec<RowRef>) {
        debug_assert_eq!(refs.len(), self.rows);
        self.found.push(Found::new(refs));
    }

    /// Whether this look-up is done.
    pub fn has_looked_up(&self, lookup: usize) -> bool {
        lookup < self.found.len()
    }

    /// Sets a column that is made, not gathered.
    pub fn set(&mut self, number: usize, column: ArrayRef) {
        self.gathered[number] = Some(column);
    }

    /// Evaluates an expression over the rows.
    pub fn evaluate(&mut self, expression: &Expression) -> Result<ArrayRef, String> {
        if let Some(number) = expression.as_column() {
            return self.column(number);
        }
        let columns = self.inputs(expression)?;
        expression.evaluate(columns, self.rows)
    }

    /// Evaluates a condition over the rows: NULL is false.
    pub fn evaluate_condition(&mut self, expression: &Expression) -> Result<BooleanArray, String> {
        let columns = self.inputs(expression)?;
        expression.evaluate_condition(columns, self.rows)
    }

    fn inputs(&mut self, expression: &Expression) -> Result<Vec<ArrayRef>, String> {
        expression.inputs().iter().map(|&number| self.column(number)).collect()
    }

    /// The column of this number.
    pub fn column(&mut self, number: usize) -> Result<ArrayRef, String> {
        if let Some(column) = &self.gathered[number] {
            return Ok(Arc::clone(column));
        }
        let plan = self.plan;
        let column = match &plan.columns[number] {
            ColumnSource::Stored { part: Part::Event(_), column } => self.driving_column(*column)?,
            ColumnSource::Stored { part: Part::Lookup(lookup), column } => {
                let (dimension, found) = (self.dimension_of(*lookup), &self.found[*lookup]);
                dimension.gather_at(*column, found.places.get_or_init(|| dimension.locate(&found.refs)))
            }
            ColumnSource::Computed { part: Part::Event(_), expression } => self.evaluate(expression)?,
            ColumnSource::Computed { part: Part::Lookup(lookup), expression } => {
                // What the join did not find is not asked: the expression could fail on NULL.
                if self.found[*lookup].refs.iter().all(|found| found.is_null()) {
                    return Ok(new_null_array(expression.data_type(), self.rows));
                }
                let computed = self.evaluate(expression)?;
                self.null_where_missed(*lookup, &computed)?
            }
            ColumnSource::Now => {
                let now = TimestampNanosecondArray::from_value(self.now_ns, self.rows);
                Arc::new(now.with_timezone("+00:00")) as ArrayRef
            }
            ColumnSource::Unnest(_) => return Err("BUG: a list's elements are asked for before UNNEST".into()),
        };
        self.gathered[number] = Some(Arc::clone(&column));
        Ok(column)
    }

    fn dimension_of(&self, lookup: usize) -> &'a DimensionTable {
        &self.dimensions[self.plan.lookups[lookup].dimension]
    }

    fn driving_column(&self, column: usize) -> Result<ArrayRef, String> {
        match &self.driving_rows {
            None => Ok(Arc::clone(&self.driving[column])),
            Some(rows) => take(self.driving[column].as_ref(), rows, None).map_err(|error| error.to_string()),
        }
    }

    fn null_where_missed(&self, lookup: usize, computed: &ArrayRef) -> Result<ArrayRef, String> {
        let refs = &self.found[lookup].refs;
        if refs.iter().all(|found| !found.is_null()) {
            return Ok(Arc::clone(computed));
        }
        if computed.data_type().is_null() {
            return Ok(new_null_array(computed.data_type(), self.rows));
        }
        let missed: BooleanArray = refs.iter().map(|found| Some(found.is_null())).collect();
        nullif(computed, &missed).map_err(|error| error.to_string())
    }
}
