//! The log, on the standard error.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::{Error, Result};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colours on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends what is logged from now on to the standard error. `level` is `error`, `warn`, `info`, `debug`, `trace` or
/// `off`, or sets levels by module: `info,kaflowsql::source=debug`.
///
/// # Errors
/// When `level` is none of these, or the log has been started before.
pub fn start_logging(level: &str, format: LogFormat) -> Result<()> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    subscriber(level, format, colours, io::stderr)?
        .try_init()
        .map_err(|error| Error::Stop(format!("the log can't be started: {error}")))
}

type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(level: &str, format: LogFormat, colours: bool, writer: W) -> Result<AnySubscriber>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|error| {
        let expected = "expected error, warn, info, debug, trace or off, or levels by module";
        Error::Mistake(format!("logging.level: {level:?} is no level ({error}); {expected}"))
    })?;
    let lines = fmt::Subscriber::builder().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(lines.with_ansi(colours).with_target(false).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(level, format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(topic = "users", "loaded");
            tracing::debug!("not at this level");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text() {
        let text = logged("info", LogFormat::Text);
        assert!(text.ends_with("INFO loaded topic=\"users\"\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert_eq!(logged("warn", LogFormat::Text), "");
        assert_eq!(logged("warn,kaflowsql=trace", LogFormat::Text).lines().count(), 2);
    }

    #[test]
    fn json() {
        let line: serde_json::Value = serde_json::from_str(&logged("info", LogFormat::Json)).unwrap();
        assert_eq!(
            (&line["level"], &line["message"], &line["topic"]),
            (&"INFO".into(), &"loaded".into(), &"users".into())
        );
    }

    #[test]
    fn a_level_that_is_none() {
        let error = subscriber("info,x=loud", LogFormat::Text, false, io::sink).err().unwrap();
        assert!(
            matches!(&error, Error::Mistake(text) if text.starts_with("logging.level: \"info,x=loud\" is no level"))
        );
    }
}
