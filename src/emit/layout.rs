//! How a combination of event rows lies in the store of those that wait: the columns of each event table, what is known of
//! its rows besides, and whether there is a row at all.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;

use crate::join::{Given, Hidden, Joined, Start};
use crate::plan::{Column, Part, Plan};
use crate::state::{Parked, ParkedId};

const HIDDEN: [Hidden; 4] = [Hidden::Partition, Hidden::Offset, Hidden::Timestamp, Hidden::Time];

/// The columns of a waiting combination.
#[derive(Debug)]
pub(super) struct Layout {
    /// By event table: how many columns the plan keeps of it, and where its first one lies.
    tables: Vec<(usize, usize)>,
    /// The types of all columns.
    pub(super) types: Vec<DataType>,
}

impl Layout {
    pub(super) fn of(plan: &Plan) -> Self {
        let (mut tables, mut types) = (Vec::new(), Vec::new());
        for event in &plan.events {
            let columns = &plan.tables[event.table.index()].columns;
            tables.push((columns.len(), types.len()));
            types.extend(columns.iter().map(Column::data_type));
            types.extend([DataType::Int32, DataType::Int64, DataType::Int64, DataType::Int64, DataType::Boolean]);
        }
        Self { tables, types }
    }

    /// Where `hidden` of an event table lies.
    pub(super) fn hidden(&self, event: usize, hidden: Hidden) -> usize {
        let (width, first) = self.tables[event];
        first + width + hidden as usize
    }

    /// Where it stands that there is no row of this event table.
    pub(super) fn absent(&self, event: usize) -> usize {
        let (width, first) = self.tables[event];
        first + width + HIDDEN.len()
    }

    /// All columns of the combinations in `joined`, one a row.
    pub(super) fn columns(&self, joined: &mut Joined<'_>) -> Vec<ArrayRef> {
        let mut columns = Vec::with_capacity(self.types.len());
        for (event, (width, _)) in self.tables.iter().enumerate() {
            for column in 0..*width {
                columns.push(joined.event_column(event, column));
            }
            columns.extend(HIDDEN.map(|hidden| joined.hidden(event, hidden)));
            let absent = joined.missed(Part::Event(event));
            let absent = absent.unwrap_or_else(|| BooleanArray::from(vec![false; joined.rows()]));
            columns.push(Arc::new(absent));
        }
        columns
    }

    /// Waiting combinations as the start of a walk.
    pub(super) fn start(&self, parked: &Parked, ids: &[ParkedId]) -> Start {
        let places = parked.locate(ids);
        let at = |column: usize| parked.gather_at(column, &places);
        let given = self.tables.iter().enumerate().map(|(event, (width, first))| {
            let absent = at(self.absent(event)).as_boolean().clone();
            Some(Given {
                columns: (0..*width).map(|column| at(first + column)).collect(),
                hidden: HIDDEN.map(|hidden| at(self.hidden(event, hidden))),
                absent: (absent.true_count() > 0).then_some(absent),
            })
        });
        Start { given: given.collect(), rows: ids.len(), new: None }
    }
}

/// Whether a column has a value in a row.
pub(super) fn is_null(column: &ArrayRef, row: usize) -> bool {
    column.data_type() == &DataType::Null || column.is_null(row)
}
