//! Monte-Carlo estimates with their standard errors.

use super::{Divergence, FDivergence};
use crate::{Mean, MetricError};

/// `D(p‖q) = E_q [term(p, q)/q]` from log-densities at samples of `q`.
///
/// Unbiased for normalised densities. For forward KL [`kl_from_samples`] of `p` varies less.
///
/// # Errors
/// Fewer than two samples, different numbers of log-densities, a NaN, or a sample that its own density excludes.
pub fn estimate(divergence: Divergence, log_p: &[f64], log_q: &[f64]) -> Result<Mean, MetricError> {
    check(log_p, log_q, log_q)?;
    let ratios = log_p.iter().zip(log_q).map(|(log_p, log_q)| divergence.term(log_p - log_q, 0.0));
    Mean::of(&ratios.collect::<Vec<f64>>())
}

/// `KL(p‖q) = E_p (log p − log q)` from log-densities at samples of `p`.
///
/// # Errors
/// As [`estimate`]; infinite where `q` excludes a sample, which is refused too: no row is dropped from a mean.
pub fn kl_from_samples(log_p: &[f64], log_q: &[f64]) -> Result<Mean, MetricError> {
    check(log_p, log_q, log_p)?;
    Mean::of(&log_p.iter().zip(log_q).map(|(log_p, log_q)| log_p - log_q).collect::<Vec<f64>>())
}

/// The variational lower bound `E_p T − E_q f*(T)` of `D_f(p‖q)`, from `T` at samples of `p` and at samples of `q`.
///
/// # Errors
/// Fewer than two samples of either, or a `T` outside of the domain of `f*`.
pub fn fenchel_bound(divergence: FDivergence, t_on_p: &[f64], t_on_q: &[f64]) -> Result<Mean, MetricError> {
    let conjugates: Vec<f64> = t_on_q.iter().map(|t| divergence.conjugate(*t)).collect();
    for (values, why) in [(t_on_p, "T must be finite"), (&conjugates[..], "T lies outside of the domain of f*")] {
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(MetricError::RowLikelihood { row, value: values[row], why });
        }
    }
    let (on_p, on_q) = (Mean::of(t_on_p)?, Mean::of(&conjugates)?);
    let standard_error = on_p.standard_error.hypot(on_q.standard_error);
    Ok(Mean { value: on_p.value - on_q.value, standard_error, n: on_p.n.min(on_q.n) })
}

fn check(log_p: &[f64], log_q: &[f64], own: &[f64]) -> Result<(), MetricError> {
    if log_p.len() != log_q.len() {
        return Err(MetricError::Length { len: log_q.len(), n: log_p.len(), d: 1 });
    }
    for (column, logs) in [log_p, log_q].into_iter().enumerate() {
        if let Some(row) = logs.iter().position(|log| log.is_nan() || *log == f64::INFINITY) {
            return Err(MetricError::NotFinite { row, column, value: logs[row] });
        }
    }
    match own.iter().position(|log| *log == f64::NEG_INFINITY) {
        Some(row) => {
            let why = "a sample that its own density excludes";
            Err(MetricError::RowLikelihood { row, value: own[row], why })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::super::{Gaussian, on_grid};
    use super::*;

    /// Log-densities of both at `n` samples of the first.
    fn logs(p: &Gaussian, q: &Gaussian, [mean, deviation]: [f64; 2], seed: u64) -> (Vec<f64>, Vec<f64>) {
        let points = Rng::new(seed).normal(20_000, 1).into_iter().map(|z| mean + deviation * f64::from(z));
        points.map(|x| (p.log_density(&[x]).unwrap(), q.log_density(&[x]).unwrap())).unzip()
    }

    #[test]
    fn estimates_and_bounds_meet_the_exact_values() {
        let ([a, b], [c, d]) = ([0.4, 0.9], [0.0, 1.1]);
        let normal = |mean: f64, deviation: f64| Gaussian::new(vec![mean], vec![deviation * deviation]).unwrap();
        let (p, q) = (normal(a, b), normal(c, d));
        let (p_on_p, q_on_p) = logs(&p, &q, [a, b], 1);
        let (q_on_q, p_on_q) = logs(&q, &p, [c, d], 2);
        let grid: Vec<f64> = (0..4000).map(|i| -10.0 + f64::from(i) * 0.005).collect();
        let on = |of: &Gaussian| grid.iter().map(|x| of.log_density(&[*x]).unwrap()).collect::<Vec<f64>>();
        let meets = |mean: Mean, exact: f64| {
            assert!((mean.value - exact).abs() < 4.0 * mean.standard_error + 1e-9, "{mean:?} {exact}");
            assert!(mean.standard_error < 0.03);
        };
        for divergence in FDivergence::ALL {
            let exact = on_grid(Divergence::F(divergence), &on(&p), &on(&q), 0.005).unwrap();
            meets(estimate(Divergence::F(divergence), &p_on_q, &q_on_q).unwrap(), exact);
            // The best T makes the bound tight; half of the way to it does not.
            let best = |log_p: &[f64], log_q: &[f64]| -> Vec<f64> {
                log_p.iter().zip(log_q).map(|(p, q)| divergence.derivative((p - q).exp())).collect()
            };
            let (on_p, on_q) = (best(&p_on_p, &q_on_p), best(&p_on_q, &q_on_q));
            meets(fenchel_bound(divergence, &on_p, &on_q).unwrap(), exact);
            let constant = divergence.output(0.3);
            let flat = fenchel_bound(divergence, &[constant; 2], &[constant; 2]).unwrap();
            assert!(flat.value <= exact + 1e-12, "{divergence:?}");
        }
        for alpha in [-0.5, 0.0, 0.5] {
            let exact = on_grid(Divergence::Alpha(alpha), &on(&p), &on(&q), 0.005).unwrap();
            meets(estimate(Divergence::Alpha(alpha), &p_on_q, &q_on_q).unwrap(), exact);
        }
        meets(kl_from_samples(&p_on_p, &q_on_p).unwrap(), p.divergence(&q, Divergence::FORWARD_KL).unwrap().unwrap());
        let js = on_grid(Divergence::JensenShannon, &on(&p), &on(&q), 0.005).unwrap();
        meets(estimate(Divergence::JensenShannon, &p_on_q, &q_on_q).unwrap(), js);
    }

    #[test]
    fn refusals() {
        let zero = f64::NEG_INFINITY;
        assert!(kl_from_samples(&[0.0], &[0.0]).is_err() && kl_from_samples(&[0.0, 1.0], &[0.0]).is_err());
        assert!(kl_from_samples(&[0.0, zero], &[0.0, 0.0]).unwrap_err().to_string().contains("row 1"));
        assert!(estimate(Divergence::JensenShannon, &[f64::NAN, 0.0], &[0.0, 0.0]).is_err());
        // Where p has no mass nothing is wrong with a sample of q.
        assert!(estimate(Divergence::JensenShannon, &[zero, 0.0], &[0.0, 0.0]).unwrap().value > 0.0);
        assert!(
            fenchel_bound(FDivergence::Gan, &[-1.0, -1.0], &[-1.0, 0.5]).unwrap_err().to_string().contains("row 1")
        );
    }
}
