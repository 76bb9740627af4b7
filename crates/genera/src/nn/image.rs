//! The door between rows and images: outside `[B, F]` in PyTorch's order `C, H, W`, inside `[B, H, W, C]`.

use burn::tensor::Tensor;

use crate::traits::Rows;

/// Rows as images: `[B, C · H · W] -> [B, H, W, C]`, the event shape being `[C, H, W]`.
///
/// # Panics
/// If the rows have another length.
pub fn images(x: Rows, [channels, height, width]: [usize; 3]) -> Tensor<4> {
    let [batch, features] = x.dims();
    assert_eq!(features, channels * height * width, "rows of length {features} are no {channels}x{height}x{width}");
    x.reshape([batch, channels, height, width]).permute([0, 2, 3, 1])
}

/// Images as rows: `[B, H, W, C] -> [B, C · H · W]`.
pub fn rows(x: Tensor<4>) -> Rows {
    let [batch, height, width, channels] = x.dims();
    x.permute([0, 3, 1, 2]).reshape([batch, channels * height * width])
}
