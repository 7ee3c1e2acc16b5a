//! One table of a walk: probe its index, ask time and residual, fill in NULL where LEFT finds nothing; in pieces, so that a
//! key with many matches needs no more memory than one with few.

use super::joined::Joined;
use super::project::failure;
use super::results::Failure;
use super::steps::Step;
use super::walker::{PIECE_ROWS, Walker};
use crate::expression::Expression;
use crate::plan::Part;
use crate::state::{Matches, RowRef, Stored};

/// What is probed, and with what.
pub(super) struct Target<'a> {
    pub(super) table: &'a Stored,
    pub(super) part: Part,
    pub(super) index: usize,
    pub(super) keys: &'a [Expression],
    pub(super) residual: Option<&'a Expression>,
    /// The event table that is found, if it must be close in time to the driving row.
    pub(super) window: Option<usize>,
    /// Whether a row without a match stays, with NULL.
    pub(super) left: bool,
}

/// The candidates of a piece that have passed.
#[derive(Default)]
pub(super) struct Sifted {
    pub(super) matches: Matches,
    /// Rows of which a candidate has failed, ascending, and how: whether they have a match is not known.
    pub(super) failed: Vec<(u32, Failure)>,
}

/// Of the rows of a probe, those that are not done.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// The first row that is not done.
    first: usize,
    /// Whether it had a match, or a failure, in an earlier piece.
    is_begun: bool,
    /// Whether it had a match in an earlier piece.
    has_hit: bool,
}

impl<'a> Walker<'_, 'a> {
    /// Joins with what the keys find; where a key fails, the rows are halved.
    pub(super) fn probe(&mut self, mut joined: Joined<'a>, target: &Target<'a>, rest: &'a [Step]) {
        let whole = joined.clone();
        let keys = match target.keys.iter().map(|key| joined.evaluate(key)).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => keys,
            Err(error) if whole.rows() == 1 => return self.sink.fail(failure(whole, error)),
            Err(_) => return whole.halves().into_iter().for_each(|half| self.probe(half, target, rest)),
        };
        let mut hits = 0;
        let mut progress = Progress::default();
        let mut probe = target.table.start_probe(target.index, &keys);
        let mut matches = Matches::default();
        loop {
            let more = target.table.next_matches(&mut probe, PIECE_ROWS, &mut matches);
            let finished = if more { probe.finished_rows() } else { joined.rows() };
            let sifted = self.sift(&joined, target, std::mem::take(&mut matches));
            hits += count_distinct(&sifted.matches.rows)
                - usize::from(progress.has_hit && sifted.matches.rows.first() == Some(&(progress.first as u32)));
            let next = Progress {
                first: finished,
                is_begun: (progress.is_begun && progress.first == finished)
                    || sifted.matches.rows.last() == Some(&(finished as u32))
                    || sifted.failed.last().is_some_and(|(row, _)| *row == finished as u32),
                has_hit: (progress.has_hit && progress.first == finished)
                    || sifted.matches.rows.last() == Some(&(finished as u32)),
            };
            let failed: Vec<u32> = sifted.failed.iter().map(|(row, _)| *row).collect();
            sifted.failed.into_iter().for_each(|(_, failure)| self.sink.fail(failure));
            let piece = piece(joined.clone(), target, sifted.matches, &failed, progress, finished);
            self.walk(piece, rest);
            progress = next;
            if !more {
                break;
            }
        }
        if let Part::Lookup(number) = target.part {
            self.counts.lookups[number].probed += joined.rows();
            self.counts.lookups[number].hit += hits;
        }
    }

    /// Asks time and residual.
    pub(super) fn sift(&mut self, joined: &Joined<'a>, target: &Target<'a>, mut matches: Matches) -> Sifted {
        if matches.rows.is_empty() || (target.window.is_none() && target.residual.is_none()) {
            return Sifted { matches, failed: Vec::new() };
        }
        let candidates_of = |matches: &Matches| {
            let mut candidates = joined.clone();
            candidates.pick(&matches.rows);
            candidates.push(target.part, matches.refs.clone());
            candidates
        };
        let mut candidates = candidates_of(&matches);
        if let Some(event) = target.window {
            let close = self.is_close(&candidates, event);
            if close.contains(&false) {
                matches.retain(&close);
                candidates.keep(&close.into());
            }
        }
        let mut failed = Vec::new();
        if let Some(residual) = target.residual
            && !matches.rows.is_empty()
        {
            let mut failures = Vec::new();
            let verdicts = ask(candidates, residual, &mut failures);
            let is_failed = |(_, verdict): &(&u32, &Option<bool>)| verdict.is_none();
            let rows = matches.rows.iter().zip(&verdicts).filter(is_failed).map(|(row, _)| *row);
            failed.extend(rows.zip(failures));
            let held: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Some(true)).collect();
            matches.retain(&held);
        }
        Sifted { matches, failed }
    }
}

/// Asks a condition of each row; `None` where it fails.
pub fn verdicts(joined: Joined<'_>, condition: &Expression) -> Vec<Option<bool>> {
    ask(joined, condition, &mut Vec::new())
}

/// As `verdicts`; what fails is added to `failures`.
pub(super) fn ask(mut joined: Joined<'_>, condition: &Expression, failures: &mut Vec<Failure>) -> Vec<Option<bool>> {
    let whole = joined.clone();
    match joined.evaluate_condition(condition) {
        Ok(mask) => mask.values().iter().map(Some).collect(),
        Err(error) if whole.rows() == 1 => {
            failures.push(failure(whole, error));
            vec![None]
        }
        Err(_) => whole.halves().into_iter().flat_map(|half| ask(half, condition, failures)).collect(),
    }
}

/// The rows up to `finished` with what they found, and what was found so far of the row behind them.
fn piece<'a>(
    mut joined: Joined<'a>,
    target: &Target<'_>,
    mut matches: Matches,
    failed: &[u32],
    progress: Progress,
    finished: usize,
) -> Joined<'a> {
    let is_whole = progress.first == 0 && !progress.is_begun && finished == joined.rows() && failed.is_empty();
    let is_unique = is_whole && count_distinct(&matches.rows) == matches.rows.len();
    if is_unique && matches.rows.len() == finished {
        joined.push(target.part, matches.refs);
    } else if is_unique && target.left {
        joined.push(target.part, spread(&matches, finished));
    } else {
        if target.left {
            fill_misses(&mut matches, failed, progress, finished);
        }
        joined.pick(&matches.rows);
        joined.push(target.part, matches.refs);
    }
    joined
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

/// Puts a NULL match in for every row that is done and has found none.
fn fill_misses(matches: &mut Matches, failed: &[u32], progress: Progress, finished: usize) {
    let room = matches.rows.len() + finished - progress.first;
    let mut filled = Matches { rows: Vec::with_capacity(room), refs: Vec::with_capacity(room) };
    let mut failed = failed.iter().peekable();
    let mut next = 0;
    for row in progress.first as u32..finished as u32 {
        let first = next;
        while matches.rows.get(next) == Some(&row) {
            filled.rows.push(row);
            filled.refs.push(matches.refs[next]);
            next += 1;
        }
        let mut has_failed = false;
        while failed.next_if(|failed| **failed == row).is_some() {
            has_failed = true;
        }
        let is_begun = progress.is_begun && row == progress.first as u32;
        if next == first && !has_failed && !is_begun {
            filled.rows.push(row);
            filled.refs.push(RowRef::NULL);
        }
    }
    filled.rows.extend(&matches.rows[next..]);
    filled.refs.extend(&matches.refs[next..]);
    *matches = filled;
}
