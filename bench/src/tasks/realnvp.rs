//! Affine couplings: Dinh et al. (arXiv:1605.08803).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::traits::Net;
use genera_kernels::activate;
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    features: usize,
    width: usize,
    layers: usize,
}

#[derive(Module, Debug)]
pub struct RealNvp {
    couplings: Vec<Mlp>,
}

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> RealNvp {
        let half = self.features / 2;
        let net =
            MlpConfig { inputs: half, hidden: vec![self.width; 2], outputs: 2 * half, activation: Activation::Relu };
        RealNvp { couplings: (0..self.layers).map(|_| net.init(rng, device)).collect() }
    }
}

impl Task for RealNvp {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let x: Tensor<2> = given.get("x");
        let [batch, features] = x.dims();
        let half = features / 2;
        let (mut a, mut b) = (x.clone().narrow(1, 0, half), x.narrow(1, half, half));
        let mut log_det = Tensor::<2>::zeros([batch, 1], &b.device());
        for coupling in &self.couplings {
            let st = coupling.forward(a.clone());
            let s = activate(st.clone().narrow(1, 0, half), Activation::Tanh);
            (a, b) = (b * s.clone().exp() + st.narrow(1, half, half), a);
            log_det = log_det + s.sum_dim(1);
        }
        ((a.square().sum_dim(1) + b.square().sum_dim(1)) * 0.5 - log_det).mean()
    }
}
