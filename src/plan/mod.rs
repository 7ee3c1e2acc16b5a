//! At start-up only: SQL to what is read, remembered and run.

mod base;
mod bind;
mod catalog;
mod compile;
mod emission;
mod event_join;
mod events;
mod explain;
mod index_keys;
mod join_clause;
mod membership;
mod mistake;
mod parse;
mod query;
mod resolve;
mod scope;
mod star;
mod table;
mod tokens;
mod wording;

#[cfg(test)]
mod tests;

pub use bind::Fields;
pub use catalog::Catalog;
pub use mistake::{Mistake, Place};
pub use parse::{parse, tables_of};
pub use query::{
    ColumnSource, Dimension, Emission, Event, EventJoin, IdentityRule, Lookup, LookupKind, OutputColumn, Part, Plan,
    Required, Smart, check_without_columns, plan,
};
pub use table::{Column, Identity, Role, Table};
