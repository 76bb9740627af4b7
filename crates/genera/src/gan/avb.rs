//! Adversarial variational Bayes: an autoencoder whose posterior has no density.
//!
//! ```text
//! z = E(x, ε),  ε ~ N(0, I)                                     q(z|x) by its draws alone
//! max_T  E_q log σ(T(x, z)) + E_p log(1 − σ(T(x, z)))           T* = log q(z|x) − log p(z)
//! max_E  E_q log p(x|z) − T(x, z)                               the evidence lower bound at T = T*
//! ```
//!
//! Mescheder, Nowozin and Geiger, "Adversarial Variational Bayes" (arXiv:1701.04722). `T` is a density ratio from a classifier:
//! `T = log D / (1 − D)`, with the logarithm. At `T*` the derivative of `E_q T` by way of `T` vanishes (their
//! proposition 2), so the encoder takes `T` as given.
//!
//! With adaptive contrast `T` compares `q` with `r(z|x) = N(μ(x), σ(x)²)`, the normal distribution of the moments of `q`, which is
//! much nearer to it than the prior is, and the bound is `E_q log p(x|z) + log p(z) − log r(z|x) − T`. The moments are those
//! of `K` draws, and count as constants: what the bound owes them cancels. In the paper they are exact, and `T` sees
//! `(z − μ) / σ`; here it sees the moments too, since their chance would otherwise blur what it knows of `q`.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{Activation, awake};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::adversarial::by;
use super::divergence::{scalar, softplus};
use super::error::GanError;
use super::networks::{mlp, some};
use crate::nn::Mlp;
use crate::train::{DescentConfig, Player, accumulate, add_share, refuse_others};
use crate::traits::{Batch, Learner, Loss, Net, Rows, Sample, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// `p(x|z)`.
pub trait Emit {
    /// `log p(x|z)` of each row in nats: `[B, F], [B, latents] -> [B]`.
    fn log_likelihood(&self, x: Rows, z: Rows) -> Tensor<1>;
    /// A row for each latent: `[B, latents] -> [B, F]`.
    fn draw(&self, z: Rows, rng: &mut Rng) -> Rows;
}

/// An encoder and its adversary, apart from the data and the decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvbConfig {
    /// The length of `z`.
    pub latents: usize,
    /// The length of `ε`.
    pub noise: usize,
    /// Widths of the encoder's hidden layers.
    pub encoder: Vec<usize>,
    /// Widths of the hidden layers of `T`.
    pub critic: Vec<usize>,
    /// Turns of `T` for each of the autoencoder.
    pub critic_steps: usize,
    /// `K`: draws behind the moments of adaptive contrast, at least 2; 0 for the prior as contrast.
    #[serde(default)]
    pub contrast: usize,
}

/// `z = E(x, ε)`.
#[derive(Module, Debug)]
pub struct ImplicitEncoder {
    net: Mlp,
    #[module(skip)]
    noise: usize,
}

impl ImplicitEncoder {
    /// One draw of `q(z|x)` for each row: `[B, F] -> [B, latents]`.
    pub fn draw(&self, x: Rows, rng: &mut Rng) -> Rows {
        self.draws(x, 1, rng)
    }

    /// `count` draws for each row, all first ones first: `[B, F] -> [count · B, latents]`.
    fn draws(&self, x: Rows, count: usize, rng: &mut Rng) -> Rows {
        let rows = x.dims()[0];
        let eps: Vec<f32> = (0..count).flat_map(|_| rng.normal(rows, self.noise)).collect();
        let eps = Tensor::from_data(TensorData::new(eps, [count * rows, self.noise]), &x.device());
        self.net.forward(Tensor::cat(vec![x.repeat_dim(0, count), eps], 1))
    }
}

/// An encoder without a density, and a decoder.
#[derive(Module, Debug)]
pub struct ImplicitAutoencoder<D: Module> {
    /// `q(z|x)`.
    pub encoder: ImplicitEncoder,
    /// `p(x|z)`.
    pub decoder: D,
    #[module(skip)]
    latents: usize,
    #[module(skip)]
    device: Device,
}

