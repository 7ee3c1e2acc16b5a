//! Looks for bytes for which tests/it/fuzz/yaml.rs panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaflowsql_fuzz::fuzz::yaml::check(bytes));
