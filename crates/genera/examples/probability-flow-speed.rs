//! Times likelihoods along the probability flow for `bench/probability_flow.py`, which writes the folder that is named on
//! the command line and reads the line of JSON that this prints.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor};
use genera::diffusion::{DiffusionConfig, ProbabilityFlow, Schedule, Target};
use genera::nn::UNetConfig;
use genera::ode::{Divergence, Noise};
use genera::weights::{apply, read};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder that bench/probability_flow.py writes")?;
    let folder = Path::new(&folder);
    let net: UNetConfig = serde_json::from_reader(File::open(folder.join("net.json"))?)?;
    let net = net.init(&mut Rng::new(0), &Device::flex())?;
    let net = apply(net, &read(folder.join("weights.safetensors"))?)?;
    let inputs = read(folder.join("x.safetensors"))?;
    let x = inputs.get("x").ok_or("x.safetensors holds no x")?;
    let [rows, features] = [x.shape[0], x.shape[1]];
    let x = Tensor::<1>::from_data(x.values.as_slice(), &Device::flex()).reshape([rows, features]);

    let divergence = Divergence::Hutchinson { noise: Noise::Rademacher, probes: 1 };
    let likelihood = Some(ProbabilityFlow { tolerance: 1e-5, divergence, ..ProbabilityFlow::default() });
    let config = DiffusionConfig::new(features, Schedule::variance_preserving(1000));
    let model = DiffusionConfig { target: Target::V, likelihood, ..config }.init(net)?;

    // Every tensor operation is quicker when its caller is a thread of the pool.
    let (scored, seconds) = rayon::scope(|_| {
        model.flow_likelihood(x.clone().narrow(0, 0, 1), &[]);
        let start = Instant::now();
        (model.flow_likelihood(x, &[]), start.elapsed().as_secs_f64())
    });
    if let Some(failure) = scored.failures.first() {
        return Err(failure.to_string().into());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / rows as f64;
    let nats = mean(&scored.nats);
    let square = scored.nats.iter().map(|v| (v - nats).powi(2)).sum::<f64>() / (rows as f64 - 1.0);
    let evaluations: Vec<f64> = scored.evaluations.iter().map(|n| *n as f64).collect();
    println!(
        r#"{{"log_prob": {nats}, "error": {}, "evaluations": {}, "seconds": {seconds}}}"#,
        (square / rows as f64).sqrt(),
        mean(&evaluations)
    );
    Ok(())
}
