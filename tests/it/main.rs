//! Integration tests, in one binary: linking the engine once is enough.

mod broker;
mod joins;
mod kafka;
mod laws;
mod oracle;
mod scripts;
mod tidy;
