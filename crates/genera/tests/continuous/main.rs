//! Continuous flows: their derivatives, their density, their gradients, and the numbers of zuko and torchdiffeq.

mod density;
mod fields;
mod gradients;
mod parity;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::continuous::{
    ContinuousFlow, ContinuousFlowConfig, Divergence, FieldMlp, FieldMlpConfig, Integration, Smooth, TimeInput,
};
use genera::ode::Solver;
use genera::traits::Rows;
use genera::weights::{apply, collect};

fn device() -> Device {
    Device::flex()
}

fn rows(n: usize, features: usize, seed: u64) -> Rows {
    Tensor::from_data(TensorData::new(Rng::new(seed).normal(n, features), [n, features]), &device())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f32>().map(f64::from).collect()
}

/// Fresh weights, made `scale` times as large.
fn field(config: FieldMlpConfig, features: usize, scale: f32) -> FieldMlp {
    let net = config.init(features, &mut Rng::new(5), &device()).unwrap();
    let mut weights = collect(&net);
    weights.values_mut().flat_map(|array| &mut array.values).for_each(|value| *value *= scale);
    apply(net, &weights).unwrap()
}

fn configs() -> Vec<FieldMlpConfig> {
    let config = |hidden: &[usize], activation, time| FieldMlpConfig { hidden: hidden.to_vec(), activation, time };
    vec![
        config(&[16], Smooth::Tanh, TimeInput::Concatenated(2)),
        config(&[16, 24], Smooth::Tanh, TimeInput::Added(8)),
        config(&[16, 24], Smooth::Softplus, TimeInput::Concatenated(0)),
        config(&[24, 16, 24], Smooth::Softplus, TimeInput::Concatenated(3)),
        config(&[8, 8, 8], Smooth::Tanh, TimeInput::Added(0)),
    ]
}

fn flow(features: usize, scale: f32, config: ContinuousFlowConfig) -> ContinuousFlow<FieldMlp> {
    let net = FieldMlpConfig { hidden: vec![24, 24], ..FieldMlpConfig::default() };
    config.init(field(net, features, scale)).unwrap()
}

fn tight(tolerance: f64) -> ContinuousFlowConfig {
    let integration = Integration { solver: Solver::adaptive(tolerance), divergence: Divergence::Exact };
    ContinuousFlowConfig { training: integration, evaluation: integration, ..ContinuousFlowConfig::default() }
}
