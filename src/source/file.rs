//! Records from files of one JSON object a line (NDJSON), for batch runs.

mod merge;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::merge::Merge;
use super::lines::{Chunk, Filled, Limits, Lines, ReadOnce, Replayed};
use super::{Committer, Next, Source};
use crate::batch::{Cut, Position, RawBatch, Slices, SlicesBuilder, TableId};
use crate::error::{Error, Result};
use crate::plan::Role;

/// The standard input and named pipes of which samples were taken, for the source that reads them next.
static SAMPLED: Mutex<BTreeMap<PathBuf, Arc<Mutex<ReadOnce>>>> = Mutex::new(BTreeMap::new());

/// Gives the time of each record of an event table, ms since the epoch: none if it can't be read, 0 if the records have no
/// time of their own.
pub type TimesOf = Box<dyn FnMut(&RawBatch) -> Vec<Option<i64>> + Send>;

/// The files of one table.
#[derive(Clone, Debug)]
pub struct FileInput {
    /// Whose records.
    pub table: TableId,
    /// The topic that the files stand for; used in errors.
    pub topic: String,
    /// Dimensions are read first.
    pub role: Role,
    /// The files, in the order of their partitions; `-` is the standard input.
    pub paths: Vec<PathBuf>,
    /// The place of each of them among all files that are to be read: of records of one time that of the lesser comes first.
    pub ranks: Vec<usize>,
}

/// Reads files: dimensions first and wholly; then one event table, file after file, or several, merged by event time. At
/// the end comes a cut that says that all time has passed.
///
/// A record's offset is the number of its line, from 0, blank lines counted, so that a person finds the line again;
/// its partition is the number of the file among those of its table. It has no key. Its timestamp is its event time where
/// several event tables are merged, so that stream time advances, else 0.
pub struct FileSource {
    files: VecDeque<PendingFile>,
    /// The files of several event tables, which come after `files`.
    to_merge: Option<(Vec<PendingFile>, TimesOf)>,
    merge: Option<Merge>,
    ended: bool,
    open: Option<(PendingFile, Lines)>,
    limits: Limits,
    progress: Arc<FileProgress>,
    arena_bytes: usize,
}

#[derive(Clone, Debug)]
struct PendingFile {
    table: TableId,
    role: Role,
    partition: i32,
    path: PathBuf,
    rank: usize,
}

impl FileSource {
    /// A source whose cuts have at most `max_records` records and, unless one record is longer, `max_bytes` bytes. `times` is
    /// asked only where files of several event tables are to be merged.
    ///
    /// # Errors
    /// When files are missing, or the standard input is to be read twice: all of it at once.
    pub fn new(inputs: Vec<FileInput>, max_records: usize, max_bytes: usize, times: TimesOf) -> Result<Self> {
        let progress = Arc::new(FileProgress::default());
        let mut mistakes = Vec::new();
        let mut stdins = 0;
        for input in &inputs {
            for path in &input.paths {
                stdins += usize::from(is_stdin(path));
                if let Err(problem) = progress.expect_file(path) {
                    mistakes.push(format!("{}: {}: {problem}", input.topic, path.display()));
                }
            }
        }
        if stdins > 1 {
            mistakes.push(format!("-: the standard input can be read once, and is asked for {stdins} times"));
        }
        if !mistakes.is_empty() {
            return Err(Error::Mistake(mistakes.join("\n")));
        }
        let mut files: Vec<PendingFile> = inputs.into_iter().flat_map(files_of).collect();
        files.sort_by_key(|file| file.role == Role::Event);
        let limits = Limits { records: max_records.max(1), bytes: max_bytes };
        let dimensions = files.partition_point(|file| file.role == Role::Dimension);
        let event_tables: BTreeSet<TableId> = files[dimensions..].iter().map(|file| file.table).collect();
        let to_merge = (event_tables.len() > 1).then(|| (files.split_off(dimensions), times));
        let files = files.into();
        Ok(Self { files, to_merge, merge: None, ended: false, open: None, limits, progress, arena_bytes: 0 })
    }

    /// How far reading has come, for a progress bar.
    pub fn progress(&self) -> Arc<FileProgress> {
        Arc::clone(&self.progress)
    }

