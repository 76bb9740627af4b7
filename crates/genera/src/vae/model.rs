//! The variational autoencoder itself: encoder, decoder and prior in one bound.
//!
//! ```text
//! log p(x) ≥ E_q [log p(x|z) + log p(z) − log q(z|x)]
//! ```
//!
//! Kingma and Welling, arXiv:1312.6114. A conditional one (Sohn et al. 2015) sees the class as a one-hot row beside
//! what the encoder and the decoder see anyway.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::error::some;
use super::objective::divergence_term;
use super::{Decode, Encode, Likelihood, Objective, PathGradient, Posterior, Prior, VaeError};
use super::{log_mean_exp, log_sum_exp, mmd, noise, repeat, row_sum, scalar};
use crate::caution::sampler;
use crate::traits::{Batch, Caution, Cautious, Codec, Loss, LowerBound, Model, Reconstruct, Rows, Sample, View};

/// Latents that are decoded at once when sampling.
const AT_ONCE: usize = 1024;

/// What a [`Vae`] is, apart from its networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// `L`: the length of `z`.
    pub latents: usize,
    /// What it is trained on.
    #[serde(default)]
    pub objective: Objective,
    /// What a sample is.
    #[serde(default)]
    pub observe: Observe,
    /// `K` of the bound that it reports; 1 is the evidence lower bound.
    #[serde(default = "one")]
    pub bound_samples: usize,
    /// The number of classes of a conditional model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

fn one() -> usize {
    1
}

/// What a decoder's distribution becomes when a row is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observe {
    /// A draw from it.
    #[default]
    Sample,
    /// Its mean.
    Mean,
}

impl VaeConfig {
    /// With the plain bound in `latents` dimensions.
    pub fn new(latents: usize) -> Self {
        Self { latents, objective: Objective::default(), observe: Observe::Sample, bound_samples: 1, classes: None }
    }

    /// A model of these parts.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn init<E: Module, D: Module, P: Module>(
        &self,
        encoder: E,
        decoder: D,
        prior: P,
    ) -> Result<Vae<E, D, P>, VaeError> {
        some("latents", self.latents)?;
        some("bound_samples", self.bound_samples)?;
        self.classes.map_or(Ok(()), |classes| some("classes", classes))?;
        self.objective.check()?;
        Ok(Vae { encoder, decoder, prior, config: self.clone() })
    }
}

/// An encoder, a decoder and a prior.
#[derive(Module, Debug)]
pub struct Vae<E: Module, D: Module, P: Module> {
    /// `q(z|x)`.
    pub encoder: E,
    /// `p(x|z)`.
    pub decoder: D,
    /// `p(z)`.
    pub prior: P,
    #[module(skip)]
    config: VaeConfig,
}

/// The two parts of the bound, each a number a row: `ELBO = log_likelihood − divergence`.
#[derive(Clone, Debug)]
pub struct Terms {
    /// `log p(x|z)` of one draw, `[B]`.
    pub log_likelihood: Tensor<1>,
    /// `KL(q ‖ p)`: in closed form where there is one, otherwise its estimate from the same draw, `[B]`.
    pub divergence: Tensor<1>,
    /// The divergence of each dimension where it has a closed form, `[B, L]`.
    pub per_dimension: Option<Rows>,
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Vae<E, D, P> {
    /// The settings.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The same model for given classes: row `i` of what is drawn has class `labels[i mod len]`.
    pub fn given(&self, labels: Vec<usize>) -> Given<'_, E, D, P> {
        Given { model: self, labels }
    }

    /// `q(z|x)` of each row; `labels` are for conditional models, one a row.
    pub fn posterior(&self, x: Rows, labels: Option<&[usize]>) -> E::Posterior {
        self.encoder.posterior(self.beside(x, labels, 1))
    }

    /// `p(x|z)` of each latent.
    pub fn likelihood(&self, z: Rows, labels: Option<&[usize]>) -> D::Likelihood {
        self.decoder.likelihood(self.beside(z, labels, 1))
    }

    /// The parts of the bound at one draw a row: `[B, F], [B, L]`.
    pub fn terms(&self, x: Rows, labels: Option<&[usize]>, eps: Rows) -> Terms {
        let q = self.posterior(x.clone(), labels);
        let (z, log_q) = q.draw(eps);
        let per_dimension = self.prior.divergence(&q);
        let divergence = match &per_dimension {
            Some(rows) => row_sum(rows.clone()),
            None => log_q - self.prior.log_prob(z.clone(), &self.encoder),
        };
        Terms { log_likelihood: self.likelihood(z, labels).log_prob(x), divergence, per_dimension }
    }

