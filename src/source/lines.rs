//! Lines of a file, read in blocks straight into the arena that they stay in.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memchr_iter;

use super::file::FileProgress;
use crate::batch::Span;
use crate::error::{Error, Result};

/// How much is read from a file at once.
const BLOCK_BYTES: usize = 256 << 10;

/// How much of what was read too far is looked at at once: small, so that small cuts don't copy a block each.
const PIECE_BYTES: usize = 8 << 10;

/// No record is as long. Says of a file that is no NDJSON what it is before it has filled the memory, and keeps an
/// arena below 4 GiB.
const LINE_BYTES_MAX: usize = 1 << 30;

/// When a cut ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// Records of a cut, in the making.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) arena: Vec<u8>,
    pub(super) records: Records,
}

/// Where the records of a chunk lie, and where they come from.
#[derive(Default)]
pub(super) struct Records {
    pub(super) spans: Vec<Span>,
    pub(super) partitions: Vec<i32>,
    pub(super) offsets: Vec<i64>,
}

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Why no more lines were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The chunk has reached a limit.
    Full,
    /// The file has no more lines.
    Ended,
}

/// The lines of one file, from where reading stands.
pub(super) struct Lines {
    name: String,
    partition: i32,
    input: Box<dyn Read + Send>,
    progress: Arc<FileProgress>,
    /// Bytes that were read and not handed out: those of `rest` from `rest_start` on.
    rest: Vec<u8>,
    rest_start: usize,
    next_line: i64,
    begun: bool,
    ended: bool,
}

impl Lines {
    /// `name` is for errors, `partition` for the records.
    pub(super) fn new(name: &str, partition: i32, input: Box<dyn Read + Send>, progress: Arc<FileProgress>) -> Self {
        Self {
            name: name.to_string(),
            partition,
            input,
            progress,
            rest: Vec::new(),
            rest_start: 0,
            next_line: 0,
            begun: false,
            ended: false,
        }
    }

    /// The number of the next line, from 0.
    pub(super) fn next_line(&self) -> i64 {
        self.next_line
    }

    /// Appends lines until the chunk is full or the file ends. A chunk takes at least one line, however long.
    ///
    /// # Errors
    /// When the file can't be read, or is not made of lines.
    pub(super) fn fill(&mut self, chunk: &mut Chunk, limits: Limits) -> Result<Filled> {
        let Chunk { arena, records } = chunk;
        let mut line_start = arena.len();
        let mut from_rest = self.read_more(arena)?;
        if !self.begun {
            self.begun = true;
            line_start += self.skip_mark(arena, line_start)?;
        }
        let mut scanned = line_start;
        loop {
            for place in memchr_iter(b'\n', &arena[scanned..]) {
                let line_end = scanned + place;
                if !records.is_empty() && (records.spans.len() >= limits.records || line_end > limits.bytes) {
                    self.put_back(arena, line_start, from_rest);
                    return Ok(Filled::Full);
                }
                self.take_line(arena, line_start, line_end, records);
                line_start = line_end + 1;
            }
            if records.is_empty() && line_start > 0 {
                // Only blank lines so far: they take no room.
                arena.drain(..line_start);
                line_start = 0;
            }
            if !records.is_empty() && (records.spans.len() >= limits.records || arena.len() > limits.bytes) {
                self.put_back(arena, line_start, from_rest);
                return Ok(Filled::Full);
            }
            scanned = arena.len();
            if scanned - line_start > LINE_BYTES_MAX {
                return Err(self.stop("is longer than 1 GiB; expected one JSON object a line (NDJSON)"));
            }
            if self.ended && self.rest_start == self.rest.len() {
                if line_start < scanned {
                    self.take_line(arena, line_start, scanned, records);
                }
                return Ok(Filled::Ended);
            }
            from_rest = self.read_more(arena)?;
        }
    }

    fn take_line(&mut self, arena: &[u8], start: usize, end: usize, records: &mut Records) {
        let offset = self.next_line;
        self.next_line += 1;
        let line = &arena[start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return;
        }
        records.spans.push(Span { start: start as u32, len: line.len() as u32 });
        records.partitions.push(self.partition);
        records.offsets.push(offset);
    }

