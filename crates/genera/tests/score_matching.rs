//! Every objective of score matching finds scores that are known.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::mcmc::{Langevin, Start};
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::score::{
    Form, Noise, Objective, Projection, ScoreError, ScoreMatching, ScoreMatchingConfig, fisher_divergence,
};
use genera::train::{Descent, DescentConfig, Ema, OptimizerConfig, RateSchedule};
use genera::traits::{Batch, Learner, Model, Rows, Sample, Score};
use genera_data::Mixture;

/// The score of a mixture with noise of deviation `sigma` on top.
struct Known(Mixture);

impl Score for Known {
    fn score(&self, x: Rows) -> Rows {
        let values: Vec<f32> = x.to_data().iter::<f32>().collect();
        let score = values.chunks_exact(2).flat_map(|x| self.0.score(&[f64::from(x[0]), f64::from(x[1])]));
        Tensor::from_data(TensorData::new(score.map(|s| s as f32).collect::<Vec<f32>>(), x.dims()), &x.device())
    }
}

fn gaussian(noise: f64) -> Mixture {
    let n = noise * noise;
    Mixture::new(vec![1.0], vec![0.5, -1.0], &[1.0 + n, 0.5, 0.5, 0.8 + n]).unwrap()
}

fn mixture(noise: f64) -> Mixture {
    let v = 0.25 + noise * noise;
    let covariances = [v, 0.0, 0.0, v].repeat(3);
    Mixture::new(vec![0.5, 0.3, 0.2], vec![-1.0, -0.5, 1.0, -0.5, 0.0, 1.0], &covariances).unwrap()
}

fn points(mixture: &Mixture, n: usize, rng: &mut Rng) -> Rows {
    let values = mixture.sample(n, rng).values().to_vec();
    Tensor::from_data(TensorData::new(values, [n, 2]), &Device::flex())
}

fn config(objective: Objective) -> ScoreMatchingConfig {
    ScoreMatchingConfig {
        features: 2,
        objective,
        langevin: Langevin { step: 0.1, steps: 100 },
        start: Start::Uniform { low: -1.0, high: 1.0 },
    }
}

fn model(objective: Objective) -> ScoreMatching<Mlp> {
    let net = MlpConfig { inputs: 2, hidden: vec![48, 48], outputs: 2, activation: Activation::Silu };
    config(objective).init(net.init(&mut Rng::new(1), &Device::flex())).unwrap()
}

