//! A batch of joined rows, by reference: columns are gathered when an expression asks for them.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, TimestampNanosecondArray, UInt32Array, new_null_array};
use arrow::compute::{nullif, take};
use arrow::datatypes::Int64Type;

use super::start::{Hidden, Start, State};
use super::unnest::unnest;
use crate::expression::Expression;
use crate::plan::{ColumnSource, Part, Plan};
use crate::state::{EventTable, Places, RowRef, Stored};

/// Joined rows: each is a row of the start, and a row (or none) of each table that the walk has come to. A clone shares what
/// is as long as the batch.
#[derive(Clone)]
pub struct Joined<'a> {
    plan: &'a Plan,
    state: State<'a>,
    start: &'a Start,
    now_ns: i64,
    rows: usize,
    /// The start's row of each row; `None` while each is one row.
    start_rows: Option<UInt32Array>,
    /// The number of each row, once they are numbered.
    marks: Option<Rc<[u32]>>,
    /// What was found, by part: the event tables, then the look-ups.
    found: Vec<Option<Rc<Found>>>,
    /// Columns that were asked for, by number.
    gathered: Vec<Option<ArrayRef>>,
}

/// What was found of a table.
struct Found {
    /// The table's row for each row.
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
    /// The rows of the start before the first step.
    pub fn new(plan: &'a Plan, state: State<'a>, start: &'a Start, now_ns: i64) -> Self {
        let found = vec![None; plan.events.len() + plan.lookups.len()];
        let gathered = vec![None; plan.columns.len()];
        Self { plan, state, start, now_ns, rows: start.rows, start_rows: None, marks: None, found, gathered }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The plan.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// The state that the walk reads.
    pub fn state(&self) -> State<'a> {
        self.state
    }

    /// The start's row of row `row`.
    pub fn start_row(&self, row: usize) -> u32 {
        self.start_rows.as_ref().map_or(row as u32, |rows| rows.value(row))
    }

    /// The event table whose new rows the walk started from, if it did.
    pub fn new_event(&self) -> Option<usize> {
        self.start.new
    }

    /// Numbers the rows: from now on `mark` tells of each row from which of these it has come.
    pub fn mark_rows(&mut self) {
        self.marks = Some((0..self.rows as u32).collect());
    }

    /// The number of a row's forefather; the rows were numbered.
    pub fn mark(&self, row: usize) -> u32 {
        self.marks.as_ref().expect("BUG: rows are asked for numbers before they have some")[row]
    }

    /// How many rows of the start have a row that is matched in every table; `last` is the one that was counted last.
    pub fn matched_start_rows(&self, last: &mut Option<u32>) -> usize {
        let mut matched = 0;
        for row in 0..self.rows {
            let complete = self.found.iter().flatten().all(|found| !found.refs[row].is_null());
            if complete && *last != Some(self.start_row(row)) {
                *last = Some(self.start_row(row));
                matched += 1;
            }
        }
        matched
    }

    /// Row `i` is from now on what row `rows[i]` was.
    pub fn pick(&mut self, rows: &[u32]) {
        for found in self.found.iter_mut().flatten() {
            *found = Found::new(rows.iter().map(|&row| found.refs[row as usize]).collect());
        }
        self.start_rows = Some(match &self.start_rows {
            None => rows.to_vec().into(),
            Some(before) => rows.iter().map(|&row| before.value(row as usize)).collect::<Vec<_>>().into(),
        });
        self.marks = self.marks.as_ref().map(|marks| rows.iter().map(|&row| marks[row as usize]).collect());
        for (gathered, source) in self.gathered.iter_mut().zip(&self.plan.columns) {
            // What is made can't be gathered again.
            let made = gathered.take().filter(|_| matches!(source, ColumnSource::Unnest(_)));
            *gathered = made.map(|column| {
                take(column.as_ref(), &UInt32Array::from(rows.to_vec()), None)
                    .expect("BUG: rows are picked that are there")
            });
        }
        self.rows = rows.len();
    }

    /// The rows `first..end`.
    pub fn range(&self, first: usize, end: usize) -> Self {
        let mut part = self.clone();
        if first > 0 || end < self.rows {
            part.pick(&(first as u32..end as u32).collect::<Vec<_>>());
        }
        part
    }

    /// Two halves; there are at least two rows.
    pub fn halves(&self) -> [Self; 2] {
        let middle = self.rows / 2;
        [self.range(0, middle), self.range(middle, self.rows)]
    }

    /// Keeps the rows for which `mask` is true.
    pub fn keep(&mut self, mask: &BooleanArray) {
        if mask.true_count() < self.rows {
            let kept: Vec<u32> = mask.values().set_indices().map(|row| row as u32).collect();
            self.pick(&kept);
        }
    }

    /// Adds what was found of a table, a row each.
    pub fn push(&mut self, part: Part, refs: Vec<RowRef>) {
        debug_assert_eq!(refs.len(), self.rows);
        let slot = self.slot(part);
        self.found[slot] = Some(Found::new(refs));
    }

    /// Whether the walk has come to this table.
    pub fn has(&self, part: Part) -> bool {
        let is_given = matches!(part, Part::Event(event) if self.start.given[event].is_some());
        is_given || self.found[self.slot(part)].is_some()
    }

    fn slot(&self, part: Part) -> usize {
        match part {
            Part::Event(event) => event,
            Part::Lookup(lookup) => self.plan.events.len() + lookup,
        }
    }

