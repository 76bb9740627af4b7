//! The tasks, each the twin of a class in `networks.py`.

mod adamw;
mod attention;
mod conv;
mod critic;
mod dcgan;
mod mlp;
mod pixelcnn;
mod realnvp;
mod resnet;
mod unet;
mod vae;
mod vqvae;

use std::error::Error;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor};
use genera::weights::Weights;
use serde::Deserialize;
use serde_json::from_value;

use crate::given::Given;
use crate::work::{Case, Work, on};

/// The names of the tasks in `cases.json`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Unet,
    Resnet,
    Mlp,
    Realnvp,
    Pixelcnn,
    Critic,
    Dcgan,
    Attention,
    Conv,
    Adamw,
    Vae,
    Vqvae,
}

/// The work of `case`.
pub fn open(case: Case, weights: &Weights, given: Given) -> Result<Box<dyn Work>, Box<dyn Error>> {
    let (device, mut rng, mode) = (Device::flex(), Rng::new(0), case.mode);
    match case.task {
        Kind::Unet => on(unet::init(case.net, &mut rng, &device)?, weights, given, mode),
        Kind::Resnet => on(from_value::<resnet::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Mlp => on(mlp::init(case.net, &mut rng, &device)?, weights, given, mode),
        Kind::Realnvp => on(from_value::<realnvp::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Pixelcnn => on(from_value::<pixelcnn::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Critic => on(from_value::<critic::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Dcgan => on(from_value::<dcgan::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Attention => on(from_value::<attention::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Conv => on(from_value::<conv::Config>(case.net)?.init(&mut rng, &device), weights, given, mode),
        Kind::Vae => on(from_value::<vae::Config>(case.net)?.init(&mut rng, &device)?, weights, given, mode),
        Kind::Vqvae => on(from_value::<vqvae::Config>(case.net)?.init(&mut rng, &device)?, weights, given, mode),
        Kind::Adamw => Ok(Box::new(adamw::Step::new(weights, &given))),
    }
}

/// `mean (a - b)²`.
fn squared_error(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (a - b).square().mean()
}
