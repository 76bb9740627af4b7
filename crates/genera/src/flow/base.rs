//! What a flow ends in: standard normal, uniform, a mixture, a normal for each class.

use std::f64::consts::TAU;

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;

use super::{FlowError, row_sums};
use crate::nn::init::{constant, normal};
use crate::traits::{Caution, Density, Rows, Sample};

/// A density of noise that may differ by class. Without a class it is the mean over all classes.
pub trait Base: Density + Sample {
    /// How many classes it tells apart; none if it does not.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// `log p(z | y)` in nats, row `i` of class `labels[i]`: `[B, F] -> [B]`.
    fn log_prob_given(&self, z: Rows, _labels: &[usize]) -> Tensor<1> {
        self.log_prob(z)
    }

    /// One draw a label: `[B, F]`.
    fn sample_given(&self, labels: &[usize], rng: &mut Rng) -> Rows {
        self.sample(labels.len(), rng)
    }

    /// `n` draws with caution, `[n, F]`, of given classes if there are any; none of a base without normal noise.
    fn sample_with(&self, _n: usize, _labels: Option<&[usize]>, _caution: Caution, _rng: &mut Rng) -> Option<Rows> {
        None
    }
}

/// No caution.
const ITSELF: Caution = Caution::Temperature(1.0);

/// `N(0, I)`.
#[derive(Module, Debug)]
pub struct StandardNormal {
    origin: Tensor<1>,
}

impl StandardNormal {
    /// For rows of length `features`.
    pub fn new(features: usize, device: &Device) -> Self {
        Self { origin: Tensor::zeros([features], device) }
    }
}

impl Density for StandardNormal {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        let features = z.dims()[1] as f64;
        row_sums(z.square()) * -0.5 - 0.5 * features * TAU.ln()
    }
}

impl Sample for StandardNormal {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.draw(n, ITSELF, rng)
    }
}

impl StandardNormal {
    fn draw(&self, n: usize, caution: Caution, rng: &mut Rng) -> Rows {
        let features = self.origin.dims()[0];
        Tensor::from_data(TensorData::new(caution.normals(n, features, rng), [n, features]), &self.origin.device())
    }
}

impl Base for StandardNormal {
    fn sample_with(&self, n: usize, _labels: Option<&[usize]>, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        Some(self.draw(n, caution, rng))
    }
}

/// Uniform on a box; the log-density outside is −∞.
#[derive(Module, Debug)]
pub struct UniformBox {
    low: Tensor<2>,
    size: Tensor<2>,
}

impl UniformBox {
    /// The box `[low, high]^features`.
    ///
    /// # Errors
    /// A box without inside.
    pub fn new(features: usize, low: f64, high: f64, device: &Device) -> Result<Self, FlowError> {
        let fits = low < high && (high - low).is_finite();
        FlowError::unless(fits, "uniform", format!("[{low}, {high}]"), "an interval")?;
        let full = |value| Tensor::full([1, features], value, device);
        Ok(Self { low: full(low), size: full(high - low) })
    }
}

impl Density for UniformBox {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        // Within is |2 (z − low) − size| ≤ size; NaN is not within.
        let off = ((z - self.low.clone()) * 2.0 - self.size.clone()).abs();
        let size = self.size.clone().expand(off.dims());
        let outside = off.lower_equal(size).bool_not();
        let log = -self.size.clone().log();
        row_sums(log.expand(outside.dims()).mask_fill(outside, f32::NEG_INFINITY))
    }
}

impl Sample for UniformBox {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let features = self.size.dims()[1];
        let u = Tensor::from_data(TensorData::new(rng.uniform(n, features), [n, features]), &self.low.device());
        u * self.size.clone() + self.low.clone()
    }
}

impl Base for UniformBox {}

/// `Σ_k w_k N(m_k, diag s_k²)`.
#[derive(Module, Debug)]
pub struct Mixture {
    /// Logarithms of the weights up to a constant: `[K]`.
    pub logits: Param<Tensor<1>>,
    /// `m`: `[K, F]`.
    pub mean: Param<Tensor<2>>,
    /// `log s`: `[K, F]`.
    pub log_deviation: Param<Tensor<2>>,
}

