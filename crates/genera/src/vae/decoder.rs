//! Decoders: a network, and the distribution of a row that its output stands for.
//!
//! | likelihood | data | numbers of output for each value |
//! |---|---|---|
//! | Bernoulli | 0 and 1 (or between: the cross-entropy) | 1, the logit |
//! | categorical | whole numbers below `levels` | `levels` logits |
//! | Gaussian | real | 1, or 2 with a deviation for each value |
//! | discretised logistic mixture | `levels` levels of [−1, 1] | 3 for each component |
//! | discretised Gaussian | `levels` levels of [−1, 1] | 2 |
//!
//! The output is `[B, P F]`: all first parameters, then all second ones, so that a convolutional decoder simply has
//! `P C` channels.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{Activation, activate, cross_entropy};
use genera_rng::{Rng, Stream};
use serde::{Deserialize, Serialize};

use super::error::within;
use super::{HALF_LOG_TAU, VaeError, discretised, host, row_sum};
use crate::traits::{Net, Rows};

/// `p(x|z)`, one distribution a row: what a decoder returns.
pub trait Likelihood {
    /// `log p(x|z)` in nats: `[B, F] -> [B]`.
    fn log_prob(&self, x: Rows) -> Tensor<1>;
    /// The expected row: `[B, F]`.
    fn mean(&self) -> Rows;
    /// One draw of each: `[B, F]`.
    fn sample(&self, rng: &mut Rng) -> Rows;
}

/// What gives each latent the distribution of its row.
pub trait Decode {
    /// The family of `p(x|z)`.
    type Likelihood: Likelihood;
    /// `p(x|z)` of each latent: `[B, L]`.
    fn likelihood(&self, z: Rows) -> Self::Likelihood;
}

/// Which distribution a decoder gives, as recipes write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LikelihoodConfig {
    /// Bits.
    #[default]
    Bernoulli,
    /// Whole numbers.
    Categorical {
        /// How many.
        levels: usize,
    },
    /// Real numbers.
    Gaussian {
        /// Where the deviation comes from.
        spread: Spread,
    },
    /// Grey levels, by a mixture of logistics for each value.
    DiscretisedLogistic {
        /// Levels on `[-1, 1]`.
        levels: usize,
        /// Components of each mixture.
        components: usize,
    },
    /// Grey levels, by a Gaussian for each value.
    DiscretisedGaussian {
        /// Levels on `[-1, 1]`.
        levels: usize,
    },
}

/// Where the deviation of a Gaussian likelihood comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// This number.
    Fixed(f64),
    /// One learnt number.
    Shared,
    /// The network, for each value of each row.
    Each,
}

impl LikelihoodConfig {
    /// `P`: how many numbers of output each value takes.
    pub fn parameters(&self) -> usize {
        match *self {
            Self::Bernoulli | Self::Gaussian { spread: Spread::Fixed(_) | Spread::Shared } => 1,
            Self::Gaussian { spread: Spread::Each } | Self::DiscretisedGaussian { .. } => 2,
            Self::Categorical { levels } => levels,
            Self::DiscretisedLogistic { components, .. } => 3 * components,
        }
    }

    /// # Errors
    /// A number out of its range.
    pub fn check(&self) -> Result<(), VaeError> {
        let at_least_two = |levels: usize| within(levels >= 2, "likelihood.levels", levels as f64, "2 or more");
        match *self {
            Self::Bernoulli | Self::Gaussian { spread: Spread::Shared | Spread::Each } => Ok(()),
            Self::Categorical { levels } | Self::DiscretisedGaussian { levels } => at_least_two(levels),
            Self::Gaussian { spread: Spread::Fixed(std) } => {
                within(std > 0.0 && std.is_finite(), "likelihood.spread", std, "positive")
            }
            Self::DiscretisedLogistic { levels, components } => {
                at_least_two(levels)?;
                within(components >= 1, "likelihood.components", components as f64, "1 or more")
            }
        }
    }
}