    /// `log wₖ = log p(x|zₖ) + log p(zₖ) − log q(zₖ|x)` at `K` draws a row: `[B, F], [B K, L] -> [B, K]`.
    pub fn log_weights(&self, x: Rows, labels: Option<&[usize]>, eps: Rows) -> Rows {
        let rows = x.dims()[0];
        let k = eps.dims()[0] / rows.max(1);
        let (z, log_q) = self.posterior(x.clone(), labels).repeat(k).draw(eps);
        self.weigh(repeat(x, k), labels, k, z, log_q).reshape([rows, k])
    }

    /// The noise of `k` draws a row: `[B K, L]`.
    pub(super) fn noise(&self, x: &Rows, k: usize, rng: &mut Rng) -> Rows {
        let (rows, latents) = (x.dims()[0], self.config.latents);
        noise(rows, k * latents, rng, &x.device()).reshape([rows * k, latents])
    }

    /// The one line: `log p(x|z) + log p(z) − log q(z|x)`, `[B K]`.
    fn weigh(&self, x: Rows, labels: Option<&[usize]>, k: usize, z: Rows, log_q: Tensor<1>) -> Tensor<1> {
        let decoder = self.decoder.likelihood(self.beside(z.clone(), labels, k));
        decoder.log_prob(x) + self.prior.log_prob(z, &self.encoder) - log_q
    }

    /// A surrogate whose value is minus the `K`-sample bound and whose gradient is the doubly reparametrised one.
    fn doubly_reparametrised(&self, x: Rows, labels: Option<&[usize]>, eps: Rows) -> Tensor<1> {
        let rows = x.dims()[0];
        let k = eps.dims()[0] / rows.max(1);
        let q = self.posterior(x.clone(), labels).repeat(k);
        let (z, log_q) = q.draw(eps);
        let (x, here) = (repeat(x, k), z.clone().detach());
        let log_w = self.weigh(x.clone(), labels, k, here.clone(), log_q.detach()).detach().reshape([rows, k]);
        let bound = (log_sum_exp(log_w.clone()) - (k as f64).ln()).mean();
        let weights = burn::tensor::activation::softmax(log_w, 1).reshape([rows * k, 1]);
        // The value of z, its gradient shortened by the weight: the second factor of the squared weight.
        let z = here.clone() + (z - here) * weights.clone();
        let Some(frozen) = q.frozen_log_prob(z.clone()) else { return bound.neg() };
        let pulled = self.weigh(x, labels, k, z, frozen) * weights.squeeze_dim::<1>(1);
        let surrogate = pulled.sum() / rows as f64;
        (surrogate.clone() - surrogate.detach() + bound).neg()
    }

    /// The classes as one-hot columns beside `rows`, each class `k` times in succession.
    fn beside(&self, rows: Rows, labels: Option<&[usize]>, k: usize) -> Rows {
        let Some((classes, labels)) = self.config.classes.zip(labels) else { return rows };
        let mut context = vec![0.0_f32; rows.dims()[0] * classes];
        for (row, label) in context.chunks_exact_mut(classes).zip(labels.iter().flat_map(|l| std::iter::repeat_n(l, k)))
        {
            row[label % classes] = 1.0;
        }
        let context = Tensor::from_data(TensorData::new(context, [rows.dims()[0], classes]), &rows.device().inner());
        Tensor::cat(vec![rows, context], 1)
    }

    fn draw(&self, n: usize, labels: Option<&[usize]>, rng: &mut Rng) -> Rows {
        let z = self.prior.sample(n, &self.encoder, rng);
        self.observe(z, labels, rng)
    }

    /// With caution in the prior; the decoder's own noise, if it is drawn, stays as it is.
    fn draw_with(&self, n: usize, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        let labels = self.config.classes.map(|classes| rng.below(n, classes));
        let z = self.prior.sample_with(n, &self.encoder, caution, rng)?;
        Some(self.observe(z, labels.as_deref(), rng))
    }

