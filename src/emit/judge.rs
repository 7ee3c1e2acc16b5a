//! Which combinations are complete (SEMANTICS 3.2): every result row has all required columns, and every table on which
//! they depend has a row.

use arrow::array::{Array, ArrayRef};

use super::layout::is_null;
use crate::join::{Counts, Failure, Joined, Sink, Step, Walker};
use crate::plan::{Part, Plan, Required, Smart};

/// What is known of some combinations, one a row.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// Whether something required is missing.
    pub(super) missing: Vec<bool>,
    /// Whether nothing can complete it.
    pub(super) hopeless: Vec<bool>,
    /// What may complete it: (combination, look-up, hash of the key), in the order of combinations.
    pub(super) wakers: Vec<(u32, u32, u64)>,
}

/// Looks all dimensions up for combinations (one a row of `joined`), INNER ones as if they were LEFT.
pub(super) fn judge<'a>(mut joined: Joined<'a>, smart: &'a Smart, steps: &'a [Step]) -> Verdicts {
    let (plan, state, rows) = (joined.plan(), joined.state(), joined.rows());
    joined.mark_rows();
    let verdicts = Verdicts { missing: vec![false; rows], hopeless: vec![false; rows], wakers: Vec::new() };
    let mut judge = Judge { plan, smart, verdicts };
    // What is looked up here does not count: it is looked up again when the row leaves.
    let mut counts = Counts::new(plan.lookups.len());
    Walker { plan, state, inner_as_left: true, counts: &mut counts, sink: &mut judge }.walk(joined, steps);
    judge.verdicts.wakers.sort_unstable();
    judge.verdicts.wakers.dedup();
    judge.verdicts
}

struct Judge<'a> {
    plan: &'a Plan,
    smart: &'a Smart,
    verdicts: Verdicts,
}

impl<'a> Sink<'a> for Judge<'a> {
    fn take(&mut self, joined: Joined<'a>) {
        for required in &self.smart.require {
            self.require(&joined, required);
        }
    }

    /// What fails is complete as far as that goes: it fails again, and is told, when it leaves.
    fn fail(&mut self, _: Failure) {}
}

impl Judge<'_> {
    fn require(&mut self, joined: &Joined<'_>, required: &Required) {
        let mut lacks = vec![false; joined.rows()];
        let mut awaits_event = vec![false; joined.rows()];
        for &lookup in &required.lookups {
            mark(&mut lacks, joined, Part::Lookup(lookup));
        }
        for &event in &required.events {
            mark(&mut awaits_event, joined, Part::Event(event));
        }
        lacks.iter_mut().zip(&awaits_event).for_each(|(lacks, awaits)| *lacks |= awaits);
        null_outputs(joined.clone(), self.plan, required, &mut lacks);
        let lacking: Vec<u32> = (0..joined.rows() as u32).filter(|&row| lacks[row as usize]).collect();
        if lacking.is_empty() {
            return;
        }
        let mut hope: Vec<bool> = lacking.iter().map(|&row| awaits_event[row as usize]).collect();
        let mut rows = joined.clone();
        rows.pick(&lacking);
        for &lookup in &required.lookups {
            self.wakers(&mut rows, lookup, &mut hope);
        }
        for (row, hope) in hope.into_iter().enumerate() {
            let combination = rows.mark(row) as usize;
            self.verdicts.missing[combination] = true;
            self.verdicts.hopeless[combination] |= !hope;
        }
    }

    /// The keys under which a dimension row may bring what `rows` lack.
    fn wakers(&mut self, rows: &mut Joined<'_>, number: usize, hope: &mut [bool]) {
        let lookup = &self.plan.lookups[number];
        let keys: Result<Vec<ArrayRef>, String> = lookup.keys.iter().map(|key| rows.evaluate(key)).collect();
        match keys {
            Ok(keys) => {
                let table = rows.state().dimensions[lookup.dimension].stored();
                let hashes = table.probe_hashes(lookup.index, &keys);
                for (row, hope) in hope.iter_mut().enumerate() {
                    if let Some(hash) = hashes.get(row) {
                        self.verdicts.wakers.push((rows.mark(row), number as u32, hash));
                        *hope = true;
                    }
                }
            }
            Err(_) if rows.rows() == 1 => {}
            Err(_) => {
                let (first, second) = hope.split_at_mut(rows.rows() / 2);
                let [mut left, mut right] = rows.halves();
                self.wakers(&mut left, number, first);
                self.wakers(&mut right, number, second);
            }
        }
    }
}

fn mark(marked: &mut [bool], joined: &Joined<'_>, part: Part) {
    if let Some(missed) = joined.missed(part) {
        marked.iter_mut().zip(missed.values()).for_each(|(marked, missed)| *marked |= missed);
    }
}

/// Marks the rows of which a result row has NULL in a required column. A row for which it fails lacks nothing.
fn null_outputs(joined: Joined<'_>, plan: &Plan, required: &Required, lacks: &mut [bool]) {
    if lacks.iter().all(|lacks| *lacks) {
        return;
    }
    let mut rows = joined.clone();
    rows.mark_rows();
    let expression = &plan.outputs[required.output].expression;
    match rows.unnest().and_then(|()| rows.evaluate(expression)) {
        Ok(column) => {
            for row in 0..column.len() {
                if is_null(&column, row) {
                    lacks[rows.mark(row) as usize] = true;
                }
            }
        }
        Err(_) if joined.rows() == 1 => {}
        Err(_) => {
            let (first, second) = lacks.split_at_mut(joined.rows() / 2);
            let [left, right] = joined.halves();
            null_outputs(left, plan, required, first);
            null_outputs(right, plan, required, second);
        }
    }
}
