//! The protocol model: SEMANTICS 2.4, 3 and 4, and how a pipeline starts, restarts, loses its disk, aborts and hands over
//! partitions; one row at a time, over JSON values and plain Rust conditions. It shares nothing with the engine but the
//! text of those pages.

mod properties;
mod spec;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use spec::*;

#[derive(Clone, Copy)]
struct Progress {
    time_ms: i64,
    floor_ms: i64,
    at_end_since_ms: Option<i64>,
}

/// A process that runs the pipeline.
pub struct Process<'s> {
    spec: &'s Spec,
    events: Vec<Vec<EventRow>>,
    dimensions: BTreeMap<&'static str, Vec<(u8, Value)>>,
    changes_read: usize,
    /// What waits, by the order of parking.
    pub parked: BTreeMap<u64, Parked>,
    numbered: u64,
    next: BTreeMap<Partition, i64>,
    progress: BTreeMap<Partition, Progress>,
    stream_ms: Vec<Option<i64>>,
    assigned: BTreeSet<i32>,
    now_ms: i64,
    /// What the open transaction holds.
    pub ends: Vec<(Vec<Option<Place>>, End)>,
    /// Rows that were late.
    pub late: BTreeSet<Place>,
}

impl<'s> Process<'s> {
    /// Starts with what Kafka holds of these partitions, and local state if there is any: rows silently, then every
    /// parked combination again.
    pub fn start(spec: &'s Spec, kafka: &Kafka, assigned: BTreeSet<i32>, disk: &Disk, now_ms: i64) -> Self {
        let tables = spec.tables.len();
        let mut process = Self {
            spec,
            events: vec![Vec::new(); tables],
            dimensions: BTreeMap::new(),
            changes_read: 0,
            parked: BTreeMap::new(),
            numbered: 0,
            next: BTreeMap::new(),
            progress: BTreeMap::new(),
            stream_ms: vec![None; tables],
            assigned,
            now_ms,
            ends: Vec::new(),
            late: BTreeSet::new(),
        };
        let mine = process.assigned.clone();
        let has = |partition: i32| mine.contains(&partition);
        for (&(table, partition), offset) in kafka.offsets.iter().filter(|((_, partition), _)| has(*partition)) {
            let reached = disk.next.get(&(table, partition)).filter(|reached| **reached <= offset.next);
            let local = disk.events.iter().filter(|row| reached.is_some() && row.place.0 == table);
            process.events[table].extend(local.filter(|row| row.place.1 == partition).cloned());
            for at in reached.copied().unwrap_or(offset.oldest_needed)..offset.next {
                let record = &kafka.logs[&(table, partition)][at as usize];
                if table > 0 || (spec.driving)(&record.value) {
                    process.events[table].push(EventRow::of((table, partition, at), record));
                }
            }
            let Offset { next, time_ms, floor_ms, .. } = *offset;
            process.next.insert((table, partition), next);
            process.progress.insert((table, partition), Progress { time_ms, floor_ms, at_end_since_ms: None });
            let stream_ms = process.stream_ms[table].map_or(floor_ms, |stream_ms: i64| stream_ms.min(floor_ms));
            process.stream_ms[table] = (stream_ms > i64::MIN).then_some(stream_ms);
        }
        process.changes(&kafka.changes);
        let parked = kafka.journal.iter().filter(|parked| has(parked.rows[0].as_ref().expect("it drives").place.1));
        for (number, Parked { rows, since_ms, .. }) in (0..).zip(parked.cloned().collect::<Vec<_>>()) {
            process.numbered = number;
            process.stand(number, rows, since_ms);
        }
        process
    }