/// Trains on fresh points of `data`.
fn trained(objective: Objective, data: &Mixture, steps: u64) -> Descent<ScoreMatching<Mlp>> {
    let optimizer: OptimizerConfig = serde_json::from_str(r#"{"kind": "adam", "learning_rate": 0.01}"#).unwrap();
    let rate: RateSchedule = serde_json::from_str(r#"{"kind": "cosine", "warmup": 20}"#).unwrap();
    let ema: Ema = serde_json::from_str(r#"{"decay": 0.99}"#).unwrap();
    let descent = DescentConfig { optimizer, rate, clip_norm: Some(10.0), ema: Some(ema) };
    let mut descent = Descent::new(model(objective), descent, steps).unwrap();
    let root = Rng::new(2);
    for step in 0..steps {
        let mut rng = root.at(step);
        let x = points(data, 512, &mut rng.fork("data"));
        descent.step(vec![Batch { x, labels: None }], &mut rng).unwrap();
    }
    descent
}

const SLICED: Objective = Objective::Sliced { projection: Projection::Rademacher, projections: 1, form: Form::Reduced };

fn denoising(sigma: f64, noise: Noise) -> Objective {
    Objective::Denoising { sigma, noise }
}

#[test]
fn every_objective_finds_the_score_of_a_gaussian() {
    let gaussian_directions =
        Objective::Sliced { projection: Projection::Gaussian, projections: 2, form: Form::Reduced };
    let plain = Objective::Sliced { projection: Projection::Rademacher, projections: 2, form: Form::Plain };
    let noise = 0.3;
    for (objective, truth) in [
        (Objective::Implicit, gaussian(0.0)),
        (SLICED, gaussian(0.0)),
        (gaussian_directions, gaussian(0.0)),
        (plain, gaussian(0.0)),
        (denoising(noise, Noise::Single), gaussian(noise)),
        (denoising(noise, Noise::Mirrored), gaussian(noise)),
    ] {
        let model = trained(objective, &gaussian(0.0), 500);
        let x = points(&truth, 4000, &mut Rng::new(9));
        let fisher = fisher_divergence(model.model(), &Known(truth), x);
        println!("{objective:?}: {fisher:?}");
        assert!(fisher.relative < 0.02, "{objective:?}: {fisher:?}");
    }
}

#[test]
fn every_objective_finds_the_score_of_a_mixture() {
    let noise = 0.2;
    for (objective, truth) in [
        (Objective::Implicit, mixture(0.0)),
        (SLICED, mixture(0.0)),
        (denoising(noise, Noise::Single), mixture(noise)),
        (denoising(noise, Noise::Mirrored), mixture(noise)),
    ] {
        let model = trained(objective, &mixture(0.0), 1200);
        let x = points(&truth, 4000, &mut Rng::new(9));
        let fisher = fisher_divergence(model.model(), &Known(truth), x);
        println!("{objective:?}: {fisher:?}");
        assert!(fisher.relative < 0.02, "{objective:?}: {fisher:?}");
    }
}

/// On the true score, implicit matching is minus half of the Fisher information, and no other multiple of it is lower.
#[test]
fn the_implicit_objective_is_the_fisher_divergence_up_to_a_constant() {
    let data = gaussian(0.0);
    let x = points(&data, 20_000, &mut Rng::new(3));
    let loss = |objective: Objective, scale: f64| {
        let linear = Scaled { scale };
        let model = config(objective).init(linear).unwrap();
        f64::from(model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(4)).value.into_scalar::<f32>())
    };
    // Σ⁻¹ has trace (1 + 0.8) / 0.55; at scale c the loss is (c²/2 − c) tr Σ⁻¹.
    let information = 1.8 / 0.55;
    for scale in [0.5, 1.0, 1.5] {
        let exact = (0.5 * scale * scale - scale) * information;
        for objective in [
            Objective::Implicit,
            SLICED,
            Objective::Sliced { projection: Projection::Gaussian, projections: 4, form: Form::Plain },
        ] {
            let found = loss(objective, scale);
            assert!((found - exact).abs() < 0.08, "{objective:?} at {scale}: {found}, expected {exact}");
        }
    }
}

/// The slope of the denoising objective along the scale `c` of the score, over `σ²`, is `(c − 1) tr Σ⁻¹` up to what the
/// noise adds to `Σ`. One draw sees it through noise of the size `1/σ`; its mirror image takes that away.
#[test]
fn mirrored_noise_keeps_the_slope_and_loses_the_variance() {
    let (sigma, rows, draws, scale, h) = (0.05, 500, 40, 1.5, 0.05);
    let slopes = |noise: Noise| -> (f64, f64) {
        let loss = |scale: f64, draw: u64| {
            let x = points(&gaussian(0.0), rows, &mut Rng::new(3).at(draw));
            let model = config(denoising(sigma, noise)).init(Scaled { scale }).unwrap();
            let values = model.loss(Batch { x, labels: None }, &mut Rng::new(4).at(draw)).value;
            f64::from(values.into_scalar::<f32>())
        };
        let slope = |draw| (loss(scale + h, draw) - loss(scale - h, draw)) / (2.0 * h * sigma * sigma);
        let slopes: Vec<f64> = (0..draws).map(slope).collect();
        let mean = slopes.iter().sum::<f64>() / draws as f64;
        (mean, (slopes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / draws as f64).sqrt())
    };
    let exact = (scale - 1.0) * 1.8 / 0.55;
    let (single, mirrored) = (slopes(Noise::Single), slopes(Noise::Mirrored));
    for (mean, deviation) in [single, mirrored] {
        let error = deviation / f64::from(draws as u32).sqrt();
        assert!((mean - exact).abs() < 4.0 * error + 0.03, "{mean} ± {error}, expected {exact}");
    }
    assert!(mirrored.1 < 0.3 * single.1, "{single:?} {mirrored:?}");
}

/// `c Σ⁻¹ (m − x)` for [`gaussian`].
#[derive(burn::module::Module, Debug)]
struct Scaled {
    #[module(skip)]
    scale: f64,
}

impl Scaled {
    fn times_precision(&self, v: Rows) -> Rows {
        let d = 0.55;
        let precision = Rows::from_floats([[0.8 / d, -0.5 / d], [-0.5 / d, 1.0 / d]], &v.device());
        v.matmul(precision) * self.scale
    }
}

impl genera::traits::Net for Scaled {
    fn forward(&self, x: Rows) -> Rows {
        self.times_precision(Rows::from_floats([[0.5, -1.0]], &x.device()) - x)
    }
}

impl genera::nn::derivative::Linearise for Scaled {
    fn linearise(&self, x: Rows) -> genera::nn::derivative::Linearised<'_, Rows, Rows> {
        let value = genera::traits::Net::forward(self, x);
        let along = |v: Rows| -self.times_precision(v);
        genera::nn::derivative::Linearised::new(value, along, along)
    }
}

#[test]
fn samples_follow_the_score_and_not_their_company() {
    let descent = trained(denoising(0.2, Noise::Single), &gaussian(0.0), 300);
    let model = descent.model();
    let values = |x: Rows| -> Vec<f32> { x.to_data().iter::<f32>().collect() };
    let all = values(model.sample(600, &mut Rng::new(5)));
    assert_eq!(values(model.sample(7, &mut Rng::new(5))), all[..14]);
    let mean = [0, 1].map(|axis| all.iter().skip(axis).step_by(2).sum::<f32>() / 600.0);
    assert!((mean[0] - 0.5).abs() < 0.25 && (mean[1] + 1.0).abs() < 0.25, "{mean:?}");
}

#[test]
fn hostile_settings_are_errors() {
    let refused = |objective| {
        let net = MlpConfig { inputs: 2, hidden: vec![4], outputs: 2, activation: Activation::Silu };
        config(objective).init(net.init(&mut Rng::new(1), &Device::flex())).unwrap_err()
    };
    for objective in [
        denoising(0.0, Noise::Single),
        denoising(f64::NAN, Noise::Mirrored),
        Objective::Sliced { projection: Projection::Gaussian, projections: 0, form: Form::Plain },
    ] {
        assert!(matches!(refused(objective), ScoreError::Range { .. }));
    }
}
