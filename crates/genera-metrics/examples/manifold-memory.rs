//! Time and peak memory of precision, recall, density and coverage (Linux only):
//!
//! ```text
//! cargo run --release --example manifold-memory [ROWS] [COLUMNS]        10 000 and 2048 if not said
//! ```
//!
//! Prints the bytes of the two sets themselves, and what the measure needed beside them.

use std::fs;
use std::time::Instant;

use genera_metrics::{Points, manifold};
use genera_rng::Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let (n, d) = (arguments.next().unwrap_or(Ok(10_000))?, arguments.next().unwrap_or(Ok(2048))?);
    // Features with a spectrum that falls as that of a network's do, never negative.
    let features = |seed: u64, shift: f32| -> Vec<f32> {
        let mut rows = Rng::new(seed).normal(n, d);
        let scales: Vec<f32> = (0..d).map(|j| (1.0 + j as f32).powf(-0.5)).collect();
        rows.iter_mut().zip(scales.iter().cycle()).for_each(|(x, scale)| *x = (*x * scale + shift).max(0.0));
        rows
    };
    let (real, fake) = (features(1, 0.1), features(2, 0.12));
    let data = (real.len() + fake.len()) * size_of::<f32>();
    // The peak starts anew from what is held now.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = peak()?;
    let started = Instant::now();
    let found = manifold(&Points::new(&real, n, d)?, &Points::new(&fake, n, d)?, 3, "example")?;
    let (seconds, after) = (started.elapsed().as_secs_f64(), peak()?);
    let mega = |bytes: usize| bytes as f64 / 1e6;
    println!("{n} against {n} rows of {d} features: precision {:.4}, recall {:.4}", found.precision, found.recall);
    println!(
        "{seconds:.1} s; the data {:.0} MB, the whole process {:.0} MB before and {:.0} MB at most, so {:.0} MB for the measure",
        mega(data),
        mega(before),
        mega(after),
        mega(after.saturating_sub(before))
    );
    if after > 1_000_000_000 {
        return Err("more than 1 GB".into());
    }
    Ok(())
}

/// The peak resident memory of this process, in bytes.
fn peak() -> Result<usize, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<usize>()? * 1024)
}