    /// Processes changes and rows up to these numbers in the order of 2.4; then time passes.
    pub fn cut(&mut self, kafka: &Kafka, changes: usize, until: &dyn Fn(Partition, i64) -> i64, passing: &Passing) {
        self.now_ms = passing.now_ms;
        self.changes(&kafka.changes[..changes]);
        let has_rows = |partition: &Partition, log: &Vec<Record>| {
            self.next.get(partition).copied().unwrap_or(0) < until(*partition, log.len() as i64)
        };
        let assigned = kafka.logs.iter().filter(|((_, partition), _)| self.assigned.contains(partition));
        for (partition, _) in assigned.filter(|(partition, log)| has_rows(partition, log)) {
            if let Some(progress) = self.progress.get_mut(partition) {
                progress.at_end_since_ms = progress.at_end_since_ms.map(|_| self.now_ms);
            }
        }
        for table in (1..self.spec.tables.len()).chain([0]) {
            let logs = kafka.logs.range((table, i32::MIN)..=(table, i32::MAX));
            for (&partition, log) in
                logs.filter(|((_, partition), _)| self.assigned.contains(partition)).collect::<Vec<_>>()
            {
                let next = self.next.get(&partition).copied().unwrap_or(0);
                for at in next..until(partition, log.len() as i64) {
                    self.event((table, partition.1, at), &log[at as usize]);
                    self.time_passes(false, None);
                    self.next.insert(partition, at + 1);
                }
            }
        }
        for (partition, at_end) in &passing.partitions {
            let unread = Progress { time_ms: i64::MIN, floor_ms: i64::MIN, at_end_since_ms: None };
            let progress = self.progress.entry(*partition).or_insert(unread);
            let since_ms = progress.at_end_since_ms.unwrap_or(self.now_ms);
            progress.at_end_since_ms = at_end.then_some(since_ms);
        }
        self.time_passes(passing.at_end, passing.stream_time_ms);
        for table in 0..self.events.len() {
            let rows = std::mem::take(&mut self.events[table]);
            self.events[table] = rows.into_iter().filter(|row| self.is_needed(row)).collect();
        }
    }

    /// Dimension rows act one at a time: each wakes what waits for its key (3.2), in the order of parking.
    fn changes(&mut self, changes: &[Change]) {
        for Change { table, identity, row } in &changes[self.changes_read.min(changes.len())..] {
            let rows = self.dimensions.entry(table).or_default();
            rows.retain(|(of, _)| of != identity);
            let Some(row) = row else { continue };
            rows.push((*identity, row.clone()));
            let brings = |(at, key): &(usize, Value)| {
                let lookup = &self.spec.lookups[*at];
                lookup.table == *table && row[lookup.column] == *key
            };
            let woken = self.parked.iter().filter(|(_, parked)| parked.wakes.iter().any(brings));
            for number in woken.map(|(number, _)| *number).collect::<Vec<_>>() {
                let Parked { rows, since_ms, .. } = self.parked.remove(&number).expect("it is parked");
                self.stand(number, rows, since_ms);
            }
        }
        self.changes_read = self.changes_read.max(changes.len());
    }

    /// A new event row: late or not, then time, then all combinations that contain it (2.4).
    fn event(&mut self, place: Place, record: &Record) {
        let (table, partition, _) = place;
        let floor_ms = self.progress.get(&(table, partition)).map_or(i64::MIN, |progress| progress.floor_ms);
        let judged_ms = self.stream_ms[table].unwrap_or(i64::MIN).max(floor_ms);
        if record.time_ms < judged_ms.saturating_sub(self.spec.tables[table].lateness_ms) {
            self.late.insert(place);
        }
        let reached_ms = record.time_ms.min(record.timestamp_ms).min(self.now_ms);
        let unread = Progress { time_ms: i64::MIN, floor_ms: i64::MIN, at_end_since_ms: None };
        let progress = self.progress.entry((table, partition)).or_insert(unread);
        progress.time_ms = progress.time_ms.max(reached_ms);
        progress.at_end_since_ms = Some(self.now_ms);
        self.stream_ms[table] = self.stream_ms[table].max(self.least_counted(table));
        if table == 0 && !(self.spec.driving)(&record.value) {
            return;
        }
        self.events[table].push(EventRow::of(place, record));
        for combination in self.combinations(place) {
            self.withdraw(&combination);
            self.numbered += 1;
            self.stand(self.numbered, combination, self.now_ms);
        }
    }

    /// The nested-loop join, narrowed by 2.3, of which the row at `place` is part.
    fn combinations(&self, place: Place) -> Vec<Combination> {
        let drives = |row: &&EventRow| place.0 > 0 || row.place == place;
        let mut all: Vec<Combination> =
            self.events[0].iter().filter(drives).map(|row| vec![Some(row.clone())]).collect();
        for (joined, rows) in self.spec.tables.iter().zip(&self.events).skip(1) {
            let mut longer = Vec::new();
            for before in all {
                let (values, time_ms) = (values(&before), before[0].as_ref().expect("it drives").time_ms);
                let alive = -joined.ttl_ms..=self.spec.tables[0].ttl_ms;
                let matches = rows.iter().filter(|row| alive.contains(&(row.time_ms - time_ms)));
                let found: Vec<_> = matches.filter(|row| (joined.on)(&values, &row.value)).cloned().map(Some).collect();
                let missed = (joined.left && found.is_empty()).then_some(None);
                longer.extend(found.into_iter().chain(missed).map(|row| [before.clone(), vec![row]].concat()));
            }
            all = longer;
        }
        all.retain(|combination| combination[place.0].as_ref().is_some_and(|row| row.place == place));
        all
    }

