//! Adversarial learning: PyTorch's penalties, the laws of a game, what is known in closed form, and what a critic estimates.

mod avb;
mod estimates;
mod laws;
mod parity;
mod style;
mod theory;
mod values;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::gan::{CriticConfig, CriticNet, CriticNetConfig, Game, Objective};
use genera::nn::{Activation, Critic};
use genera::train::DescentConfig;
use genera::traits::Rows;

fn device() -> Device {
    Device::flex()
}

fn tensor(values: Vec<f32>, width: usize) -> Rows {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), &device())
}

fn normal(n: usize, width: usize, seed: u64) -> Rows {
    tensor(Rng::new(seed).normal(n, width), width)
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A perceptron that scores rows of `features` numbers.
fn perceptron(features: usize, hidden: &[usize], activation: Activation) -> Critic<CriticNet> {
    let net = CriticNetConfig::Mlp { hidden: hidden.to_vec(), activation };
    CriticConfig { net, deviation: false }.init(&[features], None, &mut Rng::new(5), &device()).unwrap()
}

fn adam(learning_rate: f64) -> DescentConfig {
    let text = format!(r#"{{"optimizer": {{"kind": "adam", "learning_rate": {learning_rate}, "betas": [0.5, 0.9]}}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn sgd(learning_rate: f64) -> DescentConfig {
    serde_json::from_str(&format!(r#"{{"optimizer": {{"kind": "sgd", "learning_rate": {learning_rate}}}}}"#)).unwrap()
}

fn game(objective: Objective) -> Game {
    Game { objective, critic_steps: 1, regularise: Vec::new(), feature_matching: 0.0 }
}
