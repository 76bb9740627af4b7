//! One network under two schedules: DDPM as a score network, and back.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Consistency, Corrector, Diffusion, DiffusionConfig, DiffusionError, Level, Levels, MixtureDenoiser,
    ProbabilityFlow, Sampler, Schedule, Solver, StepSize, Target, Times, Variance, Weighting,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned};
use genera::traits::{Batch, Denoise, Model, Rows, Sample};

type Net = Diffusion<ConditionalMlp>;

fn net() -> ConditionalMlp {
    ConditionalMlpConfig { width: 16, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default())
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn normal(n: usize, seed: u64) -> Rows {
    Tensor::from_data(TensorData::new(Rng::new(seed).normal(n, 2), [n, 2]), &Device::default())
}

fn near(found: &Rows, expected: &Rows, tolerance: f64, what: &str) {
    for (found, expected) in values(found).iter().zip(values(expected)) {
        assert!((found - expected).abs() < tolerance * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

/// `∇log p` at one level.
fn score(model: &Net, x: Rows, level: Level) -> Rows {
    let x0 = model.denoise(x.clone(), &vec![level; x.dims()[0]]);
    (x0 * level.alpha - x) / level.sigma.powi(2)
}

fn mixture() -> MixtureDenoiser {
    let parts = [(0.3, vec![1.0, -0.5], vec![0.1, 0.3]), (0.7, vec![-0.6, 0.4], vec![0.2, 0.05])];
    MixtureDenoiser::new(&parts, &Device::default()).unwrap()
}

/// A network that learnt all there is to learn of a mixture's noise, under these levels alone.
#[derive(Module, Debug)]
struct Learnt {
    #[module(skip)]
    levels: Levels,
}

impl genera::traits::Net<Conditioned> for Learnt {
    fn forward(&self, Conditioned { x, time, .. }: Conditioned) -> Rows {
        let levels: Vec<Level> = time.to_data().iter::<f32>().map(|t| self.levels.level(t.into())).collect();
        let column = |of: fn(&Level) -> f64| {
            let values: Vec<f32> = levels.iter().map(|level| of(level) as f32).collect();
            Rows::from_data(TensorData::new(values, [levels.len(), 1]), &x.device())
        };
        let x0 = mixture().denoise(x.clone(), &levels);
        (x.clone() - x0 * column(|level| level.alpha)) / column(|level| level.sigma)
    }
}

/// A model under its own schedule, and the same network under each schedule that spans it.
fn pairs() -> Vec<(Net, Net)> {
    let trained = [
        (Schedule::linear(1000), Target::Noise),
        (Schedule::cosine(200), Target::V),
        (Schedule::variance_preserving(500), Target::Data),
        (Schedule::VarianceExploding { steps: 40, sigma_min: 0.03, sigma_max: 20.0 }, Target::Noise),
        (
            Schedule::Karras { steps: 100, sigma_min: 0.02, sigma_max: 10.0, rho: 7.0 },
            Target::Karras { sigma_data: 0.5 },
        ),
    ];
    let kinds = [
        Schedule::variance_exploding(300),
        Schedule::karras(300),
        Schedule::variance_preserving(300),
        Schedule::sub_variance_preserving(300),
        Schedule::Betas { betas: Vec::new() },
    ];
    let of = |(schedule, target): (Schedule, Target)| {
        let own = DiffusionConfig { target, ..DiffusionConfig::new(2, schedule) };
        let levels = own.schedule.levels().unwrap();
        let init = |config: DiffusionConfig| {
            let steps = config.schedule.steps().min(20);
            DiffusionConfig { sampler: Sampler { steps, ..config.sampler.clone() }, ..config }.init(net()).unwrap()
        };
        let other = |kind: &Schedule| {
            let (schedule, trained_under) = (kind.clone().spanning(&levels), Some(own.schedule.clone()));
            (init(own.clone()), init(DiffusionConfig { schedule, trained_under, ..own.clone() }))
        };
        kinds.iter().map(other).collect::<Vec<_>>()
    };
    trained.into_iter().flat_map(of).collect()
}

/// `x̂₀(x) = x̂₀'(x α'/α)` and so `α s(x) = α' s'(x α'/α)`, where `σ/α = σ'/α'`.
#[test]
fn scores_agree_at_corresponding_states() {
    for (own, other) in pairs() {
        for fraction in [0.0, 0.3, 0.6, 0.9] {
            let level = other.levels().at_fraction(fraction);
            let there = own.levels().at_noise(level.sigma / level.alpha);
            let y = normal(6, 2);
            let (x, x_there) = (y.clone() * level.scale(), y * (level.scale() * there.alpha / level.alpha));
            let name = format!("{:?} as {:?} at {fraction}", own.config().schedule, level);
            near(&other.denoise(x.clone(), &[level; 6]), &own.denoise(x_there.clone(), &[there; 6]), 1e-5, &name);
            let (found, expected) = (score(&other, x, level) * level.alpha, score(&own, x_there, there) * there.alpha);
            // In single precision a score has the error of its prediction divided by σ².
            let tolerance = 1e-5 * (1.0 + (level.sigma / level.alpha).powi(-2));
            near(&found, &expected, tolerance, &name);
        }
    }
}

/// The textbook case, written out: `s_VE(x/√ᾱ; √((1 − ᾱ)/ᾱ)) = −ε̂ √(ᾱ/(1 − ᾱ))`.
#[test]
fn a_ddpm_on_a_ladder_has_its_noise_as_score() {
    let (own, ladder) = pairs().swap_remove(0);
    for t in [200, 500, 900] {
        let level = own.levels().training(t);
        let bar = level.alpha.powi(2);
        let rung = ladder.levels().at_noise(((1.0 - bar) / bar).sqrt());
        assert_eq!(rung.alpha, 1.0);
        let x = normal(5, 3);
        let eps = (x.clone() - own.denoise(x.clone(), &[level; 5]) * level.alpha) / level.sigma;
        let found = score(&ladder, x / bar.sqrt(), rung);
        near(&found, &(eps * -(bar / (1.0 - bar)).sqrt()), 1e-5, "score");
    }
}

/// There and back is the model that it was, to the bit; so is a ladder whose steps are those of its own chain.
#[test]
fn there_and_back_is_the_identity() {
    for (own, other) in pairs() {
        let back = DiffusionConfig {
            schedule: other.config().trained_under.clone().unwrap(),
            trained_under: None,
            ..other.config().clone()
        };
        let sampler = own.config().sampler.clone();
        let back: Net = DiffusionConfig { sampler, ..back }.init(other.net.clone()).unwrap();
        assert_eq!(back.config(), own.config());
        let draw = |model: &Net| values(&model.sample(7, &mut Rng::new(4)));
        assert_eq!(draw(&back), draw(&own));
    }
    // The schedule itself in place of none changes nothing but rounding.
    let own = DiffusionConfig::new(2, Schedule::linear(100));
    let same = DiffusionConfig { trained_under: Some(own.schedule.clone()), ..own.clone() };
    let draw = |config: &DiffusionConfig| -> Rows { config.init(net()).unwrap().sample(7, &mut Rng::new(4)) };
    near(&draw(&same), &draw(&own), 1e-3, "the same schedule");
}

/// The probability flow is one flow in two coordinates: what it makes of noise, and of rows, agrees.
#[test]
fn the_probability_flow_is_one() {
    let flow = ProbabilityFlow { tolerance: 1e-6, ..ProbabilityFlow::default() };
    let learnt = |model: &Net| {
        let schedule = model.config().trained_under.as_ref().unwrap_or(&model.config().schedule);
        let levels = schedule.levels().unwrap();
        DiffusionConfig { target: Target::Noise, ..model.config().clone() }.init(Learnt { levels }).unwrap()
    };
    // DDPM as a ladder; the equations and EDM as each other; a ladder as DDPM.
    let mut all = pairs();
    let chosen = [22, 19, 17, 13, 10, 0].map(|at| all.swap_remove(at));
    for (own, other) in chosen {
        let name = format!("{:?} as {:?}", own.config().schedule, other.levels().top());
        let smooth = [&own, &other].iter().all(|model| model.config().schedule.is_continuous());
        let (own, other) = (learnt(&own), learnt(&other));
        let (top, lowest) = (own.levels().top(), own.levels().lowest());
        let (other_top, other_lowest) = (other.levels().top(), other.levels().lowest());
        // A listed schedule bends at each of its times, which costs the solver some accuracy.
        let tolerance = if smooth { 1e-4 } else { 6e-3 };
        let z = normal(4, 5);
        let x = flow.decode(&own, own.levels(), z.clone() * top.scale()) / lowest.alpha;
        let found = flow.decode(&other, other.levels(), z * (top.scale() * other_top.alpha / top.alpha));
        near(&(found / other_lowest.alpha), &x, tolerance, &name);
        let code = flow.encode(&own, own.levels(), x.clone() * lowest.alpha) / top.scale();
        let found = flow.encode(&other, other.levels(), x * other_lowest.alpha) / other_top.scale();
        near(&found, &code, tolerance, &name);
    }
}

/// DDIM of a score network is DDIM of the DDPM with its noise, step by step: one chain in two coordinates.
#[test]
fn ddim_goes_one_way() {
    let ladder = Schedule::VarianceExploding { steps: 30, sigma_min: 0.05, sigma_max: 20.0 };
    let sampler = Sampler { solver: Solver::Ddim, steps: 30, ..Sampler::default() };
    let own = DiffusionConfig { sampler, ..DiffusionConfig::new(2, ladder) };
    let betas = Schedule::Betas { betas: Vec::new() }.spanning(&own.schedule.levels().unwrap());
    let trained_under = Some(own.schedule.clone());
    let ddpm: Net = DiffusionConfig { schedule: betas, trained_under, ..own.clone() }.init(net()).unwrap();
    let own: Net = own.init(net()).unwrap();
    near(&ddpm.sample(8, &mut Rng::new(6)), &own.sample(8, &mut Rng::new(6)), 1e-4, "ddim");
    // And the ladder of a DDPM is walked by Langevin dynamics.
    let corrector = Some(Corrector { steps: 2, size: StepSize::SignalToNoise(0.16) });
    let sampler = Sampler { solver: Solver::Langevin, steps: 30, corrector, ..Sampler::default() };
    let x = sampler.sample(&ddpm, ddpm.levels(), [8, 2], &mut Rng::new(6), &Device::default()).unwrap();
    assert!(values(&x).iter().all(|x| x.is_finite()));
}

/// The error of the network's output is the same under both, so training may go on under either.
#[test]
fn the_loss_is_that_of_the_network_where_it_was_trained() {
    let ladder = Schedule::VarianceExploding { steps: 30, sigma_min: 0.05, sigma_max: 20.0 };
    for (weighting, times) in
        [(Weighting::Simple, Times::Discrete), (Weighting::MinSnr { gamma: 5.0 }, Times::Discrete)]
    {
        let own = DiffusionConfig { weighting, times, ..DiffusionConfig::new(2, ladder.clone()) };
        let own = DiffusionConfig { sampler: Sampler { steps: 10, ..Sampler::default() }, ..own };
        let schedule = Schedule::Betas { betas: Vec::new() }.spanning(&own.schedule.levels().unwrap());
        let other = DiffusionConfig { schedule, trained_under: Some(own.schedule.clone()), ..own.clone() };
        let loss = |config: DiffusionConfig| {
            let batch = Batch { x: normal(64, 7), labels: None };
            let loss: f32 = config.init(net()).unwrap().loss(batch, &mut Rng::new(8)).value.into_scalar();
            f64::from(loss)
        };
        let (own, other) = (loss(own), loss(other));
        assert!((own - other).abs() < 1e-4 * own, "{weighting:?}: {own} {other}");
    }
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let own = DiffusionConfig::new(2, Schedule::linear(1000));
    let ladder = |sigma_min, sigma_max| Schedule::VarianceExploding { steps: 100, sigma_min, sigma_max };
    let under =
        |schedule: Schedule| DiffusionConfig { schedule, trained_under: Some(own.schedule.clone()), ..own.clone() };
    for schedule in [ladder(0.001, 50.0), ladder(0.02, 500.0), Schedule::linear_flow(100)] {
        let error = under(schedule).init(net()).unwrap_err();
        assert!(matches!(error, DiffusionError::Unseen { .. }), "{error}");
        assert!(error.to_string().contains("was trained from 0.0100 to"), "{error}");
    }
    let good = under(ladder(0.02, 50.0));
    assert!(good.init(net()).is_ok());
    let learned = DiffusionConfig { variance: Variance::Learned, ..good.clone() };
    assert!(matches!(learned.init(net()), Err(DiffusionError::Combination(_))));
    // The target is held against what was trained: noise says nothing where a flow ends.
    let of_flow = DiffusionConfig { trained_under: Some(Schedule::linear_flow(1000)), ..good.clone() };
    assert!(matches!(of_flow.init(net()), Err(DiffusionError::Combination(_))));
    let velocity = DiffusionConfig { target: Target::Velocity, ..of_flow };
    assert!(velocity.init(net()).is_ok());
    let teacher = DiffusionConfig { target: Target::Karras { sigma_data: 0.5 }, ..good };
    assert!(Consistency::of(&teacher.init(net()).unwrap(), 0.1).is_err());
}
