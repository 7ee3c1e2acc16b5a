//! The walk: step by step, in pieces of bounded size, each to its end before the next (SEMANTICS 2.4 keeps its order so).

use super::joined::Joined;
use super::probe::Target;
use super::results::{Counts, Failure};
use super::start::{Hidden, State};
use super::steps::Step;
use crate::plan::{EventJoin, LookupKind, Part, Plan};

/// Candidates that are looked at at once: a key with more matches is worked off in pieces.
pub const PIECE_ROWS: usize = 1 << 16;

/// Takes what a walk gives.
pub trait Sink<'a> {
    /// Rows that have gone through all steps.
    fn take(&mut self, joined: Joined<'a>);

    /// A row for which a step failed.
    fn fail(&mut self, failure: Failure);
}

/// Walks.
pub struct Walker<'w, 'a> {
    /// What is run.
    pub plan: &'a Plan,
    /// What is walked over.
    pub state: State<'a>,
    /// Whether INNER look-ups let rows without a match pass, as LEFT ones do.
    pub inner_as_left: bool,
    /// Brought up to date.
    pub counts: &'w mut Counts,
    /// Where rows go.
    pub sink: &'w mut dyn Sink<'a>,
}

impl<'a> Walker<'_, 'a> {
    /// Takes rows through `steps`.
    pub fn walk(&mut self, joined: Joined<'a>, steps: &'a [Step]) {
        if joined.rows() == 0 {
            return;
        }
        let Some((step, rest)) = steps.split_first() else {
            return self.sink.take(joined);
        };
        match step {
            Step::Up(event) => self.up(joined, *event, rest),
            Step::Window(events) => self.window(joined, events, rest),
            Step::On(event) => self.on(joined, *event, rest),
            Step::Down(event) => self.down(joined, *event, rest),
            Step::Lookup(lookup) => self.look_up(joined, *lookup, rest),
        }
    }

    fn join_of(&self, event: usize) -> &'a EventJoin {
        self.plan.events[event].join.as_ref().expect("BUG: the driving table has no parent")
    }

    fn up(&mut self, joined: Joined<'a>, event: usize, rest: &'a [Step]) {
        let join = self.join_of(event);
        let target = Target {
            table: self.state.events[join.parent].stored(),
            part: Part::Event(join.parent),
            index: join.parent_index,
            keys: &join.keys,
            residual: None,
            window: None,
            left: false,
        };
        self.probe(joined, &target, rest);
    }

    fn down(&mut self, joined: Joined<'a>, event: usize, rest: &'a [Step]) {
        let join = self.join_of(event);
        let target = Target {
            table: self.state.events[event].stored(),
            part: Part::Event(event),
            index: join.index,
            keys: &join.parent_keys,
            residual: join.residual.as_ref(),
            window: Some(event),
            left: join.left,
        };
        self.probe(joined, &target, rest);
    }

    fn look_up(&mut self, joined: Joined<'a>, number: usize, rest: &'a [Step]) {
        let lookup = &self.plan.lookups[number];
        let target = Target {
            table: self.state.dimensions[lookup.dimension].stored(),
            part: Part::Lookup(number),
            index: lookup.index,
            keys: &lookup.keys,
            residual: lookup.residual.as_ref(),
            window: None,
            left: lookup.kind == LookupKind::Left || self.inner_as_left,
        };
        match &lookup.kind {
            LookupKind::Inner | LookupKind::Left => self.probe(joined, &target, rest),
            LookupKind::Semi | LookupKind::Anti | LookupKind::NotIn { .. } => {
                self.exists(joined, &target, &lookup.kind, rest);
            }
        }
    }

    fn window(&mut self, mut joined: Joined<'a>, events: &[usize], rest: &'a [Step]) {
        for &event in events {
            let close = self.is_close(&joined, event);
            joined.keep(&close.into());
        }
        self.walk(joined, rest);
    }

    /// SEMANTICS 2.3: `-ttl(T) <= time(s) - time(d) <= ttl(driving)`.
    pub(super) fn is_close(&self, joined: &Joined<'a>, event: usize) -> Vec<bool> {
        let (ttl_ms, driving_ttl_ms) = (self.plan.events[event].ttl_ms, self.plan.events[0].ttl_ms);
        let times = joined.hidden_i64(event, Hidden::Time);
        let driving = joined.hidden_i64(0, Hidden::Time);
        let is_close = |(time_ms, driving_ms): (i64, i64)| {
            let after_ms = time_ms.saturating_sub(driving_ms);
            -ttl_ms <= after_ms && after_ms <= driving_ttl_ms
        };
        times.into_iter().zip(driving).map(is_close).collect()
    }

    fn on(&mut self, mut joined: Joined<'a>, event: usize, rest: &'a [Step]) {
        if let Some(residual) = &self.join_of(event).residual {
            let mut failures = Vec::new();
            let verdicts = super::probe::ask(joined.clone(), residual, &mut failures);
            let kept: Vec<bool> = verdicts.into_iter().map(|verdict| verdict == Some(true)).collect();
            failures.into_iter().for_each(|failure| self.sink.fail(failure));
            joined.keep(&kept.into());
        }
        self.walk(joined, rest);
    }
}
