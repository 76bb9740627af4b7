//! The page that everything hangs on: what a network, a density, a score, a sampler, a bijection, a code, a
//! denoiser, a feature extractor, a model and a learner are.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use genera_rng::Rng;

pub use crate::caution::Caution;
use crate::diffusion::Level;
use crate::weights::{Weights, WeightsError};

/// Data points, one a row: `[B, F]`.
pub type Rows = Tensor<2>;

/// Discrete data points, one a row: `[B, T]`.
pub type Tokens = Tensor<2, Int>;

/// A function with parameters. Networks know no loss and no probability.
pub trait Net<I = Rows, O = Rows> {
    /// Applies the network to each row.
    fn forward(&self, input: I) -> O;
}

/// A normalised log-density (of discrete data: log-probability).
pub trait Density<X = Rows> {
    /// `log p(x)` in nats, one a row: `[B, F] -> [B]`.
    fn log_prob(&self, x: X) -> Tensor<1>;
}

/// A lower bound on the log-density of discrete data, for models whose density has no closed form.
pub trait LowerBound<X = Rows> {
    /// A bound on `log p(x)` in nats, estimated without bias, one a row: `[B, F] -> B numbers`.
    fn lower_bound(&self, x: X, rng: &mut Rng) -> Vec<f64>;
}

/// The gradient of a log-density, which need not be normalised.
pub trait Score<X = Rows> {
    /// `∇ log p(x)`, one a row: `[B, F] -> [B, F]`.
    fn score(&self, x: X) -> X;
}

impl<X, S: Score<X> + ?Sized> Score<X> for &S {
    fn score(&self, x: X) -> X {
        (**self).score(x)
    }
}

/// Something to draw from.
pub trait Sample<X = Rows> {
    /// Draws `n` points, `[n, F]`. The same generator gives the same points on every device, and point `i` does not
    /// depend on `n`.
    fn sample(&self, n: usize, rng: &mut Rng) -> X;
}

impl<X, S: Sample<X> + ?Sized> Sample<X> for &S {
    fn sample(&self, n: usize, rng: &mut Rng) -> X {
        (**self).sample(n, rng)
    }
}

/// Something that can be drawn from with more caution than its distribution has: likelier points, less variety.
pub trait Cautious<X = Rows> {
    /// What draws with this much caution; none if there is nothing that this kind of caution could be taken with, or its
    /// value makes no sense.
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample<X> + '_>>;
}

/// Something that draws from styles, one for each of its layers, coarse layers first.
pub trait Styles<X = Rows> {
    /// How many layers there are.
    fn layers(&self) -> usize;
    /// The styles of `n` draws: `[n, W]`.
    fn styles(&self, n: usize, rng: &mut Rng) -> X;
    /// The mean style: `[1, W]`.
    fn centre(&self) -> X;
    /// Rows of the styles `coarse` in the first `cut` layers and `fine` in the others: `[n, W], [n, W] -> [n, F]`. What else
    /// is random comes from `rng`.
    fn drawn(&self, coarse: X, fine: X, cut: usize, rng: &mut Rng) -> X;
}

/// A differentiable map with a differentiable inverse. Forward normalises (data to noise), so that training never
/// inverts.
pub trait Bijection {
    /// `z = f(x)` and `log |det ∂f/∂x|`: `[B, F] -> ([B, F], [B])`.
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>);
    /// `x = f⁻¹(z)` and `log |det ∂f⁻¹/∂z|`: `[B, F] -> ([B, F], [B])`.
    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>);
}

/// A lossy code of the data: an autoencoder's mean, the indices of a vector quantiser.
pub trait Codec {
    /// What the data becomes.
    type Code;
    /// The code of each row.
    fn encode(&self, x: Rows) -> Self::Code;
    /// The reconstruction of each code: `[B, F]`.
    fn decode(&self, code: Self::Code) -> Rows;
}

/// A lossy code that another model can be a density of: its codes are numbers, near each other where the data are.
pub trait LatentCode: Reconstruct {
    /// The code of each row: `[B, F] -> [B, Z]`. Where it is a picture, `Z = C · H · W`.
    fn latents(&self, x: Rows) -> Rows;
    /// The row of each code, those of no row among them: `[B, Z] -> [B, F]`.
    fn rendered(&self, z: Rows) -> Rows;
}

