//! Keeping predictions of clean data in the range of the data.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{DiffusionError, within};
use crate::traits::Rows;

/// What happens to each prediction of `x₀` on the way down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Clip {
    /// Nothing.
    #[default]
    Off,
    /// Every value is held in `[−limit, limit]`.
    Range {
        /// The largest absolute value of the data.
        limit: f64,
    },
    /// Every row is held in `[−s, s]` and divided by `s`, the `ratio`-quantile of its absolute values (Saharia et al.,
    /// 2205.11487), itself held in `[1, limit]`.
    Dynamic {
        /// The quantile, 0.995 in the paper.
        ratio: f64,
        /// The largest `s`.
        limit: f64,
    },
}

impl Clip {
    /// `[B, F] -> [B, F]`.
    pub fn apply(&self, x: Rows) -> Rows {
        match *self {
            Self::Off => x,
            Self::Range { limit } => x.clamp(-limit, limit),
            Self::Dynamic { ratio, limit } => {
                let ([rows, _], device) = (x.dims(), x.device());
                let bounds: Vec<f32> = (super::host(&x).chunks_exact(x.dims()[1].max(1)))
                    .map(|row| quantile(row, ratio).clamp(1.0, limit) as f32)
                    .collect();
                if bounds.len() != rows {
                    return x;
                }
                let bound: Rows = Tensor::from_data(TensorData::new(bounds, [rows, 1]), &device);
                (x / bound.clone()).clamp(-1.0, 1.0)
            }
        }
    }

    pub(super) fn validate(&self) -> Result<(), DiffusionError> {
        match *self {
            Self::Off => Ok(()),
            Self::Range { limit } => within(limit > 0.0, "the clipping limit", limit, "positive"),
            Self::Dynamic { ratio, limit } => {
                within((0.0..=1.0).contains(&ratio), "the thresholding ratio", ratio, "from 0 to 1")?;
                within(limit >= 1.0, "the thresholding limit", limit, "at least 1")
            }
        }
    }
}

/// The `ratio`-quantile of the absolute values, linear between order statistics.
fn quantile(row: &[f32], ratio: f64) -> f64 {
    let mut sorted: Vec<f32> = row.iter().map(|v| v.abs()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let position = ratio * (sorted.len() - 1) as f64;
    let (below, above) = (f64::from(sorted[position.floor() as usize]), f64::from(sorted[position.ceil() as usize]));
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips() {
        let x = || Rows::from_floats([[0.5, -3.0, 2.0, 1.0], [0.1, 0.2, -0.4, 0.3]], &Default::default());
        assert_eq!(super::super::host(&Clip::Off.apply(x())), super::super::host(&x()));
        let held = super::super::host(&Clip::Range { limit: 1.0 }.apply(x()));
        assert_eq!(held, [0.5, -1.0, 1.0, 1.0, 0.1, 0.2, -0.4, 0.3]);
        // The median of 0.5, 1, 2, 3 is 1.5; that of the second row is below 1 and leaves the row alone.
        let dynamic = super::super::host(&Clip::Dynamic { ratio: 0.5, limit: 10.0 }.apply(x()));
        let expected = [0.5 / 1.5, -1.0, 1.0, 1.0 / 1.5, 0.1, 0.2, -0.4, 0.3];
        assert!(dynamic.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{dynamic:?}");
        let capped = super::super::host(&Clip::Dynamic { ratio: 1.0, limit: 2.0 }.apply(x()));
        assert!((capped[0] - 0.25).abs() < 1e-6);
    }
}
