//! Trains a continuous flow on a toy density and compares its mean −log p of held-out points with the entropy.
//!
//! ```text
//! cargo run --release --example cnf-plane -- moons 128,128 2000 256 8
//! ```
//!
//! The arguments: a toy, widths of hidden layers, steps, rows a step, steps of the classical Runge–Kutta method (0: those
//! of Dormand and Prince's, to 1e-4), the learning rate, and the weights of the kinetic energy and of flow
//! matching.

use std::error::Error;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Instant;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::continuous::{ContinuousFlowConfig, Divergence, FieldMlpConfig, Integration};
use genera::ode::{Method, Solver};
use genera::train::{Descent, DescentConfig, Ema, OptimizerConfig, RateSchedule, fit};
use genera::traits::{Batch, Learner, Rows, Scalars};
use genera_data::Toy;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |i: usize, default: &str| std::env::args().nth(i).unwrap_or_else(|| default.to_owned());
    let toy = Toy::from_str(&argument(1, "moons"))?;
    let hidden = argument(2, "128,128").split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let (steps, rows, count) = (argument(3, "2000").parse()?, argument(4, "256").parse()?, argument(5, "8").parse()?);
    let (learning_rate, kinetic) = (argument(6, "5e-3").parse()?, argument(7, "0.01").parse()?);
    let flow_matching = argument(8, "1").parse()?;
    let rng = Rng::new(0);
    let points = |n: usize, rng: &mut Rng| -> Rows {
        Tensor::from_data(TensorData::new(toy.sample(n, rng).values().to_vec(), [n, 2]), &Device::flex())
    };
    let net = FieldMlpConfig { hidden, ..FieldMlpConfig::default() };
    let solver = if count == 0 { Solver::adaptive(1e-4) } else { Solver::fixed(Method::Rk4, count) };
    let training = Integration { solver, divergence: Divergence::Exact };
    let config = ContinuousFlowConfig { training, kinetic, flow_matching, ..ContinuousFlowConfig::default() };
    let descent = DescentConfig {
        optimizer: OptimizerConfig::Adam { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 },
        rate: RateSchedule::Cosine { warmup: 50, floor: 0.0 },
        clip_norm: Some(10.0),
        ema: Some(Ema { decay: 0.99, warmup: true }),
    };
    let model = config.init(net.init(2, &mut rng.fork("weights"), &Device::flex())?)?;
    let mut learner = Descent::new(model, descent, steps)?;
    let start = Instant::now();
    let data = rng.fork("data");
    let mut log = |step: u64, scalars: &Scalars, _: &dyn Learner| {
        if (step + 1).is_multiple_of(steps / 10) {
            println!("{:5} {:6.1?} {:.4?}", step + 1, start.elapsed(), &scalars[..]);
        }
        ControlFlow::Continue(())
    };
    rayon::scope(|_| {
        let batch = |step: u64| vec![Batch { x: points(rows, &mut data.at(step)), labels: None }];
        fit(&mut learner, 0..steps, batch, &rng, &mut log)
    })?;
    let trained = start.elapsed();
    let scored = learner.model().score(points(10_000, &mut rng.fork("held-out")));
    let n = scored.nats.len() as f64;
    let nll = -scored.nats.iter().sum::<f64>() / n;
    let error = (scored.nats.iter().map(|nats| (nats + nll).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt();
    let evaluations = scored.evaluations.iter().sum::<usize>() as f64 / n;
    println!(
        "{}: {nll:.4} ± {error:.4} nats, the entropy is {:.4}; {evaluations:.0} evaluations a row; trained {trained:.0?}, \
         scored {:.1?}",
        toy.name(),
        toy.entropy().nats,
        start.elapsed() - trained
    );
    Ok(())
}
