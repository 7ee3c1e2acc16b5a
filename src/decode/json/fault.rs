//! What is wrong with a record.

use std::borrow::Cow;

/// A record's first fault. Made only for bad records, so it may cost an allocation.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the arena.
    pub at: usize,
    /// What was expected there, as a phrase.
    pub expected: Cow<'static, str>,
    /// The field in which it lies: `customer.tags[2]`; empty outside of all known fields.
    pub path: String,
}

/// What reading ends with; boxed, so that the good path carries one word.
pub type Result<T> = std::result::Result<T, Box<Fault>>;

impl Fault {
    /// A fault at `at`, outside of all fields so far.
    #[cold]
    #[inline(never)]
    pub fn new(at: usize, expected: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { at, expected: expected.into(), path: String::new() })
    }

    /// The same fault, seen from the object that holds the field `name`.
    #[cold]
    #[inline(never)]
    pub fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// The same fault, seen from the list whose element `index` it is in.
    #[cold]
    #[inline(never)]
    pub fn in_element(mut self: Box<Self>, index: usize) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }
}
