//! Where a batch of dimension rows is cut, so that what waits is formed again as if rows came one at a time (SEMANTICS 2.4).

use std::collections::HashSet;

use super::dimensions::Changes;
use crate::plan::{Lookup, Plan};
use crate::state::DimensionTable;

/// The ends of the parts in which changes are applied, as record numbers; what waits is woken after each.
///
/// Where every dimension is looked up by its identity, and this one once, it is cut only where a row that wakes something
/// changes again: between, each waiting combination sees the rows of one key, of which there is one. Else a row that wakes may
/// let something wait for the next one: so it is cut behind each from there on.
pub(super) fn ends(
    plan: &Plan,
    place: usize,
    tables: &[DimensionTable],
    changes: &Changes,
    waking: &[u32],
) -> Vec<u32> {
    let mut ends = Vec::new();
    let table = &tables[place];
    let is_by_identity = |lookup: &Lookup| tables[lookup.dimension].index_is_identity(lookup.index);
    let records = waking.iter().map(|&row| changes.records[row as usize]);
    let mut lookups = plan.lookups.iter().filter(|lookup| lookup.dimension == place);
    match (lookups.next(), lookups.next()) {
        _ if waking.is_empty() => {}
        (Some(only), None) if plan.lookups.iter().all(is_by_identity) => {
            let waking: HashSet<u32> = records.collect();
            let upserted = table.stored().key_hashes(only.index, &changes.columns);
            let mut all: Vec<(u32, Option<u64>)> = Vec::new();
            all.extend(changes.records.iter().enumerate().map(|(row, &record)| (record, upserted.get(row))));
            if !changes.tombstones.is_empty() {
                let deleted = table.stored().probe_hashes(only.index, &changes.deleted);
                all.extend(changes.tombstones.iter().enumerate().map(|(row, &record)| (record, deleted.get(row))));
            }
            all.sort_unstable_by_key(|(record, _)| *record);
            let mut woken: HashSet<Option<u64>> = HashSet::new();
            for (record, hash) in all {
                if woken.contains(&hash) {
                    ends.push(record);
                    woken.clear();
                }
                if waking.contains(&record) {
                    woken.insert(hash);
                }
            }
        }
        _ => {
            let first = changes.records[waking[0] as usize];
            let from_there = changes.records.iter().filter(|record| **record >= first);
            ends.extend(from_there.map(|record| record + 1));
        }
    }
    ends.push(u32::MAX);
    ends
}
