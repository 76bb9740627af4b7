//! The probability flow: likelihoods equal to known densities, ways there and back, rows that keep to themselves.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Differentiable, Diffusion, DiffusionConfig, Level, Levels, MixtureDenoiser, ProbabilityFlow, Schedule, Target,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::ode::{Divergence, Noise};
use genera::traits::{Denoise, Density, Rows, Sample};

fn mixture() -> MixtureDenoiser {
    let parts = [(0.3, vec![1.0, -0.5], vec![0.1, 0.3]), (0.7, vec![-0.6, 0.4], vec![0.2, 0.05])];
    MixtureDenoiser::new(&parts, &Device::default()).unwrap()
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn schedules() -> [Levels; 5] {
    [
        Schedule::VarianceExploding { steps: 1000, sigma_min: 0.01, sigma_max: 50.0 },
        Schedule::variance_preserving(1000),
        Schedule::sub_variance_preserving(1000),
        Schedule::Karras { steps: 1000, sigma_min: 0.01, sigma_max: 50.0, rho: 7.0 },
        Schedule::linear_flow(1000),
    ]
    .map(|schedule| schedule.levels().unwrap())
}

#[test]
fn likelihoods_are_those_of_the_mixture() {
    let x = mixture().sample(40, &mut Rng::new(1));
    let points = values(&x);
    let flow = ProbabilityFlow { tolerance: 1e-6, ..ProbabilityFlow::default() };
    for levels in schedules() {
        // The mixture itself at the noisiest level: what the flow must carry to the least noisy one.
        let prior = |z: &[f64]| mixture().log_density(z, levels.top());
        let scored = flow.score_under(&mixture(), &levels, x.clone(), &prior);
        assert!(scored.failures.is_empty());
        let exact = points.chunks_exact(2).map(|x| mixture().log_density(x, levels.lowest()));
        let worst = exact.zip(&scored.nats).map(|(exact, found)| (exact - found).abs()).fold(0.0, f64::max);
        let most = scored.evaluations.iter().max().unwrap();
        println!("{:?}: {worst:.1e} nats, at most {most} evaluations", levels.schedule());
        assert!(worst < 1e-3, "{:?}: {worst}", levels.schedule());
    }
}

/// Where hardly any signal is left at the end, the standard normal prior is as good as the mixture's own.
#[test]
fn the_normal_prior_is_right_where_no_signal_is_left() {
    let levels = Schedule::VariancePreserving { steps: 1000, beta_min: 0.1, beta_max: 40.0 }.levels().unwrap();
    let x = mixture().sample(20, &mut Rng::new(1));
    let scored = ProbabilityFlow::default().score(&mixture(), &levels, x.clone());
    for (point, found) in values(&x).chunks_exact(2).zip(&scored.nats) {
        let exact = mixture().log_density(point, levels.lowest());
        assert!((exact - found).abs() < 1e-3, "{exact} {found}");
    }
}

#[test]
fn a_likelihood_does_not_depend_on_the_batch() {
    let (levels, flow) = (Schedule::variance_preserving(1000).levels().unwrap(), ProbabilityFlow::default());
    let estimate =
        ProbabilityFlow { divergence: Divergence::Hutchinson { noise: Noise::Rademacher, probes: 2 }, ..flow };
    let x = mixture().sample(24, &mut Rng::new(2));
    let config = DiffusionConfig { likelihood: Some(flow), ..DiffusionConfig::new(2, Schedule::cosine(100)) };
    let model = config.init(net()).unwrap();
    for flow in [flow, estimate] {
        let whole = flow.score(&mixture(), &levels, x.clone()).nats;
        let learnt = flow.score(&model, model.levels(), x.clone()).nats;
        for (first, count) in [(0, 1), (3, 8), (17, 7)] {
            let part = x.clone().narrow(0, first, count);
            assert_eq!(whole[first..first + count], flow.score(&mixture(), &levels, part.clone()).nats);
            assert_eq!(learnt[first..first + count], flow.score(&model, model.levels(), part).nats);
        }
    }
}

#[test]
fn there_and_back() {
    for levels in schedules() {
        let x = mixture().sample(32, &mut Rng::new(3));
        let error = |tolerance: f64| {
            let flow = ProbabilityFlow { tolerance, ..ProbabilityFlow::default() };
            let z = flow.encode(&mixture(), &levels, x.clone());
            let back = flow.decode(&mixture(), &levels, z);
            f64::from((back - x.clone()).abs().max().into_scalar::<f32>())
        };
        let (coarse, fine) = (error(1e-3), error(1e-6));
        println!("{:?}: {coarse:.1e} -> {fine:.1e}", levels.schedule());
        assert!(fine < 1e-3 && fine < coarse, "{:?}: {coarse} -> {fine}", levels.schedule());
    }
}

#[test]
fn probes_estimate_the_likelihood_without_bias() {
    let levels = Schedule::variance_preserving(1000).levels().unwrap();
    let x = mixture().sample(200, &mut Rng::new(4));
    let exact = ProbabilityFlow::default().score(&mixture(), &levels, x.clone()).nats;
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let divergence = Divergence::Hutchinson { noise, probes: 4 };
        let flow = ProbabilityFlow { tolerance: 1e-4, divergence, seed: 0 };
        let found = flow.score(&mixture(), &levels, x.clone()).nats;
        let gaps: Vec<f64> = found.iter().zip(&exact).map(|(a, b)| a - b).collect();
        let mean = gaps.iter().sum::<f64>() / 200.0;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 200.0).sqrt();
        assert!(deviation > 1e-3 && mean.abs() < 5.0 * deviation / 200.0_f64.sqrt(), "{noise:?}: {mean} ± {deviation}");
        assert_eq!(found, flow.score(&mixture(), &levels, x.clone()).nats);
    }
}

