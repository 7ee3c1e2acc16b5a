//! One kind of error at the top: what the engine does about it.

/// An error that ends a pipeline's run, and what can be done about it. A bad record is none of these: it is a
/// `Reject` or a `DeadLetter` and the run goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the arguments, the config or the pipeline (exit code 2); the text is a finished report.
    #[error("{0}")]
    Mistake(String),
    /// Something outside failed and may work again after a restart.
    #[error("{0}")]
    Retry(String),
    /// The run can't go on.
    #[error("{0}")]
    Stop(String),
}

impl Error {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Mistake(_) => 2,
            Error::Retry(_) | Error::Stop(_) => 1,
        }
    }
}

/// The result of whatever can end a run.
pub type Result<T> = std::result::Result<T, Error>;
