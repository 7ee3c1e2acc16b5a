//! HTTP: metrics and health.

mod limits;
mod routes;
mod server;

pub use routes::{PipelineReadiness, Readiness};
pub use server::{ServerHandle, start};
