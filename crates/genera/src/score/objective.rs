//! The objectives, each of which has its least value at the score.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::ScoreError;
use crate::nn::derivative::{Linearise, exact_trace};
use crate::traits::{Net, Rows};

/// What is made small. All are in units of the Fisher divergence, `½ E|s − ∇log p|²`, up to a constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// `E[½|s|² + tr ∂s/∂x]`, the trace exact: as many products with the Jacobian as there are dimensions.
    Implicit,
    /// The same along random directions: one product each.
    #[serde(rename_all = "kebab-case")]
    Sliced {
        /// The law of a direction.
        projection: Projection,
        /// How many directions a row.
        projections: usize,
        /// What stands for `½|s|²`.
        form: Form,
    },
    /// `½ E σ²|s(x + σε) + ε/σ|²`: learns the score of the data with noise on top, without any derivative. The factor `σ²`
    /// makes losses of all levels alike.
    Denoising {
        /// The standard deviation of the noise. The less, the closer to the data, and the noisier the target.
        sigma: f64,
        /// Which noise a row sees.
        #[serde(default)]
        noise: Noise,
    },
}

/// The noise that a row sees in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// One draw.
    #[default]
    Single,
    /// One draw and its mirror image, each with half the weight. The targets `∓ε/σ` cancel in the gradient but for what
    /// the score changes over `σ`: in units of the Fisher divergence its variance stays finite as `σ` goes to zero, where
    /// that of a single draw grows like `1/σ²`.
    Mirrored,
}

/// The law of a direction: mean zero, covariance one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// Signs.
    Rademacher,
    /// Standard normal numbers.
    Gaussian,
}

/// What stands for `½|s|²` in a sliced objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `½ (v·s)²`, for directions of any law.
    Plain,
    /// `½|s|²`, its expectation over directions of covariance one (the variance-reduced form).
    Reduced,
}

impl Projection {
    /// Directions `[rows, width]`, row `i` from the stream of row `i`.
    fn draw(self, [rows, width]: [usize; 2], rng: &mut Rng, device: &Device) -> Rows {
        let mut values = rng.normal(rows, width);
        if self == Self::Rademacher {
            values.iter_mut().for_each(|z| *z = if *z < 0.0 { -1.0 } else { 1.0 });
        }
        Tensor::from_data(TensorData::new(values, [rows, width]), device)
    }
}

impl Objective {
    /// The objective of each row: `[B, F] -> [B]`.
    pub(super) fn of_rows<N: Net + Linearise>(&self, net: &N, x: Rows, rng: &mut Rng) -> Tensor<1> {
        let ([rows, features], device) = (x.dims(), x.device());
        let half_square = |s: Rows| s.square().sum_dim(1) * 0.5; // [B, 1]
        match *self {
            Self::Implicit => {
                let (s, trace) = exact_trace(net, x);
                half_square(s).squeeze_dim::<1>(1) + trace
            }
            Self::Sliced { projection, projections, form } => {
                let at = net.linearise(x);
                let directions = projection.draw([rows, projections * features], rng, &device);
                let along = |k: usize| {
                    let v = directions.clone().narrow(1, k * features, features);
                    let bend = (at.push(v.clone()) * v.clone()).sum_dim(1);
                    match form {
                        Form::Plain => bend + (at.value.clone() * v).sum_dim(1).square() * 0.5,
                        Form::Reduced => bend,
                    }
                };
                let zero = Tensor::zeros([rows, 1], &device);
                let mean = (0..projections).fold(zero, |sum, k| sum + along(k)) / projections as f64;
                let squared = match form {
                    Form::Plain => mean,
                    Form::Reduced => mean + half_square(at.value.clone()),
                };
                squared.squeeze_dim(1)
            }
            Self::Denoising { sigma, noise } => {
                let eps: Rows =
                    Tensor::from_data(TensorData::new(rng.normal(rows, features), [rows, features]), &device);
                let of = |x: Rows, eps: Rows| {
                    let s = net.forward(x + eps.clone() * sigma);
                    half_square(s * sigma + eps).squeeze_dim(1)
                };
                match noise {
                    Noise::Single => of(x, eps),
                    Noise::Mirrored => {
                        let both = of(Tensor::cat(vec![x.clone(), x], 0), Tensor::cat(vec![eps.clone(), -eps], 0));
                        (both.clone().narrow(0, 0, rows) + both.narrow(0, rows, rows)) * 0.5
                    }
                }
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ScoreError> {
        let range = |ok, name, value, needed| if ok { Ok(()) } else { Err(ScoreError::Range { name, value, needed }) };
        match *self {
            Self::Implicit => Ok(()),
            Self::Sliced { projections, .. } => {
                range(projections > 0, "objective.sliced.projections", projections as f64, "at least 1")
            }
            Self::Denoising { sigma, .. } => {
                range(sigma > 0.0 && sigma.is_finite(), "objective.denoising.sigma", sigma, "positive")
            }
        }
    }
}