/// The density of a mixture is known, and so is what probes may miss it by: the mean over the rows is within a few of the
/// standard errors that are reported, and over seeds it scatters as they say.
#[test]
fn the_error_over_probes_is_what_seeds_scatter_by() {
    const SEEDS: u64 = 160;
    let levels = Schedule::VariancePreserving { steps: 1000, beta_min: 0.1, beta_max: 40.0 }.levels().unwrap();
    let x = mixture().sample(12, &mut Rng::new(6));
    let exact: Vec<f64> = values(&x).chunks_exact(2).map(|x| mixture().log_density(x, levels.lowest())).collect();
    let truth = exact.iter().sum::<f64>() / 12.0;
    let probes = 6;
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let record = |seed| {
            let flow = ProbabilityFlow { tolerance: 1e-4, divergence: Divergence::Hutchinson { noise, probes }, seed };
            let scored = flow.score(&mixture(), &levels, x.clone());
            let errors = scored.probe_errors.expect("there are several probes");
            let mean = scored.nats.iter().sum::<f64>() / 12.0;
            (mean, errors.iter().map(|error| error * error).sum::<f64>() / 144.0)
        };
        let found: Vec<(f64, f64)> = (0..SEEDS).map(record).collect();
        let n = SEEDS as f64;
        // The variance over seeds about the truth, and the mean of those that each seed reports by itself.
        let scatter = found.iter().map(|(mean, _)| (mean - truth).powi(2)).sum::<f64>() / n;
        let reported = found.iter().map(|(_, variance)| variance).sum::<f64>() / n;
        let bias = found.iter().map(|(mean, _)| mean - truth).sum::<f64>() / n;
        println!(
            "{noise:?}, {probes}: ± {:.4} reported, {:.4} found, off by {bias:.4}",
            reported.sqrt(),
            scatter.sqrt()
        );
        assert!(reported.sqrt() > 1e-3, "probes must miss by something");
        assert!(bias.abs() < 4.0 * (reported / n).sqrt() + 1e-3, "{noise:?}: off by {bias}");
        // A variance from 160 numbers is known to a ninth.
        assert!((0.65..1.5).contains(&(scatter / reported)), "{noise:?}: {scatter} {reported}");
        let far = found.iter().filter(|(mean, own)| (mean - truth).abs() > 4.0 * own.sqrt() + 1e-3).count();
        assert!(far <= 2, "{noise:?}: {far} of {SEEDS} are more than four errors off");
    }
    let exact = ProbabilityFlow::default().score(&mixture(), &levels, x.clone());
    assert_eq!(exact.probe_errors, Some(vec![0.0; 12]));
    let one = Divergence::Hutchinson { noise: Noise::Rademacher, probes: 1 };
    let one = ProbabilityFlow { divergence: one, ..ProbabilityFlow::default() };
    assert_eq!(one.score(&mixture(), &levels, x).probe_errors, None, "one probe knows nothing of its error");
}

