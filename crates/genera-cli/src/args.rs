//! The command line, typed. What every flag means is said here and nowhere else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{Keep, Kind};
use crate::device::DeviceName;
use crate::measure::SweepRequest;
use crate::metrics::Also;
use crate::solver;
use genera::diffusion::Solver;
use genera::features::inception::Resize;

/// Train, sample, score and report on deep generative models.
#[derive(Debug, Parser)]
#[command(name = "genera", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or an expectation is not met, 2 the command line makes no sense, \
                        130 stopped by Ctrl-C or SIGTERM after saving."
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where tensors live: cpu, cuda, vulkan, metal or webgpu, with `:N` for the N-th of its kind
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE", help_heading = "Everywhere")]
    pub device: DeviceName,
    /// Threads to compute with [default: as many as the machine has]; the results do not depend on it
    #[arg(long, global = true, value_name = "N", help_heading = "Everywhere", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Option<u16>,
    /// Compute with plain tensor operations instead of Genera's kernels: several times slower, for comparison
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub plain: bool,
    /// Folder of data sets
    #[arg(long, global = true, value_name = "DIR", env = "GENERA_DATA", help_heading = "Everywhere")]
    pub data: Option<PathBuf>,
    /// Results as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Nothing on stderr but warnings and errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model by a recipe
    Train(Train),
    /// Draw from a trained run, or from a pipeline folder of diffusers
    Sample(Sample),
    /// Complete held-out pictures, or colour or sharpen them, by a diffusion or an autoregressive model
    Restore(Restore),
    /// Go from one held-out row to another by way of their codes, in an autoencoder, a flow or a diffusion
    Interpolate(Interpolate),
    /// Take the network of a diffusion for one of another schedule: a DDPM for a score network, and back
    Convert(Convert),
    /// Measure a run and hold it against its recipe
    Eval(Eval),
    /// Measure how far two sets of pictures or points are apart, whoever made them
    Metrics(Metrics),
    /// Put runs side by side, whatever their family
    Compare(Compare),
    /// Write the report of a run: one HTML page
    Report(Report),
    /// List the recipes, or print one
    Recipes(Recipes),
    /// List, describe or download data sets
    Data(Data),
    /// Check this machine and this program
    Doctor,
    /// Print completions for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct Train {
    /// A recipe (`genera recipes` lists them), a TOML file, or, with --resume, a run [default: ddpm-digits]
    pub recipe: Option<String>,
    /// The run directory [default: runs/RECIPE-SEED]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The seed of everything random [default: the recipe's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Change a value of the recipe: train.steps=200 (repeatable)
    #[arg(long, value_name = "A.B.C=VALUE")]
    pub set: Vec<String>,
    /// Go on from the newest checkpoint of the run
    #[arg(long)]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct Sample {
    /// A run directory, or a folder with model_index.json, unet/ and scheduler/
    #[arg(value_name = "RUN | PIPELINE_DIR")]
    pub source: PathBuf,
    /// How many samples
    #[arg(short, long = "count", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub n: u32,
    /// The seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// ddpm, ddim, euler, heun, dpm-solver++, euler-maruyama, reverse-diffusion, stochastic-heun or probability-flow;
    /// langevin, where the recipe has a corrector; consistency, of consistency models alone [default: the recipe's].
    /// Another solver than the recipe's goes without the recipe's corrector
    #[arg(long, value_name = "NAME", value_parser = solver::named)]
    pub solver: Option<Solver>,
    /// Steps of the solver [default: the recipe's]; not for probability-flow, which takes as many as it needs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Noise that DDIM adds: 0 none, 1 as much as DDPM
    #[arg(long, value_name = "X")]
    pub eta: Option<f64>,
    /// How strongly samples are drawn towards their class: 0 not at all, 1 as the model says, more sharpens; for models
    /// that also learn to do without it [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// Draw likelier samples: divides logits and multiplies normal noise, 1 is the model itself; for models that draw
    /// directly
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Draw each element from its K likeliest values only; for autoregressive models
    #[arg(long, value_name = "K", conflicts_with = "temperature")]
    pub top_k: Option<usize>,
    /// Draw styles nearer to their mean, or normal noise no larger than X: 1 is a style-based generator itself, 0 its mean; for
    /// models that draw directly
    #[arg(long, value_name = "X", allow_negative_numbers = true, conflicts_with_all = ["temperature", "top_k"])]
    pub truncation: Option<f64>,
    /// Start from this noise, [n, F] or [n, C, H, W], instead of drawing it
    #[arg(long, value_name = "FILE.npy")]
    pub noise: Option<PathBuf>,
    /// The classes to draw, in turn; for models that are told the class [default: every class in turn]
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub labels: Option<Vec<usize>>,
    /// What to draw, in words: "a thick seven, slanted left"; for models that read captions (repeatable, in turn)
    #[arg(long, value_name = "TEXT", conflicts_with = "labels")]
    pub caption: Vec<String>,
    /// Samples computed at a time; changes nothing but speed and memory
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), hide = true)]
    pub chunk: u32,
    /// FILE.png (one grid), FILE.npy, FILE.npz, FILE.safetensors, or a folder of PNG files
    /// [default: samples-SEED.png, or .npy for what is no picture]
    #[arg(long, short, value_name = "FILE | DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The run of a diffusion of pictures, or of an autoregressive model: that one completes from what comes before (known
    /// pixels after unknown ones do not reach back)
    pub run: PathBuf,
    /// What is kept of each picture: top, bottom, left, right, frame (all but the middle), grey (the mean over the
    /// colours) or coarse=N (the means over squares of N by N pixels)
    #[arg(long, value_name = "WHAT", default_value = "top")]
    pub keep: Keep,
    /// Put what is seen (pixels, or their means) in the place of what is predicted, in place of guidance by the denoiser's
    /// derivative: twice as fast, what is seen is met exactly, and the rest fits less well
    #[arg(long, conflicts_with = "scale")]
    pub replace: bool,
    /// How strongly samples are drawn towards what is seen: 0 not at all, 1 as the formula says
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub scale: f64,
    /// How strongly samples are drawn towards the class of each picture, as of `genera sample` [default: the recipe's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// How many held-out pictures
    #[arg(short, long = "count", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub n: u32,
    /// Samples of each
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub draws: u32,
    /// The seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Steps of the recipe's solver [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// FILE.png (a line a picture: the original, what is seen, the samples), or the samples alone as FILE.npy, FILE.npz,
    /// FILE.safetensors or a folder of PNG files [default: restored-SEED.png]
    #[arg(long, short, value_name = "FILE | DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Interpolate {
    /// The run of a model with codes: latent numbers of an autoencoder, noise of a flow or of a diffusion's probability flow
    pub run: PathBuf,
    /// How many pairs of held-out rows
    #[arg(short, long = "count", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub n: u32,
    /// Stations of a way, both ends included
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub stations: u16,
    /// Along straight lines, in place of arcs about the origin
    #[arg(long)]
    pub straight: bool,
    /// How well a diffusion's probability flow is followed; a smaller number costs more evaluations of the network
    #[arg(long, value_name = "X", default_value_t = 1e-5)]
    pub tolerance: f64,
    /// FILE.png (a line a pair: one row, the way, the other row), or the ways alone, ends included, as FILE.npy, FILE.npz,
    /// FILE.safetensors or a folder of PNG files [default: interpolated.png, or .npy for what is no picture]
    #[arg(long, short, value_name = "FILE | DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Convert {
    /// The run of a diffusion
    pub run: PathBuf,
    /// The schedule that its network shall serve: variance-exploding, variance-preserving, sub-variance-preserving or karras,
    /// made to know the noise that was trained; betas, which also has the noise of each of its steps; linear, scaled-linear,
    /// cosine or sigmoid as they usually are; or the kind that it was trained under, which gives that back
    #[arg(long, value_name = "KIND")]
    pub schedule: Kind,
    /// Change the schedule, or how to draw or measure: sample.solver=heun, model.schedule.sigma_max=20 (repeatable)
    #[arg(long, value_name = "A.B.C=VALUE")]
    pub set: Vec<String>,
    /// The new run directory [default: RUN-KIND]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Eval {
    /// The run
    pub run: PathBuf,
    /// Succeed only if every expectation of the recipe holds
    #[arg(long)]
    pub check: bool,
    /// The seed of the samples that are measured
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Judge these samples, [n, F] or [n, C, H, W] in the model's numbers, in place of the model's own; the run's
    /// scores stay as they are
    #[arg(long, value_name = "FILE.npy")]
    pub samples: Option<PathBuf>,
    /// The run of the classifier that measures `...@CLASSIFIER` [default: runs/CLASSIFIER-0 beside this run]
    #[arg(long, value_name = "RUN")]
    pub classifier: Option<PathBuf>,
    /// Draw with more and more caution as well, and measure what it does to fidelity and variety: `temperature` or
    /// `truncation` of the model's noise (of a StyleGAN's styles), or `guidance` towards classes, with values if not the
    /// usual ones (temperature=0.5,0.8,1), or all of these that the model has; or in more and more `steps` of a diffusion's
    /// solver (steps=10,20,50), with the evaluations of the network that a sample costs (repeatable)
    #[arg(long, value_name = "KIND[=VALUE,...]", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub sweep: Vec<SweepRequest>,
    /// The solver of `--sweep=steps`, as of `genera sample`; sweeps of several solvers are kept side by side
    /// [default: the recipe's]
    #[arg(long, value_name = "NAME", value_parser = solver::named, requires = "sweep")]
    pub solver: Option<Solver>,
    /// Noise that DDIM adds in `--sweep=steps`: 0 none, 1 as much as DDPM
    #[arg(long, value_name = "X", requires = "sweep")]
    pub eta: Option<f64>,
    /// 95 % intervals of what compares samples with data, from so many pairs of random halves; each measures anew
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..))]
    pub intervals: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Metrics {
    /// What is real: a folder of pictures, .npz, .npy, a run, a data set (NAME, or NAME:test for what is held out), or
    /// statistics (.npz with mu and sigma)
    pub real: String,
    /// What is held against it, likewise
    pub fake: String,
    /// What looks at the pictures: inception, digits, mnist, fashion, pixels, or the description of a network (.json);
    /// see docs/networks
    #[arg(long, value_name = "NAME | FILE.json", default_value = "pixels")]
    pub features: String,
    /// The weights of inception or of a described network (.pth or .safetensors), or the run of a classifier
    /// [default: for inception what `genera data fetch inception` got, for mnist and fashion runs/CLASSIFIER-0]
    #[arg(long, value_name = "FILE | RUN")]
    pub weights: Option<PathBuf>,
    /// How pictures are brought to the size of inception: legacy-tensorflow (as torch-fidelity), legacy-pytorch, or
    /// clean (as clean-fid)
    #[arg(long, value_name = "NAME", default_value_t)]
    pub resize: Resize,
    /// Only the first so many of each set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Samples drawn from a run, or points of a toy density
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Neighbours that size the balls of precision and recall
    #[arg(long, short = 'k', value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub neighbours: u32,
    /// Random subsets of the kernel distance
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub kid_subsets: u32,
    /// Rows of each subset [default: 1000, or all if there are fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub kid_subset_size: Option<u32>,
    /// Parts of the inception score
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub splits: u32,
    /// Measure this as well (repeatable, or with commas)
    #[arg(long, value_name = "MEASURE", value_delimiter = ',')]
    pub also: Vec<Also>,
    /// 95 % intervals from so many pairs of random halves; each measures everything anew
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..))]
    pub intervals: Option<u32>,
    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Neither take features from the cache nor keep them there; it lies in $GENERA_CACHE or the user's folder of caches,
    /// and goes by the content of the sets
    #[arg(long)]
    pub no_cache: bool,
    /// Keep the statistics of the first set: give the file in place of the set next time
    #[arg(long, value_name = "FILE.npz")]
    pub save_statistics: Option<PathBuf>,
    /// Keep the features of both sets as real.npy and fake.npy
    #[arg(long, value_name = "DIR")]
    pub save_features: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// Runs that `genera eval` has measured
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Rank likelihoods of different kinds (exact ones, bounds, estimates) against each other, in one column that shows
    /// the kinds; otherwise each kind has a column of its own
    #[arg(long)]
    pub across_kinds: bool,
    /// Where to write the comparison [default: Markdown, or JSON with --json, on stdout]
    #[arg(long, short, value_name = "FILE.html | .md | .json")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Report {
    /// The run
    pub run: PathBuf,
    /// Where to write the page [default: RUN/report.html]
    #[arg(long, short, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Recipes {
    /// The recipe to print
    pub name: Option<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Data {
    /// The set to describe: a known name, a toy density, a file or a folder
    pub name: Option<String>,
    #[command(subcommand)]
    pub action: Option<DataAction>,
}

#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// Download a public set, or the weights of Inception, with checksums; what broke off is continued
    Fetch {
        /// The set: mnist, fashion-mnist, cifar10, cifar100; or inception
        name: String,
        /// Take the files from URL/NAME/FILE (inception: URL/FILE) instead of where they are published; the checksums
        /// are the same
        #[arg(long, value_name = "URL", env = "GENERA_MIRROR")]
        mirror: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
