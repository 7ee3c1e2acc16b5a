//! Arrow to bytes: the mirror of decode.

mod arena;
mod column;
mod json;
#[cfg(test)]
mod laws;
mod list;
mod number;
mod text;
mod time;

pub use json::{Encoder, row_json};