    /// Latents become rows, in pieces, which bounds memory.
    fn observe(&self, z: Rows, labels: Option<&[usize]>, rng: &mut Rng) -> Rows {
        let n = z.dims()[0];
        let pieces = (0..n).step_by(AT_ONCE).map(|first| {
            let here = AT_ONCE.min(n - first);
            let labels = labels.map(|labels| &labels[first..first + here]);
            let x = self.likelihood(z.clone().narrow(0, first, here), labels);
            match self.config.observe {
                Observe::Mean => x.mean(),
                Observe::Sample => x.sample(&mut rng.rows_from(first as u64)),
            }
        });
        let pieces: Vec<Rows> = pieces.collect();
        if pieces.is_empty() { self.likelihood(z, labels).mean() } else { Tensor::cat(pieces, 0) }
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Model for Vae<E, D, P> {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        self.loss_at(u64::MAX, batch, rng)
    }

    fn loss_at(&self, step: u64, Batch { x, labels }: Batch, rng: &mut Rng) -> Loss {
        let labels = labels.as_deref();
        match self.config.objective {
            Objective::Elbo { beta, free_bits, capacity } => {
                let Terms { log_likelihood, divergence, per_dimension } = {
                    let eps = self.noise(&x, 1, rng);
                    self.terms(x, labels, eps)
                };
                let (fit, beta) = (log_likelihood.mean().neg(), beta.weight(step));
                let mean = divergence.clone().mean();
                let parts = vec![
                    ("negative-elbo", scalar(&fit) + scalar(&mean)),
                    ("divergence", scalar(&mean)),
                    ("beta", beta),
                ];
                let capacity = capacity.map(|capacity| (capacity.at(step), capacity.weight));
                let pulled = divergence_term(per_dimension, divergence, self.config.latents, free_bits, capacity);
                Loss { value: fit + pulled * if capacity.is_some() { 1.0 } else { beta }, parts }
            }
            Objective::Iwae { samples, gradient: PathGradient::DoublyReparametrised } => {
                let eps = self.noise(&x, samples, rng);
                Loss { value: self.doubly_reparametrised(x, labels, eps), parts: Vec::new() }
            }
            Objective::Iwae { samples, gradient: PathGradient::Reparametrised } => {
                let eps = self.noise(&x, samples, rng);
                let log_w = self.log_weights(x, labels, eps);
                Loss { value: (log_sum_exp(log_w) - (samples as f64).ln()).mean().neg(), parts: Vec::new() }
            }
            Objective::Wae { weight } => {
                let q = self.posterior(x.clone(), labels);
                let (z, _) = q.draw(self.noise(&x, 1, rng));
                let from_prior = self.prior.sample(x.dims()[0], &self.encoder, rng);
                let distance = mmd(z.clone(), from_prior);
                let fit = self.likelihood(z, labels).log_prob(x).mean().neg();
                let parts = vec![("reconstruction", scalar(&fit)), ("mmd", scalar(&distance))];
                Loss { value: fit + distance * weight, parts }
            }
        }
    }

    fn view(&self) -> View<'_> {
        // Networks that are told a class cannot do without one.
        let codec = self.config.classes.is_none().then_some(self);
        View {
            sample: Some(self),
            cautious: Some(self),
            lower_bound: Some(self),
            codec: codec.map(|model| model as &dyn Codec<Code = Rows>),
            reconstruct: codec.map(|model| model as &dyn Reconstruct),
            ..View::default()
        }
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Sample for Vae<E, D, P> {
    /// A conditional model draws the classes too, uniformly.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        match self.config.classes {
            None => self.draw(n, None, rng),
            Some(classes) => {
                let labels = rng.below(n, classes);
                self.draw(n, Some(&labels), rng)
            }
        }
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Cautious for Vae<E, D, P> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        let draw = move |n, rng: &mut Rng| self.draw_with(n, caution, rng);
        // A draw of one says whether the prior can.
        draw(1, &mut Rng::new(0)).filter(|_| caution.is_of_noise())?;
        Some(sampler(move |n, rng| draw(n, rng).expect("the prior drew a moment ago")))
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> LowerBound for Vae<E, D, P> {
    /// The bound of [`VaeConfig::bound_samples`] draws; of a conditional model, of the mean over its classes.
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        let (rows, k) = (x.dims()[0], self.config.bound_samples);
        let Some(classes) = self.config.classes else { return self.k_sample_bound(x, None, k, rng) };
        let given = (0..classes).map(|class| self.k_sample_bound(x.clone(), Some(&vec![class; rows]), k, rng));
        let given: Vec<Vec<f64>> = given.collect();
        let of_row = |row: usize| given.iter().map(|bounds| bounds[row]).collect::<Vec<f64>>();
        (0..rows).flat_map(|row| log_mean_exp(&of_row(row), classes)).collect()
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Codec for Vae<E, D, P> {
    type Code = Rows;

    /// The mean of each posterior.
    fn encode(&self, x: Rows) -> Rows {
        self.posterior(x, None).mean()
    }

    /// The mean of each likelihood.
    fn decode(&self, code: Rows) -> Rows {
        self.likelihood(code, None).mean()
    }
}

/// A conditional model for given classes: partial application.
#[derive(Clone, Debug)]
pub struct Given<'a, E: Module, D: Module, P: Module> {
    model: &'a Vae<E, D, P>,
    labels: Vec<usize>,
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Sample for Given<'_, E, D, P> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let labels: Vec<usize> = self.labels.iter().copied().cycle().take(n).collect();
        self.model.draw(n, (labels.len() == n).then_some(&labels), rng)
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> LowerBound for Given<'_, E, D, P> {
    /// The bound of [`VaeConfig::bound_samples`] draws given the class of each row.
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        let labels: Vec<usize> = self.labels.iter().copied().cycle().take(x.dims()[0]).collect();
        let labels = (labels.len() == x.dims()[0]).then_some(labels.as_slice());
        self.model.k_sample_bound(x, labels, self.model.config.bound_samples, rng)
    }
}
