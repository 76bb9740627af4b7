//! A forward pass of a perceptron with tangents, and the way back.
//!
//! ```text
//! tangents        q_{l+1} = W_{l+1} u_l,   u_l = φ'(p_l) ⊙ q_l,   u₀ = v,   ∂f/∂z v = q_{L+1}
//! back            s̄_l = Σ_k q_l ⊙ ū_l,   q̄_l = φ' ⊙ ū_l,   p̄_l = φ' ⊙ h̄_l + φ'' ⊙ s̄_l
//!                 h̄_{l−1} = W_lᵀ p̄_l,   ū_{l−1} = W_lᵀ q̄_l,   W̄_l = p̄_l h_{l−1}ᵀ + Σ_k q̄_l u_{l−1}ᵀ
//! ```

use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{Activation, linear};

use super::field::{Cotangents, Wanted};
use super::mlp::{FieldMlp, Smooth, TimeInput};
use super::time::features;
use super::{plain, plain_device};
use crate::traits::Rows;

/// A layer without autodiff, the columns of the time apart.
pub(super) struct Layer {
    pub weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    time: Option<Tensor<2>>,
}

impl Layer {
    /// Columns of the whole weight.
    pub fn inputs(&self) -> usize {
        self.weight.dims()[1] + self.time.as_ref().map_or(0, |time| time.dims()[1])
    }
}

/// Everything that a forward pass leaves behind.
pub(super) struct Pass {
    pub activation: Smooth,
    pub layers: Vec<Layer>,
    /// Features of the time, `[B, T]` or `[1, T]`.
    time: Option<Tensor<2>>,
    /// `h₀ = z`, `h₁`, .., `h_L`.
    values: Vec<Rows>,
    /// `φ'(p_l)` for `l = 1..=L`.
    pub slopes: Vec<Rows>,
    /// `q_l` for `l = 1..=L`.
    speeds: Vec<Rows>,
    /// `u₀ = v`, `u₁`, .., `u_L`.
    tangents: Vec<Rows>,
    pub value: Rows,
    pub jvp: Option<Rows>,
}

impl Pass {
    pub fn new(field: &FieldMlp, t: &[f64], z: Rows, v: Option<Rows>) -> Self {
        let device = plain_device(field);
        let (time, added) = time_input(field.config.time, field.config.hidden[0], t, &device);
        let mut layers: Vec<Layer> = field
            .layers
            .iter()
            .map(|layer| Layer {
                weight: plain(layer.weight.val()),
                bias: layer.bias.as_ref().map(|bias| plain(bias.val())),
                time: None,
            })
            .collect();
        let columns = field.config.time.columns();
        if columns > 0 {
            let weight = layers[0].weight.clone();
            let inputs = weight.dims()[1];
            layers[0].time = Some(weight.clone().narrow(1, 0, columns));
            layers[0].weight = weight.narrow(1, columns, inputs - columns);
        }
        let activation = field.config.activation;
        let last = layers.len() - 1;
        let rows = z.dims()[0];
        let repeats = v.as_ref().map_or(0, |v| v.dims()[0] / rows.max(1));
        let (mut values, mut slopes) = (vec![plain(z)], Vec::new());
        let (mut speeds, mut tangents) = (Vec::new(), Vec::from_iter(v.map(plain)));
        for (l, layer) in layers[..last].iter().enumerate() {
            let (x, weight, bias) = (values[l].clone(), layer.weight.clone(), layer.bias.clone());
            let h = match (l, &time, &added) {
                (0, Some(time), None) => {
                    let shift = match &layer.time {
                        Some(weight) => linear(time.clone(), weight.clone(), bias, Activation::Identity),
                        None => time.clone(),
                    };
                    let p = linear(x, weight, None, Activation::Identity) + shift;
                    genera_kernels::activate(p, activation.activation())
                }
                (0, _, Some(added)) => {
                    let p = linear(x, weight, bias, Activation::Identity) + added.clone();
                    genera_kernels::activate(p, activation.activation())
                }
                _ => linear(x, weight, bias, activation.activation()),
            };
            let slope = activation.slope(h.clone());
            if repeats > 0 {
                let q = linear(tangents[l].clone(), layer.weight.clone(), None, Activation::Identity);
                tangents.push(q.clone() * repeated(slope.clone(), repeats));
                speeds.push(q);
            }
            values.push(h);
            slopes.push(slope);
        }
        let Layer { weight, bias, .. } = &layers[last];
        let value = linear(values[last].clone(), weight.clone(), bias.clone(), Activation::Identity);
        let jvp = tangents.last().map(|u| linear(u.clone(), weight.clone(), None, Activation::Identity));
        Self { activation, layers, time, values, slopes, speeds, tangents, value, jvp }
    }