/// A network of `P F` outputs, read as an [`Observation`].
#[derive(Module, Debug)]
pub struct Decoder<N: Module> {
    /// The network, `[B, L] -> [B, P F]`.
    pub net: N,
    /// The logarithm of the one deviation of [`Spread::Shared`].
    pub log_std: Option<Param<Tensor<1>>>,
    #[module(skip)]
    likelihood: LikelihoodConfig,
}

impl<N: Module> Decoder<N> {
    /// Around a network with [`LikelihoodConfig::parameters`] outputs for each value.
    ///
    /// # Errors
    /// A likelihood that makes no sense.
    pub fn new(net: N, likelihood: LikelihoodConfig, device: &Device) -> Result<Self, VaeError> {
        likelihood.check()?;
        let shared = matches!(likelihood, LikelihoodConfig::Gaussian { spread: Spread::Shared });
        let log_std = shared.then(|| Param::from_tensor(Tensor::zeros([1], device)));
        Ok(Self { net, log_std, likelihood })
    }

    /// Which distribution it gives.
    pub fn config(&self) -> LikelihoodConfig {
        self.likelihood
    }
}

impl<N: Module + Net> Decode for Decoder<N> {
    type Likelihood = Observation;

    fn likelihood(&self, z: Rows) -> Observation {
        let output = self.net.forward(z);
        Observation { output, log_std: self.log_std.as_ref().map(Param::val), likelihood: self.likelihood }
    }
}

/// A distribution of rows whose values are independent.
#[derive(Clone, Debug)]
pub struct Observation {
    /// `[B, P F]`.
    output: Rows,
    log_std: Option<Tensor<1>>,
    likelihood: LikelihoodConfig,
}

/// The smallest and the largest `log σ` of a Gaussian: a decoder that fits a value exactly has no bound otherwise.
const LOG_STDS: [f64; 2] = [-10.0, 10.0];

impl Observation {
    fn features(&self) -> usize {
        self.output.dims()[1] / self.likelihood.parameters()
    }

    /// The parameters number `first` to `first + count` of every value: `[B, count, F]`.
    fn parameters(&self, first: usize, count: usize) -> Tensor<3> {
        let (rows, features) = (self.output.dims()[0], self.features());
        self.output.clone().narrow(1, first * features, count * features).reshape([rows, count, features])
    }

    fn one(&self, index: usize) -> Rows {
        self.parameters(index, 1).squeeze_dim(1)
    }

    /// `log σ` of a Gaussian, broadcastable to `[B, F]`.
    fn log_std(&self, spread: Spread) -> Rows {
        match (spread, &self.log_std) {
            (Spread::Shared, Some(log_std)) => log_std.clone().clamp(LOG_STDS[0], LOG_STDS[1]).unsqueeze_dim::<2>(0),
            (Spread::Fixed(std), _) => Tensor::full([1, 1], std.ln(), &self.output.device()),
            _ => self.one(1).clamp(LOG_STDS[0], LOG_STDS[1]),
        }
    }
}