impl<D: Module + Emit> Sample for ImplicitAutoencoder<D> {
    /// `z ~ N(0, I)`, then a row of it.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let z = TensorData::new(rng.normal(n, self.latents), [n, self.latents]);
        self.decoder.draw(Tensor::from_data(z, &self.device), rng)
    }
}

/// An implicit autoencoder and its adversary in training.
#[derive(Clone)]
pub struct Avb<D: Module + ModuleDisplay> {
    config: AvbConfig,
    model: Player<ImplicitAutoencoder<D>>,
    critic: Player<Mlp>,
}

const MODEL: [&str; 3] = ["model", "optimizer", "ema"];
const CRITIC: [&str; 3] = ["critic", "critic-optimizer", "critic-ema"];

impl AvbConfig {
    /// Fresh networks for rows of `features` numbers, before the first of `steps` steps.
    ///
    /// # Errors
    /// A count of zero, or a number of the descents outside its range.
    pub fn init<D: Module + ModuleDisplay>(
        &self,
        features: usize,
        decoder: D,
        [model, critic]: [DescentConfig; 2],
        steps: u64,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Avb<D>, GanError> {
        some("latents", self.latents)?;
        some("noise", self.noise)?;
        some("critic_steps", self.critic_steps)?;
        if self.contrast == 1 {
            return Err(GanError::Contrast);
        }
        let net = mlp(features + self.noise, &self.encoder, self.latents, Activation::Silu, rng, device)?;
        let adversary = mlp(features + 3 * self.latents, &self.critic, 1, Activation::Silu, rng, device)?;
        let encoder = ImplicitEncoder { net, noise: self.noise };
        let autoencoder = ImplicitAutoencoder { encoder, decoder, latents: self.latents, device: device.clone() };
        Ok(Avb {
            config: self.clone(),
            model: Player::new(autoencoder, model, steps)?,
            critic: Player::new(adversary, critic, steps)?.in_turns(self.critic_steps),
        })
    }
}

/// What `T` compares `q` with at each row: the mean and the deviation, `[B, latents]`.
struct Contrast {
    mean: Rows,
    deviation: Rows,
}

impl Contrast {
    /// What `T` sees of rows `x` and latents `z`: `[B, F], [B, latents] -> [B, F + 3 latents]`.
    fn seen(&self, x: Rows, z: Rows) -> Rows {
        let Self { mean, deviation } = self;
        let standard = (z - mean.clone()) / deviation.clone();
        Tensor::cat(vec![x, standard, mean.clone(), deviation.clone().log()], 1)
    }

    /// `log r(z|x)` of each row: `[B, latents] -> [B]`.
    fn log_density(&self, z: Rows) -> Tensor<1> {
        let log_sigma: Tensor<1> = self.deviation.clone().log().sum_dim(1).squeeze_dim(1);
        log_normal((z - self.mean.clone()) / self.deviation.clone()) - log_sigma
    }
}

/// `log N(z; 0, I)` of each row: `[B, latents] -> [B]`.
fn log_normal(z: Rows) -> Tensor<1> {
    let width = z.dims()[1] as f64;
    (z.square().sum_dim(1) * -0.5 - 0.5 * width * std::f64::consts::TAU.ln()).squeeze_dim(1)
}

impl<D: Module + ModuleDisplay + Emit> Avb<D> {
    /// The autoencoder to use, without autodiff.
    pub fn model(&self) -> &ImplicitAutoencoder<D> {
        self.model.model()
    }

    /// The contrast at rows `x`, from draws that count as constants.
    fn contrast(&self, encoder: &ImplicitEncoder, x: &Rows, rng: &mut Rng) -> Contrast {
        let (shape, count) = ([x.dims()[0], self.config.latents], self.config.contrast);
        if count == 0 {
            return Contrast { mean: Tensor::zeros(shape, &x.device()), deviation: Tensor::ones(shape, &x.device()) };
        }
        let draws: Tensor<3> = encoder.draws(x.clone(), count, rng).reshape([count, shape[0], shape[1]]);
        let mean = draws.clone().mean_dim(0);
        // A floor keeps a posterior that is a point from dividing by nothing.
        let deviation = ((draws - mean.clone()).square().mean_dim(0) + 1e-6).sqrt();
        Contrast { mean: mean.squeeze_dim(0), deviation: deviation.squeeze_dim(0) }
    }

