//! Freed memory is kept.
//!
//! A training step frees what the next one needs again. mimalloc gives it back to the system after ten milliseconds
//! unless it is told otherwise: pages that are taken away and cleared anew cost a tenth to a quarter of a step, and what comes
//! back after a pause comes in small pages in the place of huge ones, which is as slow. It reads its settings from the
//! environment before anything else runs, so the program starts itself once more.

/// Milliseconds after which mimalloc gives memory back: never.
#[cfg(unix)]
const DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// Starts the program again, in this very process, with freed memory kept; does nothing if the delay is set.
#[cfg(unix)]
pub fn keep_freed_pages() {
    use std::os::unix::process::CommandExt;

    let mut arguments = std::env::args_os();
    if let (None, Ok(program), Some(name)) = (std::env::var_os(DELAY.0), std::env::current_exe(), arguments.next()) {
        // Returns only if it fails, and then the program goes on as it is.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).env(DELAY.0, DELAY.1).exec();
    }
}

/// Elsewhere a program cannot be replaced within its process.
#[cfg(not(unix))]
pub fn keep_freed_pages() {}
