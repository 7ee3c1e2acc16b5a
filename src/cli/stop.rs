//! SIGTERM and SIGINT: the first asks for an end, the second ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Exit code of a process that was told twice to end.
const TOLD_TWICE: i32 = 130;

/// What becomes true with the first signal.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(TOLD_TWICE);
        }
    })
    .map_err(|error| Error::Stop(format!("signals can't be handled: {error}")))?;
    Ok(stop)
}
