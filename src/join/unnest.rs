//! UNNEST: one row an element; several lists of a row go side by side, the shorter ones padded with NULL.

use arrow::array::{Array, ArrayRef, UInt32Array, make_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field};

use super::joined::Joined;
use crate::plan::ColumnSource;

/// Makes one row an element of the lists that the query unnests; a row whose lists are all NULL or empty goes.
///
/// # Errors
/// When the expression that gives a list fails for any row.
pub(super) fn unnest(joined: &mut Joined<'_>) -> Result<(), String> {
    let plan = joined.plan();
    let mut lists = Vec::new();
    for (number, source) in plan.columns.iter().enumerate() {
        if let ColumnSource::Unnest(expression) = source {
            lists.push((number, List::new(&joined.evaluate(expression)?)?));
        }
    }
    if lists.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    let mut elements: Vec<Vec<Option<u32>>> = vec![Vec::new(); lists.len()];
    for row in 0..joined.rows() {
        let longest = lists.iter().map(|(_, list)| list.length(row)).max().unwrap_or(0);
        rows.extend(std::iter::repeat_n(row as u32, longest));
        for ((_, list), elements) in lists.iter().zip(&mut elements) {
            elements.extend((0..longest).map(|place| list.element(row, place)));
        }
    }
    joined.pick(&rows);
    for ((number, list), elements) in lists.into_iter().zip(elements) {
        let column = take(&list.values, &UInt32Array::from(elements), None).map_err(|error| error.to_string())?;
        joined.set(number, column);
    }
    Ok(())
}

struct List {
    offsets: Vec<i64>,
    valid: Vec<bool>,
    values: ArrayRef,
}

impl List {
    fn new(array: &ArrayRef) -> Result<Self, String> {
        let element = match array.data_type() {
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => field.clone(),
            other => return Err(format!("unnest() takes a list, and this is {other}")),
        };
        let field = Field::new(element.name(), element.data_type().clone(), element.is_nullable());
        let large = cast(array, &DataType::LargeList(field.into())).map_err(|error| error.to_string())?;
        let data = large.to_data();
        let offsets = data.buffers()[0].typed_data::<i64>()[data.offset()..=data.offset() + data.len()].to_vec();
        let valid = (0..large.len()).map(|row| large.is_valid(row)).collect();
        Ok(Self { offsets, valid, values: make_array(data.child_data()[0].clone()) })
    }

    fn length(&self, row: usize) -> usize {
        if self.valid[row] { (self.offsets[row + 1] - self.offsets[row]) as usize } else { 0 }
    }

    fn element(&self, row: usize, place: usize) -> Option<u32> {
        (place < self.length(row)).then(|| (self.offsets[row] as usize + place) as u32)
    }
}
