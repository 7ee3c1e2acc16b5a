//! One verb a file.

mod arguments;
mod demo;
mod explain;
mod infer;
mod invoke;
mod kafka;
mod load;
mod observe;
mod progress;
mod run;
mod sample;
mod service;
mod stop;
mod tally;
mod validate;

pub use arguments::main;
