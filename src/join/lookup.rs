//! One look-up: probe the dimension's index, ask the residual, fill in NULL where LEFT finds nothing.

use super::joined::Joined;
use crate::plan::Lookup;
use crate::state::{DimensionTable, Matches, RowRef};

/// Joins `joined` with a dimension; returns how many of its rows found at least one match.
///
/// # Errors
/// When a key or the residual fails for any row.
pub(super) fn look_up(
    joined: &mut Joined<'_>,
    lookup: &Lookup,
    dimension: &DimensionTable,
    matches: &mut Matches,
) -> Result<usize, String> {
    let keys = lookup.keys.iter().map(|key| joined.evaluate(key)).collect::<Result<Vec<_>, _>>()?;
    matches.clear();
    dimension.probe(lookup.index, &keys, matches);
    if let Some(residual) = &lookup.residual
        && !matches.rows.is_empty()
    {
        let mut candidates = joined.clone();
        candidates.pick(&matches.rows);
        candidates.push_lookup(matches.refs.clone());
        let mask = candidates.evaluate_condition(residual)?;
        let mut row = 0;
        let mut holds = || {
            row += 1;
            mask.value(row - 1)
        };
        let mut held = Vec::with_capacity(matches.rows.len());
        held.extend((0..matches.rows.len()).map(|_| holds()));
        retain(&mut matches.rows, &held);
        retain(&mut matches.refs, &held);
    }
    let hits = count_distinct(&matches.rows);
    if lookup.left && hits < joined.rows() {
        fill_misses(joined.rows(), matches);
    }
    let unchanged =
        matches.rows.len() == joined.rows() && (hits == joined.rows() || lookup.left && is_range(&matches.rows));
    if !unchanged {
        joined.pick(&matches.rows);
    }
    joined.push_lookup(matches.refs.clone());
    Ok(hits)
}

fn retain<T: Copy>(all: &mut Vec<T>, held: &[bool]) {
    let mut held = held.iter();
    all.retain(|_| *held.next().expect("BUG: as many marks as matches"));
}

/// How many rows of the probe have a match; `rows` ascends.
fn count_distinct(rows: &[u32]) -> usize {
    rows.chunk_by(|left, right| left == right).count()
}

fn is_range(rows: &[u32]) -> bool {
    rows.iter().enumerate().all(|(place, &row)| place == row as usize)
}

/// Puts a NULL match in for every row of `0..rows` that has none.
fn fill_misses(rows: usize, matches: &mut Matches) {
    let mut filled = Matches {
        rows: Vec::with_capacity(matches.rows.len() + rows),
        refs: Vec::with_capacity(matches.rows.len() + rows),
    };
    let mut next = 0;
    for row in 0..rows as u32 {
        let first = next;
        while matches.rows.get(next) == Some(&row) {
            filled.rows.push(row);
            filled.refs.push(matches.refs[next]);
            next += 1;
        }
        if next == first {
            filled.rows.push(row);
            filled.refs.push(RowRef::NULL);
        }
    }
    *matches = filled;
}
