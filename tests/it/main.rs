//! Integration tests, in one binary: linking the engine once is enough.

mod broker;
mod cli;
mod kafka;
mod readme;
mod scripts;
mod tidy;
