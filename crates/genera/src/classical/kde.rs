//! Kernel density estimation.

use burn::tensor::{Device, Tensor};
use genera_rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bandwidth::Bandwidth;
use super::kernel::Kernel;
use super::{ClassicalError, host, rows, vector};
use crate::traits::{Density, Rows, Sample, View};

/// How a density is smoothed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KdeConfig {
    /// The shape of a bump; in several dimensions, of its profile along each axis.
    pub kernel: Kernel,
    /// Its width.
    pub bandwidth: Bandwidth,
}

/// `p_h(x) = 1/n Σ_i Π_j K((x_j − x_ij)/h_j)/h_j`.
#[derive(Clone, Debug)]
pub struct Kde {
    kernel: Kernel,
    /// One a column.
    bandwidth: Vec<f64>,
    data: Vec<f64>,
    device: Device,
}

impl KdeConfig {
    /// The estimate from rows `x`, `[n, F]`.
    ///
    /// # Errors
    /// Fewer than two rows, a value that is not finite, a column without spread, or a bandwidth that is not positive.
    pub fn fit(&self, x: Rows) -> Result<Kde, ClassicalError> {
        let (features, device) = (x.dims()[1], x.device());
        let data = host(x);
        let bandwidth = self.bandwidth.of(&data, features, self.kernel)?;
        Ok(Kde { kernel: self.kernel, bandwidth, data, device })
    }
}

impl Kde {
    /// The bandwidth of each column.
    pub fn bandwidth(&self) -> &[f64] {
        &self.bandwidth
    }

    /// What the estimate can do.
    pub fn view(&self) -> View<'_> {
        View { sample: Some(self), density: Some(self), ..View::default() }
    }

    /// `ln p_h(x)` of each row `x`, `[m, F]`; −∞ where no kernel reaches.
    pub fn log_densities(&self, x: &[f64]) -> Vec<f64> {
        let features = self.bandwidth.len();
        let count = (self.data.len() / features) as f64;
        let log_volume: f64 = self.bandwidth.iter().map(|h| h.ln()).sum::<f64>() + count.ln();
        let of_point = |x: &[f64]| {
            let bumps: Vec<f64> = (self.data.chunks_exact(features))
                .map(|row| {
                    let columns = x.iter().zip(row).zip(&self.bandwidth);
                    columns.map(|((x, row), h)| self.kernel.log_density((x - row) / h)).sum()
                })
                .collect();
            let most = bumps.iter().fold(f64::NEG_INFINITY, |most: f64, bump| most.max(*bump));
            if most == f64::NEG_INFINITY {
                return most;
            }
            most + bumps.iter().map(|bump| (bump - most).exp()).sum::<f64>().ln() - log_volume
        };
        x.par_chunks_exact(features).map(of_point).collect()
    }
}

impl Density for Kde {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let device = x.device();
        vector(self.log_densities(&host(x)), &device)
    }
}

impl Sample for Kde {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let features = self.bandwidth.len();
        let mut out = Vec::with_capacity(n * features);
        for mut stream in rng.streams(n) {
            let row = stream.below(self.data.len() / features);
            let centre = &self.data[row * features..][..features];
            out.extend(centre.iter().zip(&self.bandwidth).map(|(x, h)| x + h * self.kernel.draw(&mut stream)));
        }
        rows(out, features, &self.device)
    }
}
