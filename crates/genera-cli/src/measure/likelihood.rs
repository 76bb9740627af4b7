//! The likelihood of held-out rows, exact or a bound, as a record that says which.

use genera::diffusion::{Levels, ProbabilityFlow};
use genera::ode::Scored;
use genera::traits::{Density, Rows, View};
use genera_metrics::{Dequantisation, Likelihood, LogJacobian, Mean, Protocol};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::{numbers, tensor};
use crate::failure::{Failure, Outcome};
use crate::family::{Family, Trainee};
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// Rows at a time.
const CHUNK: usize = 64;
/// Rows whose likelihood is bounded where each costs as many evaluations of a network as a chain has steps.
const BOUNDED: usize = 64;
/// Fresh points of a known density.
const FRESH: usize = 10_000;

/// `nats@held-out`, `bits-per-dimension@held-out` of grey levels, and of known densities `kl@fresh`.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, tell: &mut dyn FnMut(String)) -> Outcome<Vec<Score>> {
    let Some(kind) = subject.recipe.model.likelihood() else { return Ok(Vec::new()) };
    let (data, view) = (subject.data, subject.trainee.view());
    let rows =
        subject.recipe.measure.likelihood_rows.unwrap_or(if view.density.is_some() { usize::MAX } else { BOUNDED });
    let held_out = data.held_out();
    let indices: Vec<usize> = (0..rows.min(held_out.len())).collect();
    let LogLikelihoods { nats, probe_errors, evaluations } = log_likelihoods(subject, plan, &indices)?;

    // A bound speaks of grey levels or of points themselves; a density speaks of the view's numbers.
    let (preprocessing, log_jacobian) = match view.density {
        Some(_) => (view_name(subject.recipe.data.view), held_out.viewed(subject.recipe.data.view)?.log_jacobian()),
        None => ("none".to_owned(), 0.0),
    };
    let protocol = Protocol {
        kind,
        dequantisation: dequantisation(subject),
        preprocessing,
        dims: held_out.features(),
        seed: plan.seed,
    };
    // A classifier may know classes of which the model itself is told nothing.
    let told = subject.recipe.model.is_conditional()
        && (subject.trainee.offers().density_given(vec![0]).is_some()
            || subject.trainee.offers().lower_bound_given(vec![0]).is_some());
    if let Some(row) = nats.iter().position(|nats| !nats.is_finite()) {
        if impossible(subject, nats[row]) {
            tell(format!("held-out row {row} is impossible under this estimate: its likelihood has no mean"));
            return Ok(Vec::new());
        }
        return Err(lost(subject, plan, row, nats[row]));
    }
    let likelihood = Likelihood::of_rows(&nats, LogJacobian::Constant(log_jacobian), protocol)?;
    let likelihood = match probe_errors {
        Some(errors) => likelihood.with_probe_errors(&errors)?,
        None => likelihood,
    };
    let score = |measure: Measure, value: f64, [error, probes]: [Option<f64>; 2], baseline: Option<Baseline>| {
        let mut details = record(&likelihood);
        // The record's own are in nats.
        for (key, error) in [("standard_error", error), ("probe_standard_error", probes)] {
            error.into_iter().for_each(|error| _ = details.insert(key.to_owned(), error.into()));
        }
        if let Some(evaluations) = evaluations {
            details.insert("evaluations".to_owned(), evaluations.into());
        }
        if let Some(draws) = subject.recipe.model.bound_draws() {
            details.insert("bound".to_owned(), json!({ "name": "continuous time", "draws": draws }));
        }
        if told {
            details.insert("given".to_owned(), "the class of each row".into());
        }
        Score { measure: measure.to_string(), value, baseline, record: details }
    };
    let known = data.toy().map(|toy| Baseline { of: "the density itself".to_owned(), value: -toy.entropy().nats });
    let in_nats = [Some(likelihood.standard_error), likelihood.probe_standard_error];
    let mut scores = vec![score(Measure::Nats, likelihood.nats, in_nats, known)];
    if let Some(value) = likelihood.bits_per_dim() {
        let in_bits = [likelihood.bits_per_dim_standard_error(), likelihood.bits_per_dim_probe_standard_error()];
        scores.push(score(Measure::BitsPerDimension, value, in_bits, None));
    }
    scores.extend(divergence(subject, plan, tell)?);
    scores.extend(reverse_divergence(subject, plan)?);
    Ok(scores)
}

