//! The tables, against naive models and in single cases.

mod cases;
mod events;
mod histories;
mod key_types;
mod parking;
