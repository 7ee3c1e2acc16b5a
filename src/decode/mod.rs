//! Raw records to Arrow: the columns that the plan keeps, and for each bad record the reason.

mod identity;
mod infer;
mod json;
mod metadata;
mod reject;
mod table;
#[cfg(test)]
mod tests;

pub use infer::{Inferred, infer};
pub use table::{TableDecoder, supports};
