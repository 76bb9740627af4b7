//! Vectors to the nearest of a book of codes, and how the book is learnt.
//!
//! ```text
//! c = argmin_k |z − e_k|,   z_q = z + sg(e_c − z): the gradient goes straight through
//! gradient   loss += |sg(z) − e_c|² + β |z − sg(e_c)|²
//! average    N_k ← γ N_k + (1 − γ) n_k,   m_k ← γ m_k + (1 − γ) Σ_{c = k} z,   e_k = m_k / N_k;   loss += β |z − sg(e_c)|²
//! ```
//!
//! Van den Oord et al., arXiv:1711.00937, and its appendix for the average. Squares are means over all numbers, as in the
//! authors' code. A code that is hardly used starts again at a vector of the batch (Jukebox, arXiv:2005.00341).

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{self as kernels, Activation};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::error::{some, within};
use super::super::{VaeError, host};
use crate::traits::Rows;

/// A book of codes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantiserConfig {
    /// `K`.
    pub codes: usize,
    /// `D`: the length of a code.
    pub width: usize,
    /// `β`.
    pub commitment: f64,
    /// How the codes are learnt.
    pub learning: Learning,
    /// A code starts again once its share of the vectors is below this part of the mean share, `1/K`; zero for never.
    pub revive: f64,
}

impl Default for QuantiserConfig {
    fn default() -> Self {
        Self { codes: 128, width: 16, commitment: 0.25, learning: Learning::default(), revive: 0.05 }
    }
}

/// How the codes are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Learning {
    /// By the gradient of the loss.
    #[default]
    Gradient,
    /// As moving averages of the vectors that they stand for.
    Average {
        /// `γ`.
        decay: f64,
    },
}

/// How the shares of the codes are averaged.
const SHARE_DECAY: f64 = 0.99;

impl QuantiserConfig {
    /// Codes uniform on `±1/K`.
    ///
    /// # Errors
    /// A number out of its range.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<Quantiser, VaeError> {
        some("codes", self.codes)?;
        some("width", self.width)?;
        within(self.commitment >= 0.0 && self.commitment.is_finite(), "commitment", self.commitment, "zero or more")?;
        within((0.0..1.0).contains(&self.revive), "revive", self.revive, "at least 0 and below 1")?;
        if let Learning::Average { decay } = self.learning {
            within((0.0..1.0).contains(&decay), "decay", decay, "at least 0 and below 1")?;
        }
        let (k, d) = (self.codes, self.width);
        let start: Vec<f32> = rng.uniform(k, d).into_iter().map(|u| (2.0 * u - 1.0) / k as f32).collect();
        let book = Tensor::<2>::from_data(TensorData::new(start, [k, d]), device);
        let shares = Param::from_tensor(Tensor::full([k], 1.0 / k as f64, device)).set_require_grad(false);
        let averaged = self.learning != Learning::Gradient;
        let sums = averaged.then(|| Param::from_tensor(book.clone() / k as f64).set_require_grad(false));
        let codebook = Param::from_tensor(book);
        let codebook = if averaged { codebook.set_require_grad(false) } else { codebook };
        Ok(Quantiser { codebook, shares, sums, config: *self })
    }
}

/// The book of codes.
#[derive(Module, Debug)]
pub struct Quantiser {
    /// `e`, `[K, D]`.
    pub codebook: Param<Tensor<2>>,
    /// The moving average of the share of vectors of each code, `[K]`; not trained.
    pub shares: Param<Tensor<1>>,
    /// The moving average of `Σ_{c = k} z / N` of [`Learning::Average`], `[K, D]`; not trained.
    pub sums: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: QuantiserConfig,
}

/// Vectors after quantisation.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// `z_q`, `[N, D]`.
    pub z: Rows,
    /// `c`, `[N]`.
    pub codes: Tensor<1, Int>,
    /// What is added to the loss, `[1]`.
    pub loss: Tensor<1>,
}

impl Quantiser {
    /// The settings.
    pub fn config(&self) -> &QuantiserConfig {
        &self.config
    }

    /// The nearest code of each vector: `[N, D] -> [N]`.
    pub fn nearest(&self, z: Rows) -> Tensor<1, Int> {
        // argmin |z - e|² = argmax z·e - |e|²/2
        let book = self.codebook.val().detach();
        let half: Tensor<1> = book.clone().square().sum_dim(1).squeeze_dim(1) * -0.5;
        kernels::linear(z.detach(), book, Some(half), Activation::Identity).argmax(1).squeeze_dim(1)
    }

    /// The vector of each code: `[N] -> [N, D]`.
    pub fn vectors(&self, codes: Tensor<1, Int>) -> Rows {
        self.codebook.val().select(0, codes)
    }

