//! One verb a file.

mod arguments;
mod explain;
mod infer;
mod invoke;
mod load;
mod progress;
mod run;
mod tally;
mod validate;

pub use arguments::main;
