//! A decoder that is known, and whose posterior is no Gaussian.
//!
//! ```text
//! z ~ N(0, I) in the plane,   x|z ~ N(z₁ + z₀², s²)
//! ```
//!
//! The posterior of `z` given `x` is a banana along `z₁ = x − z₀²`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::avb::Emit;
use super::error::GanError;
use crate::traits::Rows;

/// `N(z₁ + z₀², s²)`: nothing to learn.
#[derive(Module, Debug)]
pub struct Bend {
    /// A module has a parameter; this one is never read.
    unused: Param<Tensor<1>>,
    #[module(skip)]
    deviation: f64,
}

impl Bend {
    /// The length of `z`.
    pub const LATENTS: usize = 2;

    /// With the deviation `s`.
    ///
    /// # Errors
    /// A deviation that is not positive.
    pub fn new(deviation: f64, device: &Device) -> Result<Self, GanError> {
        if !(deviation > 0.0 && deviation.is_finite()) {
            return Err(GanError::Deviation(deviation));
        }
        Ok(Self { unused: Param::from_tensor(Tensor::zeros([1], device)), deviation })
    }

    /// `log p(z, x)` up to a constant.
    pub fn log_joint(&self, z: [f64; 2], x: f64) -> f64 {
        let off = (x - z[1] - z[0] * z[0]) / self.deviation;
        -0.5 * (z[0] * z[0] + z[1] * z[1] + off * off)
    }
}

/// `z₁ + z₀²`: `[B, 2] -> [B, 1]`.
fn place(z: Rows) -> Rows {
    z.clone().narrow(1, 1, 1) + z.narrow(1, 0, 1).square()
}

impl Emit for Bend {
    fn log_likelihood(&self, x: Rows, z: Rows) -> Tensor<1> {
        let off = (x - place(z)) / self.deviation;
        (off.square() * -0.5 - (self.deviation.ln() + 0.5 * std::f64::consts::TAU.ln())).squeeze_dim(1)
    }

    fn draw(&self, z: Rows, rng: &mut Rng) -> Rows {
        let rows = z.dims()[0];
        let noise = Tensor::from_data(TensorData::new(rng.normal(rows, 1), [rows, 1]), &z.device());
        place(z) + noise * self.deviation
    }
}
