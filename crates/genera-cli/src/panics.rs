//! A panic is a bug of ours, and still no reason to bury the user in a backtrace: it becomes one line and exit code 1.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

use crate::failure::{Failure, Outcome};

/// What the first panic said, and where. Not thread-local: a worker's panic ends the work of the main thread.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics from printing, unless RUST_BACKTRACE asks for it.
pub fn install() {
    let default = panic::take_hook();
    let wanted = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    panic::set_hook(Box::new(move |info| {
        if let Ok(mut first) = FIRST.lock() {
            first.get_or_insert_with(|| describe(info));
        }
        if wanted {
            default(info);
        }
    }));
}

/// Runs `work`; a panic in it is a failure.
pub fn caught(work: impl FnOnce() -> Outcome) -> Outcome {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = FIRST.lock().ok().and_then(|mut first| first.take()).unwrap_or_else(|| "unknown".to_owned());
        Err(Failure::new(format!(
            "internal error: {what}; please report it with the command, RUST_BACKTRACE=1 says more"
        )))
    })
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    match info.location() {
        // The path of a source file may be long and is of no use outside of the build: its end is enough.
        Some(place) => {
            let file = place.file().rsplit(['/', '\\']).next().unwrap_or("");
            format!("{text} ({file}:{})", place.line())
        }
        None => text.to_owned(),
    }
}
