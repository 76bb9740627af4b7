//! Gauss–Legendre quadrature in panels: exact for polynomials of degree 15 in each panel, so that a smooth integrand is
//! integrated to rounding error once a panel is about as wide as its finest feature.

/// Nodes of the 8-point rule on [−1, 1] and their weights; the other four are mirrored. Abramowitz and Stegun, 25.4.30.
const RULE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// Nodes and weights on [`from`, `to`] cut into `panels` equal parts, eight nodes each.
pub(crate) fn nodes(from: f64, to: f64, panels: usize) -> impl Iterator<Item = (f64, f64)> {
    let half = 0.5 * (to - from) / panels as f64;
    (0..panels).flat_map(move |panel| {
        let centre = from + half * (2 * panel + 1) as f64;
        RULE.into_iter().flat_map(move |(node, weight)| [-node, node].map(|node| (centre + half * node, half * weight)))
    })
}

/// ∬ f over a box, for an `f` with several values.
#[cfg(test)]
pub(crate) fn integrate_box<const N: usize>(
    bounds: [[f64; 2]; 2],
    panels: usize,
    mut f: impl FnMut([f64; 2]) -> [f64; N],
) -> [f64; N] {
    let [across, up] = bounds.map(|[low, high]| nodes(low, high, panels).collect::<Vec<_>>());
    let mut total = [0.0; N];
    for &(x, weight_x) in &across {
        let mut column = [0.0; N];
        for &(y, weight_y) in &up {
            column.iter_mut().zip(f([x, y])).for_each(|(sum, value)| *sum += weight_y * value);
        }
        total.iter_mut().zip(column).for_each(|(sum, value)| *sum += weight_x * value);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_of_degree_15_are_exact() {
        for degree in 0..16 {
            let sum: f64 = nodes(-1.0, 2.0, 1).map(|(x, weight)| weight * x.powi(degree)).sum();
            let exact = (2.0_f64.powi(degree + 1) - (-1.0_f64).powi(degree + 1)) / f64::from(degree + 1);
            assert!((sum - exact).abs() < 1e-12 * exact.abs().max(1.0), "{degree}: {sum} {exact}");
        }
        let [area, volume] = integrate_box([[0.0, 2.0], [1.0, 2.0]], 3, |[x, y]| [1.0, x * y * y]);
        assert!((area - 2.0).abs() < 1e-13 && (volume - 14.0 / 3.0).abs() < 1e-13);
    }
}