/// Whether a row has the density zero because the estimate ends somewhere, as histograms and most kernels do.
fn impossible(subject: &Subject<'_>, nats: f64) -> bool {
    nats == f64::NEG_INFINITY && matches!(subject.recipe.model, Family::Classical(_))
}

/// A held-out row without a finite likelihood, and where the model lost it.
fn lost(subject: &Subject<'_>, plan: &Plan<'_>, row: usize, nats: f64) -> Failure {
    let mut rng = Rng::new(plan.seed).fork("view").rows_from(row as u64);
    let x = subject.data.rows(subject.data.held_out(), &[row], &mut rng).ok();
    let x = x.map(|x| tensor(x, subject.data.held_out().features(), subject.device));
    let fault = x.and_then(|x| subject.trainee.view().faults?.fault(x));
    // What is asked about is a batch of one.
    let fault = fault.map(|fault| format!(" ({})", fault.trim_start_matches("row 0: "))).unwrap_or_default();
    Failure::new(format!("the log-likelihood of held-out row {row} is {nats}{fault}; no row is ever dropped"))
}

/// Log-likelihoods in nats, and of a flow along an equation the standard error of each over probes, where it is known, and
/// the mean number of evaluations of the network for each.
struct LogLikelihoods {
    nats: Vec<f64>,
    probe_errors: Option<Vec<f64>>,
    evaluations: Option<f64>,
}

/// The log-likelihood of the held-out rows at `indices` in the view's numbers.
fn log_likelihoods(subject: &Subject<'_>, plan: &Plan<'_>, indices: &[usize]) -> Outcome<LogLikelihoods> {
    let (data, likelihoods) = (subject.data, Likelihoods::of_subject(subject, plan)?);
    let features = data.held_out().features();
    // Noise of its own for each of the draws that tighten a dequantised likelihood.
    let draws = if noisy(subject) { subject.recipe.measure.dequantisation_draws } else { 1 };
    let (view_rng, bound_rng) = (Rng::new(plan.seed).fork("view"), Rng::new(plan.seed).fork("bound"));
    let mut nats = Vec::with_capacity(indices.len());
    let (mut errors, mut asked) = (Vec::new(), Vec::new());
    for (chunk, first) in indices.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let mut view_rng = view_rng.rows_from(first);
        let mut of_draws = Vec::with_capacity(draws);
        for _ in 0..draws {
            let rows = tensor(data.rows(data.held_out(), chunk, &mut view_rng)?, features, subject.device);
            let scored = likelihoods.of(rows, chunk, &mut bound_rng.rows_from(first))?;
            asked.extend(&scored.evaluations);
            of_draws.push(scored);
        }
        for row in 0..chunk.len() {
            let mean = log_mean_exp(of_draws.iter().map(|draw| draw.nats[row]));
            nats.push(mean);
            let known = of_draws.iter().map(|draw| Some((draw.nats[row], draw.probe_errors.as_ref()?[row])));
            errors.push(known.collect::<Option<Vec<_>>>().map(|draws| error_of_mean_exp(mean, &draws)));
        }
    }
    let evaluations = (!asked.is_empty()).then(|| asked.iter().sum::<usize>() as f64 / asked.len() as f64);
    Ok(LogLikelihoods { nats, probe_errors: errors.into_iter().collect(), evaluations })
}

/// The likelihood of rows: a model that is told the class is told that of each row.
struct Likelihoods<'a> {
    view: View<'a>,
    trainee: &'a dyn Trainee,
    /// The classes of the held-out rows.
    labels: Option<Vec<usize>>,
    /// How a probability flow is followed, and along which levels.
    flow: Option<(ProbabilityFlow, Levels)>,
}

