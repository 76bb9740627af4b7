//! The variational bound of continuous time against closed forms.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Bound, Clip, ContinuousBound, DiffusionConfig, Level, Levels, MixtureDenoiser, Schedule, Variance, VariationalBound,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::traits::{Denoise, LowerBound, Rows, Sample};

const ROWS: usize = 3000;

fn schedules() -> Vec<Levels> {
    [
        Schedule::linear(1000),
        Schedule::cosine(100),
        Schedule::karras(100),
        Schedule::variance_exploding(50),
        Schedule::variance_preserving(1000),
        Schedule::sub_variance_preserving(1000),
        Schedule::linear_flow(100),
    ]
    .map(|schedule| schedule.levels().unwrap())
    .to_vec()
}

fn bound(levels: &Levels, draws: usize) -> ContinuousBound {
    ContinuousBound { levels: levels.clone(), draws, clip: Clip::Off, data_levels: None }
}

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / (n - 1.0)).sqrt())
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// Of `N(m, v)` with its own denoiser, the integral is `½ ln ((1 + v SNR_0) / (1 + v SNR_T))`, and the bound falls short of
/// the negative entropy by what the ends lose.
#[test]
fn the_bound_of_a_gaussian_is_tight() {
    let (m, v) = (0.3, 0.25);
    let oracle = MixtureDenoiser::new(&[(1.0, vec![m], vec![v])], &Device::default()).unwrap();
    let x = oracle.sample(ROWS, &mut Rng::new(1));
    let clean = Level { time: 0.0, alpha: 1.0, sigma: 0.0 };
    for levels in schedules() {
        let name = format!("{:?}", levels.schedule());
        let found = bound(&levels, 16).total(&oracle, &x, &mut Rng::new(2));
        // Row by row beside the density itself: what is left is the noise of the estimate and the loss.
        let losses: Vec<f64> =
            values(&x).iter().zip(&found).map(|(x, bound)| oracle.log_density(&[*x], clean) - bound).collect();
        let (loss, error) = mean(&losses);
        println!("{name}: {loss:.5} ± {error:.5} nats below");
        assert!(error < 0.02, "{name}: the standard error is {error}");
        assert!(loss.abs() < 4.0 * error + 4e-3, "{name}: {loss} ± {error} nats below the density");
    }
}

/// Of a mixture in the plane it is a bound, tight to what the ends lose; of a worse denoiser the loss is what its error adds,
/// `½ ∫ SNR |x̂₀ − x̂₀'|² dλ`, here of a shift `d` at each level with `SNR < 1`.
#[test]
fn an_error_costs_what_it_should() {
    let parts = [(0.3, vec![1.0, -0.5], vec![0.1, 0.3]), (0.7, vec![-0.6, 0.4], vec![0.2, 0.05])];
    let oracle = MixtureDenoiser::new(&parts, &Device::default()).unwrap();
    struct Shifted<'a>(&'a MixtureDenoiser, f64);
    impl Denoise for Shifted<'_> {
        fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
            let shift: Vec<f32> = levels.iter().map(|l| if l.snr() < 1.0 { self.1 as f32 } else { 0.0 }).collect();
            let shift = Tensor::from_data(TensorData::new(shift, [levels.len(), 1]), &x.device());
            self.0.denoise(x, levels) + shift
        }
    }
    let x = oracle.sample(ROWS, &mut Rng::new(3));
    let clean = Level { time: 0.0, alpha: 1.0, sigma: 0.0 };
    let truths: Vec<f64> = values(&x).chunks_exact(2).map(|x| oracle.log_density(x, clean)).collect();
    let levels = Schedule::variance_preserving(1000).levels().unwrap();
    let loss = |shift: f64| {
        let found = bound(&levels, 32).total(&Shifted(&oracle, shift), &x, &mut Rng::new(4));
        mean(&truths.iter().zip(found).map(|(truth, bound)| truth - bound).collect::<Vec<_>>())
    };
    let (exact, error) = loss(0.0);
    assert!(exact.abs() < 4.0 * error + 4e-3 && error < 0.03, "{exact} ± {error}");
    // ½ · 2 d² ∫ e^λ dλ up to λ = 0.
    let (shifted, spread) = loss(0.6);
    let expected = 0.6_f64.powi(2) * (1.0 - levels.top().snr());
    assert!((shifted - exact - expected).abs() < 4.0 * error.hypot(spread), "{shifted} - {exact} is not {expected}");
}

