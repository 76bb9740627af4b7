//! From values to positions on an axis, and the round numbers to mark on it.

use crate::report::number;

/// Values of more than this ratio are drawn on a logarithmic axis.
const LOG_RATIO: f64 = 50.0;
const TICKS: f64 = 5.0;
/// Values beyond this size are not drawn, differences below its inverse not seen: sums and ratios stay finite.
const LARGEST: f64 = 1e100;

/// One axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    Linear { low: f64, high: f64 },
    Log { low: f64, high: f64 },
}

/// A marked place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// From 0 at the low end to 1.
    pub at: f64,
    pub label: String,
}

impl Scale {
    /// A linear axis from the least to the greatest value; `None` if there is no value to draw.
    pub fn exact(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        // Equal values, or ones that differ by rounding only, still need an axis of some length.
        let size = low.abs().max(high.abs());
        Some(if high - low > 1e-9 * size && high - low > LARGEST.recip() {
            Self::Linear { low, high }
        } else {
            let half = if size > LARGEST.recip() { 0.1 * size } else { 1.0 };
            Self::Linear { low: low - half, high: high + half }
        })
    }

    /// A logarithmic axis from the least to the greatest value, if they are positive and differ; otherwise a linear one.
    pub fn decades(values: impl IntoIterator<Item = f64> + Clone) -> Option<Self> {
        let (low, high) = range(values.clone())?;
        if low > LARGEST.recip() && high > 1.01 * low { Some(Self::Log { low, high }) } else { Self::exact(values) }
    }

    /// An axis with room at both ends, logarithmic if the values are positive and span decades.
    pub fn fit(values: impl IntoIterator<Item = f64> + Clone) -> Option<Self> {
        let (low, high) = range(values.clone())?;
        if low > LARGEST.recip() && high / low > LOG_RATIO {
            let room = (high / low).powf(0.04);
            return Some(Self::Log { low: low / room, high: high * room });
        }
        Self::exact(values).map(|scale| scale.padded(0.05))
    }

    /// A linear axis longer by `share` of itself at each end.
    pub fn padded(self, share: f64) -> Self {
        match self {
            Self::Linear { low, high } => {
                let room = share * (high - low);
                Self::Linear { low: low - room, high: high + room }
            }
            log => log,
        }
    }

    pub fn ends(self) -> (f64, f64) {
        match self {
            Self::Linear { low, high } | Self::Log { low, high } => (low, high),
        }
    }

    /// Where `value` lies, 0 at the low end and 1 at the high one.
    pub fn at(self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value / low).ln() / (high / low).ln(),
        }
    }

    /// About five round numbers, in rising order.
    pub fn ticks(self) -> Vec<Tick> {
        let place = |value: f64, label| Tick { at: self.at(value), label };
        match self {
            Self::Linear { low, high } => {
                let step = round_step((high - low) / TICKS);
                let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
                // The bound matters only for axes so short that their ends are the same number of steps from zero.
                let count = (last - first).clamp(0.0, 2.0 * TICKS) as usize;
                let largest = low.abs().max(high.abs());
                (0..=count)
                    .map(|index| (first + index as f64) * step)
                    .map(|value| place(value, label(value, step, largest)))
                    .collect()
            }
            Self::Log { low, high } => {
                let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
                // Decades alone when there are many of them, every other number when there are few.
                let digits: &[f64] = if high / low > 1e3 { &[1.0] } else { &[1.0, 3.0] };
                let stride = ((last - first) as f64 / TICKS).ceil().max(1.0) as usize;
                (first..=last)
                    .step_by(stride)
                    .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
                    .filter(|value| (low..=high).contains(value))
                    .map(|value| place(value, log_label(value)))
                    .collect()
            }
        }
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.abs() <= LARGEST).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powi(step.log10().floor() as i32);
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|round| *round >= 0.999 * step).unwrap_or(10.0 * power)
}

fn label(value: f64, step: f64, largest: f64) -> String {
    let decimals = |step: f64| (-step.log10().floor()).clamp(0.0, 8.0) as usize;
    if !(1e-3..1e9).contains(&largest) {
        if value == 0.0 { "0".into() } else { number::scientific(value, 1) }
    } else if largest >= 1e6 {
        format!("{}M", number::fixed(value / 1e6, decimals(step / 1e6)))
    } else if largest >= 1e4 {
        format!("{}k", number::fixed(value / 1e3, decimals(step / 1e3)))
    } else {
        number::fixed(value, decimals(step))
    }
}

fn log_label(value: f64) -> String {
    if (1e-3..1e4).contains(&value) {
        number::fixed(value, (-value.log10().floor()).max(0.0) as usize)
    } else {
        number::scientific(value, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn round_numbers_on_a_linear_axis() {
        assert_eq!(labels(Scale::Linear { low: 0.0, high: 3000.0 }), ["0", "1000", "2000", "3000"]);
        assert_eq!(labels(Scale::Linear { low: -0.13, high: 0.27 }), ["−0.1", "0.0", "0.1", "0.2"]);
        assert_eq!(labels(Scale::Linear { low: 0.0, high: 60e3 }), ["0k", "20k", "40k", "60k"]);
    }

    #[test]
    fn decades_ask_for_a_logarithm() {
        let scale = Scale::fit([1.0, 0.01]).expect("finite values");
        assert!(matches!(scale, Scale::Log { .. }));
        assert_eq!(labels(scale), ["0.01", "0.03", "0.1", "0.3", "1"]);
        assert!(matches!(Scale::fit([1.0, 0.5]), Some(Scale::Linear { .. })));
        assert!(matches!(Scale::fit([1.0, 0.0]), Some(Scale::Linear { .. })));
    }

    #[test]
    fn every_range_gives_ordered_ticks_inside() {
        let sizes = [0.0, 1e-300, 1e-99, 1e-9, 0.1, 1.0, 3.0, 1e5, 1e16, 1e100];
        for a in sizes {
            for b in sizes.into_iter().flat_map(|b| [b, -b, b + 1e-12 * b]) {
                let Some(scale) = Scale::fit([a, b, f64::NAN]) else { panic!("no axis for {a} and {b}") };
                let ticks = scale.ticks();
                assert!(ticks.len() <= 24, "{a} {b}: {} ticks", ticks.len());
                assert!(ticks.is_sorted_by(|one, two| one.at <= two.at), "{a} {b}");
                assert!(ticks.iter().all(|tick| (-0.01..=1.01).contains(&tick.at)), "{a} {b} {ticks:?}");
            }
        }
    }

    #[test]
    fn nothing_finite_is_no_axis() {
        assert_eq!(Scale::fit([]), None);
        assert_eq!(Scale::fit([f64::NAN, f64::INFINITY]), None);
        assert_eq!(Scale::exact([-f64::MAX, f64::MAX]), None);
        assert_eq!(Scale::exact([0.0, 1.0, f64::MAX]), Scale::exact([0.0, 1.0]));
    }
}
