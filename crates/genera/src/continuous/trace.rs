//! The exact divergence of a field: along the axes for any field, and in closed form for two hidden layers.
//!
//! ```text
//! tr W₃ D₂ W₂ D₁ W₁ = φ'(p₂)ᵀ M φ'(p₁),   M = W₂ ⊙ (W₁ W₃)ᵀ,   D_l = diag φ'(p_l)
//! ```
//!
//! One more product with a matrix of the size of `W₂`, whatever the dimension of the data. The matrix `W₁ W₃` pairs the
//! rows of the first weight with the columns of the last.

use burn::tensor::{Tensor, TensorData};
use genera_kernels::{Activation, linear};

use super::field::{Linearisation, Traced, VectorField, Wanted};
use super::pass::{Pass, flat};
use super::plain;
use crate::traits::Rows;

/// `Σ_k e_k·(∂f/∂z e_k)`: as many products with the Jacobian as there are dimensions.
pub(super) fn along_axes(field: &impl VectorField, t: &[f64], z: Rows) -> Traced {
    let [rows, features] = z.dims();
    let mut axes = vec![0.0_f32; features * rows * features];
    (0..features * rows).for_each(|i| axes[i * features + i / rows] = 1.0);
    let axes = Tensor::<2>::from_data(TensorData::new(axes, [features * rows, features]), &plain(z.clone()).device());
    let Linearisation { value, jvp, pull_back } = field.linearise(t, z, Some(axes.clone()));
    let along = jvp.map(|jvp| (jvp * axes.clone()).sum_dim(1).reshape([features, rows, 1]).sum_dim(0));
    let trace = along.map_or_else(|| value.clone().narrow(1, 0, 1) * 0.0, |along| along.squeeze_dim(0));
    Traced {
        value,
        trace,
        pull_back: Box::new(move |a, c, wanted| {
            let c = Tensor::cat(vec![c; features], 0);
            pull_back(a, Some(axes * c), wanted)
        }),
    }
}

/// The closed form.
pub(super) fn of_two_layers(pass: Pass) -> Traced {
    let [first, second, last] = [0, 1, 2].map(|l| pass.layers[l].weight.clone());
    let paths = first.clone().matmul(last.clone()); // W₁ W₃, [H₁, H₂]
    let mixed = second.clone() * paths.clone().transpose(); // M, [H₂, H₁]
    let [s1, s2] = [0, 1].map(|l| pass.slopes[l].clone());
    let r = linear(s1.clone(), mixed.clone(), None, Activation::Identity);
    let trace = (s2.clone() * r.clone()).sum_dim(1);
    Traced {
        value: pass.value.clone(),
        trace,
        pull_back: Box::new(move |a, c, wanted| {
            let scaled = s2 * c.clone();
            let bends = [linear(scaled.clone(), mixed.transpose(), None, Activation::Identity), r * c];
            let inputs = pass.layers[0].inputs();
            let mut back = pass.pull_back(a, None, &bends, wanted);
            if wanted == Wanted::Parameters {
                let of_mixed = scaled.transpose().matmul(s1); // [H₂, H₁]
                let of_paths = (of_mixed.clone() * second).transpose(); // [H₁, H₂]
                let of_first = of_paths.clone().matmul(last.transpose());
                let [hidden, features] = of_first.dims();
                let of_first = match inputs - features {
                    0 => of_first,
                    times => Tensor::cat(vec![Tensor::zeros([hidden, times], &of_first.device()), of_first], 1),
                };
                let of_last = first.transpose().matmul(of_paths);
                let more = [(0, of_first), (2, of_mixed * paths.transpose()), (4, of_last)];
                for (place, more) in more {
                    back.parameters[place] = back.parameters[place].clone() + flat(more);
                }
            }
            back
        }),
    }
}
