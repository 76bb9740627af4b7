//! Latent diffusion: an autoencoder in training, then a diffusion of its codes.
//!
//! ```text
//! first     x → z = encode(x),  x ≈ decode(z)
//! second    a diffusion of k z, k one over the standard deviation of the codes
//! samples   decode(z), z drawn by the diffusion, which may be told the class and guided towards it
//! ```
//!
//! Rombach et al., arXiv:2112.10752. As there, `k` is one number, found from the first batch of the second part, and where
//! the autoencoder has a book of codes the diffusion is of the vectors before it: decoding takes each to its nearest code.

use burn::module::{Module, ModuleDisplay};
use genera_rng::Rng;

use super::two_stage::{Coding, named, parted};
use crate::diffusion::{Diffusion, Given, Guidance};
use crate::nn::Conditioned;
use crate::train::Descent;
use crate::traits::{Batch, LatentCode, Learner, Net, Rows, Sample, Scalars, StepError, View};
use crate::weights::{Array, Weights, WeightsError};

/// The group of a checkpoint that holds `k`.
const SCALE: &str = "scale";

/// An autoencoder in training, and after `first` steps of it a diffusion of its codes.
pub struct LatentDiffusion<A, N: Module> {
    coding: A,
    prior: Descent<Diffusion<N>>,
    /// `k`, since the end of the first part.
    scale: Option<f32>,
    first: u64,
}

impl<A, N> LatentDiffusion<A, N>
where
    A: Coding<Codec: LatentCode>,
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    /// Before the first step.
    pub fn new(coding: A, prior: Descent<Diffusion<N>>, first: u64) -> Self {
        Self { coding, prior, scale: None, first }
    }

    /// The autoencoder.
    pub fn codec(&self) -> &A::Codec {
        self.coding.codec()
    }

    /// The diffusion of codes.
    pub fn prior(&self) -> &Diffusion<N> {
        self.prior.model()
    }

    /// Rows of these classes: row `i` of what is drawn has class `labels[i mod len]`.
    pub fn given(&self, labels: Vec<usize>) -> GivenLatent<'_, A, N> {
        GivenLatent { model: self, prior: self.prior().given(labels) }
    }

    fn decoded(&self, z: Rows) -> Rows {
        self.codec().rendered(z / f64::from(self.scale.unwrap_or(1.0)))
    }
}

/// One over the standard deviation of all numbers of `z` about zero; 1 where they are all zero.
fn scale_of(z: &Rows) -> f32 {
    let square = z.clone().square().mean().into_scalar::<f32>();
    if square > 0.0 && square.is_finite() { square.sqrt().recip() } else { 1.0 }
}

impl<A, N> Learner for LatentDiffusion<A, N>
where
    A: Coding<Codec: LatentCode>,
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let first = self.coding.steps_taken() < self.first;
        let mut scalars = if first {
            self.coding.step(batches, rng)?
        } else {
            let encode = |Batch { x, labels }| Batch { x: self.codec().latents(x), labels };
            let mut batches: Vec<Batch> = batches.into_iter().map(encode).collect();
            let all = || Rows::cat(batches.iter().map(|batch| batch.x.clone()).collect(), 0);
            let scale = self.scale.unwrap_or_else(|| scale_of(&all()));
            self.scale = Some(scale);
            batches.iter_mut().for_each(|batch| batch.x = batch.x.clone() * f64::from(scale));
            self.prior.step(batches, rng)?
        };
        scalars.push(("stage", if first { 1.0 } else { 2.0 }));
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        let books = self.coding.view().books;
        View { sample: Some(self), reconstruct: Some(self.codec()), books, ..View::default() }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let array = |scale: f32| Weights::from([(SCALE.to_owned(), Array { shape: vec![1], values: vec![scale] })]);
        let scale = self.scale.into_iter().map(|scale| (SCALE, array(scale)));
        named(self.coding.save(), self.prior.save()).into_iter().chain(scale).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let (own, rest): (Vec<_>, Vec<_>) = groups.iter().cloned().partition(|(name, _)| name == SCALE);
        let value = |weights: &Weights| weights.get(SCALE).and_then(|array| array.values.first().copied());
        let scale = match own.first() {
            Some((_, weights)) => Some(value(weights).ok_or_else(|| WeightsError::Missing(SCALE.to_owned()))?),
            None => None,
        };
        let [coding, prior] = parted(&rest)?;
        self.coding.load(&coding)?;
        self.prior.load(&prior)?;
        self.scale = scale;
        Ok(())
    }
}

impl<A, N> Sample for LatentDiffusion<A, N>
where
    A: Coding<Codec: LatentCode>,
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.decoded(self.prior().sample(n, rng))
    }
}

/// A latent diffusion for given classes: partial application.
pub struct GivenLatent<'a, A, N: Module> {
    model: &'a LatentDiffusion<A, N>,
    prior: Given<'a, N>,
}

impl<A, N: Module + Net<Conditioned, Rows>> GivenLatent<'_, A, N> {
    /// The same, guided so, whatever the sampler of the diffusion says.
    pub fn guided(self, guidance: Guidance) -> Self {
        Self { prior: self.prior.guided(guidance), ..self }
    }
}

impl<A, N> Sample for GivenLatent<'_, A, N>
where
    A: Coding<Codec: LatentCode>,
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.model.decoded(self.prior.sample(n, rng))
    }
}