impl Mixture {
    /// Equal weights, standard normal means, deviations of one.
    pub fn new(components: usize, features: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            logits: constant([components], 0.0, device),
            mean: normal([components, features], 1.0, rng, device),
            log_deviation: constant([components, features], 0.0, device),
        }
    }

    /// `log N(z; m_k, s_k)` of each component: `[B, F] -> [B, K]`.
    fn components(&self, z: Rows) -> Tensor<2> {
        let features = z.dims()[1] as f64;
        let log_deviation = self.log_deviation.val().unsqueeze_dim::<3>(0); // [1, K, F]
        let offset = z.unsqueeze_dim::<3>(1) - self.mean.val().unsqueeze_dim(0); // [B, K, F]
        let squares = (offset * (-log_deviation.clone()).exp()).square();
        (squares * -0.5 - log_deviation).sum_dim(2).squeeze_dim::<2>(2) - 0.5 * features * TAU.ln()
    }

    /// One normal draw a component; NaN if the weights, which chose the components, are no weights.
    fn draw(&self, components: &[usize], caution: Caution, rng: &mut Rng) -> Rows {
        let ([_, features], device) = (self.mean.dims(), self.mean.device());
        let n = components.len();
        let eps = Tensor::from_data(TensorData::new(caution.normals(n, features, rng), [n, features]), &device);
        let index = indices(components, &device);
        let eps = eps + self.logits.val().sum().unsqueeze::<2>() * 0.0;
        self.mean.val().select(0, index.clone()) + self.log_deviation.val().select(0, index).exp() * eps
    }
}

impl Density for Mixture {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        let weights: Rows = log_softmax(self.logits.val(), 0).unsqueeze();
        log_sum_exp(self.components(z) + weights)
    }
}

impl Sample for Mixture {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let components = self.pick(n, rng);
        self.draw(&components, ITSELF, rng)
    }
}

impl Mixture {
    /// `n` components, each with its weight.
    fn pick(&self, n: usize, rng: &mut Rng) -> Vec<usize> {
        let logs: Vec<f64> = self.logits.val().to_data().iter::<f32>().map(f64::from).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let pick = |mut stream: genera_rng::Stream| {
            let mut left = stream.uniform() * total;
            let passed = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            passed.unwrap_or(weights.len() - 1)
        };
        rng.streams(n).map(pick).collect()
    }
}

impl Base for Mixture {
    fn sample_with(&self, n: usize, _labels: Option<&[usize]>, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        let components = self.pick(n, rng);
        Some(self.draw(&components, caution, rng))
    }
}

/// A normal for each class, all classes equally likely.
#[derive(Module, Debug)]
pub struct ClassNormals {
    /// The normals.
    pub normals: Mixture,
}

impl ClassNormals {
    /// Standard normal means, deviations of one.
    pub fn new(classes: usize, features: usize, rng: &mut Rng, device: &Device) -> Self {
        let mixture = Mixture::new(classes, features, rng, device);
        Self { normals: Mixture { logits: mixture.logits.set_require_grad(false), ..mixture } }
    }
}

impl Density for ClassNormals {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        self.normals.log_prob(z)
    }
}

impl Sample for ClassNormals {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.normals.sample(n, rng)
    }
}

impl Base for ClassNormals {
    fn classes(&self) -> Option<usize> {
        Some(self.normals.mean.dims()[0])
    }

    fn log_prob_given(&self, z: Rows, labels: &[usize]) -> Tensor<1> {
        let index = indices(labels, &z.device()).unsqueeze_dim(1);
        self.normals.components(z).gather(1, index).squeeze_dim(1)
    }

    fn sample_given(&self, labels: &[usize], rng: &mut Rng) -> Rows {
        self.normals.draw(labels, ITSELF, rng)
    }

    fn sample_with(&self, n: usize, labels: Option<&[usize]>, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        match labels {
            Some(labels) => Some(self.normals.draw(labels, caution, rng)),
            None => self.normals.sample_with(n, None, caution, rng),
        }
    }
}

/// Any of them.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Noise {
    /// `N(0, I)`.
    Normal(StandardNormal),
    /// A box.
    Uniform(UniformBox),
    /// A mixture of normals.
    Mixture(Mixture),
    /// A normal for each class.
    Classes(ClassNormals),
}

impl Noise {
    fn base(&self) -> &dyn Base {
        match self {
            Self::Normal(base) => base,
            Self::Uniform(base) => base,
            Self::Mixture(base) => base,
            Self::Classes(base) => base,
        }
    }
}

impl Density for Noise {
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        self.base().log_prob(z)
    }
}

impl Sample for Noise {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.base().sample(n, rng)
    }
}

impl Base for Noise {
    fn classes(&self) -> Option<usize> {
        self.base().classes()
    }

    fn log_prob_given(&self, z: Rows, labels: &[usize]) -> Tensor<1> {
        self.base().log_prob_given(z, labels)
    }

    fn sample_given(&self, labels: &[usize], rng: &mut Rng) -> Rows {
        self.base().sample_given(labels, rng)
    }

    fn sample_with(&self, n: usize, labels: Option<&[usize]>, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        self.base().sample_with(n, labels, caution, rng)
    }
}

/// Class numbers as a tensor.
pub(super) fn indices(values: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|value| *value as i32).collect();
    Tensor::from_data(TensorData::from(values.as_slice()), device)
}

/// `log Σ exp` of each row: `[B, K] -> [B]`.
pub(super) fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    let most = x.clone().detach().max_dim(1).clamp_min(-1e30); // a row of −∞ stays −∞
    row_sums((x - most.clone()).exp()).log() + most.squeeze_dim(1)
}
