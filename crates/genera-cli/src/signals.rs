//! Ctrl-C, SIGTERM and SIGHUP: the first asks the work to stop where it can be taken up again, the second ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, Outcome};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on a signal asks instead of killing.
pub fn install() -> Outcome {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::new(format!("signals: {error}")))
}

/// Whether a signal asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
