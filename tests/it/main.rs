//! Integration tests, in one binary: linking the engine once is enough.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod joins;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod kafka_mock;
#[cfg(test)]
mod kafka_sink;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod model;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod readme;
mod run;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod service;
#[cfg(test)]
mod tidy;
