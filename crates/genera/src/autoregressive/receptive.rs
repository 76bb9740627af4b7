//! What an output looks at, seen by its gradient.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use super::model::rows_at_once;
use crate::nn::Causal;
use crate::traits::Rows;

/// The mean over the rows `x` of `|∂ (sum of the outputs of element) / ∂ x_j|`, for each `j`: `[B, T] -> T` numbers.
///
/// Zero exactly where `x_j` has no path to the outputs, up to units that are off at every row. Networks that look their
/// elements up in a table, as Image GPT does, have no such gradient: their field is zero everywhere, and
/// [`field_of_changes`] sees it.
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

/// The mean over the rows `x`, of whole numbers below `levels`, of the absolute change of the outputs of `element` when
/// `x_j` becomes the next value (after the last one the first), for each `j`: `[B, T] -> T` numbers.
///
/// Zero exactly where `x_j` has no path to the outputs. It takes a pass of `T` rows for each row.
pub fn field_of_changes<N: Module + Causal>(net: &N, x: Rows, element: usize, levels: usize) -> Vec<f64> {
    let ([rows, length], device) = (x.dims(), x.device().inner());
    let x: Vec<f32> = x.into_data().iter::<f32>().collect();
    let outputs = |values: Vec<f32>| -> Tensor<3> {
        let rows = values.len() / length;
        let values: Rows = Tensor::from_data(TensorData::new(values, [rows, length]), &device);
        let pieces = values.split(rows_at_once(length), 0).into_iter();
        Tensor::cat(pieces.map(|piece| net.forward(piece, 0).narrow(1, element, 1)).collect(), 0)
    };
    let mut field = vec![0.0; length];
    for row in x.chunks_exact(length) {
        let mut changed = row.repeat(length);
        for j in 0..length {
            let value = &mut changed[j * length + j];
            *value = if *value + 1.0 < levels as f32 { *value + 1.0 } else { 0.0 };
        }
        // Outputs of a row are the same bits alone and among others.
        let change = (outputs(changed) - outputs(row.to_vec())).abs().sum_dim(2);
        for (field, change) in field.iter_mut().zip(change.into_data().iter::<f32>()) {
            *field += f64::from(change) / rows as f64;
        }
    }
    field
}