impl<'a> Likelihoods<'a> {
    fn of_subject(subject: &Subject<'a>, plan: &Plan<'_>) -> Outcome<Self> {
        let held_out = subject.data.held_out();
        let rows: Vec<usize> = (0..held_out.len()).collect();
        let told = || subject.data.told(held_out, &rows, &mut Rng::new(0).fork("captions"));
        let labels = if subject.recipe.model.is_conditional() { told() } else { None };
        let flow = subject.recipe.model.probability_flow()?;
        let flow = flow.map(|(flow, levels)| (ProbabilityFlow { seed: plan.seed, ..flow }, levels));
        Ok(Self { view: subject.trainee.view(), trainee: subject.trainee, labels, flow })
    }

    /// Of `rows`, which are the held-out ones at `indices`.
    fn of(&self, rows: Rows, indices: &[usize], rng: &mut Rng) -> Outcome<Scored> {
        if let Some((flow, levels)) = &self.flow {
            let given = self.labels.iter().flat_map(|labels| indices.iter().map(|&row| labels[row])).collect();
            if let Some(model) = self.trainee.offers().differentiable_given(given) {
                let Some((filled, of_noise)) = self.trainee.offers().filled(&rows, rng) else {
                    return Ok(flow.score(&*model, levels, rows));
                };
                let mut scored = flow.score(&*model, levels, filled);
                scored.nats.iter_mut().zip(of_noise).for_each(|(nats, of_noise)| *nats -= of_noise);
                return Ok(scored);
            }
        }
        let at_once = |nats| Scored { nats, ..Scored::default() };
        let exact = |model: &dyn Density, rows| -> Outcome<Scored> {
            Ok(at_once(numbers(model.log_prob(rows).unsqueeze_dim(1))?.into_iter().map(f64::from).collect()))
        };
        if let Some(labels) = &self.labels {
            let given: Vec<usize> = indices.iter().map(|&row| labels[row]).collect();
            if let Some(model) = self.trainee.offers().density_given(given.clone()) {
                return exact(&*model, rows);
            }
            if let Some(model) = self.trainee.offers().lower_bound_given(given) {
                return Ok(at_once(model.lower_bound(rows, rng)));
            }
        }
        if let Some(scored) = self.trainee.offers().scored(&rows) {
            return Ok(scored);
        }
        match (self.view.density, self.view.lower_bound) {
            (Some(model), _) => exact(model, rows),
            (None, Some(model)) => Ok(at_once(model.lower_bound(rows, rng))),
            (None, None) => Err(Failure::new("this model has no likelihood")),
        }
    }
}

/// `kl@fresh`: the divergence of the model from a known density, on points that were never seen. It has the mean of
/// entropy minus likelihood, and a fraction of its variance.
fn divergence(subject: &Subject<'_>, plan: &Plan<'_>, tell: &mut dyn FnMut(String)) -> Outcome<Option<Score>> {
    let (Some(toy), Some(model)) = (subject.data.toy(), subject.trainee.view().density) else { return Ok(None) };
    // A probability flow costs a hundred evaluations of a network a point.
    let n = match subject.recipe.model {
        Family::Diffusion(_) => subject.recipe.measure.likelihood_rows.unwrap_or(FRESH).min(FRESH),
        _ => FRESH,
    };
    let fresh = toy.sample(n, &mut Rng::new(plan.seed).fork("held-out")).values().to_vec();
    let truth = toy.density();
    let mut gaps = Vec::with_capacity(n);
    for chunk in fresh.chunks(2 * 8 * CHUNK) {
        let log_p = numbers(model.log_prob(tensor(chunk.to_vec(), 2, subject.device)).unsqueeze_dim(1))?;
        let truths = chunk.chunks_exact(2).map(|point| truth.log_density([point[0].into(), point[1].into()]));
        gaps.extend(truths.zip(log_p).map(|(truth, log_p)| truth - f64::from(log_p)));
    }
    if let Some(point) = gaps.iter().position(|gap| impossible(subject, -gap)) {
        tell(format!("fresh point {point} is impossible under this estimate: the divergence is infinite"));
        return Ok(None);
    }
    let mean = Mean::of(&gaps)?;
    let details = json!({ "n": n, "standard_error": mean.standard_error, "seed": plan.seed });
    Ok(Some(Score { measure: Measure::Kl.to_string(), value: mean.value, baseline: None, record: record(&details) }))
}

