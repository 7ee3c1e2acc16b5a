//! `emission: smart`: combinations of event rows wait until nothing is missing that is required (SEMANTICS 3.2, 3.3).

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Int32Type;

use super::immediate::{Leave, parts};
use super::judge::{Verdicts, judge};
use super::layout::Layout;
use super::withdraw::{can_withdraw, withdrawn};
use super::{Moment, Until};
use crate::batch::Parked as ParkedCounts;
use crate::clock::Stopwatch;
use crate::config::OnExpire;
use crate::join::{Counts, Failure, Hidden, Joined, Output, Sink, Start, State, Step, Steps, Walker, expired, project};
use crate::plan::{Emission, LookupKind, Part, Plan, Smart};
use crate::shard::KeyHashes;
use crate::state::{Parked, ParkedId, Waiting, Waker};

/// Combinations that are formed again, or expire, at once.
const AGAIN_MAX: usize = 1 << 12;

/// How often the oldest driving row that waits is looked for, ms.
const OLDEST_EVERY_MS: i64 = 1_000;

/// Rows that have arrived in a dimension.
#[derive(Clone, Copy)]
pub struct Arrived<'a> {
    /// The dimension: its place in `Plan::dimensions`.
    pub dimension: usize,
    /// Its stored columns, the rows in the order of their records.
    pub rows: &'a [ArrayRef],
}

/// Lets combinations leave when they are complete, and keeps the others.
pub(super) struct SmartEmitter {
    parked: Parked,
    layout: Layout,
    /// The look-ups that are joins.
    joins: Vec<Step>,
    /// By look-up: whether a required column depends on it.
    awaited: Vec<bool>,
    can_withdraw: bool,
    /// Whether what expires comes out.
    comes_out: bool,
    max_wait_ms: i64,
    /// The least offset of the driving rows that wait, by partition; some may wait no longer.
    oldest: BTreeMap<i32, i64>,
    /// When it was looked for, by the wall clock.
    oldest_of_ms: i64,
    counts: ParkedCounts,
}

/// What combinations that are judged were before.
#[derive(Clone, Copy)]
enum From<'i> {
    /// They were formed just now.
    New,
    /// They waited.
    Parked(&'i [ParkedId]),
}

fn smart_of(plan: &Plan) -> &Smart {
    match &plan.emission {
        Emission::Smart(smart) => smart,
        Emission::Immediate => unreachable!("BUG: nothing waits under immediate emission"),
    }
}