    /// Where this table has no row; `None` if it has one everywhere.
    pub fn missed(&self, part: Part) -> Option<BooleanArray> {
        if let Some(found) = &self.found[self.slot(part)] {
            let is_missed = found.refs.iter().any(|found| found.is_null());
            return is_missed.then(|| found.refs.iter().map(|found| Some(found.is_null())).collect());
        }
        let Part::Event(event) = part else { return None };
        let absent = self.start.given[event].as_ref()?.absent.as_ref()?;
        let absent: BooleanArray = (0..self.rows).map(|row| Some(absent.value(self.start_row(row) as usize))).collect();
        (absent.true_count() > 0).then_some(absent)
    }

    /// Sets a column that is made, not gathered.
    pub fn set(&mut self, number: usize, column: ArrayRef) {
        self.gathered[number] = Some(column);
    }

    /// Evaluates an expression over the rows.
    ///
    /// # Errors
    /// When it fails for any row.
    pub fn evaluate(&mut self, expression: &Expression) -> Result<ArrayRef, String> {
        if let Some(number) = expression.as_column() {
            return self.column(number);
        }
        let columns = self.inputs(expression)?;
        expression.evaluate(columns, self.rows)
    }

    /// Evaluates a condition over the rows: NULL is false.
    ///
    /// # Errors
    /// When it fails for any row.
    pub fn evaluate_condition(&mut self, expression: &Expression) -> Result<BooleanArray, String> {
        let columns = self.inputs(expression)?;
        expression.evaluate_condition(columns, self.rows)
    }

    fn inputs(&mut self, expression: &Expression) -> Result<Vec<ArrayRef>, String> {
        expression.inputs().iter().map(|&number| self.column(number)).collect()
    }

    /// The column of this number.
    ///
    /// # Errors
    /// When it is computed, and that fails for any row.
    pub fn column(&mut self, number: usize) -> Result<ArrayRef, String> {
        if let Some(column) = &self.gathered[number] {
            return Ok(Arc::clone(column));
        }
        let plan = self.plan;
        let column = match &plan.columns[number] {
            ColumnSource::Stored { part, column } => self.stored(*part, *column)?,
            ColumnSource::Computed { part, expression } => {
                let missed = self.missed(*part);
                // What the join did not find is not asked: the expression could fail on NULL.
                if missed.as_ref().is_some_and(|missed| missed.true_count() == self.rows) {
                    return Ok(new_null_array(expression.data_type(), self.rows));
                }
                let computed = self.evaluate(expression)?;
                null_where(missed, computed)?
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

    fn stored(&self, part: Part, column: usize) -> Result<ArrayRef, String> {
        if let Some(found) = &self.found[self.slot(part)] {
            return Ok(gathered(self.table(part), column, found));
        }
        match part {
            Part::Event(event) if let Some(given) = &self.start.given[event] => self.of_start(&given.columns[column]),
            _ => Err("BUG: a column is asked for of a table to which the walk has not come".into()),
        }
    }

    /// A column of an event table's rows; NULL where there is no row.
    pub fn event_column(&self, event: usize, column: usize) -> ArrayRef {
        self.stored(Part::Event(event), column).expect("BUG: rows of the start lie within it")
    }

    /// Makes one row an element of the lists that the query unnests.
    ///
    /// # Errors
    /// When the expression that gives a list fails for any row.
    pub fn unnest(&mut self) -> Result<(), String> {
        unnest(self)
    }

    fn table(&self, part: Part) -> &'a Stored {
        match part {
            Part::Event(event) => self.state.events[event].stored(),
            Part::Lookup(lookup) => self.state.dimensions[self.plan.lookups[lookup].dimension].stored(),
        }
    }

    fn of_start(&self, column: &ArrayRef) -> Result<ArrayRef, String> {
        match &self.start_rows {
            None => Ok(Arc::clone(column)),
            Some(rows) => take(column.as_ref(), rows, None).map_err(|error| error.to_string()),
        }
    }

    /// What is known of the rows of an event table besides their columns; NULL where there is no row.
    pub fn hidden(&self, event: usize, hidden: Hidden) -> ArrayRef {
        if let Some(found) = &self.found[event] {
            return gathered(self.table(Part::Event(event)), hidden_column(&self.state.events[event], hidden), found);
        }
        let given = self.start.given[event].as_ref().expect("BUG: the walk has not come to this event table");
        self.of_start(&given.hidden[hidden as usize]).expect("BUG: rows of the start lie within it")
    }

    /// One of `hidden` that is a number of 64 bits.
    pub fn hidden_i64(&self, event: usize, hidden: Hidden) -> Vec<i64> {
        self.hidden(event, hidden).as_primitive::<Int64Type>().values().to_vec()
    }
}

fn hidden_column(table: &EventTable, hidden: Hidden) -> usize {
    match hidden {
        Hidden::Partition => table.partition_column(),
        Hidden::Offset => table.offset_column(),
        Hidden::Timestamp => table.timestamp_column(),
        Hidden::Time => table.time_column(),
    }
}

fn gathered(table: &Stored, column: usize, found: &Found) -> ArrayRef {
    table.gather_at(column, found.places.get_or_init(|| table.locate(&found.refs)))
}

fn null_where(missed: Option<BooleanArray>, computed: ArrayRef) -> Result<ArrayRef, String> {
    match missed {
        Some(missed) if !computed.data_type().is_null() => {
            nullif(&computed, &missed).map_err(|error| error.to_string())
        }
        _ => Ok(computed),
    }
}
