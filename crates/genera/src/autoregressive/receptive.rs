//! What an output looks at, seen by its gradient.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::nn::Causal;
use crate::traits::Rows;

/// The mean over the rows `x` of `|∂ (sum of the outputs of element) / ∂ x_j|`, for each `j`: `[B, T] -> T` numbers.
///
/// Zero exactly where `x_j` has no path to the outputs, up to units that are off at every row. Networks that look their
/// elements up in a table, as Image GPT does, have no such gradient: their field is zero everywhere.
pub fn receptive_field<N: Module + Causal>(net: &N, x: Rows, element: usize) -> Vec<f64> {
    let [rows, length] = x.dims();
    let x = Tensor::from_data(x.to_data(), &x.device().inner().autodiff()).require_grad();
    // The term of zero keeps the outputs on the graph where the network does not.
    let outputs = net.forward(x.clone(), 0).narrow(1, element, 1).sum() + x.clone().sum() * 0.0;
    let Some(gradient) = x.grad(&outputs.backward()) else { return vec![0.0; length] };
    let mut field = vec![0.0; length];
    for (at, value) in gradient.into_data().iter::<f32>().enumerate() {
        field[at % length] += f64::from(value.abs()) / rows as f64;
    }
    field
}
