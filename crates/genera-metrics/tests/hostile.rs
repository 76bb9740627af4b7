//! Whatever finite numbers come in, a measure answers with a finite number or an error, and never panics.

use genera_metrics::*;
use genera_rng::Rng;
use proptest::prelude::*;

/// The ends of the range, numbers that cancel, and copies.
fn value() -> impl Strategy<Value = f64> {
    let extreme = f64::from(f32::MAX);
    let odd = vec![0.0, -0.0, 1.0, 1.0, -1.0, extreme, -extreme, 1e-300, f64::MIN_POSITIVE / 4.0, 1e16, 1e16 + 2.0];
    prop_oneof![4 => prop::sample::select(odd), 1 => -10.0..10.0_f64]
}

fn rows(d: usize) -> impl Strategy<Value = Vec<f64>> {
    (1..7_usize).prop_flat_map(move |n| prop::collection::vec(value(), n * d))
}

fn pair() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f64>)> {
    // Both sides of the switch from direct sums to matrix products.
    prop::sample::select(vec![1, 2, 5, 20]).prop_flat_map(|d| (Just(d), rows(d), rows(d)))
}

fn finite(result: Result<f64, MetricError>) -> Result<(), TestCaseError> {
    match result {
        Ok(value) => prop_assert!(value.is_finite(), "{value}"),
        Err(error) => prop_assert!(!error.to_string().contains('\n')),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_nan((d, x, y) in pair()) {
        let (x, y) = (Points::new(&x, x.len() / d, d).unwrap(), Points::new(&y, y.len() / d, d).unwrap());
        let rng = &mut Rng::new(1);
        let found = frechet(&x, &y, "raw");
        prop_assert!(found.is_ok() || x.n() < 2 || y.n() < 2, "{found:?}");
        finite(found.map(|f| f.value))?;
        finite(frechet(&x, &x, "raw").map(|f| f.value))?;
        for kernel in [Kernel::gaussian(1.0), Kernel::gaussian(1e-150), Kernel::cubic()] {
            finite(mmd2_biased(&x, &y, &kernel))?;
            finite(mmd2_unbiased(&x, &y, &kernel))?;
            let test = permutation_test(&x, &y, &kernel, 5, rng);
            finite(test.as_ref().map(|t| t.statistic).map_err(Clone::clone))?;
            prop_assert!(test.is_err() || (0.0..=1.0).contains(&test.unwrap().p_value));
        }
        finite(median_distance(&x, &y))?;
        finite(kid(&x, &y, 2, 2, "raw", rng).map(|k| k.mean + k.std))?;
        for k in [1, 3] {
            if let Ok(found) = manifold(&x, &y, k, "raw") {
                for value in [found.precision, found.recall, found.coverage] {
                    prop_assert!((0.0..=1.0).contains(&value));
                }
                prop_assert!(found.density.is_finite());
            }
        }
        let copied = memorisation(&x, &y, &x).unwrap();
        prop_assert_eq!(copied.copies, x.n());
        finite(sliced_wasserstein(&x, &y, 2.0, 3, rng))?;
        finite(wasserstein(&x, &y, 2.0))?;
        finite(wasserstein(&x, &y, 30.0))?;
        let sinkhorn = Sinkhorn { epsilon: 1.0, tolerance: 1e-3, iterations: 20 };
        finite(sinkhorn.divergence(&x, &y, 2.0))?;
        finite(inception_score(&x, 1, "any").map(|s| s.mean))?;
    }
}
