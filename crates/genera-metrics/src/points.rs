//! Points: the one input type of the measures between two sets, a checked row-major matrix that is only borrowed.

use std::borrow::Cow;
use std::ops::Range;

use crate::MetricError;

/// Single or double precision: what a row-major matrix of [`Points`] may be made of.
pub trait Real: Copy + Sync + Into<f64> + sealed::Sealed {
    #[doc(hidden)]
    fn values(slice: &[Self]) -> Values<'_>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Borrowed values of either precision.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    Single(&'a [f32]),
    Double(&'a [f64]),
}

impl Real for f32 {
    fn values(slice: &[f32]) -> Values<'_> {
        Values::Single(slice)
    }
}

impl Real for f64 {
    fn values(slice: &[f64]) -> Values<'_> {
        Values::Double(slice)
    }
}

/// Rows of features, `[n, d]`, known to be non-empty and finite.
///
/// Every value lies within the range of single precision (3.4·10³⁸), whatever its type: squares, products and cubes
/// of such numbers are finite in double precision, so no measure overflows.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    values: Values<'a>,
    n: usize,
    d: usize,
}

impl<'a> Points<'a> {
    /// Checks a row-major matrix of `n` rows and `d` columns.
    ///
    /// # Errors
    /// No rows or columns, a length other than `n * d`, or a value that is NaN, infinite or beyond ±3.4·10³⁸.
    pub fn new<T: Real>(values: &'a [T], n: usize, d: usize) -> Result<Self, MetricError> {
        if n == 0 || d == 0 {
            return Err(MetricError::Empty { n, d });
        }
        if n.checked_mul(d) != Some(values.len()) {
            return Err(MetricError::Length { len: values.len(), n, d });
        }
        // A NaN lies in no range.
        let wrong = |value: &T| !(f64::from(f32::MIN)..=f64::from(f32::MAX)).contains(&(*value).into());
        match values.iter().position(wrong) {
            Some(at) => Err(MetricError::NotFinite { row: at / d, column: at % d, value: values[at].into() }),
            None => Ok(Self { values: T::values(values), n, d }),
        }
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of columns.
    pub fn d(&self) -> usize {
        self.d
    }

    /// The first `most` rows, or all if there are fewer; the first at least.
    pub fn first(&self, most: usize) -> Self {
        let n = most.clamp(1, self.n);
        let values = match self.values {
            Values::Single(values) => Values::Single(&values[..n * self.d]),
            Values::Double(values) => Values::Double(&values[..n * self.d]),
        };
        Self { values, n, d: self.d }
    }

    /// The rows of `range` in double precision, row-major: borrowed where they already are.
    pub(crate) fn rows(&self, range: Range<usize>) -> Cow<'a, [f64]> {
        let range = range.start * self.d..range.end * self.d;
        match self.values {
            Values::Single(values) => values[range].iter().map(|value| f64::from(*value)).collect(),
            Values::Double(values) => Cow::Borrowed(&values[range]),
        }
    }

    /// The rows numbered `indices`, in double precision, row-major.
    pub(crate) fn gather(&self, indices: &[usize]) -> Vec<f64> {
        let mut out = Vec::with_capacity(indices.len() * self.d);
        indices.iter().for_each(|&row| out.extend_from_slice(&self.rows(row..row + 1)));
        out
    }

    /// The rows of `self` followed by those of `other`, row-major `[n + m, d]`.
    pub(crate) fn stacked(&self, other: &Self) -> Vec<f64> {
        [self.rows(0..self.n), other.rows(0..other.n)].concat()
    }

    /// Refuses another set with a different number of columns.
    pub(crate) fn same_columns(&self, other: &Self) -> Result<(), MetricError> {
        if self.d == other.d { Ok(()) } else { Err(MetricError::Dimensions { left: self.d, right: other.d }) }
    }

    /// Refuses fewer rows than `what` needs.
    pub(crate) fn at_least(&self, needed: usize, what: &'static str) -> Result<(), MetricError> {
        if self.n >= needed { Ok(()) } else { Err(MetricError::TooFew { what, needed, got: self.n }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_input_is_named() {
        let none: [f64; 0] = [];
        assert_eq!(Points::new(&none, 0, 3).unwrap_err(), MetricError::Empty { n: 0, d: 3 });
        assert_eq!(Points::new(&none, 3, 0).unwrap_err(), MetricError::Empty { n: 3, d: 0 });
        assert_eq!(Points::new(&[1.0; 5], 2, 3).unwrap_err(), MetricError::Length { len: 5, n: 2, d: 3 });
        assert!(matches!(Points::new(&[1.0; 4], usize::MAX, 2), Err(MetricError::Length { .. })));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e39] {
            let error = Points::new(&[0.0, 0.0, 0.0, bad], 2, 2).unwrap_err();
            assert!(matches!(error, MetricError::NotFinite { row: 1, column: 1, .. }), "{error}");
        }
        assert!(Points::new(&[f32::NAN], 1, 1).is_err());
        assert!(Points::new(&[f32::MAX, f32::MIN], 1, 2).is_ok());
    }

    #[test]
    fn both_precisions_give_the_same_rows() {
        let single = [1.5_f32, -2.0, 0.25, 8.0];
        let double = single.map(f64::from);
        let (a, b) = (Points::new(&single, 2, 2).unwrap(), Points::new(&double, 2, 2).unwrap());
        assert_eq!(a.rows(1..2), b.rows(1..2));
        assert_eq!(a.gather(&[1, 0]), [0.25, 8.0, 1.5, -2.0]);
        assert_eq!(a.stacked(&b).len(), 8);
    }
}
