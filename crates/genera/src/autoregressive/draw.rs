//! How an element is drawn from its conditional distribution.

use serde::{Deserialize, Serialize};

use super::AutoregressiveError;

/// Departures from the model's own distribution when drawing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draw {
    /// Divides logits and multiplies deviations: 1 is the model itself, less is bolder.
    pub temperature: f64,
    /// Only the so many likeliest values are drawn; all of them if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
}

impl Default for Draw {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None }
    }
}

impl Draw {
    /// # Errors
    /// A temperature that is not positive, or no value to draw.
    pub(super) fn check(&self) -> Result<(), AutoregressiveError> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let needed = "positive and finite";
            return Err(AutoregressiveError::Range { name: "temperature", value: self.temperature, needed });
        }
        match self.top_k {
            Some(0) => Err(AutoregressiveError::Range { name: "top_k", value: 0.0, needed: "at least 1" }),
            _ => Ok(()),
        }
    }

    /// The value of a class under softmax of the logits, for a number `u` uniform on `[0, 1)`; none if the logits make no
    /// distribution.
    pub(super) fn class(&self, logits: &[f32], u: f64) -> Option<usize> {
        let mut ranked: Vec<usize> = (0..logits.len()).collect();
        if let Some(k) = self.top_k.filter(|k| *k < logits.len()) {
            // Stable: of equal logits the first is kept.
            ranked.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            ranked.truncate(k);
            ranked.sort_unstable();
        }
        let most = ranked.iter().map(|class| logits[*class]).fold(f32::NEG_INFINITY, f32::max);
        let weight = |class: usize| libm::exp((f64::from(logits[class]) - f64::from(most)) / self.temperature);
        let total = ranked.iter().map(|class| weight(*class)).sum::<f64>();
        if !total.is_finite() {
            return None;
        }
        let mut left = u * total;
        for class in &ranked {
            left -= weight(*class);
            if left < 0.0 {
                return Some(*class);
            }
        }
        // Rounding may leave a little.
        ranked.into_iter().rev().find(|class| weight(*class) > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_probabilities() {
        let logits = [0.0, 2.0_f32.ln(), f32::NEG_INFINITY, 1.0_f32.ln()];
        let count = |draw: Draw| {
            let mut counts = [0; 4];
            (0..4000).for_each(|i| counts[draw.class(&logits, f64::from(i) / 4000.0).unwrap()] += 1);
            counts
        };
        let near = |counts: [i32; 4], expected: [i32; 4]| {
            assert!(counts.iter().zip(expected).all(|(c, e)| (c - e).abs() <= 1), "{counts:?} {expected:?}");
        };
        near(count(Draw::default()), [1000, 2000, 0, 1000]);
        near(count(Draw { temperature: 0.5, top_k: None }), [667, 2667, 0, 666]);
        near(count(Draw { temperature: 1.0, top_k: Some(1) }), [0, 4000, 0, 0]);
        near(count(Draw { temperature: 1.0, top_k: Some(2) }), [1333, 2667, 0, 0]);
        assert_eq!(Draw::default().class(&logits, 1.0 - f64::EPSILON), Some(3));
    }

    #[test]
    fn nothing_is_drawn_by_what_is_no_distribution() {
        for top_k in [None, Some(1), Some(2)] {
            let draw = Draw { top_k, ..Draw::default() };
            assert_eq!(draw.class(&[0.0, f32::INFINITY, 1.0], 0.3), None, "{top_k:?}");
            assert_eq!(draw.class(&[f32::NEG_INFINITY; 3], 0.3), None);
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Draw { temperature, top_k: None }.check().is_err());
        }
        assert!(Draw { temperature: 1.0, top_k: Some(0) }.check().is_err());
        assert!(Draw { temperature: 2.0, top_k: Some(3) }.check().is_ok());
    }
}
