//! A code and a prior over it, both finished.

use burn::module::Module;
use genera_rng::Rng;

use crate::traits::{Codec, Rows, Sample, View};

/// A code and a prior over it.
#[derive(Module, Debug)]
pub struct Latent<C: Module, P: Module> {
    /// The code.
    pub codec: C,
    /// The prior.
    pub prior: P,
}

impl<C: Module + Codec, P: Module + Sample<C::Code>> Latent<C, P> {
    /// Of two finished stages.
    pub fn new(codec: C, prior: P) -> Self {
        Self { codec, prior }
    }

    /// What it can do.
    pub fn view(&self) -> View<'_> {
        View { sample: Some(self), ..View::default() }
    }
}

impl<C: Module + Codec, P: Module + Sample<C::Code>> Sample for Latent<C, P> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.codec.decode(self.prior.sample(n, rng))
    }
}