impl<C: Codec<Code = Rows>> LatentCode for C {
    fn latents(&self, x: Rows) -> Rows {
        self.encode(x)
    }

    fn rendered(&self, z: Rows) -> Rows {
        self.decode(z)
    }
}

/// What gives rows back through a code of them, which may be lossy.
pub trait Reconstruct {
    /// The row that the code of each row stands for: `[B, F] -> [B, F]`.
    fn reconstruction(&self, x: Rows) -> Rows;
}

impl<C: Codec> Reconstruct for C {
    fn reconstruction(&self, x: Rows) -> Rows {
        self.decode(self.encode(x))
    }
}

/// A model of one element of a row after another.
pub trait Elements {
    /// Rows that agree with `x` where `known` says so, and are drawn elsewhere: `[B, T] -> [B, T]`. Known elements that come
    /// after unknown ones do not reach back. None if rows or marks have another length than the model's.
    fn completed(&self, x: Rows, known: &[bool], rng: &mut Rng) -> Option<Rows>;
    /// How strongly the distribution of `element` depends on each element, the mean over the rows `x` of the absolute
    /// gradient, or of the change with the next value where a network looks elements up in a table: `T` numbers, zero
    /// where there is no path.
    fn field_of(&self, x: Rows, element: usize) -> Vec<f64>;
}

/// Knows where a row lost its likelihood.
pub trait Faults {
    /// For the first of the rows that has no finite `log p`: the layer, or the time of the trajectory, where that arose.
    fn fault(&self, x: Rows) -> Option<String>;
}

/// A code of whole numbers whose reconstructions have a likelihood.
pub trait DiscreteCode: Codec<Code = Tokens> {
    /// `log p(x|c)` of each row in nats: `[B, F], [B, T] -> [B]`.
    fn log_likelihood(&self, x: Rows, codes: Tokens) -> Tensor<1>;
}

/// A code whose entries stand in books.
pub trait Books {
    /// For each book its name, the number of its entries, and the entries that the code of the rows names.
    fn entries(&self, x: Rows) -> Vec<(&'static str, usize, Vec<usize>)>;
}

/// `E[x₀ | x_t]`. Implemented by trained diffusions, by guidance (which wraps another), and by exact mixtures (the
/// oracle of the tests).
pub trait Denoise {
    /// The expected clean rows given noisy ones, row `i` at `levels[i]`: `[B, F] -> [B, F]`.
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows;

    /// The same, and where the variances of the reverse steps are learned, their place between the small fixed variance
    /// (0) and the large one (1) on the logarithmic scale: `[B, F]`.
    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        (self.denoise(x, levels), None)
    }

    /// [`Denoise::denoise`] of a part of a batch, for denoisers that know a sample by its place: row `i` is that of sample
    /// `samples[i]`, at `levels[i]`, and no sample is there twice: `[B, F] -> [B, F]`.
    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let (Some(last), device) = (samples.iter().max(), x.device()) else { return x };
        // Whoever is not asked for is there as zeros.
        let mut everywhere = vec![levels[0]; last + 1];
        samples.iter().zip(levels).for_each(|(sample, level)| everywhere[*sample] = *level);
        let places: Vec<i32> = samples.iter().map(|sample| *sample as i32).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::from(places.as_slice()), &device);
        let all = Rows::zeros([last + 1, x.dims()[1]], &device);
        let all = all.select_assign(0, places.clone(), x, IndexingUpdateOp::Add);
        self.denoise(all, &everywhere).select(0, places)
    }
}

/// A fixed map into a space where distances mean something.
pub trait Features {
    /// The name that is printed beside every number computed from these features.
    fn name(&self) -> &str;
    /// `[B, F] -> [B, D]`.
    fn extract(&self, x: Rows) -> Rows;
}

/// The rows of one step and, where the data has them, their classes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[B, F]`.
    pub x: Rows,
    /// One class a row.
    pub labels: Option<Vec<usize>>,
}

