//! Guidance against mixtures whose guided densities are known.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    ClassMixture, ClassScore, ClassifierGuided, Differentiable, Diffusion, DiffusionConfig, Guidance, Guided, Known,
    Level, Levels, NoisyClassifier, Sampler, Schedule, Solver,
};
use genera::mcmc::{Metropolis, Potential};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::traits::{Batch, Denoise, Model, Rows, Sample};

/// Two classes on the line, the first of two parts.
fn line() -> ClassMixture {
    let parts = [(0.3, vec![-1.2], vec![0.15], 0), (0.2, vec![0.8], vec![0.3], 0), (0.5, vec![0.4], vec![0.2], 1)];
    ClassMixture::new(&parts, &Device::default()).unwrap()
}

/// Two overlapping classes in the plane.
fn plane() -> ClassMixture {
    let parts = [
        (0.5, vec![-0.5, 0.0], vec![0.2, 0.4], 0),
        (0.3, vec![0.5, 0.3], vec![0.2, 0.2], 1),
        (0.2, vec![0.6, -0.9], vec![0.1, 0.2], 1),
    ];
    ClassMixture::new(&parts, &Device::default()).unwrap()
}

fn levels() -> Levels {
    Schedule::variance_preserving(100).levels().unwrap()
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn mean_and_variance(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

fn normal([n, width]: [usize; 2], seed: u64) -> Rows {
    Tensor::from_data(TensorData::new(Rng::new(seed).normal(n, width), [n, width]), &Device::default())
}

#[test]
fn closed_forms_are_gradients() {
    let (mixture, x, h) = (plane(), [0.2, -0.4], 1e-5);
    for level in [levels().training(5), levels().training(40), levels().training(80)] {
        let total: f64 = mixture.log_posterior(&x, level).into_iter().map(f64::exp).sum();
        assert!((total - 1.0).abs() < 1e-12);
        for gamma in [0.0, 1.0, 2.0, 4.0] {
            let guided = mixture.guided_score(&x, level, 1, gamma);
            let normaliser = mixture.normaliser_score(&x, level, gamma);
            for axis in 0..2 {
                let slope = |f: &dyn Fn(&[f64]) -> f64| {
                    let moved = |by: f64| {
                        let mut x = x;
                        x[axis] += by;
                        f(&x)
                    };
                    (moved(h) - moved(-h)) / (2.0 * h)
                };
                let of_guided = slope(&|x| mixture.guided_log_density(x, level, 1, gamma));
                let of_normaliser = slope(&|x| mixture.log_normaliser(x, level, gamma));
                assert!((of_guided - guided[axis]).abs() < 1e-6 * of_guided.abs().max(1.0));
                assert!((of_normaliser - normaliser[axis]).abs() < 1e-6, "{of_normaliser} {normaliser:?}");
            }
            // Z is 1 for γ = 1 and the number of classes for γ = 0; its gradient is not zero in between and above.
            let size = normaliser.iter().map(|v| v.abs()).sum::<f64>();
            assert_eq!(size > 1e-9, gamma > 1.0, "γ = {gamma}: {size}");
        }
        assert_eq!(mixture.guided_score(&x, level, 0, 0.0), mixture.whole().score(&x, level));
        let given = mixture.class(0).score(&x, level);
        assert!(mixture.guided_score(&x, level, 0, 1.0).iter().zip(given).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}

#[test]
fn both_guidances_are_one_on_exact_denoisers() {
    let (mixture, x) = (plane(), normal([6, 2], 1));
    let levels: Vec<Level> = [3, 20, 40, 60, 80, 99].map(|t| levels().training(t)).to_vec();
    let labels = vec![1, 0];
    for gamma in [0.0, 1.0, 2.0, 4.0, -1.0] {
        let free = Guided {
            given: Box::new(mixture.given(labels.clone())),
            against: Box::new(mixture.whole().clone()),
            guidance: Guidance::of(gamma),
        };
        let whole = mixture.whole();
        let classifier =
            ClassifierGuided { denoise: whole, classifier: &mixture, labels: labels.clone(), scale: gamma };
        let (a, b) = (free.denoise(x.clone(), &levels), classifier.denoise(x.clone(), &levels));
        for (i, (a, b)) in values(&a).into_iter().zip(values(&b)).enumerate() {
            assert!((a - b).abs() < 2e-4 * a.abs().max(1.0), "γ = {gamma}, {i}: {a} {b}");
        }
        // And both follow the closed form: x̂₀ = (x + σ² s) / α.
        for (row, (x, found)) in values(&x).chunks_exact(2).zip(values(&a).chunks_exact(2)).enumerate() {
            let level = levels[row];
            let score = mixture.guided_score(x, level, labels[row % 2], gamma);
            for axis in 0..2 {
                let exact = (x[axis] + level.sigma.powi(2) * score[axis]) / level.alpha;
                assert!((found[axis] - exact).abs() < 2e-4 * exact.abs().max(1.0), "{found:?} {exact}");
            }
        }
    }
}

#[test]
fn interval_and_rescaling() {
    let (mixture, x) = (plane(), normal([2, 2], 1));
    let (low, high) = (levels().training(10), levels().training(90));
    let with = |guidance| Guided {
        given: Box::new(mixture.given(vec![1])),
        against: Box::new(mixture.whole().clone()),
        guidance,
    };
    let plain = values(&with(Guidance::of(3.0)).denoise(x.clone(), &[low, high]));
    let given = values(&with(Guidance::of(1.0)).denoise(x.clone(), &[low, high]));
    let limited = Guidance { interval: Some([1.0, 100.0]), ..Guidance::of(3.0) };
    let limited = values(&with(limited).denoise(x.clone(), &[low, high]));
    assert_eq!((&limited[..2], &limited[2..]), (&given[..2], &plain[2..]));
    // Fully rescaled, the predicted noise of a row has the deviation that it has without guidance.
    let rescaled = Guidance { rescale: 1.0, ..Guidance::of(3.0) };
    let rescaled = values(&with(rescaled).denoise(x.clone(), &[low, high]));
    let spread = |x0: &[f64], row: usize, level: Level| {
        let noise = |j: usize| values(&x)[2 * row + j] - level.alpha * x0[2 * row + j];
        (noise(0) - noise(1)).abs()
    };
    for (row, level) in [low, high].into_iter().enumerate() {
        let (a, b) = (spread(&rescaled, row, level), spread(&given, row, level));
        assert!((a / b - 1.0).abs() < 1e-3, "row {row}: {a} {b}");
        assert!((spread(&plain, row, level) / b - 1.0).abs() > 1e-3);
    }
}

/// `log p(x) + γ log p(y|x)` at one level, for chains.
struct GuidedDensity {
    mixture: ClassMixture,
    level: Level,
    gamma: f64,
}

impl Potential for GuidedDensity {
    fn log_density_and_score(&self, x: Rows) -> (Tensor<1>, Rows) {
        let (n, points) = (x.dims()[0], values(&x));
        let log = points.iter().map(|x| self.mixture.guided_log_density(&[*x], self.level, 0, self.gamma) as f32);
        let score = points.iter().map(|x| self.mixture.guided_score(&[*x], self.level, 0, self.gamma)[0] as f32);
        let (log, score): (Vec<f32>, Vec<f32>) = (log.collect(), score.collect());
        (
            Tensor::from_data(TensorData::new(log, [n]), &x.device()),
            Tensor::from_data(TensorData::new(score, [n, 1]), &x.device()),
        )
    }
}

/// Moments of a density that is known up to a constant, by quadrature on the line.
fn quadrature(log: impl Fn(f64) -> f64) -> (f64, f64) {
    let at = |i: i32| -6.0 + f64::from(i) * 0.002;
    let moment = |k: i32| (0..6000).map(|i| at(i).powi(k) * log(at(i)).exp()).sum::<f64>();
    let (mass, mean) = (moment(0), moment(1) / moment(0));
    (mean, moment(2) / mass - mean * mean)
}

/// Chains that follow the guided score settle in the density of the closed form, for every scale.
#[test]
fn guided_scores_have_their_density() {
    let level = levels().training(15);
    for gamma in [0.0, 1.0, 2.0, 4.0] {
        let density = GuidedDensity { mixture: line(), level, gamma };
        let n = 1500;
        let moves =
            Metropolis { step: 0.8, steps: 600 }.run(&density, normal([n, 1], 2), &mut Rng::new(3), &mut |_, _| ());
        let (mean, variance) = mean_and_variance(&values(&moves.x));
        let exact = quadrature(|x| line().guided_log_density(&[x], level, 0, gamma));
        let error = 5.0 * (exact.1 / n as f64).sqrt();
        assert!((mean - exact.0).abs() < error, "γ = {gamma}: mean {mean}, expected {exact:?}");
        assert!((variance / exact.1 - 1.0).abs() < 0.2, "γ = {gamma}: variance {variance}, expected {exact:?}");
    }
}

/// Down the levels, γ = 0 and 1 give the whole and the class; larger scales sharpen (fewer points that look like the other
/// class, less spread), but do not give `p(x₀) p(y|x₀)^γ`.
#[test]
fn sampling_with_guidance_sharpens_and_is_not_a_power() {
    let (mixture, levels, n) = (line(), levels(), 3000);
    let sampler = Sampler { solver: Solver::Heun, steps: 60, ..Sampler::default() };
    let draw = |gamma: f64| {
        let guided = Guided {
            given: Box::new(mixture.given(vec![0])),
            against: Box::new(mixture.whole().clone()),
            guidance: Guidance::of(gamma),
        };
        values(&sampler.sample_from(&guided, &levels, normal([n, 1], 7), &mut Rng::new(1)).unwrap())
    };
    let clean = levels.clean();
    let power = |gamma: f64| quadrature(|x| mixture.guided_log_density(&[x], clean, 0, gamma));
    let accuracy = |x: &[f64]| x.iter().map(|x| mixture.log_posterior(&[*x], clean)[0].exp()).sum::<f64>() / n as f64;
    let mut before = 0.0;
    for gamma in [0.0, 1.0, 2.0, 4.0] {
        let drawn = draw(gamma);
        let ((mean, variance), exact) = (mean_and_variance(&drawn), power(gamma));
        let error = 5.0 * (exact.1 / n as f64).sqrt() + 0.02;
        println!("γ = {gamma}: {mean:.3} ± {:.3}, power {exact:.3?}", variance.sqrt());
        if gamma <= 1.0 {
            assert!((mean - exact.0).abs() < error, "γ = {gamma}: {mean} {exact:?}");
        } else if gamma == 4.0 {
            assert!((mean - exact.0).abs() > error, "γ = {gamma}: {mean} {exact:?}");
        }
        let now = accuracy(&drawn);
        assert!(now > before, "γ = {gamma}: accuracy {now} after {before}");
        before = now;
    }
}

fn train<M: Model + Module>(model: M, data: &ClassMixture, steps: u64) -> M {
    let mut model = model.train();
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let root = Rng::new(5);
    for step in 0..steps {
        let mut rng = root.at(step);
        let half = |class: usize, rng: &mut Rng| data.class(class).sample(128, &mut rng.fork(&class.to_string()));
        let x = Tensor::cat(vec![half(0, &mut rng), half(1, &mut rng)], 0);
        let labels = Some((0..256).map(|i| i / 128).collect());
        let loss = model.loss(Batch { x, labels }, &mut rng);
        let gradients = GradientsParams::from_grads(loss.value.backward(), &model);
        model = adam.step(4e-3 * (1.0 - step as f64 / steps as f64), model, gradients);
    }
    model.valid()
}

/// One network with and without the class: told, it is the class's denoiser, untold, that of the whole.
#[test]
fn label_dropout_trains_both() {
    let data = plane();
    let net = ConditionalMlpConfig { width: 64, ..Default::default() };
    let net: ConditionalMlp = net.init(2, Some(3), &mut Rng::new(1), &Device::default());
    let config = DiffusionConfig {
        classes: Some(2),
        label_dropout: 0.5,
        ..DiffusionConfig::new(2, Schedule::variance_preserving(100))
    };
    let model: Diffusion<ConditionalMlp> = train(config.init(net).unwrap(), &data, 1200);
    let n = 600;
    let level = model.levels().training(25);
    let error = |found: Rows, exact: Rows| {
        let apart = (found - exact.clone()).square().mean().into_scalar::<f32>();
        f64::from((apart / exact.square().mean().into_scalar::<f32>()).sqrt())
    };
    let all = vec![level; n];
    let x0 = data.whole().sample(n, &mut Rng::new(8));
    let x = x0 * level.alpha + normal([n, 2], 9) * level.sigma;
    let untold = error(model.denoise(x.clone(), &all), data.whole().denoise(x.clone(), &all));
    let told = error(model.given(vec![1]).denoise(x.clone(), &all), data.given(vec![1]).denoise(x.clone(), &all));
    let wrong = error(model.given(vec![0]).denoise(x.clone(), &all), data.given(vec![1]).denoise(x.clone(), &all));
    assert!(untold < 0.2 && told < 0.2 && wrong > 0.6, "untold {untold}, told {told}, told wrongly {wrong}");
}

#[test]
fn a_noisy_classifier_learns_the_gradient_of_the_posterior() {
    let (data, levels) = (plane(), levels());
    let net =
        ConditionalMlpConfig { width: 64, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default());
    let model = train(NoisyClassifier::new(net, levels.clone(), 2), &data, 1000);
    let n = 500;
    for index in [20, 50] {
        let level = levels.training(index);
        let x = data.whole().sample(n, &mut Rng::new(8)) * level.alpha + normal([n, 2], 9) * level.sigma;
        let all = vec![level; n];
        let (found, exact) = (model.class_score(x.clone(), &all, &[1, 0]), data.class_score(x.clone(), &all, &[1, 0]));
        let apart = (found - exact.clone()).square().mean().into_scalar::<f32>();
        let relative = apart / exact.square().mean().into_scalar::<f32>();
        assert!(relative < 0.15, "level {index}: {relative}");
    }
}

/// A derivative goes through guidance, and with the factor held still through rescaling.
#[test]
fn guidance_has_the_derivative_of_both() {
    let (mixture, x, v, h) = (plane(), normal([4, 2], 1), normal([4, 2], 2), 1e-2);
    let all: Vec<Level> = [10, 30, 50, 70].map(|t| levels().training(t)).to_vec();
    let with = |guidance| Guided {
        given: Box::new(mixture.class(1).clone()),
        against: Box::new(mixture.whole().clone()),
        guidance,
    };
    let pull = |guided: &dyn Differentiable| {
        let (x0, pulled) = guided.denoise_and_pull(&[0, 1, 2, 3], x.clone(), &all, vec![v.clone()]);
        for (found, exact) in values(&x0).iter().zip(values(&guided.denoise(x.clone(), &all))) {
            assert!((found - exact).abs() < 1e-4 * exact.abs().max(1.0), "{found} {exact}");
        }
        values(&pulled[0])
    };
    for gamma in [1.0, 3.0, -1.0] {
        let guided = with(Guidance::of(gamma));
        let pulled = pull(&guided);
        for axis in 0..2 {
            let along = |by: f64| {
                let unit = Rows::from_floats([[1.0 - axis as f32, axis as f32]], &Device::default());
                values(&(guided.denoise(x.clone() + unit * by, &all) * v.clone()))
            };
            let (above, below) = (along(h), along(-h));
            for row in 0..4 {
                let slope: f64 = (2 * row..2 * row + 2).map(|i| (above[i] - below[i]) / (2.0 * h)).sum();
                let found = pulled[2 * row + axis];
                assert!((found - slope).abs() < 1e-2 * slope.abs().max(1.0), "γ = {gamma}, row {row}: {found} {slope}");
            }
        }
    }
    assert!(pull(&with(Guidance { rescale: 0.7, ..Guidance::of(3.0) })).iter().all(|v| v.is_finite()));
}

/// The probability flow asks for the rows that are not done, in which each keeps its own known numbers.
#[test]
fn known_numbers_follow_their_rows() {
    let (mixture, n) = (plane(), 5);
    let values_of = |n: usize| Rows::from_floats([[0.5, 0.0]], &Device::default()) * column(n);
    let known = |n: usize| Known {
        denoise: mixture.whole(),
        values: values_of(n),
        mask: Rows::from_floats([[1.0, 0.0]], &Device::default()),
    };
    let sampler = Sampler { solver: Solver::ProbabilityFlow, tolerance: 1e-4, ..Sampler::default() };
    let draw = |n: usize| sampler.sample_from(&known(n), &levels(), normal([n, 2], 3), &mut Rng::new(4)).unwrap();
    let drawn = values(&draw(n));
    for (found, expected) in drawn.iter().step_by(2).zip(values(&values_of(n)).iter().step_by(2)) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    assert_eq!(drawn[..6], values(&draw(3)), "a row does not depend on its company");
}

/// 1, 2, ... as a column.
fn column(n: usize) -> Rows {
    let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
    Tensor::from_data(TensorData::new(values, [n, 1]), &Device::default())
}

/// What is known stays, and draws the rest to what belongs to it.
#[test]
fn known_numbers_are_kept() {
    let parts = [(0.5, vec![-1.0, -1.0], vec![0.05, 0.05], 0), (0.5, vec![1.0, 1.0], vec![0.05, 0.05], 1)];
    let mixture = ClassMixture::new(&parts, &Device::default()).unwrap();
    let known = Known {
        denoise: mixture.whole(),
        values: Rows::from_floats([[1.1, 0.0]], &Device::default()),
        mask: Rows::from_floats([[1.0, 0.0]], &Device::default()),
    };
    let sampler = Sampler { steps: 100, ..Sampler::default() };
    let drawn = values(&sampler.sample_from(&known, &levels(), normal([500, 2], 3), &mut Rng::new(4)).unwrap());
    assert!(drawn.iter().step_by(2).all(|x| (x - 1.1).abs() < 1e-4));
    let rest: Vec<f64> = drawn.iter().skip(1).step_by(2).copied().collect();
    let (mean, variance) = mean_and_variance(&rest);
    assert!((mean - 1.0).abs() < 0.2 && variance < 0.3, "{mean} {variance}");
}
