//! IN, EXISTS and their negations: whether there is a match, not which.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;

use super::joined::Joined;
use super::probe::Target;
use super::project::failure;
use super::results::Failure;
use super::steps::Step;
use super::walker::{PIECE_ROWS, Walker};
use crate::plan::{LookupKind, Part};
use crate::state::{Matches, Stored};

impl<'a> Walker<'_, 'a> {
    /// Keeps the rows for which there is a match, or none, as `kind` says.
    pub(super) fn exists(&mut self, mut joined: Joined<'a>, target: &Target<'a>, kind: &LookupKind, rest: &'a [Step]) {
        let whole = joined.clone();
        let keys = match target.keys.iter().map(|key| joined.evaluate(key)).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => keys,
            Err(error) if whole.rows() == 1 => return self.sink.fail(failure(whole, error)),
            Err(_) => return whole.halves().into_iter().for_each(|half| self.exists(half, target, kind, rest)),
        };
        let rows = joined.rows();
        let mut hit = vec![false; rows];
        // The first failure of each row: it has one result row at most.
        let mut failed: BTreeMap<u32, Failure> = BTreeMap::new();
        let mut probe = target.table.start_probe(target.index, &keys);
        let mut matches = Matches::default();
        loop {
            let more = target.table.next_matches(&mut probe, PIECE_ROWS, &mut matches);
            let sifted = self.sift(&joined, target, std::mem::take(&mut matches));
            sifted.matches.rows.iter().for_each(|&row| hit[row as usize] = true);
            for (row, failure) in sifted.failed {
                failed.entry(row).or_insert(failure);
            }
            if !more {
                break;
            }
        }
        if let Part::Lookup(number) = target.part {
            self.counts.lookups[number].probed += rows;
            self.counts.lookups[number].hit += hit.iter().filter(|hit| **hit).count();
        }
        let kept: Vec<bool> = match kind {
            LookupKind::NotIn { given, null } => not_in(target.table, (*given, *null), &keys, &hit),
            LookupKind::Anti => hit.iter().map(|hit| !hit).collect(),
            LookupKind::Semi | LookupKind::Inner | LookupKind::Left => hit.clone(),
        };
        // Where there is a match, nobody asks what the others would have said.
        failed.retain(|row, _| !hit[*row as usize]);
        let is_kept = |(row, kept): (usize, bool)| Some(kept && !failed.contains_key(&(row as u32)));
        let kept: BooleanArray = kept.into_iter().enumerate().map(is_kept).collect();
        failed.into_values().for_each(|failure| self.sink.fail(failure));
        joined.keep(&kept);
        self.walk(joined, rest);
    }
}

/// `x NOT IN (…)`: true if nothing is given; else NULL, so not true, if `x` or anything given is NULL.
fn not_in(table: &Stored, (given, null): (usize, usize), keys: &[ArrayRef], hit: &[bool]) -> Vec<bool> {
    if !has_any(table, given) {
        return vec![true; hit.len()];
    }
    if has_any(table, null) {
        return vec![false; hit.len()];
    }
    let nulls = keys.iter().fold(None, |nulls, key| NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref()));
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    hit.iter().enumerate().map(|(row, hit)| !hit && !is_null(row)).collect()
}

/// Whether an index on a column that is true or NULL has any row.
fn has_any(table: &Stored, index: usize) -> bool {
    let key: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let mut probe = table.start_probe(index, &[key]);
    let mut matches = Matches::default();
    while table.next_matches(&mut probe, 1, &mut matches) && matches.rows.is_empty() {}
    !matches.rows.is_empty()
}
