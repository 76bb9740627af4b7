//! Affine maps of which some connections are cut: what makes a network autoregressive.
//!
//! `y = x (W ⊙ M)ᵀ + b`: Germain et al., "MADE" (arXiv:1502.03509). Cut connections keep a weight in the checkpoint, as
//! in PyTorch's usual implementations; it never acts and receives no gradient but zero.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use genera_kernels::{self as kernels, Activation};
use genera_rng::Rng;

use super::Linear;

/// An affine map over the last axis that keeps only the connections its mask allows.
#[derive(Module, Debug)]
pub struct MaskedLinear {
    /// `[outputs, inputs]`.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Where the weight does not act: `[outputs, inputs]`.
    cut: Tensor<2, Bool>,
}

impl MaskedLinear {
    /// Weights and biases as of [`Linear`]; output `o` sees input `i` where `connects(o, i)`.
    pub fn new(
        inputs: usize,
        outputs: usize,
        connects: impl Fn(usize, usize) -> bool,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let Linear { weight, bias } = Linear::new(inputs, outputs, rng, device);
        let cut: Vec<bool> = (0..outputs * inputs).map(|at| !connects(at / inputs, at % inputs)).collect();
        Self { weight, bias, cut: Tensor::from_data(TensorData::new(cut, [outputs, inputs]), device) }
    }

    /// `[.., inputs] -> [.., outputs]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_into(x, Activation::Identity)
    }

    /// The map followed by `activation`: `[.., inputs] -> [.., outputs]`.
    pub fn forward_into<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        let weight = self.weight.val().mask_fill(self.cut.clone(), 0.0);
        kernels::linear(x, weight, self.bias.as_ref().map(Param::val), activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_sees_what_it_is_connected_to_and_nothing_else() {
        let device = Device::flex();
        let layer = MaskedLinear::new(3, 4, |o, i| i < o, &mut Rng::new(1), &device).train();
        let x = Tensor::<2>::ones([1, 3], &device.clone().autodiff()).require_grad();
        for output in 0..4 {
            let y = layer.forward(x.clone()).narrow(1, output, 1).sum();
            let mut gradients = y.backward();
            let seen: Vec<f32> = x.grad(&gradients).unwrap().to_data().iter::<f32>().collect();
            let expected: Vec<bool> = (0..3).map(|input| input < output).collect();
            assert_eq!(seen.iter().map(|g| *g != 0.0).collect::<Vec<_>>(), expected);
            let weight = layer.weight.val().grad_remove(&mut gradients).unwrap();
            let learns: Vec<f32> = weight.to_data().iter::<f32>().collect();
            for (at, gradient) in learns.iter().enumerate() {
                assert_eq!(*gradient != 0.0, at / 3 == output && at % 3 < output, "{at}");
            }
        }
    }
}
