//! Priors over latents: what the aggregated posterior is pulled towards.
//!
//! | prior | p(z) | paper |
//! |---|---|---|
//! | [`StandardNormal`] | N(0, I) | arXiv:1312.6114 |
//! | [`MixturePrior`] | Σₖ πₖ N(mₖ, diag sₖ²), all learnt | arXiv:1611.02648 |
//! | [`VampPrior`] | 1/K Σₖ q(z\|uₖ) with learnt pseudo-inputs uₖ | Tomczak and Welling, arXiv:1705.07120 |
//! | [`Learnt`] | anything with a density that can be drawn from: a flow, an autoregressive model | arXiv:1611.02731 |
//!
//! In the ELBO a learnt prior meets the encoder as `KL(q_agg ‖ p)`, so that fitting it is maximum likelihood on encoded
//! data.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::{Encode, Gaussian, HALF_LOG_TAU, Posterior, host, log_sum_exp, noise, row_sum};
use crate::caution::sampler;
use crate::traits::{Caution, Cautious, Density, Rows, Sample};

/// `p(z)`, which may make use of the encoder `E`.
pub trait Prior<E> {
    /// `log p(z)` in nats: `[B, L] -> [B]`.
    fn log_prob(&self, z: Rows, encoder: &E) -> Tensor<1>;
    /// Draws `n` latents, `[n, L]`; draw `i` does not depend on `n`.
    fn sample(&self, n: usize, encoder: &E, rng: &mut Rng) -> Rows;
    /// Draws with caution; none if there is no noise to take it with.
    fn sample_with(&self, _n: usize, _encoder: &E, _caution: Caution, _rng: &mut Rng) -> Option<Rows> {
        None
    }
    /// `KL(q ‖ p)` of each dimension in nats, where it has a closed form: `[B, L]`.
    fn divergence<Q: Posterior>(&self, _q: &Q) -> Option<Rows> {
        None
    }
}

/// No caution.
const ITSELF: Caution = Caution::Temperature(1.0);

/// `N(0, I)`.
#[derive(Module, Debug)]
pub struct StandardNormal {
    #[module(skip)]
    latents: usize,
    #[module(skip)]
    device: Device,
}

impl StandardNormal {
    /// In `latents` dimensions, drawn on `device`.
    pub fn new(latents: usize, device: &Device) -> Self {
        Self { latents, device: device.clone() }
    }
}

impl Density for StandardNormal {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        row_sum(z.square() * -0.5 - HALF_LOG_TAU)
    }
}

impl Sample for StandardNormal {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        noise(n, self.latents, rng, &self.device)
    }
}

impl<E> Prior<E> for StandardNormal {
    fn log_prob(&self, z: Rows, _encoder: &E) -> Tensor<1> {
        Density::log_prob(self, z)
    }

    fn sample(&self, n: usize, _encoder: &E, rng: &mut Rng) -> Rows {
        Sample::sample(self, n, rng)
    }

    fn sample_with(&self, n: usize, _encoder: &E, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        let z = TensorData::new(caution.normals(n, self.latents, rng), [n, self.latents]);
        Some(Tensor::from_data(z, &self.device))
    }

    fn divergence<Q: Posterior>(&self, q: &Q) -> Option<Rows> {
        q.divergence()
    }
}

/// Any model of latents as a prior.
#[derive(Module, Debug)]
pub struct Learnt<P: Module> {
    /// The model.
    pub model: P,
}

impl<P: Module> Learnt<P> {
    /// `model` as a prior.
    pub fn new(model: P) -> Self {
        Self { model }
    }
}

impl<E, P: Module + Density + Sample + Cautious> Prior<E> for Learnt<P> {
    fn log_prob(&self, z: Rows, _encoder: &E) -> Tensor<1> {
        self.model.log_prob(z)
    }

    fn sample(&self, n: usize, _encoder: &E, rng: &mut Rng) -> Rows {
        self.model.sample(n, rng)
    }

    fn sample_with(&self, n: usize, _encoder: &E, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        Some(self.model.with_caution(caution)?.sample(n, rng))
    }
}

/// A mixture of Gaussians with diagonal covariances, trained with everything else.
#[derive(Module, Debug)]
pub struct MixturePrior {
    logits: Param<Tensor<1>>,
    means: Param<Tensor<2>>,
    log_stds: Param<Tensor<2>>,
}

