//! Integration tests, in one binary: linking the engine once is enough.

#[cfg(test)]
mod broker;
mod cli;
mod kafka;
mod readme;
mod scripts;
mod tidy;