    /// Vectors to their codes and back: `[N, D]`.
    pub fn forward(&self, z: Rows) -> Quantised {
        let codes = self.nearest(z.clone());
        let e = self.vectors(codes.clone());
        let commitment = (z.clone() - e.clone().detach()).square().mean() * self.config.commitment;
        let loss = match self.config.learning {
            Learning::Gradient => commitment + (z.clone().detach() - e.clone()).square().mean(),
            Learning::Average { .. } => commitment,
        };
        Quantised { z: z.clone() + (e - z).detach(), codes, loss }
    }

    /// What is learnt without a gradient, from the vectors of a batch: shares, averages, and codes that start again.
    pub fn updated(self, z: &Rows, rng: &mut Rng) -> Self {
        let (k, d, n) = (self.config.codes, self.config.width, z.dims()[0]);
        let codes: Vec<usize> = self.nearest(z.clone()).to_data().iter::<i64>().map(|c| c as usize).collect();
        let vectors = host(z);
        let (mut counts, mut sums) = (vec![0.0; k], vec![0.0; k * d]);
        for (code, vector) in codes.iter().zip(vectors.chunks_exact(d)) {
            counts[*code] += 1.0 / n as f64;
            sums[code * d..(code + 1) * d].iter_mut().zip(vector).for_each(|(sum, v)| *sum += v / n as f64);
        }
        let blend = |old: f64, new: f64, decay: f64| decay * old + (1.0 - decay) * new;
        let decay = match self.config.learning {
            Learning::Gradient => SHARE_DECAY,
            Learning::Average { decay } => decay,
        };
        let mut shares: Vec<f64> =
            host(&self.shares.val()).iter().zip(&counts).map(|(o, n)| blend(*o, *n, decay)).collect();
        let mut book = host(&self.codebook.val());
        let averages = self
            .sums
            .as_ref()
            .map(|old| host(&old.val()).iter().zip(&sums).map(|(o, n)| blend(*o, *n, decay)).collect::<Vec<f64>>());
        let mut averages = averages.unwrap_or_default();
        if !averages.is_empty() {
            // Laplace smoothing: a code without vectors keeps a share, and so stays where it is.
            let smooth = |share: f64| (share + 1e-5) / (1.0 + k as f64 * 1e-5);
            for code in (0..k).filter(|code| shares[*code] > 0.0) {
                for j in 0..d {
                    book[code * d + j] = averages[code * d + j] / smooth(shares[code]);
                }
            }
        }
        let picks = rng.below(k, n.max(1));
        for code in 0..k {
            if n > 0 && shares[code] < self.config.revive / k as f64 {
                shares[code] = 1.0 / k as f64;
                for j in 0..d {
                    book[code * d + j] = vectors[picks[code] * d + j];
                    if let Some(average) = averages.get_mut(code * d + j) {
                        *average = book[code * d + j] / k as f64;
                    }
                }
            }
        }
        Self {
            codebook: replaced(self.codebook, book),
            shares: replaced(self.shares, shares),
            sums: self.sums.map(|param| replaced(param, averages)),
            config: self.config,
        }
    }
}

/// The parameter with other numbers; its device and whether it is trained stay.
fn replaced<const D: usize>(param: Param<Tensor<D>>, values: Vec<f64>) -> Param<Tensor<D>> {
    param.map(|old| {
        let (trained, strategy) = (old.is_require_grad(), old.gradient_checkpointing_strategy());
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        let new = Tensor::from_data(TensorData::new(values, old.dims()), &old.device().inner());
        match strategy {
            None => new,
            Some(strategy) => {
                Tensor::from_inner(new).with_gradient_checkpointing_strategy(strategy).set_require_grad(trained)
            }
        }
    })
}

/// How much of a book is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// The share of codes that occur at all.
    pub used: f64,
    /// `exp` of the entropy of the codes: as many as would be used if all were used alike.
    pub perplexity: f64,
}

impl Usage {
    /// Of these codes, out of `count`.
    pub fn of(codes: impl Iterator<Item = usize>, count: usize) -> Self {
        let mut counts = vec![0_u64; count];
        let mut total = 0;
        for code in codes.filter(|code| *code < count) {
            counts[code] += 1;
            total += 1;
        }
        let shares = counts.iter().filter(|n| **n > 0).map(|n| *n as f64 / f64::from(total.max(1)));
        let used = shares.clone().count() as f64 / count.max(1) as f64;
        Self { used, perplexity: (-shares.map(|p| p * p.ln()).sum::<f64>()).exp() }
    }
}
