//! At start-up only: SQL to what is read, remembered and run.

mod table;

pub use table::{Column, Identity, Role, Table};