    /// `(d, NULL)` gives way to `(d, s)`.
    fn withdraw(&mut self, by: &Combination) {
        let by = places(by);
        let gives_way = |old: &[Option<Place>]| {
            old[0] == by[0] && old != by && old.iter().zip(&by).all(|(old, new)| old.is_none() || old == new)
        };
        let parked = self.parked.iter().filter(|(_, parked)| gives_way(&places(&parked.rows)));
        for number in parked.map(|(number, _)| *number).collect::<Vec<_>>() {
            let gone = self.parked.remove(&number).expect("it is parked");
            self.ends.push((places(&gone.rows), End::Withdrawn));
        }
    }

    /// Forms a combination: it comes out, waits, or expires at once (3.2).
    fn stand(&mut self, number: u64, rows: Combination, since_ms: i64) {
        let formed = self.formed(&rows);
        let (mut wakes, mut waits, mut hopeless) = (Vec::new(), false, false);
        for (row, required) in formed.iter().flat_map(|row| self.required().map(move |required| (row, required))) {
            let missed = required.lookups.iter().any(|at| row[self.spec.tables.len() + at].is_null());
            if missed || (self.spec.select)(row)[required.output].is_null() {
                let keys = required.lookups.iter().map(|at| (*at, (self.spec.lookups[*at].key)(row)));
                let keys: Vec<_> = keys.filter(|(_, key)| !key.is_null()).collect();
                hopeless |= keys.is_empty() && required.events.iter().all(|at| !row[*at].is_null());
                wakes.extend(keys);
                waits = true;
            }
        }
        match (waits, hopeless) {
            (true, true) => self.expire(&rows),
            (true, false) => _ = self.parked.insert(number, Parked { rows, since_ms, wakes }),
            (false, _) => self.ends.push((places(&rows), End::Formed(self.asked(formed)))),
        }
    }