/// As a chain grows, its bound of grey levels comes to that of continuous time from below.
#[test]
fn it_is_the_limit_of_fine_chains() {
    let oracle = MixtureDenoiser::new(&[(1.0, vec![0.1, -0.2], vec![0.3, 0.2])], &Device::default()).unwrap();
    let x = (oracle.sample(ROWS / 3, &mut Rng::new(5)).clamp(-1.0, 1.0) * 8.0).round() / 8.0;
    // A ladder, whose ends do not move with its length.
    let ladder = |steps| Schedule::VarianceExploding { steps, sigma_min: 0.02, sigma_max: 30.0 }.levels().unwrap();
    let data_levels = Some(17);
    let [coarse, finer, fine] = [10, 40, 400].map(|steps| {
        let chain = ladder(steps).chain();
        let chain = VariationalBound { chain, variance: Variance::FixedSmall, clip: Clip::Off, data_levels };
        mean(&chain.total(&oracle, &x, &mut Rng::new(6)))
    });
    let continuous = ContinuousBound { data_levels, ..bound(&ladder(50), 64) };
    let (found, error) = mean(&continuous.total(&oracle, &x, &mut Rng::new(7)));
    println!("continuous {found:.3} ± {error:.3}, chains {coarse:.3?} {finer:.3?} {fine:.3?}");
    assert!(coarse.0 < finer.0 && finer.0 < fine.0 && finer.0 < found - 0.5);
    assert!((fine.0 - found).abs() < 0.1 + 4.0 * error.hypot(fine.1), "{found} {fine:?}");
}

/// Parts of the range take variance away: sixteen draws do better than a sixteenth. And a row has its own draws.
#[test]
fn draws_are_spread_and_rows_keep_to_themselves() {
    let oracle = MixtureDenoiser::new(&[(1.0, vec![0.0], vec![0.5])], &Device::default()).unwrap();
    let levels = Schedule::karras(100).levels().unwrap();
    let x = Rows::from_floats([[0.4]], &Device::default()).repeat(&[2000, 1]);
    let spread = |draws: usize| {
        let found = bound(&levels, draws).total(&oracle, &x, &mut Rng::new(8));
        mean(&found).1.powi(2)
    };
    let (one, sixteen) = (spread(1), spread(16));
    assert!(sixteen < 0.8 * one / 16.0, "{sixteen} of {one}");
    let x = oracle.sample(9, &mut Rng::new(9));
    let of = |n: usize| bound(&levels, 3).total(&oracle, &x.clone().narrow(0, 0, n), &mut Rng::new(10));
    assert_eq!(of(9)[..4], of(4)[..]);
}

/// A model bounds as its settings say.
#[test]
fn a_model_bounds_as_it_is_told() {
    let net: ConditionalMlp =
        ConditionalMlpConfig { width: 16, ..Default::default() }.init(2, Some(3), &mut Rng::new(1), &Device::default());
    let config =
        DiffusionConfig { bound: Bound::Continuous { draws: 4 }, ..DiffusionConfig::new(2, Schedule::linear(100)) };
    let config = DiffusionConfig { classes: Some(3), ..config };
    let model = config.init(net.clone()).unwrap();
    let x = Tensor::from_data(TensorData::new(Rng::new(2).normal(5, 2), [5, 2]), &Device::default());
    let given = model.given(vec![1]);
    let expected = bound(model.levels(), 4).total(&given, &x, &mut Rng::new(3));
    assert_eq!(given.lower_bound(x.clone(), &mut Rng::new(3)), expected);
    let chain = DiffusionConfig { bound: Bound::Chain, ..config }.init(net).unwrap();
    assert_ne!(chain.given(vec![1]).lower_bound(x, &mut Rng::new(3)), expected);
    let read = |text: &str| serde_json::from_str::<Bound>(text);
    assert_eq!(read(r#"{"continuous": {}}"#).unwrap(), Bound::Continuous { draws: 64 });
    assert!(read(r#"{"continuous": {"steps": 3}}"#).is_err() && read(r#""continuos""#).is_err());
}
