//! Which rows leave now, and which wait for what they lack (SEMANTICS 3).

mod immediate;
mod judge;
mod layout;
mod smart;
mod withdraw;

use std::collections::BTreeMap;

use arrow::array::ArrayRef;

use crate::batch::Parked as ParkedCounts;
use crate::join::{Counts, Output, Start, State, Steps};
use crate::plan::{Emission, Plan};

pub use smart::Arrived;
use smart::SmartEmitter;

/// What all of a batch has in common.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// What is run.
    pub plan: &'a Plan,
    /// The tables as they now stand.
    pub state: State<'a>,
    /// The batch's time by the wall clock, ms since the epoch.
    pub now_ms: i64,
    /// The least stream time of the event tables before the rows that are now joined, if all have one, ms since the epoch.
    pub stream_time_ms: Option<i64>,
}

/// When something expires while rows of an event table are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The next deadline of what waits already.
    pub deadline_ms: Option<i64>,
    /// How long a row that is taken may wait from its own time on, if it may have to.
    pub max_wait_ms: Option<i64>,
    /// The least stream time of the other event tables.
    pub others_ms: i64,
    /// The least stream time of all event tables before the first of the rows.
    pub before_ms: Option<i64>,
}

impl Until {
    /// A row of this time was taken, and its table's stream time is now this: whether something expires.
    pub fn is_reached(&mut self, time_ms: i64, now_ms: Option<i64>) -> bool {
        let Some(now_ms) = now_ms.map(|now_ms| now_ms.min(self.others_ms)) else { return false };
        let own_ms = self.max_wait_ms.map(|max_wait_ms| time_ms.saturating_add(max_wait_ms));
        // What was over before the first of the rows expires as it is formed.
        let waits_ms = own_ms.filter(|own_ms| Some(*own_ms) > self.before_ms);
        self.deadline_ms = self.deadline_ms.into_iter().chain(waits_ms).min();
        self.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }
}

impl Moment<'_> {
    fn now_ns(&self) -> i64 {
        self.now_ms.saturating_mul(1_000_000)
    }
}

/// Takes rows from where they start to where they leave.
pub struct Emitter {
    steps: Steps,
    smart: Option<SmartEmitter>,
}

impl Emitter {
    /// For a plan; nothing waits.
    pub fn new(plan: &Plan) -> Self {
        let smart = match &plan.emission {
            Emission::Immediate => None,
            Emission::Smart(_) => Some(SmartEmitter::new(plan)),
        };
        Self { steps: Steps::of(plan), smart }
    }

    /// Joins new rows of an event table. `ask_driving`: the condition on the driving row has not been asked
    /// of all of them, or of their driving rows.
    pub fn start(
        &mut self,
        moment: Moment<'_>,
        start: &Start,
        ask_driving: bool,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        match &mut self.smart {
            None => immediate::run(moment, start, &self.steps, ask_driving, counts, output),
            Some(smart) => smart.start(moment, start, &self.steps, ask_driving, counts, output),
        }
    }

    /// Which of the rows that are about to arrive in a dimension wake something: ascending, none twice. `rows` are its
    /// stored columns.
    pub fn woken_by(&self, plan: &Plan, state: State<'_>, dimension: usize, rows: &[ArrayRef]) -> Vec<u32> {
        self.smart.as_ref().map_or_else(Vec::new, |smart| smart.woken_by(plan, state, dimension, rows))
    }

    /// Forms again what waits for rows that have arrived in a dimension.
    pub fn wake(&mut self, moment: Moment<'_>, arrived: Arrived<'_>, counts: &mut Counts, output: &mut Output<'_>) {
        if let Some(smart) = &mut self.smart {
            smart.wake(moment, arrived, &self.steps, counts, output);
        }
    }

    /// Ends the wait of combinations whose time is over: by the least stream time of the event tables, and, where all inputs
    /// are read to their ends, by the wall clock.
    pub fn expire(&mut self, moment: Moment<'_>, at_end: bool, counts: &mut Counts, output: &mut Output<'_>) {
        if let Some(smart) = &mut self.smart {
            smart.expire(moment, at_end, &self.steps, counts, output);
        }
    }

    /// When something expires, if expiries must stand at their place among new rows of `event`: because they come out, or
    /// because the rows could take the place of what expires.
    pub fn expiry(&self, event: usize) -> Option<Until> {
        self.smart.as_ref()?.expiry(event)
    }

    /// What happened since it was asked last, and what waits now.
    pub fn take_counts(&mut self) -> ParkedCounts {
        self.smart.as_mut().map_or_else(ParkedCounts::default, SmartEmitter::take_counts)
    }

    /// For each partition of the driving table an offset up to which no driving row waits: the least that does, or a bit less.
    pub fn oldest_drivers(&mut self, now_ms: i64) -> &BTreeMap<i32, i64> {
        static NONE: BTreeMap<i32, i64> = BTreeMap::new();
        self.smart.as_mut().map_or(&NONE, |smart| smart.oldest_drivers(now_ms))
    }

    /// Bytes of memory that waiting combinations take.
    pub fn memory_bytes(&self) -> usize {
        self.smart.as_ref().map_or(0, SmartEmitter::memory_bytes)
    }
}
