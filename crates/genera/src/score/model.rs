//! A network that learns a score, and the chains that draw with it.

use burn::module::Module;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Objective, ScoreError};
use crate::mcmc::{Langevin, Start, Walk};
use crate::nn::derivative::Linearise;
use crate::traits::{Batch, Loss, Model, Net, Rows, Sample, Score, View};

/// Rows that a network sees at once. Products of matrices round differently for other numbers of rows, so a piece is
/// filled up: a row does not depend on its company.
const ROWS: usize = 256;

/// Everything about score matching but the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreMatchingConfig {
    /// The width `F` of a row.
    pub features: usize,
    /// What is made small.
    pub objective: Objective,
    /// The chains that samples come from.
    pub langevin: Langevin,
    /// Where they start.
    pub start: Start,
}

impl ScoreMatchingConfig {
    /// A model with the parameters of `net`, `[B, F] -> [B, F]`.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn init<N: Module>(&self, net: N) -> Result<ScoreMatching<N>, ScoreError> {
        self.objective.check()?;
        self.langevin.check()?;
        self.start.check()?;
        Ok(ScoreMatching { net, config: *self })
    }
}

/// A score that is learnt by one of the objectives, and sampled from by Langevin dynamics.
#[derive(Module, Debug)]
pub struct ScoreMatching<N: Module> {
    /// `s(x)`.
    pub net: N,
    #[module(skip)]
    config: ScoreMatchingConfig,
}

impl<N: Module> ScoreMatching<N> {
    /// The settings.
    pub fn config(&self) -> &ScoreMatchingConfig {
        &self.config
    }
}

impl<N: Module + Net + Linearise> Model for ScoreMatching<N> {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        Loss { value: self.config.objective.of_rows(&self.net, batch.x, rng).mean(), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self), score: Some(self), ..View::default() }
    }
}

impl<N: Module + Net> Score for ScoreMatching<N> {
    /// The network's own. After [`Objective::Denoising`] that is the score of the data with noise on top.
    fn score(&self, x: Rows) -> Rows {
        let ([rows, features], device) = (x.dims(), x.device());
        let piece = |first: usize| {
            let here = ROWS.min(rows - first);
            let part = x.clone().narrow(0, first, here);
            let filled = match ROWS - here {
                0 => part,
                more => Rows::cat(vec![part, Rows::zeros([more, features], &device)], 0),
            };
            self.net.forward(filled).narrow(0, 0, here)
        };
        match rows {
            0 => x,
            _ => Rows::cat((0..rows).step_by(ROWS).map(piece).collect(), 0),
        }
    }
}

impl<N: Module + Net> Sample for ScoreMatching<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.walk(n, rng, &mut |_, _| ()).0
    }
}

impl<N: Module + Net> Walk for ScoreMatching<N> {
    fn steps(&self) -> usize {
        self.config.langevin.steps
    }

    fn walk(&self, n: usize, rng: &mut Rng, observe: &mut dyn FnMut(usize, &Rows)) -> (Rows, Option<Vec<f64>>) {
        let device = self.net.devices().into_iter().next().unwrap_or_default().inner();
        let x = self.config.start.draw([n, self.config.features], rng, &device);
        (self.config.langevin.run(self, x, rng, observe), None)
    }
}
