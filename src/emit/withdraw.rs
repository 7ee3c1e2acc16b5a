//! What gives way: a combination that adds an event row to one that waits takes its place (SEMANTICS 3.2).

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::layout::Layout;
use crate::join::{Hidden, Joined};
use crate::plan::{Part, Plan};
use crate::state::{Parked, ParkedId};

/// The row of one event table in some combinations.
struct Coordinates {
    absent: Option<ArrayRef>,
    partitions: ArrayRef,
    offsets: ArrayRef,
}

impl Coordinates {
    fn is_absent(&self, row: usize) -> bool {
        self.absent.as_ref().is_some_and(|absent| absent.as_boolean().value(row))
    }

    fn of(&self, row: usize) -> (i32, i64) {
        let partition = self.partitions.as_primitive::<Int32Type>().value(row);
        (partition, self.offsets.as_primitive::<Int64Type>().value(row))
    }
}

/// Whether combinations of this plan can lack an event row.
pub(super) fn can_withdraw(plan: &Plan) -> bool {
    plan.events.iter().filter_map(|event| event.join.as_ref()).any(|join| join.left)
}

/// The waiting combinations that those in `joined` (one a row) contain.
pub(super) fn withdrawn(joined: &Joined<'_>, layout: &Layout, parked: &Parked) -> Vec<ParkedId> {
    let events = joined.plan().events.len();
    let new: Vec<Coordinates> = (0..events).map(|event| of_joined(joined, event)).collect();
    let mut pairs: Vec<(usize, ParkedId)> = Vec::new();
    for row in 0..joined.rows() {
        pairs.extend(parked.of_driver(new[0].of(row)).into_iter().map(|id| (row, id)));
    }
    if pairs.is_empty() {
        return Vec::new();
    }
    let ids: Vec<ParkedId> = pairs.iter().map(|(_, id)| *id).collect();
    let places = parked.locate(&ids);
    let old: Vec<Coordinates> = (0..events)
        .map(|event| Coordinates {
            absent: Some(parked.gather_at(layout.absent(event), &places)),
            partitions: parked.gather_at(layout.hidden(event, Hidden::Partition), &places),
            offsets: parked.gather_at(layout.hidden(event, Hidden::Offset), &places),
        })
        .collect();
    let gives_way = |place: usize, row: usize| {
        let mut adds = false;
        (1..events).all(|event| {
            if old[event].is_absent(place) {
                adds |= !new[event].is_absent(row);
                return true;
            }
            !new[event].is_absent(row) && old[event].of(place) == new[event].of(row)
        }) && adds
    };
    let mut ids: Vec<ParkedId> =
        pairs.iter().enumerate().filter(|(place, (row, _))| gives_way(*place, *row)).map(|(_, (_, id))| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn of_joined(joined: &Joined<'_>, event: usize) -> Coordinates {
    Coordinates {
        absent: joined.missed(Part::Event(event)).map(|absent| std::sync::Arc::new(absent) as ArrayRef),
        partitions: joined.hidden(event, Hidden::Partition),
        offsets: joined.hidden(event, Hidden::Offset),
    }
}