impl Likelihood for Observation {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        match self.likelihood {
            // x l - log(1 + e^l)
            LikelihoodConfig::Bernoulli => {
                row_sum(x * self.output.clone() - activate(self.output.clone(), Activation::Softplus))
            }
            LikelihoodConfig::Categorical { levels } => {
                let [rows, features] = x.dims();
                let logits = self.parameters(0, levels).swap_dims(1, 2).reshape([rows * features, levels]);
                let cost = cross_entropy(logits, x.reshape([rows * features]).int());
                row_sum(cost.reshape([rows, features])).neg()
            }
            LikelihoodConfig::Gaussian { spread } => {
                let log_std = self.log_std(spread);
                let standard = (x - self.one(0)) * log_std.clone().neg().exp();
                row_sum(standard.square() * -0.5 - log_std - HALF_LOG_TAU)
            }
            LikelihoodConfig::DiscretisedLogistic { levels, components: m } => {
                let [logits, means, log_scales] = [0, m, 2 * m].map(|first| self.parameters(first, m));
                row_sum(discretised::logistic_mixture(x, logits, means, log_scales, levels))
            }
            LikelihoodConfig::DiscretisedGaussian { levels } => {
                row_sum(discretised::gaussian(x, self.one(0), self.one(1), levels))
            }
        }
    }

    fn mean(&self) -> Rows {
        match self.likelihood {
            LikelihoodConfig::Bernoulli => burn::tensor::activation::sigmoid(self.output.clone()),
            LikelihoodConfig::Categorical { levels } => {
                let values = Tensor::<1, Int>::arange(0..levels as i64, &self.output.device()).float();
                let p = burn::tensor::activation::softmax(self.parameters(0, levels), 1);
                (p * values.reshape([1, levels, 1])).sum_dim(1).squeeze_dim(1)
            }
            LikelihoodConfig::Gaussian { .. } => self.one(0),
            LikelihoodConfig::DiscretisedGaussian { .. } => self.one(0).clamp(-1.0, 1.0),
            LikelihoodConfig::DiscretisedLogistic { components: m, .. } => {
                let weights = burn::tensor::activation::softmax(self.parameters(0, m), 1);
                (weights * self.parameters(m, m)).sum_dim(1).squeeze_dim::<2>(1).clamp(-1.0, 1.0)
            }
        }
    }

    fn sample(&self, rng: &mut Rng) -> Rows {
        let (rows, features) = (self.output.dims()[0], self.features());
        let output = host(&self.output);
        let shared = self.log_std.as_ref().map(|log_std| host(log_std)[0].clamp(LOG_STDS[0], LOG_STDS[1]));
        let mut x = Vec::with_capacity(rows * features);
        for (row, mut stream) in
            output.chunks_exact((features * self.likelihood.parameters()).max(1)).zip(rng.streams(rows))
        {
            for f in 0..features {
                x.push(self.likelihood.draw(|p| row[p * features + f], shared, &mut stream) as f32);
            }
        }
        Tensor::from_data(TensorData::new(x, [rows, features]), &self.output.device().inner())
    }
}

impl LikelihoodConfig {
    /// One value, given its parameters.
    pub(super) fn draw(&self, parameter: impl Fn(usize) -> f64, shared: Option<f64>, stream: &mut Stream) -> f64 {
        let to_level = |x: f64, levels: usize| {
            let steps = levels as f64 - 1.0;
            (((x + 1.0) * 0.5 * steps).round().clamp(0.0, steps)) * 2.0 / steps - 1.0
        };
        match *self {
            Self::Bernoulli => f64::from(u8::from(stream.uniform() < 1.0 / (1.0 + (-parameter(0)).exp()))),
            Self::Categorical { levels } => choose(levels, &parameter, stream) as f64,
            Self::Gaussian { spread } => {
                let log_std = match spread {
                    Spread::Fixed(std) => std.ln(),
                    Spread::Shared => shared.unwrap_or(0.0),
                    Spread::Each => parameter(1).clamp(LOG_STDS[0], LOG_STDS[1]),
                };
                parameter(0) + log_std.exp() * stream.normal()
            }
            Self::DiscretisedLogistic { levels, components } => {
                let k = choose(components, &parameter, stream);
                let u = stream.uniform().clamp(1e-12, 1.0 - 1e-12);
                let scale = parameter(2 * components + k).max(-7.0).exp();
                to_level(parameter(components + k) + scale * (u / (1.0 - u)).ln(), levels)
            }
            Self::DiscretisedGaussian { levels } => {
                to_level(parameter(0) + parameter(1).max(-7.0).exp() * stream.normal(), levels)
            }
        }
    }
}

/// `k` with the probability that its logit gives it.
fn choose(count: usize, logit: &impl Fn(usize) -> f64, stream: &mut Stream) -> usize {
    let most = (0..count).map(logit).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = (0..count).map(|k| (logit(k) - most).exp()).sum();
    let mut left = stream.uniform() * total;
    let chosen = (0..count - 1).find(|&k| {
        left -= (logit(k) - most).exp();
        left < 0.0
    });
    chosen.unwrap_or(count - 1)
}
