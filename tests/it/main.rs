//! Integration tests, in one binary: linking the engine once is enough.

mod broker;
mod kafka;
