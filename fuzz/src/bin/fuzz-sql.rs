#![no_main]
//! Looks for bytes for which tests/it/fuzz/sql.rs panics.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaflowsql_fuzz::fuzz::sql::check(bytes));
