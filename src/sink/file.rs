//! Result records as lines of a file or of the standard output; dead letters as lines of another file.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Sink;
use crate::batch::{DeadLetter, EncodedBatch};
use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;
const CLOSED_PIPE: &str = "whoever reads the results has closed the pipe";

/// Where lines go.
pub struct Output {
    name: String,
    writer: BufWriter<Box<dyn Write + Send>>,
}

impl Output {
    /// The standard output.
    pub fn stdout() -> Self {
        Self::to("the standard output", Box::new(io::stdout()))
    }

    /// A new file, in the place of one that may be there.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)
            .map_err(|error| Error::Mistake(format!("{}: can't be created: {error}", path.display())))?;
        Ok(Self::to(&path.display().to_string(), Box::new(file)))
    }

    /// Any writer, called `name` in errors.
    pub fn to(name: &str, writer: Box<dyn Write + Send>) -> Self {
        Self { name: name.to_string(), writer: BufWriter::with_capacity(BUFFER_BYTES, writer) }
    }

    fn failed(&self, error: &io::Error) -> Error {
        match error.kind() {
            ErrorKind::BrokenPipe => Error::Stop(CLOSED_PIPE.to_string()),
            _ => Error::Stop(format!("{}: can't be written: {error}", self.name)),
        }
    }

    fn write_line(&mut self, line: &[u8]) -> Result<()> {
        let written = self.writer.write_all(line).and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|error| self.failed(&error))
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| self.failed(&error))
    }
}

/// Whether a run ended because nobody reads its results any more (`… | head`): no failure, and not worth a word.
pub fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Stop(text) if text == CLOSED_PIPE)
}

/// Writes one line a result record, its value, and one JSON object a dead letter.
pub struct FileSink {
    results: Output,
    dead_letters: Option<Output>,
}

impl FileSink {
    /// Results go to `results`, dead letters to `dead_letters`, or nowhere.
    pub fn new(results: Output, dead_letters: Option<Output>) -> Self {
        Self { results, dead_letters }
    }
}

impl Sink for FileSink {
    fn write(&mut self, records: &EncodedBatch) -> Result<()> {
        (0..records.values.len())
            .try_for_each(|record| self.results.write_line(records.values.get(record).unwrap_or(b"null")))
    }

    fn write_dead_letters(&mut self, letters: &[DeadLetter]) -> Result<()> {
        let Some(output) = &mut self.dead_letters else { return Ok(()) };
        letters.iter().try_for_each(|letter| output.write_line(letter_line(letter).as_bytes()))
    }

    fn flush(&mut self) -> Result<()> {
        self.results.flush()?;
        self.dead_letters.as_mut().map_or(Ok(()), Output::flush)
    }
}

/// `{"topic", "partition", "offset", "timestamp", "stage", "error", "key", "value", "headers"}`. Bytes that are not
/// UTF-8 stand as base64 under `key_base64`, `value_base64`.
fn letter_line(letter: &DeadLetter) -> String {
    let mut line = Map::new();
    line.insert("topic".into(), json!(letter.topic));
    line.insert("partition".into(), json!(letter.partition));
    line.insert("offset".into(), json!(letter.offset));
    line.insert("timestamp".into(), json!(letter.timestamp));
    line.insert("stage".into(), json!(letter.stage.name()));
    line.insert("error".into(), json!(letter.error));
    insert_bytes(&mut line, "key", letter.key.as_deref());
    insert_bytes(&mut line, "value", letter.value.as_deref());
    let headers = letter.headers.iter().map(|(name, value)| {
        let mut header = Map::from_iter([("key".to_string(), json!(name))]);
        insert_bytes(&mut header, "value", value.as_deref());
        Value::Object(header)
    });
    line.insert("headers".into(), headers.collect());
    Value::Object(line).to_string()
}

fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_string(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_string(), json!(text)),
        Some(Err(_)) => object.insert(format!("{name}_base64"), json!(bytes.map(|bytes| STANDARD.encode(bytes)))),
    };
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::batch::{SlicesBuilder, Stage};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn records(values: &[&[u8]]) -> EncodedBatch {
        let (mut keys, mut slices) = (SlicesBuilder::default(), SlicesBuilder::default());
        for value in values {
            keys.push(None);
            slices.push(Some(value));
        }
        EncodedBatch { keys: keys.finish(), values: slices.finish(), timestamps: vec![0; values.len()] }
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            key: Some(b"k".to_vec()),
            value: Some(b"\xff\"".to_vec()),
            headers: vec![("h".into(), Some(b"v".to_vec())), ("h".into(), None)],
            topic: "orders".into(),
            partition: 2,
            offset: 7,
            timestamp: 1000,
            stage: Stage::Decode,
            error: "not JSON".into(),
        }
    }

    #[test]
    fn one_line_a_record_and_a_letter() {
        let (results, letters) = (Shared::default(), Shared::default());
        let mut sink = FileSink::new(
            Output::to("results", Box::new(results.clone())),
            Some(Output::to("letters", Box::new(letters.clone()))),
        );
        sink.write(&records(&[b"{\"a\":1}", b"{}"])).unwrap();
        sink.write_dead_letters(&[letter(), DeadLetter { value: None, headers: Vec::new(), ..letter() }]).unwrap();
        assert_eq!((results.text().as_str(), letters.text().as_str()), ("", ""), "written before it had to be");
        sink.flush().unwrap();
        assert_eq!(results.text(), "{\"a\":1}\n{}\n");
        let head = r#"{"topic":"orders","partition":2,"offset":7,"timestamp":1000,"stage":"decode","error":"not JSON","key":"k","#;
        let lines: Vec<String> = letters.text().lines().map(str::to_string).collect();
        assert_eq!(
            lines,
            [
                format!(
                    r#"{head}"value_base64":"/yI=","headers":[{{"key":"h","value":"v"}},{{"key":"h","value":null}}]}}"#
                ),
                format!(r#"{head}"value":null,"headers":[]}}"#),
            ]
        );
    }

    #[test]
    fn without_a_place_dead_letters_are_dropped() {
        let mut sink = FileSink::new(Output::to("results", Box::new(Shared::default())), None);
        sink.write_dead_letters(&[letter()]).unwrap();
        sink.flush().unwrap();
    }

    #[test]
    fn a_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        std::fs::write(&path, "what was there before").unwrap();
        let mut sink = FileSink::new(Output::create(&path).unwrap(), None);
        sink.write(&records(&[b"{}"])).unwrap();
        sink.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[test]
    fn a_file_that_cannot_be_created_is_a_mistake() {
        let error = Output::create(Path::new("no/such/folder/out")).err().unwrap();
        assert!(matches!(&error, Error::Mistake(text) if text.starts_with("no/such/folder/out: can't be created: ")));
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut sink = FileSink::new(Output::to("pipe", Box::new(writer)), None);
        sink.write(&records(&[b"{}"])).unwrap();
        assert!(is_closed_pipe(&sink.flush().unwrap_err()));

        let full = File::options().write(true).open("/dev/full");
        if let Ok(full) = full {
            let mut sink = FileSink::new(Output::to("full disk", Box::new(full)), None);
            sink.write(&records(&[b"{}"])).unwrap();
            let error = sink.flush().unwrap_err();
            assert!(!is_closed_pipe(&error));
            assert!(error.to_string().starts_with("full disk: can't be written: "), "{error}");
        }
    }
}