impl MixturePrior {
    /// `components` of equal weight and deviation one, with standard normal means.
    pub fn new(latents: usize, components: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            logits: Param::from_tensor(Tensor::zeros([components], device)),
            means: Param::from_tensor(noise(components, latents, rng, device)),
            log_stds: Param::from_tensor(Tensor::zeros([components, latents], device)),
        }
    }

    fn mixture(&self) -> Mixture {
        let log_weights = log_softmax(self.logits.val(), 0);
        Mixture { log_weights, parts: Gaussian { mean: self.means.val(), log_std: self.log_stds.val() } }
    }
}

impl Density for MixturePrior {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        self.mixture().log_prob(z)
    }
}

impl Sample for MixturePrior {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.mixture().sample(n, ITSELF, rng)
    }
}

impl Cautious for MixturePrior {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        caution.is_of_noise().then(|| sampler(move |n, rng| self.mixture().sample(n, caution, rng)))
    }
}

impl<E> Prior<E> for MixturePrior {
    fn log_prob(&self, z: Rows, _encoder: &E) -> Tensor<1> {
        Density::log_prob(self, z)
    }

    fn sample(&self, n: usize, _encoder: &E, rng: &mut Rng) -> Rows {
        Sample::sample(self, n, rng)
    }

    fn sample_with(&self, n: usize, _encoder: &E, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        Some(self.mixture().sample(n, caution, rng))
    }
}

/// The mean of the encoder's posteriors at learnt pseudo-inputs.
#[derive(Module, Debug)]
pub struct VampPrior {
    /// `[K, F]`, in the range of the data where they started there.
    inputs: Param<Tensor<2>>,
}

impl VampPrior {
    /// Pseudo-inputs that start at `inputs` (rows of the training data serve well): `[K, F]`.
    pub fn new(inputs: Rows) -> Self {
        Self { inputs: Param::from_tensor(inputs) }
    }

    fn mixture<E: Encode<Posterior = Gaussian>>(&self, encoder: &E) -> Mixture {
        let inputs = self.inputs.val();
        let components = inputs.dims()[0];
        let log_weights = Tensor::full([components], -(components as f64).ln(), &inputs.device().inner());
        Mixture { log_weights, parts: encoder.posterior(inputs) }
    }
}

impl<E: Encode<Posterior = Gaussian>> Prior<E> for VampPrior {
    fn log_prob(&self, z: Rows, encoder: &E) -> Tensor<1> {
        self.mixture(encoder).log_prob(z)
    }

    fn sample(&self, n: usize, encoder: &E, rng: &mut Rng) -> Rows {
        self.mixture(encoder).sample(n, ITSELF, rng)
    }

    fn sample_with(&self, n: usize, encoder: &E, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        Some(self.mixture(encoder).sample(n, caution, rng))
    }
}

/// A mixture of the rows of `parts`.
struct Mixture {
    /// `[K]`.
    log_weights: Tensor<1>,
    /// `[K, L]`.
    parts: Gaussian,
}

impl Mixture {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        let Gaussian { mean, log_std } = &self.parts;
        // |(z - m) / s|² multiplied out would be one matrix product, and lose digits where s is small.
        let inverse = log_std.clone().neg().exp().unsqueeze_dim::<3>(0);
        let standard = (z.unsqueeze_dim::<3>(1) - mean.clone().unsqueeze_dim(0)) * inverse; // [B, K, L]
        let square: Rows = standard.square().sum_dim(2).squeeze_dim(2);
        let volume = row_sum(log_std.clone() + HALF_LOG_TAU);
        log_sum_exp(square * -0.5 + (self.log_weights.clone() - volume).unsqueeze_dim(0))
    }

    fn sample(&self, n: usize, caution: Caution, rng: &mut Rng) -> Rows {
        let [_, latents] = self.parts.mean.dims();
        let weights: Vec<f64> = host(&self.log_weights).into_iter().map(f64::exp).collect();
        let (means, log_stds) = (host(&self.parts.mean), host(&self.parts.log_std));
        let mut z = Vec::with_capacity(n * latents);
        for mut stream in rng.streams(n) {
            let mut left = stream.uniform();
            let last = weights.len() - 1;
            let k = weights[..last].iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            let part = k.unwrap_or(last) * latents..(k.unwrap_or(last) + 1) * latents;
            let part = means[part.clone()].iter().zip(&log_stds[part]);
            z.extend(part.map(|(mean, log_std)| (mean + log_std.exp() * caution.normal(stream.normal())) as f32));
        }
        Tensor::from_data(TensorData::new(z, [n, latents]), &self.parts.mean.device().inner())
    }
}
