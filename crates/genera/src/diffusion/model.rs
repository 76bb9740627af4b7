//! A diffusion model: a network, and what its output means at each level of noise.
//!
//! ```text
//! loss = E w(t) mean_f |F(c_in x_t, c_noise) − F*|²,   x_t = α x₀ + σ ε
//! ```
//!
//! Ho et al., 2006.11239; with learned variances the hybrid loss of improved DDPM (2102.09672),
//! `L_simple + 0.001 L_vlb`, in which the bound moves the variances only. `L_vlb` is in nats a dimension here; the
//! authors' code counts bits, which makes its factor 1.44 times as large.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;

use super::sampler::{noise, start};
use super::{
    Bound, Coefficients, ContinuousBound, Differentiable, DiffusionConfig, Given, Guidance, Guided, Level, Levels,
    Target, Transition, Variance, VariationalBound, decoder, translated,
};
use crate::nn::Conditioned;
use crate::traits::{Batch, Denoise, Density, Loss, LowerBound, Model, Net, Rows, Sample, Score, View};

/// The factor of the bound in the hybrid loss.
const BOUND: f64 = 0.001;

/// How many values a network sees at once, about.
const VALUES_AT_ONCE: usize = 1 << 12;

/// How many rows it sees at once: fewer cost as much as these, and more are no faster.
const ROWS_AT_ONCE: std::ops::RangeInclusive<usize> = 16..=256;

/// The same when it is differentiated.
const ROWS_OF_A_PULL: std::ops::RangeInclusive<usize> = 16..=64;

/// How many rows of `features` values it sees at once.
fn rows_at_once(features: usize, range: std::ops::RangeInclusive<usize>) -> usize {
    (VALUES_AT_ONCE / features.max(1)).clamp(*range.start(), *range.end())
}

/// A network that removes noise.
#[derive(Module, Debug)]
pub struct Diffusion<N: Module> {
    /// The network: `[B, F] -> [B, F]`, or `[B, 2F]` with learned variances.
    pub net: N,
    #[module(skip)]
    config: DiffusionConfig,
    #[module(skip)]
    levels: Levels,
    /// The levels that the network knows, if they are others.
    #[module(skip)]
    known: Option<Levels>,
    #[module(skip)]
    chain: Vec<Level>,
    /// The noise that the next batch is paired with, row-major; drawn anew if there is none.
    #[module(skip)]
    paired: Vec<f32>,
}

impl<N: Module> Diffusion<N> {
    /// The parts, found to agree.
    pub(super) fn new(
        net: N,
        config: DiffusionConfig,
        levels: Levels,
        known: Option<Levels>,
        chain: Vec<Level>,
    ) -> Self {
        Self { net, config, levels, known, chain, paired: Vec::new() }
    }

    /// The same network, whose output means something else.
    pub(super) fn aimed_at(self, target: Target) -> Self {
        Self { config: DiffusionConfig { target, ..self.config }, ..self }
    }

    /// The same model, whose next batch is paired with the noise `eps`, row-major.
    pub(super) fn paired_with(self, eps: Vec<f32>) -> Self {
        Self { paired: eps, ..self }
    }
}

impl<N: Module + Net<Conditioned, Rows>> Diffusion<N> {
    /// The settings.
    pub fn config(&self) -> &DiffusionConfig {
        &self.config
    }

