//! One step of AdamW with its running average, over one parameter tensor.
//!
//! ```text
//! m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
//! θ ← (1 - η λ) θ - η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
//! a ← a + (1 - d) (θ - a)
//! ```
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (arXiv:1711.05101), with the order of operations
//! and the meaning of `λ` (scaled by the learning rate) and `ε` (added after the root) of PyTorch's AdamW; `λ = 0` is
//! Adam. The average is the exponential moving average of the weights that generative models are sampled with.

use burn::backend::Flex;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::simd::vectorised;
use crate::{flex, plain};

/// The numbers of one AdamW step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// `η`.
    pub learning_rate: f64,
    /// `β₁`.
    pub beta_1: f64,
    /// `β₂`.
    pub beta_2: f64,
    /// `ε`.
    pub eps: f64,
    /// `λ`.
    pub weight_decay: f64,
    /// `t`, counted from one.
    pub step: u64,
    /// `d`, of the running average of the parameter, where one is kept.
    pub average_decay: f64,
}

/// What one step needs and returns beside the gradient; all of one shape, without autodiff.
#[derive(Clone, Debug)]
pub struct AdamWTensors<const D: usize> {
    /// `θ`.
    pub parameter: Tensor<D>,
    /// `m`, zeros before the first step.
    pub m: Tensor<D>,
    /// `v`, zeros before the first step.
    pub v: Tensor<D>,
    /// `a`, if a running average is kept.
    pub average: Option<Tensor<D>>,
}

/// The scalars of a step that every element shares.
pub(crate) struct Rates {
    /// `1 - η λ`.
    pub keep: f64,
    /// `η / (1 - β₁ᵗ)`.
    pub step: f64,
    /// `1 / √(1 - β₂ᵗ)`.
    pub root_v: f64,
}

impl AdamW {
    pub(crate) fn rates(&self) -> Rates {
        let power = |beta: f64| beta.powf(self.step as f64);
        Rates {
            keep: 1.0 - self.learning_rate * self.weight_decay,
            step: self.learning_rate / (1.0 - power(self.beta_1)),
            root_v: 1.0 / (1.0 - power(self.beta_2)).sqrt(),
        }
    }
}

/// One step; buffers that nobody else holds are updated in place.
///
/// # Panics
/// If the shapes differ.
pub fn adamw_step<const D: usize>(tensors: AdamWTensors<D>, gradient: Tensor<D>, options: &AdamW) -> AdamWTensors<D> {
    let shape = gradient.dims();
    assert!(
        [&tensors.parameter, &tensors.m, &tensors.v].into_iter().chain(&tensors.average).all(|t| t.dims() == shape),
        "adamw_step: the gradient {shape:?} must have the shape of the parameter and its moments"
    );
    let tracked = [&gradient, &tensors.parameter, &tensors.m, &tensors.v].into_iter().chain(&tensors.average);
    let tracked = tracked.into_iter().any(|tensor| tensor.device().is_autodiff());
    let Some(simd) = flex::simd(&gradient).filter(|_| !tracked) else {
        return plain::adamw_step(tensors, gradient, options);
    };
    let AdamWTensors { parameter, m, v, average } = tensors;
    let own = |tensor| flex::owned(flex::plain::<D>(tensor));
    let [mut parameter, mut m, mut v] = [parameter, m, v].map(own);
    let mut average = average.map(own);
    let gradient = flex::plain(gradient).to_contiguous();
    let factors = Factors::of(options);
    // Without an average, one of length zero is updated.
    let averages = average.as_mut().map_or(&mut [][..], |average| average.storage_mut::<f32>());
    let mut averages: Vec<_> = averages.chunks_mut(CHUNK).collect();
    averages.resize_with(flex::slice(&gradient).len().div_ceil(CHUNK), Default::default);
    let work = flex::slice(&gradient)
        .par_chunks(CHUNK)
        .zip(parameter.storage_mut::<f32>().par_chunks_mut(CHUNK))
        .zip(m.storage_mut::<f32>().par_chunks_mut(CHUNK).zip(v.storage_mut::<f32>().par_chunks_mut(CHUNK)))
        .zip(averages);
    work.for_each(|(((gradient, parameter), (m, v)), average)| {
        step(simd, gradient, parameter, m, v, &factors);
        follow(simd, parameter, average, factors.follow);
    });
    let [parameter, m, v] = [parameter, m, v].map(Tensor::from_primitive::<Flex>);
    AdamWTensors { parameter, m, v, average: average.map(Tensor::from_primitive::<Flex>) }
}

/// Elements that one task updates.
const CHUNK: usize = 16 << 10;

/// [`AdamW`] and its [`Rates`] as the elements need them.
struct Factors {
    beta_1: f32,
    beta_2: f32,
    alpha_1: f32,
    alpha_2: f32,
    keep: f32,
    step: f32,
    root_v: f32,
    eps: f32,
    follow: f32,
}

impl Factors {
    fn of(options: &AdamW) -> Self {
        let Rates { keep, step, root_v } = options.rates();
        Self {
            beta_1: options.beta_1 as f32,
            beta_2: options.beta_2 as f32,
            alpha_1: (1.0 - options.beta_1) as f32,
            alpha_2: (1.0 - options.beta_2) as f32,
            keep: keep as f32,
            step: step as f32,
            root_v: root_v as f32,
            eps: options.eps as f32,
            follow: (1.0 - options.average_decay) as f32,
        }
    }
}

vectorised! {
    fn step(gradient: &[f32], parameter: &mut [f32], m: &mut [f32], v: &mut [f32], factors: &Factors) {
        let &Factors { beta_1, beta_2, alpha_1, alpha_2, keep, step, root_v, eps, .. } = factors;
        for (((gradient, parameter), m), v) in gradient.iter().zip(parameter).zip(m).zip(v) {
            *m = beta_1.mul_add(*m, alpha_1 * gradient);
            *v = beta_2.mul_add(*v, alpha_2 * gradient * gradient);
            *parameter = keep * *parameter - step * (*m / v.sqrt().mul_add(root_v, eps));
        }
    }

    fn follow(parameter: &[f32], average: &mut [f32], rate: f32) {
        for (average, parameter) in average.iter_mut().zip(parameter) {
            *average = (parameter - *average).mul_add(rate, *average);
        }
    }

    fn squares(x: &[f32]) -> f64 {
        let (chunks, rest) = x.as_chunks::<16>();
        let mut sums = [0.0_f64; 16];
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum = f64::from(*x).mul_add(f64::from(*x), *sum);
            }
        }
        sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()
    }
}

/// The sum of the squares of all elements in f64, always added in the same order.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    let Some(simd) = flex::simd(&x).filter(|_| !x.device().is_autodiff()) else {
        return plain::sum_of_squares(x);
    };
    let x = flex::plain(x).to_contiguous();
    // Collected in order, then added in order.
    flex::slice(&x).par_chunks(CHUNK).map(|x| squares(simd, x)).collect::<Vec<_>>().into_iter().sum()
}
