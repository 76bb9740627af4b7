//! A flow that learns an energy from its own samples.
//!
//! ```text
//! reverse KL   KL(p ‖ π) = E_p[log p(x) + U(x)] + log Z
//! alpha        D_α(π ‖ p) = 4/(1 − α²) (1 − ∫ π^{(1+α)/2} p^{(1−α)/2}) = (1 − E_p[w^c]) / (c (1 − c))
//!              c = (1 + α)/2,  w = π/p
//! ```
//!
//! `α → −1` is the reverse KL, which seeks modes; `α → 1` the forward KL, which covers them. For `−1 < α < 1` the
//! descent follows `−log E_p[w^c] / (c (1 − c))`, an increasing function of `D_α` that does not need `Z` (Li and Turner,
//! "Rényi divergence variational inference", arXiv:1602.02311). Samples are `f⁻¹(z)`, so gradients go through them;
//! the data of a batch only say how many are drawn. Where `log Z` is known, the estimate of the divergence itself is
//! reported beside the loss.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Tensor;
use genera_rng::Rng;

use super::base::log_sum_exp;
use super::{Base, Energy, Flow, FlowError, Transform};
use crate::traits::{Batch, Loss, Model, View};

/// A flow and the energy that it is fitted to.
#[derive(Module, Debug)]
pub struct EnergyFlow<T: Module, B: Module> {
    /// The flow.
    pub flow: Flow<T, B>,
    #[module(skip)]
    energy: Arc<dyn Energy>,
    #[module(skip)]
    alpha: f64,
}

impl<T: Module + Transform, B: Module + Base> EnergyFlow<T, B> {
    /// `alpha` of −1 is the reverse KL divergence.
    ///
    /// # Errors
    /// An `alpha` outside `[−1, 1)`.
    pub fn new(flow: Flow<T, B>, energy: Arc<dyn Energy>, alpha: f64) -> Result<Self, FlowError> {
        FlowError::unless((-1.0..1.0).contains(&alpha), "alpha", alpha, "at least -1 (the reverse KL) and below 1")?;
        Ok(Self { flow, energy, alpha })
    }

    /// `log π̃(x) − log p(x)` of `n` samples: `[n]`.
    fn log_weights(&self, n: usize, rng: &mut Rng) -> Tensor<1> {
        let labels = self.flow.classes().map(|classes| rng.below(n, classes));
        let z = self.flow.noise(n, labels.as_deref(), rng);
        let (x, log_p) = self.flow.push(z, labels.as_deref());
        -self.energy.energy(x) - log_p
    }
}

impl<T: Module + Transform, B: Module + Base> Model for EnergyFlow<T, B> {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let n = batch.x.dims()[0];
        let log_w = self.log_weights(n, rng);
        let log_z = self.energy.log_z();
        if self.alpha == -1.0 {
            let value = -log_w.mean();
            let nats = f64::from(value.clone().into_scalar::<f32>());
            let parts = log_z.map(|log_z| ("reverse-kl", nats + log_z)).into_iter().collect();
            return Loss { value, parts };
        }
        let c = 0.5 * (1.0 + self.alpha);
        let scale = 1.0 / (c * (1.0 - c));
        let log_mean = log_sum_exp((log_w * c).unsqueeze()) - (n as f64).ln();
        let log = f64::from(log_mean.clone().into_scalar::<f32>());
        let parts = log_z.map(|log_z| ("alpha-divergence", -scale * (log - c * log_z).exp_m1())).into_iter().collect();
        Loss { value: log_mean * -scale, parts }
    }

    fn view(&self) -> View<'_> {
        self.flow.view()
    }
}
