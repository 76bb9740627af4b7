//! A vector field with what is integrated beside the state.
//!
//! ```text
//! y = [z, ℓ, e, j]:   z' = f,   ℓ' = Σ_k v_k·(J v_k),   e' = |f|²,   j' = Σ_k |J v_k|²,   J = ∂f/∂z
//! ```
//!
//! With the directions `v_k` of [`Directions`] (probes weighted by one over their number, or each with an `ℓ` of its own):
//! `ℓ` gathers the volume, `e` the kinetic energy and `j` the squared Frobenius norm of the Jacobian, the regularisers of
//! Finlay et al. (arXiv:2002.02798).

use burn::tensor::{Device, Tensor, TensorData};

use super::field::{Cotangents, Linearisation, Traced, VectorField, Wanted};
use super::{device_rows, host};
use crate::ode::{Differentiable, Directions, Field, Pulled};
use crate::traits::Rows;

/// What is integrated beside `z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// The volume of each of so many probes, or the one that is exact, by itself: what they scatter by is their error.
    Volumes(usize),
    /// `ℓ`.
    Volume,
    /// `ℓ` and `e`.
    Energy,
    /// `ℓ`, `e` and `j`.
    Jacobian,
}

impl Beside {
    /// How many numbers are beside `z`.
    fn width(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Volumes(probes) => probes,
            Self::Volume => 1,
            Self::Energy => 2,
            Self::Jacobian => 3,
        }
    }
}

/// A field of rows `[z, ..]` on the host, whose slopes a network computes.
pub(super) struct Augmented<'a, F> {
    pub net: &'a F,
    pub directions: Directions,
    pub beside: Beside,
    pub device: Device,
}

/// The gradient with respect to the parameters, summed over evaluations; none before the first.
pub(super) type ParameterGradient = Option<Vec<Tensor<1>>>;

impl<F: VectorField> Augmented<'_, F> {
    /// Rows of data with nothing gathered yet: `[n, F] -> [n, S]`.
    pub fn start(&self, x: &[f64]) -> Vec<f64> {
        let (features, width) = (self.net.features(), self.width());
        let pad = |row: &[f64]| row.iter().copied().chain((features..width).map(|_| 0.0)).collect::<Vec<f64>>();
        x.chunks_exact(features).flat_map(pad).collect()
    }

    fn at(&self, rows: &[usize], t: &[f64], y: &[f64]) -> At {
        let (features, width) = (self.net.features(), self.width());
        let states = y.chunks_exact(width).flat_map(|y| y[..features].iter().copied());
        let z = device_rows(states, features, &self.device);
        let wanted = !matches!(self.beside, Beside::Nothing | Beside::Jacobian);
        if wanted && matches!(self.directions, Directions::Axes) {
            let Traced { value, trace, pull_back } = self.net.trace(t, z);
            return At { f: host(value), along: Along::Traced { trace: host(trace), pull_back } };
        }
        let v = self.directions.of(rows, features);
        let count = v.len() / features;
        let tensor =
            (count > 0).then(|| Tensor::from_data(TensorData::new(v.clone(), [count, features]), &self.device));
        let Linearisation { value, jvp, pull_back } = self.net.linearise(t, z, tensor);
        let jv = jvp.map(host).unwrap_or_default();
        At { f: host(value), along: Along::Directions { v, jv, pull_back } }
    }

    fn slopes(&self, at: &At) -> Vec<f64> {
        let (features, width) = (self.net.features(), self.width());
        let n = at.f.len() / features;
        let mut out = vec![0.0; n * width];
        for (out, f) in out.chunks_exact_mut(width).zip(at.f.chunks_exact(features)) {
            out.iter_mut().zip(f).for_each(|(out, f)| *out = f64::from(*f));
            if self.beside >= Beside::Energy {
                out[features + 1] = dot(f, f);
            }
        }
        match &at.along {
            Along::Traced { trace, .. } => {
                out.chunks_exact_mut(width).zip(trace).for_each(|(out, trace)| out[features] = f64::from(*trace));
            }
            Along::Directions { v, jv, .. } => {
                let apart = matches!(self.beside, Beside::Volumes(_));
                let weight = if apart { 1.0 } else { self.directions.weight() };
                for (k, (v, jv)) in v.chunks_exact(features).zip(jv.chunks_exact(features)).enumerate() {
                    let out = &mut out[k % n * width..][..width];
                    out[features + if apart { k / n } else { 0 }] += weight * dot(v, jv);
                    if self.beside == Beside::Jacobian {
                        out[features + 2] += weight * dot(jv, jv);
                    }
                }
            }
        }
        out
    }

    /// Back from cotangents `a` of the slopes.
    fn back(&self, at: At, a: &[f64], wanted: Wanted) -> Cotangents {
        let (features, width) = (self.net.features(), self.width());
        // The cotangent of e (1) or j (2), where they are followed.
        let of_cost =
            |i: usize, cost: usize| if features + cost < width { a[i * width + features + cost] } else { 0.0 };
        let of_f = at.f.iter().enumerate().map(|(place, f)| {
            let (i, j) = (place / features, place % features);
            a[i * width + j] + 2.0 * of_cost(i, 1) * f64::from(*f)
        });
        let of_f: Rows = device_rows(of_f, features, &self.device);
        let n = at.f.len() / features;
        match at.along {
            Along::Traced { pull_back, .. } => {
                let of_trace = device_rows(a.chunks_exact(width).map(|a| a[features]), 1, &self.device);
                pull_back(of_f, of_trace, wanted)
            }
            Along::Directions { v, jv, pull_back } => {
                let weight = self.directions.weight();
                let of_jv = v.iter().zip(&jv).enumerate().map(|(place, (v, jv))| {
                    let i = place / features % n;
                    weight * (a[i * width + features] * f64::from(*v) + 2.0 * of_cost(i, 2) * f64::from(*jv))
                });
                let of_jv = (!v.is_empty()).then(|| device_rows(of_jv, features, &self.device));
                pull_back(of_f, of_jv, wanted)
            }
        }
    }
}

