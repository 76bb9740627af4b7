//! Networks. They know no loss and no probability.

use burn::tensor::{Int, Tensor};

use crate::traits::Rows;

/// What a network sees of noisy data.
#[derive(Clone, Debug)]
pub struct Conditioned {
    /// Noisy rows, scaled by the target's `c_in`: `[B, F]`.
    pub x: Rows,
    /// The conditioning coordinate of each row's noise level (`c_noise`): `[B]`.
    pub time: Tensor<1>,
    /// One class a row, for class-conditional networks: `[B]`.
    pub labels: Option<Tensor<1, Int>>,
}
