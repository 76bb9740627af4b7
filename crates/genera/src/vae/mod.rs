//! Variational autoencoders: an encoder, a decoder and a prior, and every bound, estimator and remedy around them.
//!
//! ```text
//! p(x) = ∫ p(x|z) p(z) dz
//! ELBO = E_q [log p(x|z) + log p(z) − log q(z|x)] ≤ log p(x)        Kingma and Welling, arXiv:1312.6114
//! L_K  = E log 1/K Σₖ p(x, zₖ) / q(zₖ|x),  ELBO = L_1 ≤ L_K → log p(x)        Burda et al., arXiv:1509.00519
//! ```
//!
//! A network returns a distribution: an encoder a [`Posterior`], a decoder a [`Likelihood`]. A prior is a
//! [`Prior`]: the standard normal, a mixture, pseudo-inputs, or anything that has a density and can be drawn from.

mod anneal;
mod annealed;
mod binary;
mod bound;
mod decoder;
mod diagnostics;
mod discretised;
mod error;
mod gaussian;
mod inverse_flow;
mod mmd;
mod model;
mod nets;
mod objective;
mod pixel_decoder;
mod planar;
mod prior;
mod score_function;
mod surgery;
pub mod vq;

pub use anneal::{Annealing, Capacity};
pub use annealed::AnnealedImportanceSampling;
pub use binary::{Bits, BitsEncoder, FairCoins};
pub use decoder::{Decode, Decoder, Likelihood, LikelihoodConfig, Observation, Spread};
pub use diagnostics::Diagnostics;
pub use error::VaeError;
pub use gaussian::{Encode, Gaussian, GaussianEncoder, Posterior};
pub use inverse_flow::{InverseFlowConfig, InverseFlowEncoder, InverseFlowPosterior};
pub use mmd::mmd;
pub use model::{Given, Observe, Terms, Vae, VaeConfig};
pub use nets::{ConvDecoder, ConvEncoder, NetConfig, Network};
pub use objective::{Objective, PathGradient};
pub use pixel_decoder::{Painting, PixelDecoder, PixelDecoderConfig};
pub use planar::{PlanarEncoder, PlanarPosterior};
pub use prior::{Learnt, MixturePrior, Prior, StandardNormal, VampPrior};
pub use score_function::{Estimator, GradientEstimate, gradient_estimates};
pub use surgery::{Aggregate, Surgery};

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use crate::traits::Rows;

/// `log √(2π)`.
const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_7;

/// Standard normal rows: `[rows, width]`.
fn noise(rows: usize, width: usize, rng: &mut Rng, device: &Device) -> Rows {
    Tensor::from_data(TensorData::new(rng.normal(rows, width), [rows, width]), device)
}

/// Each row `k` times in succession: `[B, F] -> [B k, F]`.
fn repeat(x: Rows, k: usize) -> Rows {
    let [rows, width] = x.dims();
    if k == 1 { x } else { x.unsqueeze_dim::<3>(1).repeat_dim(1, k).reshape([rows * k, width]) }
}

/// The sum over the last axis: `[B, F] -> [B]`.
fn row_sum(x: Rows) -> Tensor<1> {
    x.sum_dim(1).squeeze_dim(1)
}

/// `log Σ exp` over the last axis, safe against overflow: `[B, K] -> [B]`.
fn log_sum_exp(x: Rows) -> Tensor<1> {
    let most = x.clone().detach().max_dim(1); // [B, 1]
    ((x - most.clone()).exp().sum_dim(1).log() + most).squeeze_dim(1)
}

/// The values of `x` in double precision, row-major.
fn host<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

/// The one value of `x`.
fn scalar(x: &Tensor<1>) -> f64 {
    x.clone().into_scalar::<f32>().into()
}

/// `log 1/K Σ exp` of each run of `k` numbers, in double precision.
fn log_mean_exp(logs: &[f64], k: usize) -> Vec<f64> {
    let of_one = |logs: &[f64]| {
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + (logs.iter().map(|log| (log - most).exp()).sum::<f64>() / k as f64).ln()
    };
    logs.chunks_exact(k).map(of_one).collect()
}