    /// Back from cotangents `a` of `f` and `c` of `∂f/∂z v`; `bends` are further cotangents `s̄_l` of the slopes
    /// `φ'(p_l)`, if there are any.
    pub fn pull_back(self, a: Rows, c: Option<Rows>, bends: &[Rows], wanted: Wanted) -> Cotangents {
        let rows = a.dims()[0];
        let through = |x: Rows, layer: &Layer| linear(x, layer.weight.clone().transpose(), None, Activation::Identity);
        // From the last parameter to the first.
        let mut parameters: Vec<Tensor<1>> = Vec::new();
        let (mut p, mut q) = (a, c.filter(|_| !self.tangents.is_empty()));
        for l in (0..self.layers.len()).rev() {
            let layer = &self.layers[l];
            if wanted == Wanted::Parameters {
                let mut weight = p.clone().transpose().matmul(self.values[l].clone());
                if let Some(q) = &q {
                    weight = weight + q.clone().transpose().matmul(self.tangents[l].clone());
                }
                let sum = p.clone().sum_dim(0);
                if let (Some(_), Some(time), 0) = (&layer.time, &self.time, l) {
                    let shared = time.dims()[0] == 1;
                    let of_time = if shared { sum.clone() } else { p.clone() }.transpose().matmul(time.clone());
                    weight = Tensor::cat(vec![of_time, weight], 1);
                }
                if layer.bias.is_some() {
                    parameters.push(flat(sum));
                }
                parameters.push(flat(weight));
            }
            let h = through(p, layer);
            if l == 0 {
                parameters.reverse();
                return Cotangents { z: h, parameters };
            }
            let slope = self.slopes[l - 1].clone();
            q = q.map(|q| through(q, layer));
            let own = q.as_ref().map(|u| summed(self.speeds[l - 1].clone() * u.clone(), rows));
            let inner = match own.or_else(|| bends.get(l - 1).cloned()) {
                None => h,
                Some(s) => h + s * self.activation.relative_bend(self.values[l].clone()),
            };
            q = q.map(|u| {
                let repeats = u.dims()[0] / rows.max(1);
                u * repeated(slope.clone(), repeats)
            });
            p = inner * slope;
        }
        unreachable!("a field has layers")
    }
}

/// What the first layer sees of the time: features that its weight multiplies, or numbers that are added as they are.
#[allow(clippy::type_complexity, reason = "one of the two is there")]
fn time_input(input: TimeInput, width: usize, t: &[f64], device: &Device) -> (Option<Rows>, Option<Rows>) {
    let rows = |values: Vec<f32>, width: usize| {
        let n = values.len() / width.max(1);
        Tensor::<2>::from_data(TensorData::new(values, [n, width]), device)
    };
    match input {
        TimeInput::Concatenated(0) => (Some(rows(t.iter().map(|t| *t as f32).collect(), 1)), None),
        TimeInput::Concatenated(frequencies) => (Some(rows(features(t, frequencies), 2 * frequencies)), None),
        TimeInput::Added(0) => (None, None),
        TimeInput::Added(frequencies) => {
            let columns = 2 * frequencies;
            let padded = rows(features(t, frequencies), columns).pad([(0, 0), (0, width - columns)], 0.0);
            (None, Some(padded))
        }
    }
}

/// `x` below itself, `times` times.
fn repeated(x: Rows, times: usize) -> Rows {
    if times == 1 { x } else { Tensor::cat(vec![x; times], 0) }
}

/// The sum of the blocks of `rows` rows.
fn summed(x: Rows, rows: usize) -> Rows {
    let [all, width] = x.dims();
    match all / rows.max(1) {
        1 => x,
        blocks => x.reshape([blocks, rows, width]).sum_dim(0).squeeze_dim(0),
    }
}

pub(super) fn flat(x: Tensor<2>) -> Tensor<1> {
    let [rows, columns] = x.dims();
    x.reshape([rows * columns])
}