fn net() -> ConditionalMlp {
    ConditionalMlpConfig { width: 16, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default())
}

/// The derivative of a network by autodiff is the difference quotient, for every target.
#[test]
fn networks_are_differentiated() {
    for target in [Target::Noise, Target::V, Target::Data] {
        let model: Diffusion<ConditionalMlp> =
            DiffusionConfig { target, ..DiffusionConfig::new(2, Schedule::cosine(100)) }.init(net()).unwrap();
        let rows = |seed| -> Rows {
            Tensor::from_data(TensorData::new(Rng::new(seed).normal(5, 2), [5, 2]), &Device::default())
        };
        let levels: Vec<Level> = [0, 10, 20, 30, 45].map(|t| model.levels().training(t)).to_vec();
        let (x, v, u) = (rows(2), rows(3), rows(4));
        let (x0, pulled) = model.denoise_and_pull(&[0, 1, 2, 3, 4], x.clone(), &levels, vec![v.clone(), u]);
        let plain = values(&model.denoise(x.clone(), &levels));
        assert!(values(&x0).iter().zip(plain).all(|(a, b)| (a - b).abs() < 1e-5 * b.abs().max(1.0)));
        assert_eq!(pulled.len(), 2);
        let h = 1e-2;
        for axis in 0..2 {
            let unit = Rows::from_floats([[f32::from(axis == 0), f32::from(axis == 1)]], &Device::default());
            let at = |by: f64| (model.denoise(x.clone() + unit.clone() * by, &levels) * v.clone()).sum_dim(1);
            let slopes = values(&((at(h) - at(-h)) / (2.0 * h)));
            let found: Vec<f64> = values(&pulled[0]).into_iter().skip(axis).step_by(2).collect();
            for (slope, found) in slopes.iter().zip(found) {
                assert!((slope - found).abs() < 0.02 * slope.abs().max(0.5), "{target:?}: {slope} {found}");
            }
        }
    }
}

/// The density of any network integrates to one.
#[test]
fn the_density_of_a_network_has_mass_one() {
    let likelihood = Some(ProbabilityFlow { tolerance: 1e-4, ..ProbabilityFlow::default() });
    let schedule = Schedule::VariancePreserving { steps: 100, beta_min: 0.1, beta_max: 6.0 };
    let config = DiffusionConfig { likelihood, target: Target::V, ..DiffusionConfig::new(2, schedule) };
    let model = config.init(net()).unwrap();
    let (side, half) = (48, 6.0);
    let step = 2.0 * half / f64::from(side);
    let centre = |i: i32| (-half + (f64::from(i) + 0.5) * step) as f32;
    let points: Vec<f32> = (0..side * side).flat_map(|at| [centre(at / side), centre(at % side)]).collect();
    let n = points.len() / 2;
    let x = Tensor::from_data(TensorData::new(points, [n, 2]), &Device::default());
    let mass: f64 = values(&model.log_prob(x)).into_iter().map(|log| log.exp() * step * step).sum();
    assert!((mass - 1.0).abs() < 0.01, "{mass}");
}