    /// The file to read from, unless all are read.
    fn open_next(&mut self) -> Result<Option<&mut (PendingFile, Lines)>> {
        if self.open.is_none() {
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            let lines = open(&file.path, file.partition, false, Arc::clone(&self.progress))?;
            self.open = Some((file, lines));
        }
        Ok(self.open.as_mut())
    }
}

impl FileSource {
    /// The next cut of the files that are read one after the other.
    fn next_in_order(&mut self) -> Result<Option<Cut>> {
        let mut chunk = Chunk { arena: Vec::with_capacity(self.arena_bytes), ..Chunk::default() };
        let mut positions = Vec::new();
        let mut table = None;
        let limits = self.limits;
        while let Some((file, lines)) = self.open_next()? {
            if !chunk.records.is_empty() && table != Some(file.table) {
                break;
            }
            if table != Some(file.table) {
                positions.clear();
                table = Some(file.table);
            }
            let filled = lines.fill(&mut chunk, limits)?;
            if file.role == Role::Event {
                positions.push(Position { table: file.table, partition: file.partition, offset: lines.next_line() });
            }
            match filled {
                Filled::Ended => self.open = None,
                Filled::Full => break,
            }
        }
        let Some(table) = table.filter(|_| !chunk.records.is_empty()) else { return Ok(None) };
        // The next cut is likely to be as large, and an arena that grows is copied.
        self.arena_bytes = chunk.arena.capacity();
        Ok(Some(Cut { batches: vec![raw_batch(table, chunk)], positions, ..Cut::default() }))
    }

    /// The next cut of the files that are merged.
    fn next_merged(&mut self) -> Result<Option<Cut>> {
        if let Some((files, times)) = self.to_merge.take() {
            self.merge = Some(Merge::new(files, times, self.limits, &self.progress)?);
        }
        self.merge.as_mut().map_or(Ok(None), Merge::next)
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Result<Next> {
        let mut cut = self.next_in_order()?;
        if cut.is_none() {
            cut = self.next_merged()?;
        }
        if cut.is_none() && !self.ended {
            self.ended = true;
            cut = Some(Cut { at_end: true, stream_time_ms: Some(i64::MAX), ..Cut::default() });
        }
        Ok(cut.map_or(Next::End, Next::Cut))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(NoCommits)
    }
}

/// Files are read from their beginning each time.
struct NoCommits;

impl Committer for NoCommits {
    fn commit(&self, _positions: &[Position], _last: bool) -> Result<()> {
        Ok(())
    }
}

/// The first records of a file, a named pipe or the standard input (which can be read wholly afterwards), at most `max_records`
/// and, unless the first is longer, `max_bytes` bytes.
///
/// # Errors
/// When the file can't be read.
pub fn sample(path: &Path, max_records: usize, max_bytes: usize) -> Result<Slices> {
    let mut chunk = Chunk::default();
    let limits = Limits { records: max_records, bytes: max_bytes };
    open(path, 0, true, Arc::default())?.fill(&mut chunk, limits)?;
    Ok(SlicesBuilder::from_parts(chunk.arena, chunk.records.spans))
}

/// How much of the files has been read. Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct FileProgress {
    read: AtomicU64,
    total: AtomicU64,
    endless: AtomicBool,
}

