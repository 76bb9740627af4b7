//! What the outputs of a network say about an element: its conditional distribution.
//!
//! | conditional            | outputs of an element                | elements          | source           |
//! |------------------------|--------------------------------------|-------------------|------------------|
//! | Bernoulli              | logit of 1                           | 0, 1              | MADE             |
//! | categorical            | a logit for each value               | 0 … K−1           | PixelCNN         |
//! | Gaussian               | mean, log of the deviation           | real              | MADE, MAF        |
//! | logistics              | logits, means, log scales            | real              | arXiv:1701.05517 |
//! | discretised logistics  | logits, means, log scales on [−1, 1] | 0 … K−1, in order | arXiv:1701.05517 |

use burn::tensor::{Bool, Tensor};
use genera_kernels::{Activation, activate, cross_entropy};
use genera_rng::Stream;
use serde::{Deserialize, Serialize};

use super::{AutoregressiveError, Draw, logistic};
use crate::traits::Rows;

/// The distribution of one element given those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Conditional {
    /// Zero or one.
    Bernoulli,
    /// A whole number below `levels`, each with a probability of its own.
    Categorical {
        /// How many values there are.
        levels: usize,
    },
    /// A normal number.
    Gaussian,
    /// A mixture of logistic distributions.
    Logistics {
        /// How many.
        components: usize,
    },
    /// A mixture of logistic distributions on the levels of a scale.
    DiscretisedLogistics {
        /// How many.
        components: usize,
        /// How many values there are.
        levels: usize,
    },
}

impl Conditional {
    /// The length `P` of the output of one element.
    pub fn outputs(&self) -> usize {
        match *self {
            Self::Bernoulli => 1,
            Self::Categorical { levels } => levels,
            Self::Gaussian => 2,
            Self::Logistics { components } | Self::DiscretisedLogistics { components, .. } => 3 * components,
        }
    }

    /// # Errors
    /// No components, or fewer than two values.
    pub(super) fn check(&self, draw: &Draw) -> Result<(), AutoregressiveError> {
        let range = |ok: bool, name, value: usize, needed| {
            if ok { Ok(()) } else { Err(AutoregressiveError::Range { name, value: value as f64, needed }) }
        };
        if let Self::Categorical { levels } | Self::DiscretisedLogistics { levels, .. } = *self {
            range(levels >= 2, "levels", levels, "at least 2")?;
        }
        if let Self::Logistics { components } | Self::DiscretisedLogistics { components, .. } = *self {
            range(components >= 1, "components", components, "at least 1")?;
        }
        draw.check()?;
        match (self, draw.top_k) {
            (Self::Gaussian, Some(_)) => Err(AutoregressiveError::TopK("a Gaussian")),
            (Self::Logistics { .. } | Self::DiscretisedLogistics { .. }, Some(_)) => {
                Err(AutoregressiveError::TopK("a mixture"))
            }
            _ => Ok(()),
        }
    }

    /// How many values an element can take; none if it is real.
    pub(super) fn levels(&self) -> Option<usize> {
        match *self {
            Self::Bernoulli => Some(2),
            Self::Categorical { levels } | Self::DiscretisedLogistics { levels, .. } => Some(levels),
            Self::Gaussian | Self::Logistics { .. } => None,
        }
    }

    /// `x` with zeros for what is no value, so that one such element does not spoil the others: `[B, T] -> [B, T]`.
    pub(super) fn readable(&self, x: Rows) -> Rows {
        match self.levels() {
            Some(levels) => x.clone().mask_fill(strangers(x, levels), 0.0),
            None => x,
        }
    }

    /// `log p(x_j | elements before j)` in nats, minus infinity for what is no value: `[B, T, P], [B, T] -> [B, T]`.
    pub fn log_prob(&self, outputs: Tensor<3>, x: Rows) -> Rows {
        let [rows, length, width] = outputs.dims();
        let x_read = self.readable(x.clone());
        let log_prob = match *self {
            Self::Bernoulli => {
                // log σ(l) of a one, log σ(-l) of a zero.
                let signed = outputs.squeeze_dim::<2>(2) * (x_read * -2.0 + 1.0);
                activate(signed, Activation::Softplus).neg()
            }
            Self::Categorical { .. } => {
                let classes = x_read.int().reshape([rows * length]);
                let costs = cross_entropy(outputs.reshape([rows * length, width]), classes);
                costs.neg().reshape([rows, length])
            }
            Self::Gaussian => {
                let part = |i: usize| outputs.clone().narrow(2, i, 1).squeeze_dim::<2>(2);
                let (mean, log_deviation) = (part(0), part(1));
                let z = (x_read - mean) * log_deviation.clone().neg().exp();
                z.square() * -0.5 - log_deviation - 0.5 * std::f64::consts::TAU.ln()
            }
            Self::Logistics { .. } => logistic::log_density(outputs, x_read),
            Self::DiscretisedLogistics { levels, .. } => logistic::log_probability(outputs, x_read, levels),
        };
        match self.levels() {
            Some(levels) => log_prob.mask_fill(strangers(x, levels), f32::NEG_INFINITY),
            None => log_prob,
        }
    }

