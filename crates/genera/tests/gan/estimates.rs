//! What a trained critic tells: discriminators, divergences and distances of known distributions.

use genera::Rng;
use genera::burn::module::{Module, Param};
use genera::burn::tensor::Tensor;
use genera::gan::theory::optimal_discriminator;
use genera::gan::{
    Adversarial, CriticConfig, CriticNet, CriticNetConfig, DivergenceBound, DivergenceBoundConfig, FDivergence,
    Generate, Objective, Reference, Regulariser, Sides,
};
use genera::nn::derivative::input_gradient;
use genera::nn::{Activation, Critic, Labelled};
use genera::train::{Descent, DescentConfig, RateSchedule};
use genera::traits::{Batch, Learner, Net, Rows, Sample};
use genera::weights::{apply, collect};
use genera_metrics::divergence::{self as exact, Divergence, Gaussian, fenchel_bound};
use genera_metrics::{Points, wasserstein_1d};

use super::{adam, device, game, host, mean, perceptron, tensor};

/// `π`, and beside it the reference `N(1.2, 1.2²)`.
const MEAN: f64 = 2.0;
const REFERENCE: Reference = Reference { mean: 1.2, deviation: 1.2 };

/// Draws from `N(2, 1)`.
fn data(n: usize, rng: &mut Rng) -> Rows {
    tensor(rng.normal(n, 1).into_iter().map(|z| z + MEAN as f32).collect(), 1)
}

fn batch(n: usize, rng: &mut Rng) -> Vec<Batch> {
    vec![Batch { x: data(n, rng), labels: None }]
}

/// A witness of `divergence`, trained on points that it sees once.
fn witness(divergence: FDivergence, steps: u64) -> DivergenceBound {
    let net = CriticNetConfig::Mlp { hidden: vec![64, 64], activation: Activation::Silu };
    let config =
        DivergenceBoundConfig { divergence, reference: REFERENCE, critic: CriticConfig { net, deviation: false } };
    let model = config.init(&[1], &mut Rng::new(3), &device()).unwrap();
    let text =
        r#"{"optimizer": {"kind": "adam", "learning_rate": 5e-3}, "rate": {"kind": "cosine"}, "ema": {"decay": 0.98}}"#;
    let mut descent = Descent::new(model, serde_json::from_str(text).unwrap(), steps).unwrap();
    for step in 0..steps {
        let rng = Rng::new(4).at(step);
        descent.step(batch(512, &mut rng.fork("data")), &mut rng.fork("noise")).unwrap();
    }
    descent.model().clone()
}

/// Every row of the table: the learnt bound is within 5 % of the exact divergence and not above it by more than chance.
#[test]
fn bounds_come_near_to_the_divergences() {
    let [pi, p] = [(MEAN, 1.0), (REFERENCE.mean, REFERENCE.deviation)]
        .map(|(mean, deviation)| Gaussian::new(vec![mean], vec![deviation * deviation]).unwrap());
    let grid: Vec<f64> = (0..6000).map(|i| -14.0 + f64::from(i) * 0.005).collect();
    let logs = |of: &Gaussian| grid.iter().map(|x| of.log_density(&[*x]).unwrap()).collect::<Vec<f64>>();
    for (divergence, there) in FDivergence::ALL.into_iter().zip(exact::FDivergence::ALL) {
        let model = witness(divergence, 400);
        let (n, mut rng) = (200_000, Rng::new(9));
        let on_pi = model.witness(data(n, &mut rng));
        let on_p = model.witness(tensor(REFERENCE.sample(n, 1, &mut rng), 1));
        let bound = fenchel_bound(there, &on_pi, &on_p).unwrap();
        let value = exact::on_grid(Divergence::F(there), &logs(&pi), &logs(&p), 0.005).unwrap();
        // How far from where equal distributions are: the row of the original game begins at −2 ln 2.
        let whole = value - there.f(1.0);
        println!("{divergence:?}: {} ± {}, exactly {value}", bound.value, bound.standard_error);
        assert!(bound.value > value - 0.05 * whole - bound.standard_error, "{divergence:?}: {bound:?} {value}");
        assert!(bound.value < value + 4.0 * bound.standard_error, "{divergence:?}: {bound:?} {value}");
    }
}

#[test]
fn a_discriminator_learns_the_ratio_of_densities() {
    let model = witness(FDivergence::Gan, 400);
    // Where either density has its mass.
    let grid: Vec<f32> = (0..=60).map(|i| -1.5 + i as f32 * 0.1).collect();
    let log_d = model.witness(tensor(grid.clone(), 1));
    let pi = Reference { mean: MEAN, deviation: 1.0 };
    for (x, log_d) in grid.iter().map(|x| f64::from(*x)).zip(log_d) {
        let best = optimal_discriminator(pi.log_density(&[x]), REFERENCE.log_density(&[x]));
        assert!((log_d.exp() - best).abs() < 0.05, "D({x}) = {}, best {best}", log_d.exp());
    }
}

/// A generator that stays where it is: `z ~ U[−2, −1)`.
#[derive(Module, Debug)]
pub struct Still {
    offset: Param<Tensor<1>>,
}

