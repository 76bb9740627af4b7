//! Drawing rows from a model: in chunks, the same for chunks of any size.

use genera::burn::tensor::Device;
use genera::diffusion::{Guidance, Guided, Levels, Moment, Sampler};
use genera::traits::{Denoise, Rows, Sample};
use genera_rng::Rng;

use super::Subject;
use crate::data::{numbers, tensor};
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::family::Trainee;

/// Rows computed at a time: enough to keep every thread busy, few enough for any memory.
const CHUNK: usize = 250;

/// How rows are drawn.
pub struct Draw<'a> {
    pub way: Way<'a>,
    /// The shape of a row, and how to look at it.
    pub shape: Vec<usize>,
    pub view: genera_data::View,
    pub grey_levels: u16,
    /// The classes to draw in turn; empty for models that are not told.
    pub labels: Vec<usize>,
    /// Where what is told is the number of a caption, the class that each speaks of; empty if that is not known.
    pub classes: Option<Vec<usize>>,
    pub device: Device,
    pub chunk: usize,
}

/// How a row comes about, given the classes of a chunk.
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Way<'a> {
    /// From noise, by something that removes it, down a chain of levels.
    Chain { denoise: Box<dyn Fn(Vec<usize>) -> Box<dyn Denoise + 'a> + 'a>, levels: Levels, sampler: Sampler },
    /// As the model itself draws.
    Direct(Box<dyn Fn(Vec<usize>) -> Box<dyn Sample + 'a> + 'a>),
}

