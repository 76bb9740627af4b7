//! The coefficients of the methods.

use serde::{Deserialize, Serialize};

/// An explicit Runge–Kutta method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `y + h f(t, y)`, of order 1. A residual network is this with steps of length one.
    Euler,
    /// Of order 2.
    Midpoint,
    /// The classical method of order 4.
    Rk4,
    /// The pair of orders 5 and 4 of Dormand and Prince, "A family of embedded Runge–Kutta formulae" (1980).
    DormandPrince,
}

/// `a`, `b`, `c` of a method, and what its error estimate and its interpolant need.
#[derive(Debug)]
pub(super) struct Tableau {
    /// The rows of the strictly lower triangle, from the second stage on.
    pub a: &'static [&'static [f64]],
    pub b: &'static [f64],
    pub c: &'static [f64],
    /// Difference of the weights of both orders.
    pub error: Option<&'static [f64]>,
    /// Weights of the interpolant's term of fourth order; without them it is Hermite's cubic.
    pub dense: Option<&'static [f64]>,
    /// Whether the last stage is the first of the next step.
    pub first_same_as_last: bool,
}

impl Method {
    pub(super) fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler => &EULER,
            Self::Midpoint => &MIDPOINT,
            Self::Rk4 => &RK4,
            Self::DormandPrince => &DORMAND_PRINCE,
        }
    }
}

static EULER: Tableau = Tableau { a: &[], b: &[1.0], c: &[0.0], error: None, dense: None, first_same_as_last: false };

static MIDPOINT: Tableau =
    Tableau { a: &[&[0.5]], b: &[0.0, 1.0], c: &[0.0, 0.5], error: None, dense: None, first_same_as_last: false };

static RK4: Tableau = Tableau {
    a: &[&[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: &[0.0, 0.5, 0.5, 1.0],
    error: None,
    dense: None,
    first_same_as_last: false,
};

static DORMAND_PRINCE: Tableau = Tableau {
    a: &[
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
    error: Some(&[71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0]),
    // Hairer, Nørsett and Wanner, II.6 and their code `dopri5`.
    dense: Some(&[
        -12715105075.0 / 11282082432.0,
        0.0,
        87487479700.0 / 32700410799.0,
        -10690763975.0 / 1880347072.0,
        701980252875.0 / 199316789632.0,
        -1453857185.0 / 822651844.0,
        69997945.0 / 29380423.0,
    ]),
    first_same_as_last: true,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditions_of_consistency_hold() {
        for method in [Method::Euler, Method::Midpoint, Method::Rk4, Method::DormandPrince] {
            let tableau = method.tableau();
            let close = |x: f64, y: f64| (x - y).abs() < 1e-14;
            assert!(close(tableau.b.iter().sum(), 1.0), "{method:?}");
            for (row, c) in tableau.a.iter().zip(&tableau.c[1..]) {
                assert!(close(row.iter().sum(), *c), "{method:?}");
            }
            assert!(tableau.error.is_none_or(|error| close(error.iter().sum(), 0.0)), "{method:?}");
            assert!(tableau.dense.is_none_or(|dense| close(dense.iter().sum::<f64>() * 0.01, 0.0)), "{method:?}");
        }
    }
}
