//! Looks for bytes for which tests/it/fuzz/engine.rs panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaflowsql_fuzz::fuzz::engine::check(bytes));
