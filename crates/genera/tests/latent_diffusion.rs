//! Latent diffusion, and a diffusion with a classifier beside it: classes that are asked for, trainings that go on.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Classified, Diffusion, DiffusionConfig, Guidance, Guided, NoisyClassifier, Sampler, Schedule, Solver, Target,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::stages::{LatentDiffusion, VqTraining};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Codec, LatentCode, Learner, Rows, Sample};
use genera::vae::vq::{GridConfig, QuantiserConfig, VqVae, VqVaeConfig};
use genera::vae::{
    Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, Network, Spread, StandardNormal, Vae, VaeConfig,
};
use genera::weights::Weights;

type Code = Vae<GaussianEncoder<Network>, Decoder<Network>, StandardNormal>;

fn device() -> Device {
    Device::default()
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn descent() -> DescentConfig {
    serde_json::from_str(
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.004}, "rate": {"kind": "linear", "floor": 0.1},
            "clip_norm": 5.0, "ema": {"decay": 0.98}}"#,
    )
    .unwrap()
}

fn net(features: usize, classes: Option<usize>, rng: &mut Rng) -> ConditionalMlp {
    ConditionalMlpConfig { width: 64, ..Default::default() }.init(features, classes, rng, &device())
}

/// A diffusion that is told one of two classes, now and then none.
fn told(features: usize) -> DiffusionConfig {
    let sampler = Sampler { solver: Solver::DpmSolver, steps: 20, ..Sampler::default() };
    DiffusionConfig {
        target: Target::V,
        classes: Some(2),
        label_dropout: 0.1,
        sampler,
        ..DiffusionConfig::new(features, Schedule::cosine(100))
    }
}

/// Two classes of points in four dimensions, on a plane: `(a, a, b, -b)` around `a = ±1`.
fn batch(rows: usize, rng: &mut Rng) -> Batch {
    let labels: Vec<usize> = (0..rows).map(|row| row % 2).collect();
    let noise = rng.normal(rows, 2);
    let point = |row: usize| {
        let (a, b) = (2.0 * labels[row] as f32 - 1.0 + 0.2 * noise[2 * row], 0.5 * noise[2 * row + 1]);
        [a, a, b, -b]
    };
    let x: Vec<f32> = (0..rows).flat_map(point).collect();
    Batch { x: Tensor::from_data(TensorData::new(x, [rows, 4]), &device()), labels: Some(labels) }
}

fn latent(first: u64, second: u64) -> LatentDiffusion<Descent<Code>, ConditionalMlp> {
    let mut rng = Rng::new(1);
    let of = NetConfig::Mlp { hidden: vec![32] };
    let encoder = GaussianEncoder::new(of.encoder(&[4], 0, 4, &mut rng, &device()).unwrap());
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.1) };
    let decoder = of.decoder(2, 0, &[4], 1, &mut rng, &device()).unwrap();
    let decoder = Decoder::new(decoder, likelihood, &device()).unwrap();
    let code = VaeConfig::new(2).init(encoder, decoder, StandardNormal::new(2, &device())).unwrap();
    let prior = told(2).init(net(2, Some(3), &mut rng)).unwrap();
    let (code, prior) = (Descent::new(code, descent(), first), Descent::new(prior, descent(), second));
    LatentDiffusion::new(code.unwrap(), prior.unwrap(), first)
}

/// 8x8 pictures of one light quarter: left or right as the class says, above or below by chance.
fn quarters(rows: usize, rng: &mut Rng) -> Batch {
    let below = rng.below(rows, 2);
    let light = |row: usize, at: usize| at % 8 / 4 == row % 2 && at / 32 == below[row];
    let x: Vec<f32> = (0..64 * rows).map(|at| f32::from(u8::from(light(at / 64, at % 64)))).collect();
    let labels = (0..rows).map(|row| row % 2).collect();
    Batch { x: Tensor::from_data(TensorData::new(x, [rows, 64]), &device()), labels: Some(labels) }
}

