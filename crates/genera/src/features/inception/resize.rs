//! The three ways in which published Fréchet distances bring an image to the size of the network. They differ by
//! whole units of the distance, so a number without the name of its way means little.
//!
//! ```text
//! pixel i of n', from n pixels, s = n/n':  y_i = Σ_k w_k x_k,  along rows, then along columns
//!
//! legacy-tensorflow   u = s i                        w = hat(k − u)         the original; half a pixel off
//! legacy-pytorch      u = max(s (i + ½) − ½, 0)      w = hat(k − u)         no smoothing when it makes smaller
//! clean               u = s (i + ½) − ½              w ∝ cubic((k − u) / max(s, 1)), then into [0, 255]
//! ```
//!
//! hat(t) = max(1 − |t|, 0); the cubic is Keys' with a = −½. Parmar, Zhang and Zhu, "On Aliased Resizing and
//! Surprising Subtleties in GAN Evaluation" (arXiv:2104.11222), whose names these are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an image is brought to the size of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Bilinear as in TensorFlow 1: what the first published distances used, and torch-fidelity does.
    #[default]
    LegacyTensorflow,
    /// Bilinear as PyTorch's `interpolate`.
    LegacyPytorch,
    /// Bicubic with smoothing, as Pillow does on floats.
    Clean,
}

impl Resize {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LegacyTensorflow, Self::LegacyPytorch, Self::Clean];

    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LegacyTensorflow => "legacy-tensorflow",
            Self::LegacyPytorch => "legacy-pytorch",
            Self::Clean => "clean",
        }
    }

    /// `picture` at `size`, `[H', W']`: numbers in `[0, 255]`, `[H', W', 3]`, a grey one three times.
    ///
    /// # Errors
    /// [`PictureError`] if the picture contradicts itself.
    pub fn apply(self, picture: &Picture<'_>, size: [usize; 2]) -> Result<Vec<f32>, PictureError> {
        picture.check()?;
        let [channels, height, width] = picture.shape;
        let (across, down) = (self.weights(width, size[1]), self.weights(height, size[0]));
        let mut out = vec![0.0; size[0] * size[1] * 3];
        for (channel, plane) in picture.bytes.chunks_exact(height * width).enumerate() {
            let mut narrow = Vec::with_capacity(height * size[1]);
            for row in plane.chunks_exact(width) {
                // Between the passes numbers are single, as in the references.
                let sum = |(first, weights): &(usize, Vec<f64>)| -> f32 {
                    row[*first..].iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>() as f32
                };
                narrow.extend(across.iter().map(sum));
            }
            for ((first, weights), out) in down.iter().zip(out.chunks_exact_mut(size[1] * 3)) {
                for (column, pixel) in out.chunks_exact_mut(3).enumerate() {
                    let below = narrow[first * size[1] + column..].iter().step_by(size[1]);
                    let value = below.zip(weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>() as f32;
                    let value = if self == Self::Clean { value.clamp(0.0, 255.0) } else { value };
                    if channels == 1 { pixel.fill(value) } else { pixel[channel] = value }
                }
            }
        }
        Ok(out)
    }

    /// For every pixel of the result, the first pixel it takes from and the weights from there on.
    fn weights(self, from: usize, to: usize) -> Vec<(usize, Vec<f64>)> {
        let scale = from as f32 / to as f32;
        let hat = |place: f32| {
            let first = (place as usize).min(from - 1);
            let next = f64::from(place - first as f32);
            // At the border both neighbours are the last pixel.
            if first + 1 < from { (first, vec![1.0 - next, next]) } else { (first, vec![1.0]) }
        };
        let pixel = |i: usize| match self {
            Self::LegacyTensorflow => hat(i as f32 * scale),
            Self::LegacyPytorch => hat((scale * (i as f32 + 0.5) - 0.5).max(0.0)),
            Self::Clean => cubic_weights(i, from, from as f64 / to as f64),
        };
        (0..to).map(pixel).collect()
    }
}

fn cubic_weights(i: usize, from: usize, scale: f64) -> (usize, Vec<f64>) {
    let wide = scale.max(1.0);
    let (centre, support) = (scale * (i as f64 + 0.5), 2.0 * wide);
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(from);
    let weights: Vec<f64> = (first..end).map(|k| cubic((k as f64 - centre + 0.5) / wide)).collect();
    let sum: f64 = weights.iter().sum();
    (first, weights.iter().map(|weight| weight / sum).collect())
}

/// Keys' cubic with a = −½.
fn cubic(t: f64) -> f64 {
    let (a, t) = (-0.5, t.abs());
    if t < 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        (((t - 5.0) * t + 8.0) * t - 4.0) * a
    } else {
        0.0
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            format!("`{name}` is no way of resizing; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// An image in bytes, grey or RGB.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// `[C, H, W]`, with 1 or 3 channels.
    pub shape: [usize; 3],
    /// `[C, H, W]`.
    pub bytes: &'a [u8],
}

impl Picture<'_> {
    fn check(&self) -> Result<(), PictureError> {
        let product = self.shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
        let fits = matches!(self.shape[0], 1 | 3) && product.is_some_and(|n| n > 0 && n == self.bytes.len());
        if fits { Ok(()) } else { Err(PictureError { shape: self.shape, bytes: self.bytes.len() }) }
    }
}

/// A picture whose shape and bytes do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no picture of shape {shape:?}; it must be [1 or 3 channels, height, width], none empty")]
pub struct PictureError {
    /// `[C, H, W]` as given.
    pub shape: [usize; 3],
    /// How many bytes were given.
    pub bytes: usize,
}
