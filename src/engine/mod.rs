//! The stages of a pipeline, and the threads and bounded channels between them.

mod decode;
mod delivery;
mod dimensions;
mod events;
mod held;
mod join;
mod reject;
mod run;
mod segments;
mod stream_time;

pub use decode::{DecodeStage, DecodedCut};
pub use join::JoinStage;
pub use reject::Rejection;
pub use run::{Ends, run};