impl SmartEmitter {
    pub(super) fn new(plan: &Plan) -> Self {
        let layout = Layout::of(plan);
        let is_join = |lookup: &usize| matches!(plan.lookups[*lookup].kind, LookupKind::Inner | LookupKind::Left);
        let mut awaited = vec![false; plan.lookups.len()];
        for required in &smart_of(plan).require {
            required.lookups.iter().for_each(|&lookup| awaited[lookup] = true);
        }
        Self {
            parked: Parked::new(&layout.types, plan.lookups.len()),
            layout,
            joins: (0..plan.lookups.len()).filter(is_join).map(Step::Lookup).collect(),
            awaited,
            can_withdraw: can_withdraw(plan),
            comes_out: smart_of(plan).on_expire != OnExpire::Drop,
            max_wait_ms: smart_of(plan).max_wait_ms,
            oldest: BTreeMap::new(),
            oldest_of_ms: i64::MIN,
            counts: ParkedCounts::default(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.parked.memory_bytes()
    }

    pub(super) fn take_counts(&mut self) -> ParkedCounts {
        let (waiting, oldest_ms) = (self.parked.len() as u64, self.parked.oldest_parked_ms());
        ParkedCounts { waiting, oldest_ms, ..std::mem::take(&mut self.counts) }
    }

    /// Looked for by going through all that waits, so only now and then.
    pub(super) fn oldest_drivers(&mut self, now_ms: i64) -> &BTreeMap<i32, i64> {
        if self.parked.is_empty() {
            self.oldest.clear();
        } else if now_ms.saturating_sub(self.oldest_of_ms) >= OLDEST_EVERY_MS {
            self.oldest_of_ms = now_ms;
            self.oldest.clear();
            for (partition, offset) in self.parked.drivers() {
                let oldest = self.oldest.entry(partition).or_insert(offset);
                *oldest = (*oldest).min(offset);
            }
        }
        &self.oldest
    }

    pub(super) fn expiry(&self, event: usize) -> Option<Until> {
        if !(self.comes_out || self.can_withdraw && event != 0) {
            return None;
        }
        let max_wait_ms = (event == 0).then_some(self.max_wait_ms);
        Some(Until { deadline_ms: self.parked.next_deadline_ms(), max_wait_ms, others_ms: i64::MAX, before_ms: None })
    }

    pub(super) fn start(
        &mut self,
        moment: Moment<'_>,
        start: &Start,
        steps: &Steps,
        ask_driving: bool,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        let Moment { plan, state, .. } = moment;
        let event = start.new.expect("BUG: new rows are of one event table");
        for (joined, fails) in parts(moment, start, ask_driving, counts) {
            if event == 0 && fails {
                // Conditions on the driving row are asked before anything waits.
                let conditions: Vec<_> = plan.events[0].condition.iter().collect();
                project(joined, &conditions, output);
                continue;
            }
            let mut formed = Formed { emitter: self, moment, steps, ask_driving: fails, output, counts };
            // The figures of the walk over event tables are those of the look-ups, which it has none of.
            let mut none = Counts::new(plan.lookups.len());
            Walker { plan, state, inner_as_left: false, counts: &mut none, sink: &mut formed }
                .walk(joined, &steps.events[event]);
        }
    }

    /// Judges combinations, one a row: they leave, wait, or expire.
    fn settle<'a>(
        &mut self,
        joined: Joined<'a>,
        from: From<'_>,
        pass: Pass<'a>,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        let plan = pass.moment.plan;
        let smart = smart_of(plan);
        if self.can_withdraw && joined.new_event().is_some_and(|event| event != 0) && !self.parked.is_empty() {
            let withdrawn = withdrawn(&joined, &self.layout, &self.parked);
            self.counts.withdrawn += withdrawn.len() as u64;
            self.parked.remove(&withdrawn);
        }
        let mut verdicts = judge(joined.clone(), smart, &self.joins);
        if let (From::New, Some(now_ms)) = (from, pass.moment.stream_time_ms) {
            // What comes when its time is over does not wait at all.
            let times = joined.hidden_i64(0, Hidden::Time);
            for (hopeless, time_ms) in verdicts.hopeless.iter_mut().zip(times) {
                *hopeless |= time_ms.saturating_add(smart.max_wait_ms) <= now_ms;
            }
        }
        let expires = |row: usize| verdicts.missing[row] && verdicts.hopeless[row];
        let leaves =
            |row: usize| !verdicts.missing[row] || (verdicts.hopeless[row] && smart.on_expire == OnExpire::Emit);
        let leaving: Vec<u32> = (0..joined.rows() as u32).filter(|&row| leaves(row as usize)).collect();
        let over: Vec<u32> = (0..joined.rows() as u32).filter(|&row| expires(row as usize)).collect();
        self.counts.expired += over.len() as u64;
        self.keep(&joined, from, &verdicts, pass.moment, smart);
        if smart.on_expire == OnExpire::DeadLetter && !over.is_empty() {
            self.dead_letters(picked(&joined, &over), pass, output);
        }
        if !leaving.is_empty() {
            leave(picked(&joined, &leaving), pass, counts, output);
        }
    }

    /// Parks what must wait, and forgets what has waited and waits no longer.
    fn keep(&mut self, joined: &Joined<'_>, from: From<'_>, verdicts: &Verdicts, moment: Moment<'_>, smart: &Smart) {
        let waits = |row: usize| verdicts.missing[row] && !verdicts.hopeless[row];
        let mut wakers = verdicts.wakers.iter().copied().peekable();
        let mut place_of = vec![u32::MAX; joined.rows()];
        let mut new = Vec::new();
        let mut gone = Vec::new();
        for row in 0..joined.rows() {
            let mut of_row = Vec::new();
            while let Some((_, lookup, hash)) = wakers.next_if(|(of, ..)| *of as usize == row) {
                of_row.push((lookup, hash));
            }
            match from {
                From::New if waits(row) => {
                    place_of[row] = new.len() as u32;
                    new.push(row as u32);
                }
                From::Parked(ids) if waits(row) => self.parked.rekey(ids[row], &of_row),
                From::Parked(ids) => gone.push(ids[row]),
                From::New => {}
            }
        }
        if let From::Parked(_) = from {
            self.counts.completed += verdicts.missing.iter().filter(|missing| !**missing).count() as u64;
            self.parked.remove(&gone);
        }
        if !new.is_empty() {
            let wakers = verdicts.wakers.iter().filter(|(row, ..)| place_of[*row as usize] != u32::MAX);
            let wakers = wakers.map(|&(row, lookup, hash)| Waker { entry: place_of[row as usize], lookup, hash });
            self.park(picked(joined, &new), &wakers.collect::<Vec<_>>(), moment, smart);
        }
    }

    fn park(&mut self, mut joined: Joined<'_>, wakers: &[Waker], moment: Moment<'_>, smart: &Smart) {
        let columns = self.layout.columns(&mut joined);
        let times = joined.hidden_i64(0, Hidden::Time);
        let partitions = joined.hidden(0, Hidden::Partition);
        let offsets = joined.hidden_i64(0, Hidden::Offset);
        let drivers = partitions.as_primitive::<Int32Type>().values().iter().copied().zip(offsets);
        let absent: Vec<_> =
            (1..joined.plan().events.len()).filter_map(|event| joined.missed(Part::Event(event))).collect();
        let waiting = |(row, (time_ms, driver)): (usize, (i64, (i32, i64)))| Waiting {
            deadline_ms: time_ms.saturating_add(smart.max_wait_ms),
            parked_ms: moment.now_ms,
            driver,
            is_partial: absent.iter().any(|absent| absent.value(row)),
        };
        let entries: Vec<Waiting> = times.into_iter().zip(drivers).enumerate().map(waiting).collect();
        self.counts.parked += entries.len() as u64;
        for Waiting { driver: (partition, offset), .. } in &entries {
            let oldest = self.oldest.entry(*partition).or_insert(*offset);
            *oldest = (*oldest).min(*offset);
        }
        self.parked.park(&columns, &entries, wakers);
    }

    pub(super) fn woken_by(&self, plan: &Plan, state: State<'_>, dimension: usize, rows: &[ArrayRef]) -> Vec<u32> {
        let mut waking: Vec<u32> = Vec::new();
        for (lookup, hashes) in self.arrivals(plan, state, dimension, rows) {
            let mut found = Vec::new();
            self.parked.woken(lookup, &hashes, &mut found);
            waking.extend(found.into_iter().map(|(row, _)| row));
        }
        waking.sort_unstable();
        waking.dedup();
        waking
    }

    /// The awaited look-ups of a dimension, each with the hashes of the keys under which `rows` arrive.
    fn arrivals(&self, plan: &Plan, state: State<'_>, dimension: usize, rows: &[ArrayRef]) -> Vec<(usize, KeyHashes)> {
        if self.parked.is_empty() {
            return Vec::new();
        }
        let table = state.dimensions[dimension].stored();
        let lookups = plan.lookups.iter().enumerate();
        let awaited = lookups.filter(|(number, lookup)| self.awaited[*number] && lookup.dimension == dimension);
        awaited.map(|(number, lookup)| (number, table.key_hashes(lookup.index, rows))).collect()
    }

    pub(super) fn wake(
        &mut self,
        moment: Moment<'_>,
        arrived: Arrived<'_>,
        steps: &Steps,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        let mut found: Vec<(u32, ParkedId)> = Vec::new();
        for (lookup, hashes) in self.arrivals(moment.plan, moment.state, arrived.dimension, arrived.rows) {
            let mut of_lookup = Vec::new();
            self.parked.woken(lookup, &hashes, &mut of_lookup);
            found.extend(of_lookup);
        }
        found.sort_by_key(|(row, id)| (*row, self.parked.place(*id)));
        let mut ids: Vec<ParkedId> = Vec::new();
        let mut seen = std::collections::HashSet::with_capacity(found.len());
        ids.extend(found.into_iter().map(|(_, id)| id).filter(|id| seen.insert(*id)));
        for ids in ids.chunks(AGAIN_MAX) {
            let start = self.layout.start(&self.parked, ids);
            let joined = Joined::new(moment.plan, moment.state, &start, moment.now_ns());
            let pass = Pass { moment, lookups: &steps.lookups, ask_driving: true };
            self.settle(joined, From::Parked(ids), pass, counts, output);
        }
    }

    pub(super) fn expire(
        &mut self,
        moment: Moment<'_>,
        at_end: bool,
        steps: &Steps,
        counts: &mut Counts,
        output: &mut Output<'_>,
    ) {
        let smart = smart_of(moment.plan);
        loop {
            let now_ms = moment.stream_time_ms;
            let mut due = now_ms.map_or_else(Vec::new, |now_ms| self.parked.due_by_stream_time(now_ms, AGAIN_MAX));
            if due.is_empty() && at_end {
                due = self.parked.due_by_wall_clock(moment.now_ms.saturating_sub(smart.max_wait_ms), AGAIN_MAX);
            }
            if due.is_empty() {
                return;
            }
            self.counts.expired += due.len() as u64;
            if smart.on_expire != OnExpire::Drop {
                let start = self.layout.start(&self.parked, &due);
                let joined = Joined::new(moment.plan, moment.state, &start, moment.now_ns());
                let pass = Pass { moment, lookups: &steps.lookups, ask_driving: true };
                match smart.on_expire {
                    OnExpire::Emit => leave(joined, pass, counts, output),
                    OnExpire::DeadLetter => self.dead_letters(joined, pass, output),
                    OnExpire::Drop => {}
                }
            }
            self.parked.remove(&due);
        }
    }

    /// Result rows of combinations whose time is over, as dead letters.
    fn dead_letters<'a>(&'a self, joined: Joined<'a>, pass: Pass<'a>, output: &mut Output<'_>) {
        let plan = pass.moment.plan;
        let smart = smart_of(plan);
        let names: Vec<_> = smart.require.iter().map(|required| plan.outputs[required.output].name.as_str()).collect();
        let wait = humantime::format_duration(Duration::from_millis(smart.max_wait_ms.unsigned_abs()));
        let error =
            format!("it lacks something required ({}), and has waited {wait} or can't get it", names.join(", "));
        let mut counts = Counts::new(plan.lookups.len());
        let mut letters = Letters { error, output };
        Walker { plan, state: pass.moment.state, inner_as_left: true, counts: &mut counts, sink: &mut letters }
            .walk(joined, &self.joins);
    }
}