impl FileProgress {
    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of all files together; unknown where one is the standard input or a pipe.
    pub fn bytes_total(&self) -> Option<u64> {
        (!self.endless.load(Ordering::Relaxed)).then(|| self.total.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a file as one to be read, or says why it can't be.
    fn expect_file(&self, path: &Path) -> std::result::Result<(), String> {
        if is_stdin(path) {
            self.endless.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let metadata = path.metadata().map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            return Err("is a folder; expected a file of one JSON object a line".to_string());
        }
        self.total.fetch_add(metadata.len(), Ordering::Relaxed);
        self.endless.fetch_or(!metadata.is_file(), Ordering::Relaxed);
        Ok(())
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn files_of(input: FileInput) -> impl Iterator<Item = PendingFile> {
    let FileInput { table, role, paths, ranks, .. } = input;
    let files = paths.into_iter().zip(ranks);
    (0..).zip(files).map(move |(partition, (path, rank))| PendingFile { table, role, partition, path, rank })
}

/// Opens a file. What can be read only once is shared with the samples that were taken of it.
fn open(path: &Path, partition: i32, is_sample: bool, progress: Arc<FileProgress>) -> Result<Lines> {
    let name = if is_stdin(path) { "the standard input".to_string() } else { path.display().to_string() };
    let open_file = || File::open(path).map_err(|error| Error::Mistake(format!("{name}: can't be opened: {error}")));
    let is_plain = !is_stdin(path) && path.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_plain {
        return Ok(Lines::new(&name, partition, Box::new(open_file()?), progress));
    }
    let input = || -> Result<Arc<Mutex<ReadOnce>>> {
        let input: Box<dyn Read + Send> = if is_stdin(path) { Box::new(io::stdin()) } else { Box::new(open_file()?) };
        Ok(Arc::new(Mutex::new(ReadOnce::new(input))))
    };
    let mut sampled = SAMPLED.lock().unwrap_or_else(PoisonError::into_inner);
    let once = match sampled.entry(path.to_path_buf()) {
        Entry::Occupied(entry) if is_sample => Arc::clone(entry.get()),
        Entry::Occupied(entry) => entry.remove(),
        Entry::Vacant(entry) if is_sample => Arc::clone(entry.insert(input()?)),
        Entry::Vacant(_) => input()?,
    };
    Ok(Lines::new(&name, partition, Box::new(Replayed::new(once, is_sample)), progress))
}

fn raw_batch(table: TableId, chunk: Chunk) -> RawBatch {
    let records = chunk.records.spans.len();
    let mut keys = SlicesBuilder::with_capacity(records, 0);
    (0..records).for_each(|_| keys.push(None));
    RawBatch {
        table,
        values: SlicesBuilder::from_parts(chunk.arena, chunk.records.spans),
        keys: keys.finish(),
        partitions: chunk.records.partitions,
        offsets: chunk.records.offsets,
        timestamps: vec![0; records],
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const EVENTS: TableId = TableId(0);
    const USERS: TableId = TableId(1);

    fn input(table: TableId, role: Role, paths: Vec<PathBuf>) -> FileInput {
        FileInput { table, topic: format!("topic-{}", table.0), role, ranks: (0..paths.len()).collect(), paths }
    }

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn cuts(mut source: FileSource) -> Vec<Cut> {
        let mut cuts = Vec::new();
        loop {
            match source.next().unwrap() {
                Next::Cut(cut) => cuts.push(cut),
                Next::Idle => panic!("files are never idle"),
                Next::End => break,
            }
        }
        assert!(matches!(source.next(), Ok(Next::End)), "an end is for ever");
        let end = cuts.pop().expect("the last cut says that all time has passed");
        assert!(end.batches.is_empty() && end.at_end && end.stream_time_ms == Some(i64::MAX));
        assert!(cuts.iter().all(|cut| !cut.at_end && cut.stream_time_ms.is_none() && !cut.batches.is_empty()));
        cuts
    }

    fn no_times() -> TimesOf {
        Box::new(|_| panic!("one event table needs no times"))
    }

    /// (partition, offset, value) of each record of a cut.
    fn records(cut: &Cut) -> Vec<(i32, i64, String)> {
        let [batch] = &cut.batches[..] else { panic!("one table a cut") };
        assert_eq!(batch.keys.len(), batch.len());
        assert!((0..batch.len()).all(|record| batch.keys.get(record).is_none()));
        assert_eq!(batch.timestamps, vec![0; batch.len()]);
        (0..batch.len())
            .map(|record| {
                let value = String::from_utf8(batch.values.get(record).unwrap().to_vec()).unwrap();
                (batch.partitions[record], batch.offsets[record], value)
            })
            .collect()
    }

    #[test]
    fn dimensions_come_first_and_events_in_cuts() {
        let folder = tempfile::tempdir().unwrap();
        let events = vec![write(&folder, "a", "1\n2\n\n3\n"), write(&folder, "empty", ""), write(&folder, "b", "4\n5")];
        let users = vec![write(&folder, "users", "u1\nu2\nu3\n")];
        let inputs = vec![input(EVENTS, Role::Event, events), input(USERS, Role::Dimension, users)];
        let source = FileSource::new(inputs, 4, 1 << 20, no_times()).unwrap();
        let progress = source.progress();
        assert_eq!((progress.bytes_read(), progress.bytes_total()), (0, Some(19)));
        source.committer().commit(&[], true).unwrap();
        let cuts = cuts(source);
        assert_eq!(progress.bytes_read(), 19);

        let tables: Vec<TableId> = cuts.iter().map(|cut| cut.batches[0].table).collect();
        assert_eq!(tables, [USERS, EVENTS, EVENTS]);
        let record = |partition, offset, value: &str| (partition, offset, value.to_string());
        assert_eq!(records(&cuts[0]), [record(0, 0, "u1"), record(0, 1, "u2"), record(0, 2, "u3")]);
        assert_eq!(cuts[0].positions, []);
        assert_eq!(records(&cuts[1]), [record(0, 0, "1"), record(0, 1, "2"), record(0, 3, "3"), record(2, 0, "4")]);
        let position = |partition, offset| Position { table: EVENTS, partition, offset };
        assert_eq!(cuts[1].positions, [position(0, 4), position(1, 0), position(2, 1)]);
        assert_eq!(records(&cuts[2]), [record(2, 1, "5")]);
        assert_eq!(cuts[2].positions, [position(2, 2)]);
    }

    #[test]
    fn cuts_are_bounded_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("{}\n", "x".repeat(99));
        let path = write(&folder, "a", &line.repeat(10_000));
        let source =
            FileSource::new(vec![input(EVENTS, Role::Event, vec![path])], usize::MAX, 50_000, no_times()).unwrap();
        let cuts = cuts(source);
        assert_eq!(cuts.len(), 20);
        assert!(cuts.iter().all(|cut| cut.batches[0].len() == 500));
        assert!(cuts.iter().all(|cut| cut.batches[0].values.arena().len() <= 50_000));
    }

    const JOINED: TableId = TableId(1);
    const FURTHER: TableId = TableId(2);

    /// The time of a record is the number before its first space; 0 where the table is `FURTHER`, which has none.
    fn first_word() -> TimesOf {
        Box::new(|batch| {
            let time = |record| -> Option<i64> {
                let text = std::str::from_utf8(batch.values.get(record)?).ok()?;
                if batch.table == FURTHER { Some(0) } else { text.split(' ').next()?.parse().ok() }
            };
            (0..batch.len()).map(time).collect()
        })
    }

    /// The values of each cut, those of one table between bars.
    fn merged(files: &[(TableId, &str)], max_records: usize) -> (Vec<String>, Vec<Cut>) {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs: BTreeMap<TableId, FileInput> = BTreeMap::new();
        for (rank, (table, text)) in files.iter().enumerate() {
            let path = write(&folder, &rank.to_string(), text);
            let input = inputs.entry(*table).or_insert_with(|| input(*table, Role::Event, Vec::new()));
            input.paths.push(path);
            input.ranks.push(rank);
        }
        let inputs = inputs.into_values().collect();
        let cuts = cuts(FileSource::new(inputs, max_records, 1 << 20, first_word()).unwrap());
        let text = |batch: &RawBatch| {
            let values = (0..batch.len()).map(|record| batch.values.get(record).unwrap());
            values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect::<Vec<_>>().join(",")
        };
        (cuts.iter().map(|cut| cut.batches.iter().map(text).collect::<Vec<_>>().join("|")).collect(), cuts)
    }

    #[test]
    fn event_files_are_merged_by_time_and_a_cut_is_in_the_order_of_the_query() {
        let driving = "1 a\n3 b\n4 c\n";
        let joined = "2 s\n3 t\n9 u\n";
        // b and t have one time, and the driving table's file is named first.
        let (values, cuts) = merged(&[(EVENTS, driving), (JOINED, joined)], 100);
        assert_eq!(values, ["1 a", "2 s|3 b", "3 t|4 c", "9 u"]);
        let position = |table, offset| Position { table, partition: 0, offset };
        assert_eq!(cuts[1].positions, [position(EVENTS, 2), position(JOINED, 1)]);
        assert_eq!(
            (cuts[1].batches[0].timestamps.as_slice(), cuts[3].positions.as_slice()),
            (&[2][..], &[position(JOINED, 3)][..])
        );
        // And now it is named last.
        assert_eq!(merged(&[(JOINED, joined), (EVENTS, driving)], 100).0, ["1 a", "2 s,3 t|3 b,4 c", "9 u"]);
    }

    #[test]
    fn each_file_keeps_its_order_and_a_record_without_a_time_goes_at_once() {
        let (values, cuts) = merged(&[(EVENTS, "5 a\n? b\n1 c\n7 d\n"), (EVENTS, "6 x\n"), (JOINED, "2 s\n")], 100);
        assert_eq!(values, ["2 s|5 a,? b,1 c,6 x,7 d"]);
        assert_eq!(cuts[0].batches[1].timestamps, [5, 0, 1, 6, 7]);
        assert_eq!(cuts[0].batches[1].partitions, [0, 0, 0, 1, 0]);
        assert_eq!(cuts[0].batches[1].offsets, [0, 1, 2, 0, 3]);
    }

    #[test]
    fn tables_without_a_time_come_first_and_cuts_are_bounded() {
        let files = [(EVENTS, "1 a\n2 b\n"), (JOINED, "1 s\n"), (FURTHER, "x\ny\nz\n")];
        assert_eq!(merged(&files, 100).0, ["x,y,z|1 a", "1 s|2 b"]);
        assert_eq!(merged(&files, 2).0, ["x,y", "z|1 a", "1 s|2 b"]);
        assert!(merged(&[(EVENTS, "\n"), (JOINED, "")], 2).0.is_empty());
    }

    #[test]
    fn long_files_are_looked_ahead_into_piece_by_piece() {
        let lines = |from: usize| (from..20_000).step_by(2).map(|time| format!("{time} x\n")).collect::<String>();
        let (values, cuts) = merged(&[(JOINED, &lines(0)), (EVENTS, &lines(1))], 100);
        assert_eq!(values.len(), 10_000);
        assert_eq!(values[5_000], "10000 x|10001 x");
        assert!(cuts.iter().all(|cut| cut.positions.len() == 2), "one position a file");
        let last = cuts.last().unwrap();
        assert!(last.positions.iter().all(|position| position.offset == 10_000), "{:?}", last.positions);
    }

    #[test]
    fn no_record_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "a", "\n\n");
        let users = write(&folder, "b", "");
        let inputs = vec![input(EVENTS, Role::Event, vec![path]), input(USERS, Role::Dimension, vec![users])];
        assert!(cuts(FileSource::new(inputs, 10, 10, no_times()).unwrap()).is_empty());
    }

    #[test]
    fn all_mistakes_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec!["missing.ndjson".into(), folder.path().to_path_buf(), "-".into(), "-".into()];
        let Err(error) = FileSource::new(vec![input(EVENTS, Role::Event, paths)], 1, 1, no_times()) else { panic!() };
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(matches!(error, Error::Mistake(_)));
        assert!(lines[0].starts_with("topic-0: missing.ndjson: No such file"), "{text}");
        assert!(lines[1].ends_with("is a folder; expected a file of one JSON object a line"), "{text}");
        assert_eq!(lines[2], "-: the standard input can be read once, and is asked for 2 times");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_sample_is_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "a", "1\n\n22\n333\n");
        let taken = |max_records, max_bytes| {
            let slices = sample(&path, max_records, max_bytes).unwrap();
            (0..slices.len()).map(|record| slices.get(record).unwrap().len()).collect::<Vec<_>>()
        };
        assert_eq!(taken(2, 1000), [1, 2]);
        assert_eq!(taken(9, 1000), [1, 2, 3]);
        assert_eq!(taken(9, 5), [1, 2]);
        assert_eq!(taken(9, 0), [1]);
        assert!(matches!(sample(Path::new("missing"), 1, 1), Err(Error::Mistake(_))));
    }
}