fn vq() -> VqVae {
    let net = GridConfig { channels: vec![8, 8, 8], blocks: 0 };
    let quantiser = QuantiserConfig { codes: 6, width: 3, ..QuantiserConfig::default() };
    let config = VqVaeConfig { net, quantiser, likelihood: LikelihoodConfig::Bernoulli, reconstruction: 4.0 };
    config.init([1, 8, 8], &mut Rng::new(3), &device()).unwrap()
}

/// A diffusion of the twelve numbers before 2x2 codes.
fn of_places(first: u64, second: u64) -> LatentDiffusion<VqTraining, ConditionalMlp> {
    let mut rng = Rng::new(1);
    let prior = told(12).init(net(12, Some(3), &mut rng)).unwrap();
    let prior = Descent::new(prior, descent(), second).unwrap();
    LatentDiffusion::new(VqTraining::new(Descent::new(vq(), descent(), first).unwrap()), prior, first)
}

fn run_on(learner: &mut dyn Learner, batch: fn(usize, &mut Rng) -> Batch, steps: std::ops::Range<u64>, rows: usize) {
    for step in steps {
        let mut rng = Rng::new(5).at(step);
        let batch = batch(rows, &mut rng.fork("data"));
        learner.step(vec![batch], &mut rng).unwrap();
    }
}

fn run(learner: &mut dyn Learner, steps: std::ops::Range<u64>, rows: usize) {
    run_on(learner, batch, steps, rows);
}

fn saved(learner: &dyn Learner) -> Vec<(String, Weights)> {
    learner.save().into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect()
}

#[test]
fn latent_diffusion_draws_the_class_that_is_asked_for() {
    let mut learner = latent(400, 500);
    run(&mut learner, 0..900, 128);
    let x = values(&learner.given(vec![0, 1]).sample(600, &mut Rng::new(3)));
    let rows = || x.chunks_exact(4).enumerate();
    let right = rows().filter(|(row, x)| (x[0] > 0.0) == (row % 2 == 1)).count();
    assert!(right >= 580, "{right} of 600");
    // Data lie on a plane, and so do samples; along it they are as wide.
    let off = rows().map(|(_, x)| (x[0] - x[1]).powi(2) + (x[2] + x[3]).powi(2)).sum::<f64>() / 600.0;
    let wide = rows().map(|(_, x)| x[2] * x[2]).sum::<f64>() / 600.0;
    assert!(off < 0.05 && (0.12..0.4).contains(&wide), "{off} {wide}");
    // The untold model draws both classes, and the first rows do not depend on how many follow.
    let untold = values(&learner.sample(400, &mut Rng::new(4)));
    let share = untold.chunks_exact(4).filter(|x| x[0] > 0.0).count() as f64 / 400.0;
    assert!((0.35..0.65).contains(&share), "{share}");
    assert_eq!(values(&learner.sample(5, &mut Rng::new(4))), untold[..20]);
}

#[test]
fn latent_diffusion_goes_on_where_it_stopped() {
    let mut whole = latent(3, 4);
    run(&mut whole, 0..7, 16);
    for stop in [2, 3, 5] {
        let mut first = latent(3, 4);
        run(&mut first, 0..stop, 16);
        let mut second = latent(3, 4);
        second.load(&saved(&first)).unwrap();
        run(&mut second, stop..7, 16);
        assert_eq!(saved(&whole), saved(&second), "stopped after {stop}");
    }
    let strange = [saved(&whole), vec![("strange".to_owned(), Weights::default())]].concat();
    assert!(latent(3, 4).load(&strange).is_err());
}

#[test]
fn codes_of_places_are_pictures() {
    let model = vq();
    let x = quarters(5, &mut Rng::new(2)).x;
    let z = model.latents(x.clone());
    assert_eq!((z.dims(), model.latent_shape()), ([5, 12], [3, 2, 2]));
    let (vectors, z_values) = (values(&model.vectors(x.clone())), values(&z));
    for (row, place, depth) in (0..5).flat_map(|r| (0..4).flat_map(move |p| (0..3).map(move |d| (r, p, d)))) {
        assert_eq!(z_values[12 * row + 4 * depth + place], vectors[3 * (4 * row + place) + depth]);
    }
    assert_eq!(values(&model.rendered(z)), values(&model.decode(model.encode(x))));
}

