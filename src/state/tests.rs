//! The dimension table, against a naive model and in single cases.

mod cases;
mod histories;
mod key_types;