/// What combinations go through that leave.
#[derive(Clone, Copy)]
struct Pass<'a> {
    moment: Moment<'a>,
    lookups: &'a [Step],
    ask_driving: bool,
}

fn picked<'a>(joined: &Joined<'a>, rows: &[u32]) -> Joined<'a> {
    let mut part = joined.clone();
    if rows.len() < joined.rows() {
        part.pick(rows);
    }
    part
}

/// Look-ups, WHERE and SELECT, then out.
fn leave<'a>(joined: Joined<'a>, pass: Pass<'a>, counts: &mut Counts, output: &mut Output<'_>) {
    let Moment { plan, state, .. } = pass.moment;
    let watch = Stopwatch::start();
    let driving = plan.events[0].condition.as_ref().filter(|_| pass.ask_driving);
    let mut leave = Leave::new(plan, driving, output);
    Walker { plan, state, inner_as_left: false, counts, sink: &mut leave }.walk(joined, pass.lookups);
    leave.count(watch, counts);
}

/// Takes combinations as they are formed.
struct Formed<'w, 'o, 'a> {
    emitter: &'w mut SmartEmitter,
    moment: Moment<'a>,
    steps: &'a Steps,
    ask_driving: bool,
    counts: &'w mut Counts,
    output: &'w mut Output<'o>,
}

impl<'a> Sink<'a> for Formed<'_, '_, 'a> {
    fn take(&mut self, joined: Joined<'a>) {
        let pass = Pass { moment: self.moment, lookups: &self.steps.lookups, ask_driving: self.ask_driving };
        self.emitter.settle(joined, From::New, pass, self.counts, self.output);
    }

    fn fail(&mut self, failure: Failure) {
        (self.output.fail)(failure);
    }
}

/// Turns result rows into dead letters.
struct Letters<'w, 'o> {
    error: String,
    output: &'w mut Output<'o>,
}

impl<'a> Sink<'a> for Letters<'_, '_> {
    fn take(&mut self, joined: Joined<'a>) {
        expired(joined, &self.error, self.output);
    }

    fn fail(&mut self, failure: Failure) {
        (self.output.fail)(failure);
    }
}
