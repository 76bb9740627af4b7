//! Elementary functions in f32 without branches, so that loops over them become vector code, after Moshier's Cephes
//! library. Errors are at most a few units in the last place; a NaN stays a NaN.

// The published decimal digits are kept, also beyond the precision of f32.
#![allow(clippy::excessive_precision)]

/// `eˣ`, `x` limited to `[-87.3, 88.3]`, where the result is a normal number.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Written so that a NaN fails both comparisons and passes.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    // Adding 1.5 · 2²³ rounds to a whole number n and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_375, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_15e-4_f32;
    let p = p.mul_add(r, 1.398_199_950_7e-3);
    let p = p.mul_add(r, 8.333_451_907_3e-3);
    let p = p.mul_add(r, 4.166_579_589_4e-2);
    let p = p.mul_add(r, 1.666_666_545_9e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    // p 2ⁿ by adding n to the exponent of p.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `tanh x`: an odd polynomial near zero, `1 - 2 / (1 + e²ˣ)` elsewhere.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let s = x * x;
    let p = -5.704_988_727_45e-3_f32;
    let p = p.mul_add(s, 2.063_908_879_54e-2);
    let p = p.mul_add(s, -5.373_971_555_31e-2);
    let p = p.mul_add(s, 1.333_144_220_36e-1);
    let p = p.mul_add(s, -3.333_328_194_22e-1);
    let near = (p * s).mul_add(x, x);
    let far = 1.0 - 2.0 / (1.0 + exp(2.0 * x));
    if x.abs() < 0.625 { near } else { far }
}

/// `log(1 + eˣ)`: with `e = e^-|x|` and `s = e / (2 + e) ≤ 1/3`, `log(1 + e) = 2 artanh s` by its Taylor series.
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    let e = exp(-x.abs());
    let s = e / (2.0 + e);
    let q = s * s;
    let p = 1.0 / 15.0_f32;
    let p = p.mul_add(q, 1.0 / 13.0);
    let p = p.mul_add(q, 1.0 / 11.0);
    let p = p.mul_add(q, 1.0 / 9.0);
    let p = p.mul_add(q, 1.0 / 7.0);
    let p = p.mul_add(q, 1.0 / 5.0);
    let p = p.mul_add(q, 1.0 / 3.0);
    let log = 2.0 * (p * q).mul_add(s, s);
    log + if x > 0.0 { x } else { 0.0 }
}

/// `(sin x, cos x)`: the angle less the nearest multiple of `π / 2`, taken away in three parts of few digits, then
/// polynomials; the multiple says which of them, and which sign.
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    const ROUND: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-1.570_312_5, x);
    let r = n.mul_add(-4.837_512_969_970_703e-4, r);
    let r = n.mul_add(-7.549_789_954_891_882e-8, r);
    let s = r * r;
    let p = -1.951_529_589_1e-4_f32;
    let p = p.mul_add(s, 8.332_160_873_6e-3);
    let p = p.mul_add(s, -1.666_665_461_1e-1);
    let sin = (p * s).mul_add(r, r);
    let q = 2.443_315_711_809_948e-5_f32;
    let q = q.mul_add(s, -1.388_731_625_493_765e-3);
    let q = q.mul_add(s, 4.166_664_568_298_827e-2);
    let cos = (q * s).mul_add(s, s.mul_add(-0.5, 1.0));
    let quarter = shifted.to_bits();
    let (a, b) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let sign = |value: f32, bit: u32| f32::from_bits(value.to_bits() ^ ((bit & 2) << 30));
    (sign(a, quarter), sign(b, quarter.wrapping_add(1)))
}

/// The normal distribution function and density, `(Φ(x), φ(x))`: Abramowitz and Stegun, 7.1.26, absolute error below
/// 2e-7.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let gauss = exp(-z * z);
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let p = 1.061_405_429_f32;
    let p = p.mul_add(t, -1.453_152_027);
    let p = p.mul_add(t, 1.421_413_741);
    let p = p.mul_add(t, -0.284_496_736);
    let p = p.mul_add(t, 0.254_829_592);
    let tail = 0.5 * p * t * gauss;
    (if x > 0.0 { 1.0 - tail } else { tail }, gauss * 0.398_942_280_401)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) -> f64 {
        let grid = (-40_000..=40_000).map(|i| i as f32 * 2e-3 + 1e-5);
        grid.map(|x| (f64::from(f(x)) / reference(f64::from(x)) - 1.0).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn close_to_the_exact_functions() {
        assert!(worst(exp, f64::exp) < 3e-7);
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 4e-7);
        assert!(worst(tanh, f64::tanh) < 3e-7);
        assert!(worst(softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()) < 5e-7);
        assert!(
            worst(|x| normal(x.clamp(-9.0, 9.0)).1, |x| (-0.5 * x.clamp(-9.0, 9.0).powi(2)).exp() * 0.3989422804014327)
                < 1e-5
        );
    }

    #[test]
    fn angles() {
        for i in -80_000..=80_000 {
            let x = i as f32 * 0.1 + 1e-3;
            let (sin, cos) = sin_cos(x);
            let (a, b) = f64::from(x).sin_cos();
            assert!((f64::from(sin) - a).abs() < 2e-7 && (f64::from(cos) - b).abs() < 2e-7, "{x}: {sin} {cos}");
        }
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert!(sin_cos(f32::NAN).0.is_nan() && sin_cos(f32::NAN).1.is_nan());
    }

    #[test]
    fn the_ends_are_finite_and_nan_stays() {
        for f in [exp, sigmoid, tanh, softplus, |x| normal(x).0, |x| normal(x).1] {
            assert!(f(f32::NAN).is_nan());
            for x in [-3e38, -1e10, -1e3, 1e3, 1e10, 3e38] {
                assert!(f(x).is_finite(), "{x} {}", f(x));
            }
        }
        assert_eq!((exp(0.0), tanh(0.0), tanh(50.0), sigmoid(-1e9) < 1e-37), (1.0, 0.0, 1.0, true));
    }
}
