//! Times flows of the plane for `bench/flows.py`, which writes the folder that is named on the command line and reads the
//! line of JSON that this prints.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor};
use genera::flow::{
    Autoregressive, Coupling, Flow, Layer, Mask, MaskedMlpConfig, Part, Scale, StandardNormal, Univariate,
};
use genera::nn::{Activation, MlpConfig};
use genera::train::Gradients;
use genera::traits::{Batch, Density, Model, Rows};
use genera::weights::{apply, read};

type Plane = Flow<Vec<Layer>, StandardNormal>;

const SOFT: Univariate = Univariate::Affine(Scale::Soft);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder that bench/flows.py writes")?;
    let open = |name: &str| read(Path::new(&folder).join(name));
    let inputs = open("x.safetensors")?;
    let x = inputs.get("x").ok_or("x.safetensors holds no x")?;
    let x = Tensor::<1>::from_data(x.values.as_slice(), &Device::flex()).reshape([x.values.len() / 2, 2]);
    let mut lines = Vec::new();
    for (name, layer) in [("maf", masked as fn(usize) -> Result<Layer, Box<dyn Error>>), ("realnvp", coupling)] {
        let weights = open(&format!("{name}.safetensors"))?;
        let layers = weights.keys().filter_map(|key| key.split('.').next()?.parse::<usize>().ok()).max().unwrap_or(0);
        let chain = (0..=layers).map(layer).collect::<Result<Vec<_>, _>>()?;
        let flow = Flow::new(apply(chain, &weights)?, StandardNormal::new(2, &Device::flex()));
        let trained = flow.clone().train();
        // Every tensor operation is quicker when its caller is a thread of the pool.
        let (mean, likelihood, training) = rayon::scope(|_| {
            let mean: f32 = flow.log_prob(x.clone()).mean().into_scalar();
            (mean, timed(|| drop(flow.log_prob(x.clone()))), timed(|| step(&trained, &x)))
        });
        lines.push(format!(r#""{name}": {{"log_prob": {mean}, "likelihood": {likelihood}, "training": {training}}}"#));
    }
    println!("{{{}}}", lines.join(", "));
    Ok(())
}

/// zuko's masked transform: ascending and descending order in turn.
fn masked(at: usize) -> Result<Layer, Box<dyn Error>> {
    let order = if at.is_multiple_of(2) { vec![0, 1] } else { vec![1, 0] };
    let net = MaskedMlpConfig {
        order: order.clone(),
        context: 0,
        hidden: vec![64, 64],
        parameters: SOFT.parameters(),
        activation: Activation::Relu,
    };
    Ok(Layer::Autoregressive(Autoregressive::new(net.init(&mut Rng::new(0), &Device::flex())?, order, SOFT)))
}

/// zuko's coupling: the first column is kept, then the second.
fn coupling(at: usize) -> Result<Layer, Box<dyn Error>> {
    let net = MlpConfig { inputs: 1, hidden: vec![64, 64], outputs: SOFT.parameters(), activation: Activation::Relu };
    let net = net.init(&mut Rng::new(0), &Device::flex());
    Ok(Layer::Coupling(Coupling::new(net, Mask::Halves(Part::alternating(at)), SOFT, &Device::flex())))
}

fn step(model: &Plane, x: &Rows) {
    let loss = model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(0));
    assert!(Gradients::of(&loss.value, model).norm() > 0.0);
}

/// Seconds a call, the mean of a hundred after ten that warm up.
fn timed(mut run: impl FnMut()) -> f64 {
    (0..10).for_each(|_| run());
    let start = Instant::now();
    (0..100).for_each(|_| run());
    start.elapsed().as_secs_f64() / 100.0
}
