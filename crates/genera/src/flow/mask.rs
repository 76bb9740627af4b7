//! Which columns a coupling moves, and which it looks at.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The first half, or the fields of a checkerboard where row plus column is even.
    First,
    /// The others.
    Second,
}

impl Part {
    /// The parts in turn.
    pub fn alternating(at: usize) -> Self {
        if at.is_multiple_of(2) { Self::First } else { Self::Second }
    }
}

/// How a coupling divides a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// In halves; of an image that are its channels. This part is kept and looked at, the other moves. If they are not
    /// equal, the second half is the longer one.
    Halves(Part),
    /// As a checkerboard on images of shape `[C, H, W]`; this part is kept.
    Checkerboard([usize; 3], Part),
}

impl Mask {
    /// How many columns the network sees, and how many it must choose parameters for.
    pub fn widths(self, features: usize) -> (usize, usize) {
        match self {
            Self::Halves(Part::First) => (features / 2, features - features / 2),
            Self::Halves(Part::Second) => (features - features / 2, features / 2),
            // The network of a checkerboard sees the image with the moving fields at zero.
            Self::Checkerboard(..) => (features, features),
        }
    }

    /// One for the fields that are kept, zero for those that move: `[1, F]`; none for halves.
    pub(super) fn board(self, device: &Device) -> Option<Tensor<2>> {
        let Self::Checkerboard([channels, height, width], kept) = self else { return None };
        let parity = match kept {
            Part::First => 0,
            Part::Second => 1,
        };
        let field = |at: usize| f32::from((at / width % height + at % width) % 2 == parity);
        let fields: Vec<f32> = (0..channels * height * width).map(|at| field(at % (height * width))).collect();
        let columns = fields.len();
        Some(Tensor::from_data(TensorData::new(fields, [1, columns]), device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkerboard_alternates_along_both_axes_and_in_every_channel_alike() {
        let board = |part| {
            let mask = Mask::Checkerboard([2, 2, 3], part).board(&Device::flex()).unwrap();
            mask.to_data().iter::<f32>().collect::<Vec<_>>()
        };
        assert_eq!(board(Part::First), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0].repeat(2));
        assert_eq!(board(Part::Second), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0].repeat(2));
    }
}
