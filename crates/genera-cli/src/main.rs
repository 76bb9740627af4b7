//! `genera`: train, sample, score and report on deep generative models from the command line.
//!
//! This crate is glue over libraries and the only one that prints. [`args`] is what can be asked for, one module in
//! [`commands`] answers each command, [`family`] is the one place that names every model, [`run`] is what stays behind.

mod allocator;
mod args;
mod coding;
mod collapse;
mod commands;
mod compare;
mod console;
mod data;
mod device;
mod export;
mod failure;
mod family;
mod hash;
mod measure;
mod metrics;
mod panics;
mod pipeline;
mod recipe;
mod report;
mod run;
mod seen;
mod show;
mod signals;
mod solver;
mod training;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    allocator::keep_freed_pages();
    panics::install();
    let outcome = match Cli::try_parse() {
        Ok(cli) => panics::caught(|| commands::run(cli)),
        Err(error) if error.use_stderr() => Err(Failure::Usage(usage_line(&error))),
        // --help and --version.
        Err(error) => console::written(error.print()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(line) = failure.line() {
                console::error(&line);
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Clap's error, which has several lines, in one.
fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join("; ").replace(":; ", ": ");
    format!("{}; see `genera --help`", said.trim_start_matches("error: "))
}