impl<'a> Draw<'a> {
    /// As the recipe says; none if nothing is drawn from such a model.
    pub fn of_recipe(subject: &Subject<'a>) -> Outcome<Option<Self>> {
        let (recipe, trainee) = (subject.recipe, subject.trainee);
        let conditional = recipe.model.is_conditional();
        let way = match (recipe.model.levels()?, trainee.view().sample) {
            (Some(levels), _) if trainee.offers().denoise_given(Vec::new()).is_some() => Way::Chain {
                denoise: Box::new(move |labels| {
                    trainee.offers().denoise_given(labels).expect("it removed noise a moment ago")
                }),
                levels,
                sampler: recipe.sample.clone().unwrap_or_default(),
            },
            (_, Some(_)) if conditional && trainee.offers().sample_given(vec![0]).is_some() => {
                Way::Direct(Box::new(move |labels| {
                    trainee.offers().sample_given(labels).expect("it took classes a moment ago")
                }))
            }
            (_, Some(sample)) => Way::Direct(Box::new(move |_| Box::new(sample))),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            way,
            shape: subject.data.shape(),
            view: recipe.data.view,
            grey_levels: subject.data.levels().unwrap_or(256),
            labels: if conditional { subject.data.told_in_turn() } else { Vec::new() },
            classes: subject.data.captions().map(|all| all.all().iter().map(|caption| caption.says.digit).collect()),
            device: subject.device.clone(),
            chunk: CHUNK,
        }))
    }

    /// Guides what is drawn, which is of `trainee`.
    ///
    /// # Errors
    /// Guidance that makes no sense, a model that is never without the class.
    pub fn guide(&mut self, trainee: &'a dyn Trainee, guidance: Guidance) -> Outcome {
        guidance.check()?;
        match &mut self.way {
            Way::Chain { sampler, .. } => sampler.guidance = Some(guidance),
            Way::Direct(sample) => {
                let refused = || Failure::new("guidance: the model never learns to do without the class");
                trainee.offers().sample_guided(Vec::new(), guidance).ok_or_else(refused)?;
                *sample = Box::new(move |labels| {
                    trainee.offers().sample_guided(labels, guidance).expect("it was guided a moment ago")
                });
            }
        }
        Ok(())
    }

    /// The same way, told this in turn.
    pub fn telling(&self, labels: Vec<usize>) -> Draw<'_> {
        let way = match &self.way {
            Way::Chain { denoise, levels, sampler } => Way::Chain {
                denoise: Box::new(move |labels| denoise(labels)),
                levels: levels.clone(),
                sampler: sampler.clone(),
            },
            Way::Direct(sample) => Way::Direct(Box::new(move |labels| sample(labels))),
        };
        Draw { labels, ..self.by(way) }
    }

    /// The same rows and classes, another way.
    pub fn by<'b>(&self, way: Way<'b>) -> Draw<'b> {
        let Self { shape, view, grey_levels, labels, classes, device, chunk, .. } = self;
        Draw {
            way,
            shape: shape.clone(),
            view: *view,
            grey_levels: *grey_levels,
            labels: labels.clone(),
            classes: classes.clone(),
            device: device.clone(),
            chunk: *chunk,
        }
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
            let labels = if self.labels.is_empty() { Vec::new() } else { (first..first + count).map(label).collect() };
            let noise = noise.map(|noise| &noise[first * features..(first + count) * features]);
            rows.extend(numbers(self.chunk(count, features, labels, noise, &mut rng.rows_from(first as u64))?)?);
        }
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(Failure::new(format!(
                "sample {} has a pixel or coordinate that is {}; the model or the solver diverged",
                at / features,
                rows[at]
            )));
        }
        let class = |told: usize| match &self.classes {
            Some(classes) => classes.get(told).copied(),
            None => Some(told),
        };
        let labels = if self.labels.is_empty() { None } else { (0..n).map(|row| class(label(row))).collect() };
        Ok(self.drawn(rows, labels))
    }

    fn chunk(
        &self,
        n: usize,
        features: usize,
        labels: Vec<usize>,
        noise: Option<&[f32]>,
        rng: &mut Rng,
    ) -> Outcome<Rows> {
        match &self.way {
            Way::Chain { denoise, levels, sampler } => {
                // The noise is the first draw, whether it is used or not: what follows is then the same.
                let drawn = rng.normal(n, features);
                let start = tensor(noise.map_or(drawn, <[f32]>::to_vec), features, &self.device);
                Ok(sampler.sample_from(&*told(denoise, sampler, labels), levels, start, rng)?)
            }
            Way::Direct(_) if noise.is_some() => {
                Err(Failure::Usage("--noise: only models that remove noise start from it".to_owned()))
            }
            Way::Direct(sample) => Ok(sample(labels).sample(n, rng)),
        }
    }

    /// Draws `n` rows and keeps `stations` of the way of each, noise first, samples last; none where there is no way.
    pub fn trajectory(&self, n: usize, stations: usize, rng: &Rng) -> Outcome<Vec<(f64, Drawn)>> {
        let Way::Chain { denoise, levels, sampler } = &self.way else { return Ok(Vec::new()) };
        let features: usize = self.shape.iter().product();
        let mut rng = rng.clone();
        let chain = sampler.chain(levels)?;
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
        sampler.run(&*told(denoise, sampler, labels), levels, &chain, start, &mut rng, &mut observe);
        seen.into_iter().map(|(time, rows)| Ok((time, self.drawn(numbers(rows)?, None)))).collect()
    }

    /// Rows in the model's numbers as samples of it.
    pub fn drawn(&self, rows: Vec<f32>, labels: Option<Vec<usize>>) -> Drawn {
        let n = rows.len() / self.shape.iter().product::<usize>();
        Drawn { rows, n, shape: self.shape.clone(), view: self.view, levels: self.grey_levels, labels }
    }
}

/// What removes noise from rows of these classes, guided if the sampler says so.
fn told<'b, 'a: 'b>(
    denoise: &'b dyn Fn(Vec<usize>) -> Box<dyn Denoise + 'a>,
    sampler: &Sampler,
    labels: Vec<usize>,
) -> Box<dyn Denoise + 'b> {
    match sampler.guidance {
        Some(guidance) if !labels.is_empty() => {
            Box::new(Guided { given: denoise(labels), against: denoise(Vec::new()), guidance })
        }
        _ => denoise(labels),
    }
}

/// Every class in turn; none if there are no classes.
pub fn labels_in_turn(classes: Option<usize>) -> Vec<usize> {
    (0..classes.unwrap_or(0)).collect()
}
