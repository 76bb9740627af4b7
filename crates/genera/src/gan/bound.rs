//! A divergence from samples: the variational bound of an f-divergence with a network as its witness.
//!
//! ```text
//! D_f(π‖p) ≥ E_π T(x) − E_p f*(T(x)),    T = g(f_w(x))
//! ```
//!
//! Nguyen, Wainwright and Jordan (arXiv:0809.0853), Nowozin, Cseke and Tomioka (arXiv:1606.00709). `π` are the data, `p` is a
//! normal distribution that is known, so that the exact divergence can be put beside the bound. Trained on `π` itself, the
//! bound never exceeds it but for chance, on points that were not learnt from.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::divergence::{FDivergence, scalar};
use super::error::GanError;
use super::networks::{CriticConfig, CriticNet};
use crate::nn::{Critic, Labelled};
use crate::traits::{Batch, Loss, Model, Net, Rows, View};

/// `N(mean, deviation² I)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The mean of every coordinate.
    pub mean: f64,
    /// The standard deviation of every coordinate.
    pub deviation: f64,
}

impl Reference {
    /// Draws `n` rows of `features` numbers, row-major.
    pub fn sample(&self, n: usize, features: usize, rng: &mut Rng) -> Vec<f32> {
        let place = |z: f32| (self.mean + self.deviation * f64::from(z)) as f32;
        rng.normal(n, features).into_iter().map(place).collect()
    }

    /// `log p(x)` in nats.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        let one = |x: &f64| {
            let z = (x - self.mean) / self.deviation;
            -0.5 * (z * z + std::f64::consts::TAU.ln()) - self.deviation.ln()
        };
        x.iter().map(one).sum()
    }
}

/// Which divergence, from what, and the witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DivergenceBoundConfig {
    /// The row of the table.
    pub divergence: FDivergence,
    /// `p`.
    pub reference: Reference,
    /// `f_w`.
    pub critic: CriticConfig,
}

impl DivergenceBoundConfig {
    /// Fresh weights for rows of `shape`.
    ///
    /// # Errors
    /// A width of zero, images where there are none, or a deviation that is not positive.
    pub fn init(&self, shape: &[usize], rng: &mut Rng, device: &Device) -> Result<DivergenceBound, GanError> {
        let deviation = self.reference.deviation;
        if !(deviation > 0.0 && deviation.is_finite()) {
            return Err(GanError::Deviation(deviation));
        }
        if self.critic.deviation {
            return Err(GanError::Batchwise);
        }
        let critic = self.critic.init(shape, None, rng, device)?;
        Ok(DivergenceBound { critic, divergence: self.divergence, reference: self.reference })
    }
}

/// A witness of a divergence.
#[derive(Module, Debug)]
pub struct DivergenceBound {
    critic: Critic<CriticNet>,
    #[module(skip)]
    divergence: FDivergence,
    #[module(skip)]
    reference: Reference,
}

impl DivergenceBound {
    /// `T(x)` of each row: `[B, F] -> B numbers`.
    pub fn witness(&self, x: Rows) -> Vec<f64> {
        let t = self.divergence.output(self.critic.forward(Labelled::from(x)));
        t.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
    }

    /// The row of the table.
    pub fn divergence(&self) -> FDivergence {
        self.divergence
    }

    /// `p`.
    pub fn reference(&self) -> Reference {
        self.reference
    }
}

impl Model for DivergenceBound {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let [rows, features] = batch.x.dims();
        let fake = self.reference.sample(rows, features, rng);
        let fake = Tensor::from_data(TensorData::new(fake, [rows, features]), &batch.x.device());
        let score = |x: Rows| self.critic.forward(Labelled::from(x));
        let on_data = self.divergence.output(score(batch.x)).mean();
        let value = self.divergence.conjugate_of_output(score(fake)).mean() - on_data;
        let bound = -scalar(&value);
        Loss { value, parts: vec![("bound", bound)] }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}