    fn critic_turn(&mut self, batches: Vec<Batch>, rng: &Rng) -> Result<Scalars, StepError> {
        let (mut scalars, gradients) = {
            let (encoder, critic) = (self.model.latest().encoder.valid(), self.critic.latest());
            accumulate(batches, rng, critic, |Batch { x, .. }, rng| {
                let contrast = self.contrast(&encoder, &x, rng);
                let shape = [x.dims()[0], self.config.latents];
                let z = encoder.draw(x.clone(), rng);
                let eta = Tensor::from_data(TensorData::new(rng.normal(shape[0], shape[1]), shape), &x.device());
                let other = eta * contrast.deviation.clone() + contrast.mean.clone();
                let t = |z: Rows| critic.forward(contrast.seen(x.clone(), z));
                Loss { value: softplus(-t(z)).mean() + softplus(t(other)).mean(), parts: Vec::new() }
            })?
        };
        let [norm, _] = self.critic.descend(gradients, scalars[0].1)?;
        scalars[0].0 = "critic-loss";
        scalars.push(("critic-grad-norm", norm));
        Ok(scalars)
    }

    fn model_turn(&mut self, batches: Vec<Batch>, rng: &Rng) -> Result<Scalars, StepError> {
        let (mut scalars, gradients) = {
            let (model, critic) = (self.model.latest(), self.critic.latest().valid());
            let plain = model.encoder.valid();
            accumulate(batches, rng, model, |Batch { x, .. }, rng| {
                let contrast = self.contrast(&plain, &x, rng);
                let z = model.encoder.draw(x.clone(), rng);
                let t: Tensor<1> = critic.forward(contrast.seen(x.clone(), z.clone())).squeeze_dim(1);
                let kl = t + contrast.log_density(z.clone()) - log_normal(z.clone());
                let reconstruction = model.decoder.log_likelihood(x, z);
                let parts = vec![("kl", scalar(&kl.clone().mean()))];
                Loss { value: (kl - reconstruction).mean(), parts }
            })?
        };
        let [norm, rate] = self.model.descend(gradients, scalars[0].1)?;
        scalars.splice(1..1, [("grad-norm", norm), ("learning-rate", rate)]);
        Ok(scalars)
    }

    fn play(&mut self, batches: &[Batch], rng: &Rng) -> Result<Scalars, StepError> {
        let (turns, mut of_critic) = (self.config.critic_steps, Scalars::new());
        for turn in 0..turns {
            let rng = rng.fork("critic").at(turn as u64);
            let scalars = self.critic_turn(batches.to_vec(), &rng).map_err(by("the critic"))?;
            add_share(&mut of_critic, 1.0 / turns as f64, scalars);
        }
        let mut scalars = self.model_turn(batches.to_vec(), &rng.fork("model")).map_err(by("the autoencoder"))?;
        scalars.extend(of_critic);
        Ok(scalars)
    }
}

impl<D: Module + ModuleDisplay + Emit> Learner for Avb<D> {
    /// Every turn sees all micro-batches, with draws of its own. `loss` is minus the bound, as `T` sees it.
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        // The autoencoder moves last: when it fails, only the critic has changed.
        let before = self.critic.clone();
        let played = awake(|| self.play(&batches, rng));
        if played.is_err() {
            self.critic = before;
        }
        played
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self.model()), ..View::default() }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let named = |(model, optimizer, average): (Weights, Weights, Option<Weights>), names: [&'static str; 3]| {
            names.into_iter().zip([model, optimizer].into_iter().chain(average))
        };
        named(self.model.save(), MODEL).chain(named(self.critic.save(), CRITIC)).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let kept = |names: [&'static str; 3], averages: bool| names.into_iter().take(if averages { 3 } else { 2 });
        let known = kept(MODEL, self.model.averages()).chain(kept(CRITIC, self.critic.averages()));
        refuse_others(groups, &known.collect::<Vec<_>>())?;
        let (model, critic) = (self.model.loaded(groups, MODEL)?, self.critic.loaded(groups, CRITIC)?);
        (self.model, self.critic) = (model, critic);
        Ok(())
    }
}