    /// The levels of noise.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The same model for given classes: row `i` of what is denoised or sampled has class `labels[i mod len]`.
    pub fn given(&self, labels: Vec<usize>) -> Given<'_, N> {
        Given::new(self, labels)
    }

    /// What the network's output means at `level`: for a network of other levels, what it means at its own.
    fn coefficients(&self, level: Level) -> Coefficients {
        let Some(known) = &self.known else { return self.config.target.coefficients(level) };
        let (level, scale) = translated::known(known, level);
        let there = self.config.target.coefficients(level);
        Coefficients { c_in: there.c_in * scale, c_skip: there.c_skip * scale, ..there }
    }

    /// The class that says nothing, if the model knows one.
    fn silence(&self) -> Option<usize> {
        self.config.classes.filter(|_| self.config.label_dropout > 0.0)
    }

    /// `log p(x)` in nats by the probability flow (as configured, or exactly to 1e-5), with what it cost, for given
    /// classes as in [`Diffusion::given`]: `[B, F] -> B numbers`.
    pub fn flow_likelihood(&self, x: Rows, labels: &[usize]) -> crate::ode::Scored {
        let given = self.given(labels.to_vec());
        self.config.likelihood.unwrap_or_default().score(&given, &self.levels, x)
    }

    /// The bound of the whole chain.
    pub fn bound(&self) -> VariationalBound {
        VariationalBound {
            chain: self.levels.chain(),
            variance: self.config.variance,
            clip: self.config.sampler.clip,
            data_levels: self.config.data_levels,
        }
    }

    /// The bound of each row that the settings ask for, of this network or of what wraps it.
    pub(super) fn bounded(&self, denoise: &dyn Denoise, x: &Rows, rng: &mut Rng) -> Vec<f64> {
        let DiffusionConfig { bound, data_levels, ref sampler, .. } = self.config;
        match bound {
            Bound::Chain => self.bound().total(denoise, x, rng),
            Bound::Continuous { draws } => {
                let levels = self.levels.clone();
                ContinuousBound { levels, draws, clip: sampler.clip, data_levels }.total(denoise, x, rng)
            }
        }
    }

    /// The network's output `F` and, if it learns variances, their place between the small (0) and the large (1).
    fn predict(&self, x_t: Rows, coefficients: &[Coefficients], labels: Option<&[usize]>) -> (Rows, Option<Rows>) {
        let device = x_t.device();
        let column = |of: fn(&Coefficients) -> f64| column(coefficients.iter().map(of), &device);
        let labels = labels.map(|labels| {
            let labels: Vec<i32> = labels.iter().map(|label| *label as i32).collect();
            Tensor::<1, Int>::from_data(TensorData::from(labels.as_slice()), &device)
        });
        let scaled = if coefficients.iter().all(|c| c.c_in == 1.0) { x_t } else { x_t * column(|c| c.c_in) };
        let output = self.net.forward(Conditioned { x: scaled, time: column(|c| c.c_noise).squeeze_dim(1), labels });
        match self.config.variance {
            Variance::Learned => {
                let features = self.config.features;
                let (f, v) = (output.clone().narrow(1, 0, features), output.narrow(1, features, features));
                (f, Some((v + 1.0) * 0.5))
            }
            Variance::FixedSmall | Variance::FixedLarge => (output, None),
        }
    }

    /// [`Denoise::denoise_with_variance`] for given classes.
    ///
    /// The network always sees pieces of one size, the last one filled up: that bounds memory, and matrix products
    /// round differently for different numbers of rows, so that a row would otherwise depend on its company.
    pub(super) fn denoise_given(&self, x: Rows, levels: &[Level], labels: &[usize]) -> (Rows, Option<Rows>) {
        let (mut means, mut fractions) = (Vec::new(), Vec::new());
        let size = rows_at_once(x.dims()[1], ROWS_AT_ONCE);
        for piece in self.pieces(&x, size, levels, labels) {
            let (mean, fraction) = self.denoise_piece(piece.fill(&x), &piece);
            means.push(mean.narrow(0, 0, piece.rows));
            fractions.extend(fraction.map(|fraction| fraction.narrow(0, 0, piece.rows)));
        }
        let joined = |pieces: Vec<Rows>| (!pieces.is_empty()).then(|| Tensor::cat(pieces, 0));
        (joined(means).unwrap_or(x), joined(fractions))
    }

    /// The pieces of `x`, `size` rows each, that the network sees.
    fn pieces(&self, x: &Rows, size: usize, levels: &[Level], labels: &[usize]) -> Vec<Piece> {
        let rows = x.dims()[0];
        let silence = self.silence().map(|class| vec![class]).filter(|_| labels.is_empty());
        let labels = silence.as_deref().unwrap_or(labels);
        let piece = |first: usize| {
            let filled = (first..first + size).map(|row| row.min(rows - 1));
            Piece {
                first,
                rows: size.min(rows - first),
                size,
                coefficients: filled.clone().map(|row| self.coefficients(levels[row])).collect(),
                classes: (!labels.is_empty()).then(|| filled.map(|row| labels[row % labels.len()]).collect()),
            }
        };
        (0..rows).step_by(size).map(piece).collect()
    }

    /// `x̂₀` of a filled piece, and the fraction of [`Diffusion::predict`].
    fn denoise_piece(&self, x_t: Rows, piece: &Piece) -> (Rows, Option<Rows>) {
        self.estimate(x_t, &piece.coefficients, piece.classes.as_deref())
    }

    /// `x̂₀` of all rows at once, with the gradients that the weights have: `[B, F] -> [B, F]`.
    pub(super) fn clean(&self, x_t: Rows, levels: &[Level], labels: Option<&[usize]>) -> Rows {
        let coefficients: Vec<Coefficients> = levels.iter().map(|l| self.coefficients(*l)).collect();
        self.estimate(x_t, &coefficients, labels).0
    }

    fn estimate(&self, x_t: Rows, coefficients: &[Coefficients], labels: Option<&[usize]>) -> (Rows, Option<Rows>) {
        let device = x_t.device();
        let (f, fraction) = self.predict(x_t.clone(), coefficients, labels);
        let column = |of: fn(&Coefficients) -> f64| column(coefficients.iter().map(of), &device);
        (x_t * column(|c| c.c_skip) + f * column(|c| c.c_out), fraction)
    }

    /// [`Differentiable::denoise_and_pull`] for given classes. A piece is there once for each of some cotangents, so that
    /// one pass back serves them all.
    pub(super) fn pull_given(
        &self,
        x: Rows,
        levels: &[Level],
        labels: &[usize],
        cotangents: Vec<Rows>,
    ) -> (Rows, Vec<Rows>) {
        let x = if x.is_autodiff() { x.inner() } else { x };
        let (mut means, mut pulled) = (Vec::new(), vec![Vec::new(); cotangents.len()]);
        let size = rows_at_once(x.dims()[1], ROWS_OF_A_PULL);
        let at_once = (VALUES_AT_ONCE / (size * x.dims()[1].max(1))).clamp(1, cotangents.len().max(1));
        for piece in self.pieces(&x, size, levels, labels) {
            for (number, some) in cotangents.chunks(at_once).enumerate() {
                let x_t = Tensor::from_inner(piece.fill(&x).repeat(&[some.len(), 1])).require_grad();
                let (mean, _) = self.denoise_piece(x_t.clone(), &piece.times(some.len()));
                if number == 0 {
                    means.push(mean.clone().inner().narrow(0, 0, piece.rows));
                }
                let v = Tensor::cat(some.iter().map(|v| piece.fill(v)).collect(), 0);
                let gradient = x_t.grad(&(mean * Tensor::from_inner(v)).sum().backward());
                let gradient = gradient.unwrap_or_else(|| x_t.inner().zeros_like());
                for (i, pulled) in pulled[number * at_once..].iter_mut().take(some.len()).enumerate() {
                    pulled.push(gradient.clone().narrow(0, i * size, piece.rows));
                }
            }
        }
        if means.is_empty() {
            // Nothing was pulled.
            return (self.denoise_given(x, levels, labels).0, vec![]);
        }
        (Tensor::cat(means, 0), pulled.into_iter().map(|pieces| Tensor::cat(pieces, 0)).collect())
    }

    pub(super) fn sample_given(&self, n: usize, labels: &[usize], guidance: Option<Guidance>, rng: &mut Rng) -> Rows {
        let device = self.net.devices().into_iter().next().unwrap_or_default().inner();
        let width = self.config.features;
        let noise = noise([n, width], rng, &device);
        let given = |labels: &[usize]| Box::new(self.given(labels.to_vec()));
        let denoise: Box<dyn Denoise + '_> = match guidance {
            Some(guidance) if !labels.is_empty() => {
                Box::new(Guided { given: given(labels), against: given(&[]), guidance })
            }
            _ => given(labels),
        };
        let start = start(&self.chain, noise);
        self.config.sampler.run(&*denoise, &self.levels, &self.chain, start, rng, &mut |_| ())
    }

    /// `L_t` of each row in nats a dimension as a function of the variance alone: `[B]`.
    fn variance_loss(&self, x: Rows, x0: Rows, fraction: Rows, levels: &[Level]) -> Tensor<1> {
        let (device, lowest) = (x.device(), self.levels.training(0));
        let step = |from: &Level| {
            let mut step = Transition::between(*from, self.levels.level(from.time - 1.0));
            if *from == lowest {
                step.small = decoder::variance(lowest, self.levels.training(1));
            }
            step
        };
        let steps: Vec<Transition> = levels.iter().map(step).collect();
        let column = |of: fn(&Transition) -> f64| column(steps.iter().map(of), &device);
        let (small, large) = (column(|s| s.small.ln()), column(|s| s.large.ln()));
        let log_variance = fraction * (large - small.clone()) + small.clone();
        let shift = (x.clone() - x0.clone()) * column(|s| s.pull);
        let excess = (small.clone() - log_variance.clone()).exp() - 1.0;
        let distance = shift.square() * log_variance.clone().neg().exp();
        let divergence = (log_variance.clone() - small + excess + distance) * 0.5;
        let decoded = decoder::log_probability_of(x, x0, (log_variance * 0.5).exp(), self.config.data_levels).neg();
        let last: Rows = Tensor::from_data(
            TensorData::new(levels.iter().map(|l| f32::from(*l == lowest)).collect::<Vec<f32>>(), [levels.len(), 1]),
            &device,
        );
        let rest = last.clone().neg() + 1.0;
        (divergence * rest + decoded * last).mean_dim(1).squeeze_dim(1)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Model for Diffusion<N> {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let ([rows, width], device) = (batch.x.dims(), batch.x.device());
        let levels = self.config.times.draw(&self.levels, rows, rng);
        let eps = match self.paired.len() == rows * width && rows > 0 {
            true => Tensor::from_data(TensorData::new(self.paired.clone(), [rows, width]), &device),
            false => self.config.coupling.pair(&batch.x, noise([rows, width], rng, &device)),
        };
        let labels = match (batch.labels, self.silence()) {
            (Some(labels), Some(silence)) => {
                let hidden = rng.streams(rows).map(|mut stream| stream.uniform() < self.config.label_dropout);
                Some(
                    labels
                        .into_iter()
                        .zip(hidden)
                        .map(|(label, hidden)| if hidden { silence } else { label })
                        .collect(),
                )
            }
            (labels, _) => labels,
        };
        let coefficients: Vec<Coefficients> = levels.iter().map(|l| self.coefficients(*l)).collect();
        let of_level = |of: fn(&Level) -> f64| column(levels.iter().map(of), &device);
        let of_target = |of: fn(&Coefficients) -> f64| column(coefficients.iter().map(of), &device);

        let x = batch.x;
        let x_t = x.clone() * of_level(|l| l.alpha) + eps.clone() * of_level(|l| l.sigma);
        let (f, fraction) = self.predict(x_t.clone(), &coefficients, labels.as_deref());
        let target = x.clone() * of_target(|c| c.of_data) + eps * of_target(|c| c.of_noise);
        let error = (f.clone() - target).square().mean_dim(1); // [B, 1]
        let weight = |(level, c): (&Level, &Coefficients)| self.config.weighting.of_output(*c, &self.levels, *level);
        let weights = column(levels.iter().zip(&coefficients).map(weight), &device);
        let simple = (error * weights).mean();
        match fraction {
            None => Loss { value: simple, parts: Vec::new() },
            Some(fraction) => {
                let x0 = x_t * of_target(|c| c.c_skip) + f.detach() * of_target(|c| c.c_out);
                let bound = self.variance_loss(x, x0, fraction, &levels).mean() * self.levels.steps() as f64;
                let parts = vec![("simple", scalar(&simple)), ("bound", scalar(&bound))];
                Loss { value: simple + bound * BOUND, parts }
            }
        }
    }

    fn view(&self) -> View<'_> {
        let density = self.config.likelihood.is_some().then_some(self as &dyn Density);
        View {
            sample: Some(self),
            density,
            lower_bound: Some(self),
            denoise: Some(self),
            score: Some(self),
            ..View::default()
        }
    }
}

