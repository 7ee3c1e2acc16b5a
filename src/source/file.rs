//! Records from files of one JSON object a line (NDJSON), for batch runs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lines::{Chunk, Filled, Limits, Lines, Replayed};
use super::{Committer, Next, Source};
use crate::batch::{Cut, Position, RawBatch, Slices, SlicesBuilder, TableId};
use crate::error::{Error, Result};
use crate::plan::Role;

/// What samples have read of the standard input, for the source that reads it next.
static SAMPLED_STDIN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

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
}

/// Reads files: dimensions first and wholly, then event tables, in the order of the inputs.
///
/// A record's offset is the number of its line, from 0, blank lines counted, so that a person finds the line again;
/// its partition is the number of the file among those of its table. It has no key, and its timestamp is 0.
pub struct FileSource {
    files: VecDeque<PendingFile>,
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
}

impl FileSource {
    /// A source whose cuts have at most `max_records` records and, unless one record is longer, `max_bytes` bytes.
    ///
    /// # Errors
    /// When files are missing, or the standard input is to be read twice: all of it at once.
    pub fn new(inputs: Vec<FileInput>, max_records: usize, max_bytes: usize) -> Result<Self> {
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
        Ok(Self { files: files.into(), open: None, limits, progress, arena_bytes: 0 })
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

impl Source for FileSource {
    fn next(&mut self) -> Result<Next> {
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
        let Some(table) = table.filter(|_| !chunk.records.is_empty()) else { return Ok(Next::End) };
        // The next cut is likely to be as large, and an arena that grows is copied.
        self.arena_bytes = chunk.arena.capacity();
        Ok(Next::Cut(Cut { batches: vec![raw_batch(table, chunk)], positions, ..Cut::default() }))
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

/// The first records of a file, or of the standard input (which can be read wholly afterwards), at most `max_records`
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
    let FileInput { table, role, paths, .. } = input;
    (0..).zip(paths).map(move |(partition, path)| PendingFile { table, role, partition, path })
}

fn open(path: &Path, partition: i32, is_sample: bool, progress: Arc<FileProgress>) -> Result<Lines> {
    let (name, input): (String, Box<dyn Read + Send>) = if is_stdin(path) {
        ("the standard input".to_string(), Box::new(Replayed::new(io::stdin(), &SAMPLED_STDIN, is_sample)))
    } else {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Error::Mistake(format!("{name}: can't be opened: {error}")))?;
        (name, Box::new(file))
    };
    Ok(Lines::new(&name, partition, input, progress))
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
        FileInput { table, topic: format!("topic-{}", table.0), role, paths }
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
                Next::End => return cuts,
            }
        }
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
        let source = FileSource::new(inputs, 4, 1 << 20).unwrap();
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
        let source = FileSource::new(vec![input(EVENTS, Role::Event, vec![path])], usize::MAX, 50_000).unwrap();
        let cuts = cuts(source);
        assert_eq!(cuts.len(), 20);
        assert!(cuts.iter().all(|cut| cut.batches[0].len() == 500));
        assert!(cuts.iter().all(|cut| cut.batches[0].values.arena().len() <= 50_000));
    }

    #[test]
    fn no_record_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "a", "\n\n");
        let users = write(&folder, "b", "");
        let inputs = vec![input(EVENTS, Role::Event, vec![path]), input(USERS, Role::Dimension, vec![users])];
        assert!(cuts(FileSource::new(inputs, 10, 10).unwrap()).is_empty());
    }

    #[test]
    fn all_mistakes_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec!["missing.ndjson".into(), folder.path().to_path_buf(), "-".into(), "-".into()];
        let Err(error) = FileSource::new(vec![input(EVENTS, Role::Event, paths)], 1, 1) else { panic!() };
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