    /// Appends what was read too far, or else a block of the file. Returns whether it was the former.
    fn read_more(&mut self, arena: &mut Vec<u8>) -> Result<bool> {
        let rest = &self.rest[self.rest_start..];
        if !rest.is_empty() {
            let piece = &rest[..rest.len().min(PIECE_BYTES)];
            arena.extend_from_slice(piece);
            self.rest_start += piece.len();
            return Ok(true);
        }
        while !self.ended && self.read_block(arena)? == 0 {}
        Ok(false)
    }

    /// Reads at most a block; 0 bytes when interrupted, or at the end.
    fn read_block(&mut self, arena: &mut Vec<u8>) -> Result<usize> {
        let start = arena.len();
        arena.resize(start + BLOCK_BYTES, 0);
        let read = self.input.read(&mut arena[start..]);
        arena.truncate(start + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(len) => {
                self.ended = len == 0;
                self.progress.add(len);
                Ok(len)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(self.stop(&format!("can't be read: {error}"))),
        }
    }

    /// Keeps what follows the last line taken for the next chunk.
    fn put_back(&mut self, arena: &mut Vec<u8>, line_start: usize, from_rest: bool) {
        let surplus = &arena[line_start..];
        if from_rest {
            // All of this fill came from `rest`, where it still is.
            self.rest_start -= surplus.len();
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(surplus);
            self.rest_start = 0;
        }
        arena.truncate(line_start);
    }

    /// The length of the byte order mark, if the file begins with one. Says so if the file is no text.
    fn skip_mark(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<usize> {
        while !self.ended && arena.len() < start + 3 {
            self.read_block(arena)?;
        }
        match &arena[start..] {
            [0xef, 0xbb, 0xbf, ..] => Ok(3),
            [0x1f, 0x8b, ..] => {
                Err(self.stop("is compressed by gzip; expected text: unpack it first, or pipe `gzip -dc` into `-`"))
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(self.stop("is UTF-16; expected UTF-8")),
            _ => Ok(0),
        }
    }

    fn stop(&self, problem: &str) -> Error {
        Error::Stop(format!("{}, line {}: {problem}", self.name, self.next_line + 1))
    }
}

/// What can be read only once, such as the standard input, and what samples have read of it.
pub(super) struct ReadOnce {
    input: Box<dyn Read + Send>,
    sampled: Vec<u8>,
}

impl ReadOnce {
    /// Nothing is read yet.
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, sampled: Vec::new() }
    }
}

/// Reads what can be read only once from its beginning: what samples have read of it is read again.
pub(super) struct Replayed {
    once: Arc<Mutex<ReadOnce>>,
    place: usize,
    keep: bool,
}

impl Replayed {
    /// `keep`: this reader takes a sample; what it reads is there for the next one. Else it is the last one.
    pub(super) fn new(once: Arc<Mutex<ReadOnce>>, keep: bool) -> Self {
        Self { once, place: 0, keep }
    }
}

impl Read for Replayed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        let ReadOnce { input, sampled } = &mut *once;
        let mut again = &sampled[self.place.min(sampled.len())..];
        let len = again.read(bytes)?;
        self.place += len;
        if len > 0 {
            return Ok(len);
        }
        if !self.keep {
            *sampled = Vec::new();
            return input.read(bytes);
        }
        let len = input.read(bytes)?;
        sampled.extend_from_slice(&bytes[..len]);
        self.place += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives at most so many bytes at once, and an interruption now and then.
    struct Trickle(Vec<u8>, usize, bool);

