//! One module a command.

mod compare;
mod completions;
mod convert;
mod data;
mod doctor;
mod eval;
mod interpolate;
mod metrics;
mod recipes;
mod report;
mod restore;
mod sample;
mod train;

pub use convert::Kind;
pub use restore::Keep;

use std::path::{Path, PathBuf};

use genera::burn::tensor::Device;

use crate::args::{Cli, Command, Common};
use crate::console::Console;
use crate::data::Data;
use crate::device::DeviceName;
use crate::failure::{Failure, Outcome};
use crate::family::{Family, Trainee};
use crate::measure::Subject;
use crate::run::RunDir;

/// What every command needs to know.
pub struct Context {
    pub console: Console,
    /// Where tensors live.
    pub device: Device,
    /// The same by name.
    pub device_name: DeviceName,
    /// Where data sets are looked for first.
    pub data: Option<PathBuf>,
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> Outcome {
    // What needs neither device nor threads comes first: it should start at once.
    let console = Console { quiet: cli.common.quiet, json: cli.common.json };
    match cli.command {
        Command::Recipes(args) => recipes::run(console, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Data(args) => data::run(console, cli.common.data.as_deref(), &args),
        Command::Train(args) => within_pool(cli.common, |context| train::run(context, args)),
        Command::Sample(args) => within_pool(cli.common, |context| sample::run(context, &args)),
        Command::Restore(args) => within_pool(cli.common, |context| restore::run(context, &args)),
        Command::Interpolate(args) => within_pool(cli.common, |context| interpolate::run(context, &args)),
        Command::Convert(args) => within_pool(cli.common, |context| convert::run(context, &args)),
        Command::Eval(args) => within_pool(cli.common, |context| eval::run(context, &args)),
        Command::Metrics(args) => within_pool(cli.common, |context| metrics::run(context, &args)),
        Command::Compare(args) => within_pool(cli.common, |context| compare::run(context, &args)),
        Command::Report(args) => within_pool(cli.common, |context| report::run(context, &args)),
        Command::Doctor => within_pool(cli.common, doctor::run),
    }
}

/// Runs `work` on a thread of the pool: every tensor operation then skips waking the pool from outside.
fn within_pool(common: Common, work: impl FnOnce(&Context) -> Outcome + Send) -> Outcome {
    let context = context(common)?;
    rayon::scope(|_| work(&context))
}

fn context(common: Common) -> Outcome<Context> {
    if common.plain {
        genera_kernels::disable();
    }
    if let Some(threads) = common.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads));
        pool.build_global().map_err(|error| Failure::new(format!("--threads {threads}: {error}")))?;
    }
    Ok(Context {
        console: Console { quiet: common.quiet, json: common.json },
        device: common.device.open()?,
        device_name: common.device,
        data: common.data,
    })
}

/// A run with its newest whole checkpoint.
pub struct Loaded {
    pub run: RunDir,
    pub data: Data,
    pub trainee: Box<dyn Trainee>,
    /// Steps taken.
    pub step: u64,
}

impl Loaded {
    /// Loads the run at `path`.
    pub fn open(path: &Path, context: &Context) -> Outcome<Self> {
        let run = RunDir::open(path)?;
        let data = Data::open(&run.recipe().data, context.data.as_deref())?;
        let mut trainee = Family::trainee(run.recipe(), &data, &context.device)?;
        let checkpoint = run.checkpoints().latest(|complaint| context.console.warn(complaint))?.ok_or_else(|| {
            let path = path.display();
            Failure::new(format!("{path}: no whole checkpoint yet; train it with `genera train {path} --resume`"))
        })?;
        let step = checkpoint.progress.step;
        let folder = run.checkpoints().path(step);
        trainee.load(&checkpoint.groups).map_err(|error| Failure::new(error).during(folder.display()))?;
        Ok(Self { run, data, trainee, step })
    }

    /// What is there to measure or to draw from.
    pub fn subject<'a>(&'a self, context: &'a Context) -> Subject<'a> {
        Subject {
            recipe: self.run.recipe(),
            recipe_sha256: self.run.recipe_sha256(),
            trainee: self.trainee.as_ref(),
            data: &self.data,
            device: &context.device,
            step: self.step,
        }
    }
}
