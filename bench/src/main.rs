//! One case on Genera's side: a process that is asked for checks and times over its standard input.
//!
//! ```text
//! genera-bench FOLDER     works on FOLDER/{case.json, weights.safetensors, inputs.safetensors}
//! genera-bench peak       prints the arithmetic limit of the processor
//! ```
//!
//! Each line of input is answered with one line of JSON; see `peer.py`, which speaks the same words for PyTorch.

#[path = "../../crates/genera-cli/src/allocator.rs"]
mod allocator;
mod given;
mod limit;
mod tasks;
mod work;

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use work::{Done, Work};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    allocator::keep_freed_pages();
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "peak" {
        return println!("{}", limit::measure());
    }
    let before = memory("VmRSS");
    // Inside the pool, as in `genera train`: the caller is then a worker and need not be woken.
    rayon::scope(|_| {
        let mut work = work::open(Path::new(&argument)).unwrap_or_else(|error| {
            eprintln!("genera-bench: {argument}: {error}");
            std::process::exit(1);
        });
        // The peak counts from here, without that of loading.
        std::fs::write("/proc/self/clear_refs", "5").ok();
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            println!("{}", answer(work.as_mut(), &line, before));
            std::io::stdout().flush().ok();
        }
    });
}

fn answer(work: &mut dyn Work, line: &str, before: u64) -> Value {
    let mut words = line.split_whitespace();
    let (command, count) = (words.next().unwrap_or_default(), words.next().and_then(|n| n.parse().ok()).unwrap_or(1));
    match command {
        "memory" => json!({ "peak": memory("VmHWM"), "before": before }),
        "check" => {
            let done: Vec<Done> = (0..count).map(|_| work.step()).collect();
            let done = work.result().map_or(done, |last| vec![last]);
            let of = |f: fn(&Done) -> f64| done.iter().map(f).collect::<Vec<_>>();
            json!({ "losses": of(|d| d.loss), "norms": of(|d| d.norm) })
        }
        _ => {
            let time = |_| {
                let start = Instant::now();
                work.step();
                start.elapsed().as_secs_f64()
            };
            json!({ "seconds": (0..count).map(time).collect::<Vec<f64>>() })
        }
    }
}

/// A line of `/proc/self/status` in bytes.
fn memory(kind: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(kind)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
