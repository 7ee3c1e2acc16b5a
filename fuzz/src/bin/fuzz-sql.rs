//! Looks for bytes for which tests/it/fuzz/sql.rs panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaflowsql_fuzz::fuzz::sql::check(bytes));
