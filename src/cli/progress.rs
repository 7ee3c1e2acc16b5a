//! A progress line on stderr, if a person looks at it.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` with a line that `show` keeps current: (done, total if known, text).
pub(super) fn with_progress<T>(show: impl Fn() -> (u64, Option<u64>, String) + Sync, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = |template: &str| ProgressStyle::with_template(template).expect("BUG: a progress template is broken");
    bar.set_style(style("{spinner} {bytes} {wide_msg}"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let line = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (position, total, text) = show();
                if let Some(total) = total.filter(|_| bar.length().is_none()) {
                    bar.set_length(total);
                    bar.set_style(style("{bar:24} {percent:>3} % {wide_msg}"));
                }
                bar.set_position(position);
                bar.set_message(text);
                thread::park_timeout(DRAW_EVERY);
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        line.thread().unpark();
        bar.finish_and_clear();
        result
    })
}