#[test]
fn a_diffusion_before_the_codes_draws_the_class_that_is_asked_for() {
    let mut learner = of_places(300, 1200);
    run_on(&mut learner, quarters, 0..1500, 64);
    let x = values(&learner.given(vec![0, 1]).sample(200, &mut Rng::new(3)));
    let light = |picture: &[f64], quarter: usize| {
        let inside = |at: &usize| at / 32 == quarter / 2 && at % 8 / 4 == quarter % 2;
        (0..64).filter(inside).map(|at| picture[at]).sum::<f64>() / 16.0 > 0.5
    };
    let mut seen = [0; 4];
    for (row, picture) in x.chunks_exact(64).enumerate() {
        let lit: Vec<usize> = (0..4).filter(|quarter| light(picture, *quarter)).collect();
        if let [quarter] = lit[..]
            && quarter % 2 == row % 2
        {
            seen[quarter] += 1;
        }
    }
    println!("{seen:?} of 50 each");
    assert!(seen.iter().sum::<usize>() >= 190 && seen.iter().all(|n| *n >= 30), "{seen:?}");
    assert!(learner.view().books.is_some());
}

#[test]
fn a_diffusion_before_the_codes_goes_on_where_it_stopped() {
    let mut whole = of_places(3, 4);
    run_on(&mut whole, quarters, 0..7, 16);
    for stop in [2, 3, 5] {
        let mut first = of_places(3, 4);
        run_on(&mut first, quarters, 0..stop, 16);
        let mut second = of_places(3, 4);
        second.load(&saved(&first)).unwrap();
        run_on(&mut second, quarters, stop..7, 16);
        assert_eq!(saved(&whole), saved(&second), "stopped after {stop}");
    }
}

fn classified(steps: u64) -> Classified<ConditionalMlp, ConditionalMlp> {
    let mut rng = Rng::new(1);
    let config = DiffusionConfig::new(4, Schedule::cosine(100));
    let wide = |rng: &mut Rng| ConditionalMlpConfig { width: 64, ..Default::default() }.init(4, None, rng, &device());
    let diffusion: Diffusion<ConditionalMlp> = config.init(wide(&mut rng)).unwrap();
    let classifier = NoisyClassifier::new(wide(&mut rng), diffusion.levels().clone(), 4);
    Classified::new(
        Descent::new(diffusion, descent(), steps).unwrap(),
        Descent::new(classifier, descent(), steps).unwrap(),
    )
}

#[test]
fn a_classifier_beside_a_diffusion_guides_it() {
    let mut learner = classified(600);
    run(&mut learner, 0..600, 128);
    let sampler = Sampler { solver: Solver::DpmSolver, steps: 20, ..Sampler::default() };
    let share = |scale: f64| {
        let guidance = Guidance::of(scale);
        let denoise = Guided { given: learner.given(vec![1]), against: learner.given(Vec::new()), guidance };
        let levels = learner.diffusion().levels();
        let x = sampler.sample(&denoise, levels, [300, 4], &mut Rng::new(2), &device()).unwrap();
        values(&x).chunks_exact(4).filter(|x| x[0] > 0.0).count() as f64 / 300.0
    };
    let (plain, told) = (share(0.0), share(2.0));
    assert!((0.35..0.65).contains(&plain) && told > 0.95, "{plain} {told}");
}

#[test]
fn a_classifier_goes_on_where_it_stopped() {
    let mut whole = classified(6);
    run(&mut whole, 0..6, 16);
    let mut first = classified(6);
    run(&mut first, 0..2, 16);
    let mut second = classified(6);
    second.load(&saved(&first)).unwrap();
    run(&mut second, 2..6, 16);
    assert_eq!(saved(&whole), saved(&second));
    assert!(saved(&whole).iter().any(|(name, _)| name == "classifier-ema"));
}