/// `reverse-kl@samples` of models that learnt from a known energy: their own divergence. Other models may draw points
/// where the density is zero, and it would be infinite.
fn reverse_divergence(subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome<Option<Score>> {
    let view = subject.trainee.view();
    let energy = matches!(subject.recipe.model, Family::EnergyFlow(_));
    let (Some(toy), Some(model), Some(source), true) = (subject.data.toy(), view.density, view.sample, energy) else {
        return Ok(None);
    };
    let x = source.sample(FRESH, &mut Rng::new(plan.seed).fork("reverse"));
    let log_p = numbers(model.log_prob(x.clone()).unsqueeze_dim(1))?;
    let truth = toy.density();
    let points = numbers(x)?;
    let points = points.chunks_exact(2).map(|point| truth.log_density([point[0].into(), point[1].into()]));
    let gaps: Vec<f64> = points.zip(log_p).map(|(truth, log_p)| f64::from(log_p) - truth).collect();
    let mean = Mean::of(&gaps)?;
    let details = json!({ "n": FRESH, "standard_error": mean.standard_error, "seed": plan.seed });
    Ok(Some(Score {
        measure: Measure::ReverseKl.to_string(),
        value: mean.value,
        baseline: None,
        record: record(&details),
    }))
}

fn dequantisation(subject: &Subject<'_>) -> Dequantisation {
    let view = subject.recipe.data.view;
    let Some(levels) = subject.data.levels() else { return Dequantisation::Continuous };
    if subject.recipe.model.fills_levels() {
        return Dequantisation::Variational { levels: levels.into() };
    }
    let k = subject.recipe.measure.dequantisation_draws;
    let of_levels = subject.trainee.view().density.is_none();
    match (view.values(levels), noisy(subject)) {
        (Some(values), _) => Dequantisation::None { levels: values.into() },
        (None, true) if k == 1 => Dequantisation::Uniform { levels: levels.into() },
        (None, true) => Dequantisation::UniformK { levels: levels.into(), k },
        // A bound whose decoder gives probabilities of the levels themselves.
        (None, false) if of_levels => Dequantisation::None { levels: levels.into() },
        (None, false) => Dequantisation::Continuous,
    }
}

fn noisy(subject: &Subject<'_>) -> bool {
    subject.recipe.data.view == genera_data::View::Dequantised
}

fn view_name(view: genera_data::View) -> String {
    serde_json::to_value(view).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// ln (1/K) Σ exp v_k, without overflow.
fn log_mean_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        // NaN must not hide behind another draw.
        return values.sum();
    }
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + (value - top).exp(), count + 1.0));
    top + (sum / count).ln()
}

/// The standard error of `mean = ln (1/K) Σ exp v_k`, of values `v` that err by themselves, to first order:
/// `√Σ (w_k e_k)²` with the shares `w_k` that the values have in the sum.
fn error_of_mean_exp(mean: f64, values: &[(f64, f64)]) -> f64 {
    let share = |value: f64| (value - mean).exp() / values.len() as f64;
    values.iter().map(|(value, error)| (share(*value) * error).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::{error_of_mean_exp, log_mean_exp};

    #[test]
    fn errors_go_with_the_shares_of_values() {
        assert!((error_of_mean_exp(-3.0, &[(-3.0, 0.2)]) - 0.2).abs() < 1e-15);
        // Equals halve, in the square; what has no share adds nothing.
        assert!((error_of_mean_exp(-1.0, &[(-1.0, 0.3), (-1.0, 0.4)]) - 0.25).abs() < 1e-15);
        let mean = log_mean_exp([0.0, -800.0].into_iter());
        assert!((error_of_mean_exp(mean, &[(0.0, 0.1), (-800.0, 50.0)]) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn log_mean_exp_is_stable_and_hides_nothing() {
        assert_eq!(log_mean_exp([-1000.0].into_iter()), -1000.0);
        let two = log_mean_exp([(0.25_f64).ln() - 1000.0, (0.75_f64).ln() - 1000.0].into_iter());
        assert!((two - (0.5_f64.ln() - 1000.0)).abs() < 1e-12);
        assert!(log_mean_exp([0.0, f64::NAN].into_iter()).is_nan());
        assert_eq!(log_mean_exp([f64::NEG_INFINITY; 2].into_iter()), f64::NEG_INFINITY);
    }
}
