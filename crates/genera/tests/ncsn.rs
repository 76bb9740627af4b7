//! Noise-conditional score networks and DDPM are one model in two coordinates.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Corrector, Diffusion, DiffusionConfig, Level, MixtureDenoiser, Sampler, Schedule, Solver, StepSize, Translated,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned};
use genera::traits::{Denoise, Net, Rows};

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn normal([n, width]: [usize; 2], seed: u64) -> Rows {
    Tensor::from_data(TensorData::new(Rng::new(seed).normal(n, width), [n, width]), &Device::default())
}

fn mixture() -> MixtureDenoiser {
    let parts = [(0.3, vec![1.0, -0.5], vec![0.1, 0.3]), (0.7, vec![-0.6, 0.4], vec![0.2, 0.05])];
    MixtureDenoiser::new(&parts, &Device::default()).unwrap()
}

/// The mixture is its own translation between any two schedules.
#[test]
fn exact_denoisers_are_their_own_translation() {
    let schedules = [
        Schedule::linear(1000),
        Schedule::variance_preserving(1000),
        Schedule::sub_variance_preserving(1000),
        Schedule::Karras { steps: 1000, sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 },
        Schedule::variance_exploding(1000),
    ]
    .map(|schedule| schedule.levels().unwrap());
    for known in &schedules {
        let denoise = mixture();
        let translated = Translated { denoise: &denoise, levels: known };
        for asked in &schedules {
            let levels: Vec<Level> = [100, 300, 500, 700].map(|t| asked.training(t)).to_vec();
            let x = normal([4, 2], 1);
            let (a, b) = (values(&translated.denoise(x.clone(), &levels)), values(&mixture().denoise(x, &levels)));
            let near = a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0));
            assert!(near, "{:?} for {:?}: {a:?} {b:?}", known.schedule(), asked.schedule());
        }
    }
}

/// `s(x; t) = −ε̂(x, t) / √(1 − ᾱ_t)`, and in the coordinates of NCSN `s(x/√ᾱ; σ) = −ε̂ / σ` with `σ = √((1 − ᾱ)/ᾱ)`.
#[test]
fn the_score_of_ddpm_is_its_noise() {
    let net: ConditionalMlp =
        ConditionalMlpConfig { width: 16, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default());
    let ddpm: Diffusion<ConditionalMlp> = DiffusionConfig::new(2, Schedule::linear(100)).init(net.clone()).unwrap();
    for t in [5, 40, 90] {
        let (level, x) = (ddpm.levels().training(t), normal([3, 2], 2));
        let time = Tensor::from_data(TensorData::from([t as f32; 3]), &Device::default());
        let noise = values(&net.forward(Conditioned { x: x.clone(), time, labels: None }));
        let alpha_bar = level.alpha.powi(2);
        let x0 = ddpm.denoise(x.clone(), &[level; 3]);
        let score = values(&((x0 * level.alpha - x.clone()) / level.sigma.powi(2)));
        // The ladder of a score network, whose level is x₀ + σ ε.
        let sigma = ((1.0 - alpha_bar) / alpha_bar).sqrt();
        let ladder = Level { time: 0.0, alpha: 1.0, sigma };
        let ncsn = Translated { denoise: &ddpm, levels: ddpm.levels() };
        let y = x / alpha_bar.sqrt();
        let ladder_score = values(&((ncsn.denoise(y.clone(), &[ladder; 3]) - y) / (sigma * sigma)));
        for ((noise, score), ladder_score) in noise.iter().zip(score).zip(ladder_score) {
            let expected = -noise / (1.0 - alpha_bar).sqrt();
            assert!((score - expected).abs() < 1e-3 * expected.abs().max(1.0), "{score} {expected}");
            let expected = -noise / sigma;
            assert!((ladder_score - expected).abs() < 1e-3 * expected.abs().max(1.0), "{ladder_score} {expected}");
        }
    }
}

/// A denoiser trained as a DDPM, sampled as a score network: by Langevin dynamics down a ladder.
#[test]
fn a_ddpm_is_sampled_down_a_ladder() {
    let known = Schedule::variance_preserving(1000).levels().unwrap();
    let denoise = mixture();
    let translated = Translated { denoise: &denoise, levels: &known };
    let ladder = Schedule::VarianceExploding { steps: 15, sigma_min: 0.05, sigma_max: 5.0 }.levels().unwrap();
    let corrector = Some(Corrector { steps: 40, size: StepSize::Smallest(5e-4) });
    let sampler = Sampler { solver: Solver::Langevin, steps: 15, corrector, ..Sampler::default() };
    let drawn = values(&sampler.sample_from(&translated, &ladder, normal([1500, 2], 3), &mut Rng::new(4)).unwrap());
    let mean = [0, 1].map(|axis| drawn.iter().skip(axis).step_by(2).sum::<f64>() / 1500.0);
    // 0.3 (1, -0.5) + 0.7 (-0.6, 0.4).
    assert!((mean[0] + 0.12).abs() < 0.12 && (mean[1] - 0.13).abs() < 0.1, "{mean:?}");
}
