//! One verb a file.

mod arguments;
mod completions;
mod demo;
mod explain;
mod functions;
mod infer;
mod invoke;
mod kafka;
mod load;
mod observe;
mod progress;
mod run;
mod sample;
mod schema;
mod service;
mod stop;
mod tally;
mod test;
mod validate;

pub use arguments::main;