/// A part of a batch, filled up to the size that the network always sees.
struct Piece {
    first: usize,
    /// How many of its rows are of the batch.
    rows: usize,
    size: usize,
    coefficients: Vec<Coefficients>,
    classes: Option<Vec<usize>>,
}

impl Piece {
    /// The same rows so many times.
    fn times(&self, count: usize) -> Self {
        let classes = self.classes.as_ref().map(|classes| classes.repeat(count));
        Self { coefficients: self.coefficients.repeat(count), classes, ..*self }
    }

    /// These rows of `x`, and zeros.
    fn fill(&self, x: &Rows) -> Rows {
        let part = x.clone().narrow(0, self.first, self.rows);
        match self.size - self.rows {
            0 => part,
            more => Tensor::cat(vec![part, Tensor::zeros([more, x.dims()[1]], &x.device())], 0),
        }
    }
}

impl<N: Module + Net<Conditioned, Rows>> Score for Diffusion<N> {
    /// That of the data at the least noisy level of training.
    fn score(&self, x: Rows) -> Rows {
        let level = self.levels.lowest();
        let x0 = self.denoise(x.clone(), &vec![level; x.dims()[0]]);
        super::stochastic::score(&x, &x0, level)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Density for Diffusion<N> {
    /// By the probability flow. No gradient flows; NaN for a row that failed.
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        nats(self.flow_likelihood(x.clone(), &[]).nats, &x.device())
    }
}

impl<N: Module + Net<Conditioned, Rows>> Differentiable for Diffusion<N> {
    fn denoise_and_pull(&self, _: &[usize], x: Rows, levels: &[Level], cotangents: Vec<Rows>) -> (Rows, Vec<Rows>) {
        self.pull_given(x, levels, &[], cotangents)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Denoise for Diffusion<N> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_given(x, levels, &[]).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        self.denoise_given(x, levels, &[])
    }

    fn denoise_some(&self, _: &[usize], x: Rows, levels: &[Level]) -> Rows {
        self.denoise(x, levels)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Sample for Diffusion<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.sample_given(n, &[], None, rng)
    }
}

impl<N: Module + Net<Conditioned, Rows>> LowerBound for Diffusion<N> {
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        self.bounded(self, &x, rng)
    }
}

/// Numbers, one a row, as a column that multiplies rows: `[B, 1]`.
fn column(values: impl Iterator<Item = f64>, device: &Device) -> Rows {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows, 1]), device)
}

/// Numbers in double precision as a tensor.
pub(super) fn nats(values: Vec<f64>, device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::from(values.as_slice()), device)
}

fn scalar(x: &Tensor<1>) -> f64 {
    x.clone().into_scalar::<f32>().into()
}
