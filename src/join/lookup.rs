//! One look-up: probe the dimension's index, ask the residual, fill in NULL where LEFT finds nothing.

use super::joined::Joined;
use crate::plan::{Lookup, LookupKind};
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
    probe(joined, lookup, dimension, matches)?;
    if let Some(residual) = &lookup.residual
        && !matches.rows.is_empty()
    {
        let mut candidates = joined.clone();
        candidates.pick(&matches.rows);
        candidates.push_lookup(matches.refs.clone());
        let mask = candidates.evaluate_condition(residual)?;
        let held: Vec<bool> = mask.values().iter().collect();
        retain(&mut matches.rows, &held);
        retain(&mut matches.refs, &held);
    }
    let hits = count_distinct(&matches.rows);
    let is_unique = hits == matches.rows.len();
    if is_unique && hits == joined.rows() {
        joined.push_lookup(std::mem::take(&mut matches.refs));
    } else if is_unique && lookup.kind == LookupKind::Left {
        joined.push_lookup(spread(matches, joined.rows()));
    } else {
        if lookup.kind == LookupKind::Left && hits < joined.rows() {
            fill_misses(joined.rows(), matches);
        }
        joined.pick(&matches.rows);
        joined.push_lookup(std::mem::take(&mut matches.refs));
    }
    Ok(hits)
}

/// What the key of the one row of `joined` finds, each candidate as a row of its own; the residual is not asked.
///
/// # Errors
/// When a key fails.
pub(super) fn candidates<'a>(
    joined: &mut Joined<'a>,
    lookup: &Lookup,
    dimension: &DimensionTable,
    matches: &mut Matches,
) -> Result<Vec<Joined<'a>>, String> {
    probe(joined, lookup, dimension, matches)?;
    let candidate = |&found: &RowRef| {
        let mut candidate = joined.clone();
        candidate.push_lookup(vec![found]);
        candidate
    };
    Ok(matches.refs.iter().map(candidate).collect())
}

fn probe(
    joined: &mut Joined<'_>,
    lookup: &Lookup,
    dimension: &DimensionTable,
    matches: &mut Matches,
) -> Result<(), String> {
    let keys = lookup.keys.iter().map(|key| joined.evaluate(key)).collect::<Result<Vec<_>, _>>()?;
    matches.clear();
    dimension.probe(lookup.index, &keys, matches);
    Ok(())
}

fn retain<T: Copy>(all: &mut Vec<T>, held: &[bool]) {
    let mut held = held.iter();
    all.retain(|_| *held.next().expect("BUG: as many marks as matches"));
}

/// How many rows of the probe have a match; `rows` ascends.
fn count_distinct(rows: &[u32]) -> usize {
    rows.len() - rows.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// The match of each of `rows` rows, of which none has more than one; NULL for those without.
fn spread(matches: &Matches, rows: usize) -> Vec<RowRef> {
    let mut refs = vec![RowRef::NULL; rows];
    for (&row, found) in matches.rows.iter().zip(&matches.refs) {
        refs[row as usize] = *found;
    }
    refs
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