    impl Read for Trickle {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::Interrupted.into());
            }
            let len = self.0.len().min(self.1).min(bytes.len());
            bytes[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }

    fn lines(input: impl Read + Send + 'static) -> Lines {
        Lines::new("a.ndjson", 4, Box::new(input), Arc::default())
    }

    fn read_all(mut lines: Lines, limits: Limits) -> Vec<Vec<(i64, Vec<u8>)>> {
        let mut chunks = Vec::new();
        loop {
            let mut chunk = Chunk::default();
            let filled = lines.fill(&mut chunk, limits).unwrap();
            let records = chunk.records.spans.iter().zip(&chunk.records.offsets).map(|(span, offset)| {
                (*offset, chunk.arena[span.start as usize..(span.start + span.len) as usize].to_vec())
            });
            chunks.push(records.collect());
            if filled == Filled::Ended {
                return chunks;
            }
        }
    }

    const NO_LIMITS: Limits = Limits { records: usize::MAX, bytes: usize::MAX };

    #[test]
    fn lines_keep_their_numbers() {
        let text = b"\xef\xbb\xbf{}\r\n\n \t\r\n[1]\n\r\nlast".to_vec();
        let expected = [vec![(0, b"{}".to_vec()), (3, b"[1]".to_vec()), (5, b"last".to_vec())]];
        for len in 1..20 {
            assert_eq!(read_all(lines(Trickle(text.clone(), len, false)), NO_LIMITS), expected);
        }
    }

    #[test]
    fn nothing_at_all() {
        for text in ["", "\n", "\n\n", "\u{feff}", "\r\n"] {
            assert_eq!(read_all(lines(text.as_bytes()), NO_LIMITS), [vec![]], "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_limits_the_lines_are_the_same(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n \n".to_vec()), 0..200),
            block in 1usize..50, records in 1usize..9, bytes in 1usize..40,
        ) {
            let expected: Vec<(i64, Vec<u8>)> = String::from_utf8(text.clone()).unwrap().split('\n').enumerate()
                .map(|(number, line)| (number as i64, line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()))
                .filter(|(_, line)| !line.trim_ascii().is_empty())
                .collect();
            let chunks = read_all(lines(Trickle(text, block, false)), Limits { records, bytes });
            for chunk in &chunks {
                prop_assert!(chunk.len() <= records);
                prop_assert!(chunk.len() <= 1 || chunk.iter().map(|(_, line)| line.len()).sum::<usize>() <= bytes);
            }
            prop_assert_eq!(chunks.concat(), expected);
        }
    }

    #[test]
    fn a_line_longer_than_every_limit() {
        let long = vec![b'x'; 20 << 20];
        let text = [&b"1\n"[..], &long, b"\n2\n"].concat();
        let chunks = read_all(lines(io::Cursor::new(text)), Limits { records: 10, bytes: 1000 });
        assert_eq!(chunks.concat(), [(0, b"1".to_vec()), (1, long), (2, b"2".to_vec())]);
    }

    #[test]
    fn blank_lines_take_no_memory() {
        let mut lines = lines(io::repeat(b'\n').take(50 << 20));
        let mut chunk = Chunk::default();
        assert_eq!(lines.fill(&mut chunk, NO_LIMITS).unwrap(), Filled::Ended);
        assert!(chunk.arena.capacity() < 2 * BLOCK_BYTES);
        assert_eq!(lines.next_line(), 50 << 20);
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        for (bytes, expected) in [(&b"\x1f\x8b\x08"[..], "compressed by gzip"), (b"\xff\xfe{\0", "UTF-16")] {
            let error = lines(bytes).fill(&mut Chunk::default(), NO_LIMITS).unwrap_err().to_string();
            assert!(error.starts_with("a.ndjson, line 1: is ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_failure_names_the_line() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let error = lines(b"{}\n{}\n{".chain(Broken)).fill(&mut Chunk::default(), NO_LIMITS).unwrap_err();
        assert_eq!(error.to_string(), "a.ndjson, line 3: can't be read: the disk is gone");
    }

    #[test]
    fn a_sample_takes_nothing_away() {
        let once = Arc::new(Mutex::new(ReadOnce::new(Box::new(io::Cursor::new(b"0123456789".to_vec())))));
        let mut bytes = [0; 4];
        Replayed::new(Arc::clone(&once), true).read_exact(&mut bytes).unwrap();
        let mut more = [0; 6];
        Replayed::new(Arc::clone(&once), true).read_exact(&mut more).unwrap();
        let mut all = Vec::new();
        Replayed::new(Arc::clone(&once), false).read_to_end(&mut all).unwrap();
        assert_eq!((&bytes, &more, all.as_slice()), (b"0123", b"012345", &b"0123456789"[..]));
        assert!(once.lock().unwrap().sampled.is_empty());
    }
}
