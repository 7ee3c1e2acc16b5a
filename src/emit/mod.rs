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
    pub fn expire(
        &mut self,
        moment: Moment<'_>,
        stream_time_ms: Option<i64>,
        at_end: bool,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        if let Some(smart) = &mut self.smart {
            smart.expire(moment, stream_time_ms, at_end, &self.steps, counts, output);
        }
    }

    /// When the next combination expires by stream time, if expiries must stand at their place among new rows of `event`, the
    /// oldest of which has this time: because they come out, or because the rows could take the place of what expires.
    pub fn next_deadline_ms(&self, event: usize, least_time_ms: Option<i64>) -> Option<i64> {
        self.smart.as_ref()?.next_deadline_ms(event, least_time_ms)
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
