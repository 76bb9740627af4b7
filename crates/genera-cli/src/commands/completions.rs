//! `genera completions SHELL`: the completion script on stdout.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::console;
use crate::failure::Outcome;

pub fn run(args: &Completions) -> Outcome {
    // Written in one piece: the generator itself does not survive a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "genera", &mut script);
    console::written(std::io::Write::write_all(&mut std::io::stdout(), &script))
}