/// A field at some states.
struct At {
    f: Vec<f32>,
    along: Along,
}

/// Its first order.
#[allow(clippy::type_complexity, reason = "as in Linearisation and Traced")]
enum Along {
    Traced { trace: Vec<f32>, pull_back: Box<dyn FnOnce(Rows, Rows, Wanted) -> Cotangents> },
    Directions { v: Vec<f32>, jv: Vec<f32>, pull_back: Box<dyn FnOnce(Rows, Option<Rows>, Wanted) -> Cotangents> },
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

impl<F: VectorField> Field for Augmented<'_, F> {
    fn width(&self) -> usize {
        self.net.features() + self.beside.width()
    }

    fn slope(&self, rows: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        self.slopes(&self.at(rows, t, y))
    }
}

impl<F: VectorField> Differentiable for Augmented<'_, F> {
    type Gradient = ParameterGradient;

    fn pull_back(
        &self,
        rows: &[usize],
        t: &[f64],
        y: &[f64],
        a: &[f64],
        gradient: Option<&mut ParameterGradient>,
    ) -> Pulled {
        let (features, width) = (self.net.features(), self.width());
        let at = self.at(rows, t, y);
        let slope = self.slopes(&at);
        let wanted = if gradient.is_some() { Wanted::Parameters } else { Wanted::State };
        let back = self.back(at, a, wanted);
        if let Some(gradient) = gradient {
            *gradient = Some(match gradient.take() {
                None => back.parameters,
                Some(sum) => sum.into_iter().zip(back.parameters).map(|(sum, more)| sum + more).collect(),
            });
        }
        let mut cotangent = vec![0.0; rows.len() * width];
        for (out, z) in cotangent.chunks_exact_mut(width).zip(host(back.z).chunks_exact(features)) {
            out.iter_mut().zip(z).for_each(|(out, z)| *out = f64::from(*z));
        }
        Pulled { slope, cotangent }
    }
}