    fn required(&self) -> impl Iterator<Item = &'s Required> {
        self.spec.smart.iter().flat_map(|smart| &smart.require)
    }

    /// Result rows with what the look-ups find now, INNER taken as LEFT.
    fn formed(&self, rows: &Combination) -> Vec<Vec<Value>> {
        self.spec.lookups.iter().fold(vec![values(rows)], |rows, lookup| {
            let looked_up = |before: Vec<Value>| {
                let key = (lookup.key)(&before);
                let table = self.dimensions.get(lookup.table).into_iter().flatten().map(|(_, row)| row);
                let matches = table.filter(|row| !key.is_null() && row[lookup.column] == key);
                let found: Vec<_> = matches.filter(|row| (lookup.residual)(&before, row)).cloned().collect();
                let found = if found.is_empty() { vec![Value::Null] } else { found };
                found.into_iter().map(|row| [before.clone(), vec![row]].concat()).collect::<Vec<_>>()
            };
            rows.into_iter().flat_map(looked_up).collect()
        })
    }

    /// The result rows for which INNER and WHERE hold.
    fn asked(&self, mut formed: Vec<Vec<Value>>) -> Vec<Value> {
        let joined = self.spec.tables.len();
        let found =
            |row: &[Value]| self.spec.lookups.iter().zip(&row[joined..]).all(|(it, row)| it.left || !row.is_null());
        formed.retain(|row| found(row) && (self.spec.condition)(row));
        formed.iter().map(|row| (self.spec.select)(row)).collect()
    }

    fn expire(&mut self, rows: &Combination) {
        let formed = self.formed(rows);
        let end = match self.spec.smart.as_ref().map(|smart| smart.on_expire) {
            Some(OnExpire::Emit) => End::Expired(self.asked(formed)),
            Some(OnExpire::DeadLetter) => End::Letters(formed.iter().map(|row| (self.spec.select)(row)).collect()),
            Some(OnExpire::Drop) | None => End::Expired(Vec::new()),
        };
        self.ends.push((places(rows), end));
    }

    /// The least time of the partitions of a table that count (4.2).
    fn least_counted(&self, table: usize) -> Option<i64> {
        let of_table = self.progress.range((table, i32::MIN)..=(table, i32::MAX)).map(|(_, progress)| progress);
        let idle_ms = self.spec.idle_timeout_ms;
        let counts = of_table.filter(|it| it.at_end_since_ms.is_none_or(|since_ms| self.now_ms - since_ms <= idle_ms));
        counts.map(|it| it.time_ms.max(it.floor_ms)).min()
    }

    /// Behind each row: idle partitions, and expiry (3.3).
    fn time_passes(&mut self, at_end: bool, at_least_ms: Option<i64>) {
        let tables = 0..self.spec.tables.len();
        let least: Vec<_> = tables.clone().map(|table| self.least_counted(table)).collect();
        for table in tables.clone() {
            let reached_ms = self.stream_ms[table].max(at_least_ms).max(least[table]);
            self.stream_ms[table] = reached_ms.filter(|time_ms| *time_ms > i64::MIN);
        }
        let is_read = |table: usize| self.progress.keys().any(|(of, _)| *of == table);
        let counts = tables.clone().filter(|&table| least[table].is_some() || !is_read(table));
        let others_ms = counts.map(|table| self.stream_ms[table]).min().flatten();
        for table in tables.filter(|&table| least[table].is_none() && is_read(table)).collect::<Vec<_>>() {
            self.stream_ms[table] = self.stream_ms[table].max(others_ms);
        }
        if let Some(smart) = &self.spec.smart {
            let stream_ms = self.stream_ms.iter().min().copied().flatten();
            let over = |(number, parked): (&u64, &Parked)| {
                let deadline_ms = parked.rows[0].as_ref().expect("it drives").time_ms + smart.max_wait_ms;
                let by_stream_time = stream_ms.is_some_and(|stream_ms| stream_ms >= deadline_ms);
                let by_wall_clock = at_end && self.now_ms >= parked.since_ms + smart.max_wait_ms;
                let order = if by_stream_time { (0, deadline_ms, *number) } else { (1, 0, *number) };
                (by_stream_time || by_wall_clock).then_some(order)
            };
            let mut expired: Vec<_> = self.parked.iter().filter_map(over).collect();
            expired.sort_unstable();
            for (_, _, number) in expired {
                let parked = self.parked.remove(&number).expect("it is parked");
                self.expire(&parked.rows);
            }
        }
    }

    /// Whether a row that is not late can still need this one (4.3).
    fn is_needed(&self, row: &EventRow) -> bool {
        let (table, driving_ttl_ms) = (row.place.0, self.spec.tables[0].ttl_ms);
        let may_come = |(other, of): (usize, &EventTable)| {
            let until_ms = match (table, other) {
                (0, _) => row.time_ms + driving_ttl_ms,
                (_, 0) => row.time_ms + self.spec.tables[table].ttl_ms,
                _ => row.time_ms + self.spec.tables[table].ttl_ms + driving_ttl_ms,
            };
            self.stream_ms[other].is_none_or(|stream_ms| stream_ms.saturating_sub(of.lateness_ms) <= until_ms)
        };
        let others = self.spec.tables.iter().enumerate().filter(|(other, _)| *other != table);
        !self.spec.forgets || others.into_iter().any(may_come)
    }

    /// How many rows are remembered.
    pub fn remembered(&self) -> usize {
        self.events.iter().map(Vec::len).sum()
    }

    /// What the open transaction commits besides its ends, judged now: it may be committed later.
    pub fn snapshot(&self) -> Snapshot {
        let offset = |(partition, next): (&Partition, &i64)| {
            let kept = self.events[partition.0].iter().filter(|row| row.place.1 == partition.1);
            let Progress { time_ms, floor_ms, .. } = self.progress[partition];
            let floor_ms = floor_ms.max(self.stream_ms[partition.0].unwrap_or(i64::MIN));
            let oldest_needed = kept.map(|row| row.place.2).min().unwrap_or(*next);
            (*partition, Offset { next: *next, oldest_needed, time_ms, floor_ms })
        };
        let offsets = self.next.iter().map(offset).collect();
        let disk = Disk { next: self.next.clone(), events: self.events.concat() };
        Snapshot { offsets, journal: self.parked.values().cloned().collect(), disk, ends: self.ends.clone() }
    }

    /// The partitions that this process reads.
    pub fn assigned(&self) -> &BTreeSet<i32> {
        &self.assigned
    }
}

/// What a transaction holds, and the state that may be written once it is committed.
#[derive(Clone)]
pub struct Snapshot {
    offsets: BTreeMap<Partition, Offset>,
    journal: Vec<Parked>,
    pub disk: Disk,
    ends: Vec<(Vec<Option<Place>>, End)>,
}

impl Kafka {
    /// Outputs, offsets and journal, together.
    pub fn commit(&mut self, assigned: &BTreeSet<i32>, snapshot: &Snapshot) {
        self.ends.extend(snapshot.ends.iter().cloned());
        self.offsets.extend(&snapshot.offsets);
        let drives = |parked: &Parked| parked.rows[0].as_ref().expect("it drives").place.1;
        self.journal.retain(|parked| !assigned.contains(&drives(parked)));
        self.journal.extend(snapshot.journal.iter().cloned());
    }
}
