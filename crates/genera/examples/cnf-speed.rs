//! Times a continuous flow for `bench/continuous.py`, which writes the folder that is named on the command line and
//! reads the line of JSON that this prints.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor};
use genera::continuous::{Backward, ContinuousFlow, ContinuousFlowConfig, FieldMlp, FieldMlpConfig, Integration};
use genera::ode::{Method, Solver, Steps};
use genera::train::Gradients;
use genera::traits::{Batch, Density, Model, Rows};
use genera::weights::{apply, read};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder that bench/continuous.py writes")?;
    let weights = read(Path::new(&folder).join("weights.safetensors"))?;
    let inputs = read(Path::new(&folder).join("x.safetensors"))?;
    let x = inputs.get("x").ok_or("x.safetensors holds no x")?;
    let n = x.values.len() / 2;
    let x = Tensor::<1>::from_data(x.values.as_slice(), &Device::flex()).reshape([n, 2]);

    let net = FieldMlpConfig { hidden: vec![64, 64], ..FieldMlpConfig::default() };
    let net = apply(net.init(2, &mut Rng::new(0), &Device::flex())?, &weights)?;
    let steps = Steps::Adaptive { relative: 1e-5, absolute: 1e-6 };
    let integration = Integration { solver: Solver { method: Method::DormandPrince, steps }, ..Integration::default() };
    let config = ContinuousFlowConfig { training: integration, evaluation: integration, ..Default::default() };
    let plain = config.init(net.clone())?;
    let through = config.init(net.clone())?.train();
    let adjoint = ContinuousFlowConfig { backward: Backward::Adjoint, ..config }.init(net)?.train();

    // Every tensor operation is quicker when its caller is a thread of the pool.
    let (mean, times) = rayon::scope(|_| {
        let mean: f32 = plain.log_prob(x.clone()).mean().into_scalar();
        (mean, [timed(|| drop(plain.log_prob(x.clone()))), timed(|| step(&through, &x)), timed(|| step(&adjoint, &x))])
    });
    let [likelihood, training, adjoint] = times;
    println!(
        r#"{{"log_prob": {mean}, "likelihood": {likelihood}, "training": {training}, "training, adjoint": {adjoint}}}"#
    );
    Ok(())
}

fn step(model: &ContinuousFlow<FieldMlp>, x: &Rows) {
    let loss = model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(0));
    assert!(Gradients::of(&loss.value, model).norm() > 0.0);
}

/// Seconds a call, the mean of ten after one that warms up.
fn timed(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    (0..10).for_each(|_| run());
    start.elapsed().as_secs_f64() / 10.0
}
