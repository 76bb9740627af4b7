//! The root of `v + c tanh v = t`, by which planar and Sylvester flows are inverted.
//!
//! For `c > −1` the left side increases, and its root lies within `|c|` of `t`. Newton's method in double precision,
//! kept inside the bracket by bisection, stops at a step below 1e-14 of the root. The derivative is that of the
//! implicit function: `dv = (dt − tanh v dc) / (1 + c (1 − tanh² v))`.

use burn::tensor::{Tensor, TensorData};

/// The roots, elementwise: `[B, M], [B, M] -> [B, M]`.
pub(super) fn tanh_root(c: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
    let (shape, device) = (t.dims(), t.device());
    let host = |x: &Tensor<2>| -> Vec<f64> { x.to_data().iter::<f32>().map(f64::from).collect() };
    let roots: Vec<f32> = host(&c).into_iter().zip(host(&t)).map(|(c, t)| root(c, t) as f32).collect();
    let v = Tensor::from_data(TensorData::new(roots, shape), &device);
    if !(c.is_autodiff() || t.is_autodiff()) {
        return v;
    }
    let tanh = v.clone().tanh();
    let rest = v.clone() + c.clone() * tanh.clone() - t;
    let slope = (tanh.square().neg() + 1.0) * c.detach() + 1.0;
    // Its value is zero; only its derivative counts.
    v - (rest.clone() - rest.detach()) / slope
}

fn root(c: f64, t: f64) -> f64 {
    let (mut low, mut high) = (t - c.abs(), t + c.abs());
    let mut v = t;
    for _ in 0..200 {
        let tanh = libm::tanh(v);
        let rest = v + c * tanh - t;
        if rest > 0.0 {
            high = v
        } else {
            low = v
        }
        let newton = v - rest / (1.0 + c * (1.0 - tanh * tanh));
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let step = (next - v).abs();
        v = next;
        if step <= 1e-14 * v.abs() {
            break;
        }
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_roots_up_to_the_limit() {
        for c in [-0.999_99, -0.9, -0.1, 0.0, 0.5, 30.0] {
            for t in [-40.0, -1.0, -1e-3, 0.0, 1e-6, 0.3, 2.0, 1e4] {
                let v = root(c, t);
                assert!((v + c * libm::tanh(v) - t).abs() <= 1e-13 * (1.0 + t.abs()), "c {c}, t {t}: {v}");
            }
        }
        assert!(root(0.5, f64::NAN).is_nan());
    }
}