    /// An element, from the outputs for it; NaN if they make no distribution. Takes equally many numbers of `stream`
    /// whatever the outputs are.
    pub(super) fn draw(&self, outputs: &[f32], draw: &Draw, stream: &mut Stream) -> f32 {
        let class = |class: Option<usize>| class.map_or(f32::NAN, |class| class as f32);
        let drawn = match *self {
            Self::Bernoulli => class(draw.class(&[0.0, outputs[0]], stream.uniform())),
            Self::Categorical { .. } => class(draw.class(outputs, stream.uniform())),
            Self::Gaussian => {
                let deviation = libm::exp(f64::from(outputs[1])) * draw.temperature;
                (f64::from(outputs[0]) + deviation * stream.normal()) as f32
            }
            Self::Logistics { .. } => logistic::draw(outputs, draw, stream) as f32,
            Self::DiscretisedLogistics { levels, .. } => {
                logistic::nearest_level(logistic::draw(outputs, draw, stream), levels)
            }
        };
        if outputs.iter().any(|output| output.is_nan()) { f32::NAN } else { drawn }
    }
}

/// Where `x` is no whole number below `levels`.
fn strangers(x: Rows, levels: usize) -> Tensor<2, Bool> {
    let broken = x.clone().round().not_equal(x.clone());
    broken.bool_or(x.clone().lower_elem(0.0)).bool_or(x.greater_equal_elem(levels as f64))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use genera_rng::Rng;

    use super::*;

    fn log_prob(conditional: Conditional, outputs: &[f32], x: f32) -> f64 {
        let device = Device::flex();
        let outputs = Tensor::<1>::from_floats(outputs, &device).unsqueeze::<3>();
        f64::from(conditional.log_prob(outputs, Tensor::<2>::from_floats([[x]], &device)).into_scalar::<f32>())
    }

    #[test]
    fn closed_forms() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        close(log_prob(Conditional::Bernoulli, &[1.5], 1.0), -(1.0 + (-1.5_f64).exp()).ln());
        close(log_prob(Conditional::Bernoulli, &[1.5], 0.0), -(1.0 + 1.5_f64.exp()).ln());
        close(log_prob(Conditional::Bernoulli, &[-300.0], 1.0), -300.0);
        let total: f64 = [0.5_f64, -1.0, 2.0].iter().map(|logit| logit.exp()).sum();
        close(log_prob(Conditional::Categorical { levels: 3 }, &[0.5, -1.0, 2.0], 1.0), -1.0 - total.ln());
        let half_log_tau = 0.5 * std::f64::consts::TAU.ln();
        close(log_prob(Conditional::Gaussian, &[1.0, 0.7], 2.0), -0.5 * (-1.4_f64).exp() - 0.7 - half_log_tau);
    }

    #[test]
    fn broken_outputs_draw_nothing() {
        for conditional in [
            Conditional::Bernoulli,
            Conditional::Categorical { levels: 3 },
            Conditional::Gaussian,
            Conditional::Logistics { components: 2 },
            Conditional::DiscretisedLogistics { components: 2, levels: 5 },
        ] {
            for broken in 0..conditional.outputs() {
                let mut outputs = vec![0.1; conditional.outputs()];
                let draw = |outputs: &[f32]| conditional.draw(outputs, &Draw::default(), &mut Rng::new(1).stream());
                assert!(draw(&outputs).is_finite(), "{conditional:?}");
                outputs[broken] = f32::NAN;
                assert!(draw(&outputs).is_nan(), "{conditional:?}, output {broken}");
            }
        }
    }

    #[test]
    fn what_is_no_value_is_impossible() {
        let whole = [
            (Conditional::Bernoulli, vec![0.3], 2.0),
            (Conditional::Categorical { levels: 3 }, vec![0.1, 0.2, 0.3], 3.0),
            (Conditional::DiscretisedLogistics { components: 1, levels: 5 }, vec![0.0, 0.1, 0.2], 5.0),
        ];
        for (conditional, outputs, beyond) in whole {
            for x in [-1.0, 0.5, beyond, f32::NAN, f32::INFINITY] {
                assert_eq!(log_prob(conditional, &outputs, x), f64::NEG_INFINITY, "{conditional:?} of {x}");
            }
            assert!(log_prob(conditional, &outputs, beyond - 1.0) < 0.0);
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        let k = Draw { top_k: Some(2), ..Draw::default() };
        for (conditional, draw) in [
            (Conditional::Categorical { levels: 1 }, Draw::default()),
            (Conditional::Logistics { components: 0 }, Draw::default()),
            (Conditional::DiscretisedLogistics { components: 2, levels: 0 }, Draw::default()),
            (Conditional::Gaussian, k),
            (Conditional::Logistics { components: 2 }, k),
            (Conditional::Bernoulli, Draw { temperature: 0.0, top_k: None }),
        ] {
            assert!(conditional.check(&draw).is_err(), "{conditional:?} {draw:?}");
        }
        assert!(Conditional::Categorical { levels: 3 }.check(&k).is_ok());
    }
}
