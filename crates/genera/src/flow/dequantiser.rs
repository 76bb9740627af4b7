//! Noise between levels that is learnt: a distribution `q(u | l)` on `(0, 1)^F`.
//!
//! ```text
//! v ~ U(0, 1)^F    u = σ(g(logit v; l))
//! ```
//!
//! where `g` is a flow of couplings that see the levels (Ho et al., arXiv:1902.00275). It starts as the identity, so that
//! training starts with uniform noise.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::architecture::Parts;
use super::{FlowError, Inverse, Layer, Logit, Transform, Univariate};
use crate::traits::Rows;

/// The flow of the noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseConfig {
    /// Couplings.
    pub layers: usize,
    /// Hidden layers of each of their networks.
    pub hidden: Vec<usize>,
    /// What moves a number.
    #[serde(default = "affine")]
    pub univariate: Univariate,
}

pub(super) fn affine() -> Univariate {
    Univariate::Affine(super::Scale::Soft)
}

impl NoiseConfig {
    /// Noise for rows of `features` whole numbers `0 .. levels − 1`.
    ///
    /// # Errors
    /// The first setting that has no meaning, by itself or with these data.
    pub fn init(
        &self,
        features: usize,
        levels: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Dequantiser, FlowError> {
        FlowError::unless(levels > 1, "the number of levels", levels, "at least 2")?;
        FlowError::unless((1..=1024).contains(&self.layers), "layers", self.layers, "1 to 1024")?;
        let parts = Parts { shape: &[features], features, context: features, device };
        let couplings = parts.couplings(self.layers, &self.hidden, self.univariate, rng)?;
        let logit = || Logit::new(0.0, 1.0, 0.0).map(Layer::Logit);
        let mut noise = vec![logit()?];
        // With silent networks, additive and affine couplings are the identity.
        noise.extend(couplings.into_iter().map(|layer| match layer {
            Layer::Coupling(mut coupling) => {
                coupling.net = coupling.net.silenced(device);
                Layer::Coupling(coupling)
            }
            other => other,
        }));
        noise.push(Layer::Inverse(Inverse { of: vec![logit()?] }));
        Ok(Dequantiser { layers: noise, levels })
    }
}

/// Noise between the levels of rows of whole numbers.
#[derive(Module, Debug)]
pub struct Dequantiser {
    /// From `u` to the uniform `v`, given the levels.
    layers: Vec<Layer>,
    #[module(skip)]
    levels: usize,
}

impl Dequantiser {
    /// `K`.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// `u ~ q(u | l)` and `log q(u | l)`: `[B, F] -> ([B, F], [B])`. Makes one draw of `rng`.
    pub fn draw(&self, levels: &Rows, rng: &mut Rng) -> (Rows, Tensor<1>) {
        let [rows, features] = levels.dims();
        let v = TensorData::new(rng.uniform(rows, features), [rows, features]);
        // Multiples of 2⁻²⁴ from zero on: both ends of the interval are kept free.
        let v = Tensor::from_data(v, &levels.device()) * (1.0 - 2.0_f64.powi(-22)) + 2.0_f64.powi(-23);
        let context = levels.clone() * (2.0 / (self.levels as f64 - 1.0)) - 1.0;
        let (u, log_det) = self.layers.inverse_given(v, Some(&context));
        (u, log_det.neg())
    }
}