/// What a model asks to be made small.
#[derive(Debug)]
pub struct Loss {
    /// The differentiable objective, `[1]`: a mean over the rows.
    pub value: Tensor<1>,
    /// Further numbers worth logging, by name.
    pub parts: Vec<(&'static str, f64)>,
}

/// The scalars of one training step by name; `loss` always comes first.
pub type Scalars = Vec<(&'static str, f64)>;

/// What a model can do once trained: a capability is present or absent.
#[derive(Clone, Copy, Default)]
pub struct View<'a> {
    /// Draws rows.
    pub sample: Option<&'a dyn Sample>,
    /// Draws rows with caution.
    pub cautious: Option<&'a dyn Cautious>,
    /// Draws rows from styles.
    pub styles: Option<&'a dyn Styles>,
    /// Scores rows exactly.
    pub density: Option<&'a dyn Density>,
    /// Says where a score is lost.
    pub faults: Option<&'a dyn Faults>,
    /// Bounds the score of rows from below.
    pub lower_bound: Option<&'a dyn LowerBound>,
    /// Points to where rows are likelier.
    pub score: Option<&'a dyn Score>,
    /// Turns rows into numbers of noise and back.
    pub bijection: Option<&'a dyn Bijection>,
    /// Turns rows into latent numbers and back.
    pub codec: Option<&'a dyn Codec<Code = Rows>>,
    /// Gives rows back through a code.
    pub reconstruct: Option<&'a dyn Reconstruct>,
    /// Looks rows up in books.
    pub books: Option<&'a dyn Books>,
    /// Draws one element after another.
    pub elements: Option<&'a dyn Elements>,
    /// Removes noise.
    pub denoise: Option<&'a dyn Denoise>,
    /// Maps rows to features.
    pub features: Option<&'a dyn Features>,
}

/// What one scalar descent trains.
pub trait Model {
    /// The objective on one batch. Noise comes from `rng` alone.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss;
    /// The objective at training step `step`, for those that change as training goes on.
    fn loss_at(&self, _step: u64, batch: Batch, rng: &mut Rng) -> Loss {
        self.loss(batch, rng)
    }
    /// What the model can do.
    fn view(&self) -> View<'_>;
}

/// What the training loop drives: one descent, or two players.
pub trait Learner {
    /// One update from the micro-batches of one step, whose gradients are averaged. Noise comes from `rng` alone.
    ///
    /// # Errors
    /// A loss or gradient that is not finite; the parameters are then those before the step.
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError>;
    /// What the model can do now (with averaged weights, where they are kept).
    fn view(&self) -> View<'_>;
    /// Everything that the next step depends on, as named groups of arrays; each becomes one file.
    fn save(&self) -> Vec<(&'static str, Weights)>;
    /// Restores what [`Learner::save`] gave.
    ///
    /// # Errors
    /// A group or array that is missing, unknown or of another shape.
    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError>;
}

fn in_parentheses(parts: &Scalars) -> String {
    let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// A training step that could not be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StepError {
    /// The loss is NaN or infinite.
    #[error("the loss is {loss}{}; lower the learning rate or clip the gradient norm", in_parentheses(.parts))]
    Loss {
        /// Its value.
        loss: f64,
        /// What else the model said of this step.
        parts: Scalars,
    },
    /// The gradient norm is NaN or infinite.
    #[error("the gradient norm is {norm} at a loss of {loss}; lower the learning rate or clip the gradient norm")]
    Gradient {
        /// The loss of the step.
        loss: f64,
        /// The global norm of its gradient.
        norm: f64,
    },
    /// The loss of a player is finite but beyond all reason.
    #[error("the loss is {0:e}: it grows without bound; bound the critic's slope or lower the learning rate")]
    Runaway(f64),
    /// What went wrong in the turn of one of two players.
    #[error("{player}: {source}")]
    Player {
        /// Whose turn it was.
        player: &'static str,
        /// What went wrong.
        source: Box<StepError>,
    },
    /// Micro-batches that cannot be dealt out to the turns of a critic.
    #[error("{given} micro-batches cannot be dealt out to {turns} turns of the critic; give each an equal number")]
    Turns {
        /// How many there are.
        given: usize,
        /// How many turns there are.
        turns: usize,
    },
    /// A step that cannot lower the likelihood of its rows did.
    #[error("the log-likelihood of the rows fell from {before} to {after} nats in a step that cannot lower it")]
    Decrease {
        /// The mean log-likelihood before.
        before: f64,
        /// The mean log-likelihood after.
        after: f64,
    },
}