impl Still {
    pub fn new() -> Self {
        Self { offset: Param::from_tensor(Tensor::zeros([1], &device())) }
    }
}

impl Net<Labelled> for Still {
    fn forward(&self, z: Labelled) -> Rows {
        z.x + self.offset.val().unsqueeze()
    }
}

impl Sample for Still {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.forward(self.noise(n, rng).into())
    }
}

impl Generate for Still {
    fn noise(&self, n: usize, rng: &mut Rng) -> Rows {
        tensor(rng.uniform(n, 1).into_iter().map(|u| u - 2.0).collect(), 1)
    }
}

/// A generator that draws `U[0, width)` beside ten times the class.
#[derive(Module, Debug)]
pub struct Told {
    pub width: f32,
    pub offset: Still,
}

impl Net<Labelled> for Told {
    fn forward(&self, z: Labelled) -> Rows {
        let drawn = self.offset.forward((z.x + 2.0).into()) * self.width;
        z.labels.map_or(drawn.clone(), |class| drawn + class.float().unsqueeze_dim(1) * 10.0)
    }
}

impl Sample for Told {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.offset.sample(n, rng)
    }
}

impl Generate for Told {
    fn noise(&self, n: usize, rng: &mut Rng) -> Rows {
        self.offset.noise(n, rng)
    }
}

/// `critic`, turned over if it falls from `z` to the data. On the line a two-sided penalty of this weight keeps a critic of
/// the wrong sign where it is: the way to the right one leads through a slope of zero.
fn rising(critic: Critic<CriticNet>) -> Critic<CriticNet> {
    let score = host(critic.forward(Labelled::from(tensor(vec![-1.5, 2.0], 1))));
    let mut weights = collect(&critic);
    if score[1] < score[0] {
        weights.get_mut("net.layers.2.weight").unwrap().values.iter_mut().for_each(|w| *w = -*w);
    }
    apply(critic, &weights).unwrap()
}

/// What a critic says of the distance. With a gradient penalty its best slope is `1 + (F_p − F_π) / 2 λ q` where `q` is the
/// density of the points between data and samples: over the mean slope there, its difference of means is the distance. A
/// critic whose weights are bounded is at most as good as one of its steepest slope; with clipped weights it is much worse,
/// because its slope is that steep in few places.
#[test]
fn a_critic_measures_the_distance() {
    let n = 20_000;
    let (real, fake) = (data(n, &mut Rng::new(7)), Still::new().sample(n, &mut Rng::new(8)));
    let [x, y] = [&real, &fake].map(|rows| host(rows.clone()));
    let exactly = wasserstein_1d(&Points::new(&x, n, 1).unwrap(), &Points::new(&y, n, 1).unwrap(), 1.0).unwrap();
    assert!((exactly - 3.5).abs() < 0.05);
    let share = tensor(Rng::new(9).uniform(n, 1), 1);
    let between = real.clone() + (fake.clone() - real.clone()) * share;
    let penalty = |sides| Regulariser::GradientPenalty { weight: 50.0, sides };
    for regulariser in [
        penalty(Sides::Two),
        penalty(Sides::One),
        Regulariser::Spectral { iterations: 1 },
        Regulariser::Clip { limit: 0.1 },
    ] {
        let critic = rising(perceptron(1, &[32, 32], Activation::LeakyRelu));
        let mut rules = game(Objective::Wasserstein);
        rules.regularise = vec![regulariser];
        let slower = DescentConfig { rate: RateSchedule::Cosine { warmup: 0, floor: 0.0 }, ..adam(2e-3) };
        let configs = [super::sgd(0.0), slower];
        let mut players = Adversarial::new((Still::new(), critic), rules, configs, 500, &mut Rng::new(1)).unwrap();
        for step in 0..500 {
            let rng = Rng::new(2).at(step);
            players.step(batch(256, &mut rng.fork("data")), &mut rng.fork("noise")).unwrap();
        }
        let critic = players.critic();
        let score = |x: &Rows| mean(&host(critic.forward(x.clone().into())));
        let value = score(&real) - score(&fake);
        let slopes: Vec<f64> = host(input_gradient(&critic, Labelled::from(between.clone())).1);
        let steepest = slopes.iter().fold(0.0, |most: f64, slope| most.max(slope.abs()));
        println!("{regulariser:?}: {value} of {exactly}, slopes of {} up to {steepest}", mean(&slopes));
        if matches!(regulariser, Regulariser::GradientPenalty { .. }) {
            let estimate = value / mean(&slopes);
            assert!((estimate / exactly - 1.0).abs() < 0.05, "{regulariser:?}: {estimate} of {exactly}");
        } else {
            let bound = value / steepest;
            let least = if matches!(regulariser, Regulariser::Clip { .. }) { 0.3 } else { 0.95 };
            assert!(bound < exactly * 1.001 && bound > exactly * least, "{regulariser:?}: {bound} of {exactly}");
        }
        if matches!(regulariser, Regulariser::Spectral { .. }) {
            assert!(steepest < 1.01, "weights of norm one, and a slope of {steepest}");
        }
        assert!(host(players.generator().sample(5, &mut Rng::new(0))).iter().all(|x| (-2.0..-1.0).contains(x)));
    }
}
