//! Drawing rows from something that removes noise: in chunks, the same for chunks of any size.

use genera::burn::tensor::Device;
use genera::diffusion::{Levels, Moment, Sampler};
use genera::traits::Denoise;
use genera_rng::Rng;

use super::Subject;
use crate::data::{numbers, tensor};
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};

/// Rows computed at a time: enough to keep every thread busy, few enough for any memory.
const CHUNK: usize = 250;

/// How rows are drawn.
pub struct Draw<'a> {
    /// The model, given the classes of a chunk.
    pub denoise: Box<dyn Fn(Vec<usize>) -> Box<dyn Denoise + 'a> + 'a>,
    pub levels: Levels,
    pub sampler: Sampler,
    /// The shape of a row, and how to look at it.
    pub shape: Vec<usize>,
    pub view: genera_data::View,
    pub grey_levels: u16,
    /// The classes to draw in turn; empty for models that are not told.
    pub labels: Vec<usize>,
    pub device: Device,
    pub chunk: usize,
}

impl<'a> Draw<'a> {
    /// As the recipe says.
    pub fn of_recipe(subject: &Subject<'a>) -> Outcome<Self> {
        let recipe = subject.recipe;
        let trainee = subject.trainee;
        let (Some(levels), Some(_)) = (recipe.model.levels()?, trainee.given(Vec::new())) else {
            return Err(Failure::new(format!("{} is a model that nothing is drawn from", recipe.name)));
        };
        Ok(Self {
            denoise: Box::new(move |labels| trainee.given(labels).expect("it removed noise a moment ago")),
            levels,
            sampler: recipe.sample.clone().unwrap_or_default(),
            shape: subject.data.shape(),
            view: recipe.data.view,
            grey_levels: subject.data.levels().unwrap_or(256),
            labels: if recipe.model.is_conditional() { labels_in_turn(subject.data.classes()) } else { Vec::new() },
            device: subject.device.clone(),
            chunk: CHUNK,
        })
    }

    /// Draws `n` rows.
    pub fn rows(&self, n: usize, rng: &Rng) -> Outcome<Drawn> {
        self.rows_from(n, None, rng)
    }

    /// Draws `n` rows, from standard normal `noise` `[n, F]` if it is given.
    pub fn rows_from(&self, n: usize, noise: Option<&[f32]>, rng: &Rng) -> Outcome<Drawn> {
        let features: usize = self.shape.iter().product();
        let label = |row: usize| self.labels[row % self.labels.len()];
        let mut rows = Vec::with_capacity(n * features);
        for first in (0..n).step_by(self.chunk) {
            let count = self.chunk.min(n - first);
            // The noise is the first draw, whether it is used or not: what follows is then the same.
            let mut rng = rng.rows_from(first as u64);
            let drawn = rng.normal(count, features);
            let start = noise.map_or(drawn, |noise| noise[first * features..(first + count) * features].to_vec());
            let labels = if self.labels.is_empty() { Vec::new() } else { (first..first + count).map(label).collect() };
            let denoise = (self.denoise)(labels);
            let start = tensor(start, features, &self.device);
            rows.extend(numbers(self.sampler.sample_from(&*denoise, &self.levels, start, &mut rng)?)?);
        }
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(Failure::new(format!(
                "sample {} has a pixel or coordinate that is {}; the model or the solver diverged",
                at / features,
                rows[at]
            )));
        }
        let labels = (!self.labels.is_empty()).then(|| (0..n).map(label).collect());
        Ok(self.drawn(rows, labels))
    }

    /// Draws `n` rows and keeps `stations` of the way of each, noise first, samples last.
    pub fn trajectory(&self, n: usize, stations: usize, rng: &Rng) -> Outcome<Vec<(f64, Drawn)>> {
        let features: usize = self.shape.iter().product();
        let mut rng = rng.clone();
        let chain = self.sampler.chain(&self.levels)?;
        let start =
            tensor(rng.normal(n, features), features, &self.device) * chain.first().map_or(1.0, |level| level.scale());
        let steps = chain.len() - 1;
        let mut seen = vec![(chain.first().map_or(0.0, |level| level.time), start.clone())];
        let wanted = |step: usize| (1..stations).any(|i| i * steps / (stations - 1) == step + 1);
        let mut observe = |moment: Moment<'_>| {
            if wanted(moment.step) {
                seen.push((moment.to.time, moment.x.clone()));
            }
        };
        let labels = self.labels.iter().copied().cycle().take(if self.labels.is_empty() { 0 } else { n }).collect();
        self.sampler.run(&*(self.denoise)(labels), &chain, start, &mut rng, &mut observe);
        seen.into_iter().map(|(time, rows)| Ok((time, self.drawn(numbers(rows)?, None)))).collect()
    }

    /// Rows in the model's numbers as samples of it.
    pub fn drawn(&self, rows: Vec<f32>, labels: Option<Vec<usize>>) -> Drawn {
        let n = rows.len() / self.shape.iter().product::<usize>();
        Drawn { rows, n, shape: self.shape.clone(), view: self.view, levels: self.grey_levels, labels }
    }
}

/// Every class in turn; none if there are no classes.
pub fn labels_in_turn(classes: Option<usize>) -> Vec<usize> {
    (0..classes.unwrap_or(0)).collect()
}
