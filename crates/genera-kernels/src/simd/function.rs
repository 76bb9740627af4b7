//! Activations as types, so that a kernel is compiled once for each of them.

use super::math;
use crate::activation::{LEAKY_SLOPE, SELU};

/// A differentiable function of one variable.
pub(crate) trait Function {
    /// Whether [`slope`](Self::slope) is a function of the value instead of the argument.
    const SLOPE_FROM_VALUE: bool;
    /// Whether the second derivative is anything but zero.
    const BENDS: bool;
    fn value(x: f32) -> f32;
    fn slope(x_or_value: f32) -> f32;
    /// The second derivative at `x`.
    fn bend(x: f32) -> f32;

    /// The derivative at `x`.
    #[inline(always)]
    fn slope_at(x: f32) -> f32 {
        Self::slope(if Self::SLOPE_FROM_VALUE { Self::value(x) } else { x })
    }
}

macro_rules! functions {
    ($($name:ident: $from_value:literal, $bends:literal, |$x:ident| $value:expr, |$y:ident| $slope:expr,
        |$z:ident| $bend:expr;)*) => {$(
        pub(crate) struct $name;
        impl Function for $name {
            const SLOPE_FROM_VALUE: bool = $from_value;
            const BENDS: bool = $bends;
            #[inline(always)]
            fn value($x: f32) -> f32 { $value }
            #[inline(always)]
            fn slope($y: f32) -> f32 { $slope }
            #[inline(always)]
            fn bend($z: f32) -> f32 { $bend }
        }
    )*};
}

functions! {
    Identity: true, false, |x| x, |_y| 1.0, |_x| 0.0;
    Relu: true, false, |x| if x < 0.0 { 0.0 } else { x }, |y| if y > 0.0 { 1.0 } else { 0.0 }, |_x| 0.0;
    LeakyRelu: true, false,
        |x| if x < 0.0 { LEAKY_SLOPE * x } else { x },
        |y| if y > 0.0 { 1.0 } else { LEAKY_SLOPE },
        |_x| 0.0;
    Silu: false, true,
        |x| x * math::sigmoid(x),
        |x| {
            let s = math::sigmoid(x);
            s * x.mul_add(1.0 - s, 1.0)
        },
        |x| {
            let s = math::sigmoid(x);
            s * (1.0 - s) * x.mul_add(1.0 - 2.0 * s, 2.0)
        };
    Selu: true, true,
        |x| SELU.1 * if x > 0.0 { x } else { SELU.0 * (math::exp(x) - 1.0) },
        |y| if y > 0.0 { SELU.1 } else { y + SELU.0 * SELU.1 },
        |x| if x > 0.0 { 0.0 } else { SELU.0 * SELU.1 * math::exp(x) };
    Gelu: false, true,
        |x| x * math::normal(x).0,
        |x| {
            let (below, density) = math::normal(x);
            density.mul_add(x, below)
        },
        // Far out the density is zero to the last bit, and x² may be infinite.
        |x| {
            let square = if x.abs() > 1e9 { 0.0 } else { x * x };
            math::normal(x).1 * (2.0 - square)
        };
    Tanh: true, true, |x| math::tanh(x), |y| (-y).mul_add(y, 1.0), |x| {
        let y = math::tanh(x);
        -2.0 * y * (-y).mul_add(y, 1.0)
    };
    Sigmoid: true, true, |x| math::sigmoid(x), |y| y * (1.0 - y), |x| {
        let s = math::sigmoid(x);
        s * (1.0 - s) * (1.0 - 2.0 * s)
    };
    Softplus: false, true, |x| math::softplus(x), |x| math::sigmoid(x), |x| {
        let s = math::sigmoid(x);
        s * (1.0 - s)
    };
}

/// Runs an expression with `$function` naming the type of an [`Activation`](crate::Activation).
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        with_function!(@ $activation, $function => $body,
            Identity Relu LeakyRelu Silu Selu Gelu Tanh Sigmoid Softplus)
    };
    (@ $activation:expr, $function:ident => $body:expr, $($name:ident)*) => {
        match $activation {
            $($crate::Activation::$name => {
                type $function = $crate::simd::function::$name;
                $body
            })*
        }
    };
}
pub(crate) use with_function;
