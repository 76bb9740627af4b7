//! `genera restore`: held-out pictures completed, coloured or sharpened by a diffusion that never learnt to, or completed
//! by a model that draws one pixel after another.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use genera::burn::tensor::Device;
use genera::diffusion::{Differentiable, Guided, Known, Levels, Observation, Observed, Replaced, Sampler};
use genera::traits::{Denoise, Elements, Rows};
use genera_rng::Rng;
use serde_json::json;

use super::sample::unguidable;
use super::{Context, Loaded};
use crate::args::Restore;
use crate::data::{numbers, tensor};
use crate::export::{self, Drawn, Picture};
use crate::failure::{Failure, Outcome};
use crate::measure::{Draw, Way};
use crate::run::write_atomically;
use crate::solver::Choice;

/// The deviation that what is seen is given: a grey level or so, which keeps the last steps finite.
const NOISE: f64 = 0.02;
/// Rows that say how far the data vary.
const LOOKED_AT: usize = 500;
/// Samples drawn at a time: a derivative of the denoiser keeps what it computed for each.
const CHUNK: usize = 64;

/// What is kept of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Top,
    Bottom,
    Left,
    Right,
    /// All but the middle quarter.
    Frame,
    /// The mean over the colours.
    Grey,
    /// The means over squares of so many pixels a side.
    Coarse(usize),
}

const NAMES: [(&str, Keep); 6] = [
    ("top", Keep::Top),
    ("bottom", Keep::Bottom),
    ("left", Keep::Left),
    ("right", Keep::Right),
    ("frame", Keep::Frame),
    ("grey", Keep::Grey),
];

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, keep)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*keep);
        }
        let factor = text.strip_prefix("coarse=").and_then(|factor| factor.parse().ok()).filter(|factor| *factor > 1);
        factor
            .map(Self::Coarse)
            .ok_or_else(|| "one of top, bottom, left, right, frame, grey, coarse=2, coarse=3, ...".into())
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coarse(factor) => write!(f, "coarse={factor}"),
            named => f.write_str(NAMES.iter().find(|(_, keep)| keep == named).map_or("", |(name, _)| name)),
        }
    }
}

impl Keep {
    /// Which numbers of a picture `[C, H, W]` are seen; none if what is seen are means.
    fn mask(self, [channels, height, width]: [usize; 3]) -> Option<Vec<bool>> {
        let within = |at: usize, side: usize| at >= side / 4 && at < side - side / 4;
        let seen = |row: usize, column: usize| match self {
            Self::Top => Some(row < height / 2),
            Self::Bottom => Some(row >= height / 2),
            Self::Left => Some(column < width / 2),
            Self::Right => Some(column >= width / 2),
            Self::Frame => Some(!(within(row, height) && within(column, width))),
            Self::Grey | Self::Coarse(_) => None,
        };
        (0..channels * height * width).map(|at| seen(at / width % height, at % width)).collect()
    }

    fn observation(self, shape: [usize; 3], device: &Device) -> Outcome<Observation> {
        Ok(match (self.mask(shape), self) {
            (Some(seen), _) => Observation::of(&seen, device),
            (None, Self::Coarse(factor)) => Observation::coarse(shape, factor, device)?,
            (None, _) => Observation::grey(shape, device),
        })
    }

    /// What is left of a picture, to be looked at: hidden numbers are `blank`, means stand at all that they are of.
    fn left_of(self, picture: &[f32], [channels, height, width]: [usize; 3], blank: f32) -> Vec<f32> {
        if let Some(seen) = self.mask([channels, height, width]) {
            return picture.iter().zip(seen).map(|(value, seen)| if seen { *value } else { blank }).collect();
        }
        let place = |at: usize| (at / (height * width), at / width % height, at % width);
        // None where a square would hang over the edge: it is not seen.
        let group = |at: usize| match (self, place(at)) {
            (Self::Coarse(factor), (c, row, column)) => {
                let (i, j) = (row / factor, column / factor);
                ((i + 1) * factor <= height && (j + 1) * factor <= width).then_some((c, i, j))
            }
            (_, (_, row, column)) => Some((0, row, column)),
        };
        let mut sums: BTreeMap<(usize, usize, usize), (f32, f32)> = BTreeMap::new();
        for (at, value) in picture.iter().enumerate() {
            if let Some(group) = group(at) {
                let (sum, count) = sums.entry(group).or_default();
                (*sum, *count) = (*sum + value, *count + 1.0);
            }
        }
        let mean = |at: usize| group(at).and_then(|group| sums.get(&group)).map_or(blank, |(sum, count)| sum / count);
        (0..picture.len()).map(mean).collect()
    }
}

pub fn run(context: &Context, args: &Restore) -> Outcome {
    let loaded = Loaded::open(&args.run, context)?;
    let subject = loaded.subject(context);
    let (recipe, data, device) = (loaded.run.recipe(), &loaded.data, &context.device);
    let name = &recipe.name;
    let &[channels @ (1 | 3), height, width] = &data.shape()[..] else {
        return Err(Failure::new(format!("{name} is no model of pictures; restore is for those")));
    };
    let shape = [channels, height, width];
    if args.keep == Keep::Grey && channels == 1 {
        return Err(Failure::Usage("--keep grey: these pictures have no colours".to_owned()));
    }
    let Some(draw) = Draw::of_recipe(&subject)? else {
        return Err(Failure::new(format!("{name} is a model that nothing is drawn from")));
    };
    let mask = args.keep.mask(shape);
    let by = match (&draw.way, subject.trainee.view().elements) {
        (Way::Chain { levels, sampler, .. }, _) => {
            let choice = Choice { steps: args.steps.map(|steps| steps as usize), ..Choice::default() };
            let mut sampler = choice.over(sampler, Some(&recipe.model))?;
            if let Some(scale) = args.guidance {
                if !recipe.model.is_guidable() {
                    return Err(unguidable());
                }
                sampler.guidance = Some(recipe.guidance(scale));
            }
            sampler.chain(levels)?;
            By::Chain(levels, sampler)
        }
        (_, Some(elements)) => By::Elements(elements, completable(args, mask.as_deref())?),
        _ => {
            return Err(Failure::new(format!(
                "{name} neither removes noise from pictures nor draws them pixel by pixel; restore is for those"
            )));
        }
    };
    if !args.scale.is_finite() {
        return Err(Failure::Usage(format!("--scale {}: it must be finite", args.scale)));
    }

    let rows = data.first_rows(data.held_out(), args.n as usize)?;
    let features = shape.iter().product::<usize>();
    let (pictures, draws) = (rows.len() / features, args.draws as usize);
    let repeated: Vec<f32> = rows.chunks_exact(features).flat_map(|row| row.repeat(draws)).collect();
    let first: Vec<usize> = (0..pictures).collect();
    let told = || data.told(data.held_out(), &first, &mut Rng::new(0).fork("captions"));
    let told = if recipe.model.is_conditional() { told() } else { None };
    let labels: Vec<usize> = told.unwrap_or_default().into_iter().flat_map(|label| vec![label; draws]).collect();
    let trainee = subject.trainee;
    let nothing = draw.drawn(Vec::new(), None);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("restored-{}.png", args.seed)));
    export::check(&out, &nothing)?;

    if pictures == 0 {
        return Err(Failure::new("the data have no held-out pictures"));
    }
    let observation = args.keep.observation(shape, device)?;
    let variance = variance(&data.first_rows(data.train(), LOOKED_AT)?, features);
    let console = context.console;
    console.note(format!("device {}, {} threads", context.device_name, rayon::current_num_threads()));
    let root = Rng::new(args.seed).fork("restore");
    let mut restored = Vec::with_capacity(repeated.len());
    for (chunk, truth) in repeated.chunks(CHUNK * features).enumerate() {
        let (first, count) = (chunk * CHUNK, truth.len() / features);
        let labels = labels.get(first..first + count).unwrap_or_default().to_vec();
        let truth = tensor(truth.to_vec(), features, device);
        let mut rng = root.rows_from(first as u64);
        let (levels, sampler) = match &by {
            By::Elements(model, known) => {
                let drawn = model.completed(truth, known, &mut rng);
                restored.extend(numbers(drawn.ok_or_else(|| Failure::new("the pictures are not the model's"))?)?);
                continue;
            }
            By::Chain(levels, sampler) => (*levels, sampler),
        };
        let start = tensor(rng.normal(count, features), features, device);
        let mut restore = |denoise: &dyn Denoise| sampler.sample_from(denoise, levels, start.clone(), &mut rng);
        let guidance = sampler.guidance.filter(|_| !labels.is_empty());
        let drawn = match args.replace {
            true => {
                let told = |labels| trainee.offers().denoise_given(labels).ok_or_else(|| no_diffusion(name));
                let given = told(labels)?;
                let denoise: Box<dyn Denoise> = match guidance {
                    Some(guidance) => Box::new(Guided { given, against: told(Vec::new())?, guidance }),
                    None => given,
                };
                let (denoise, observation) = (&*denoise, observation.clone());
                match &mask {
                    Some(mask) => {
                        let mask = mask.iter().map(|seen| f32::from(u8::from(*seen))).collect();
                        restore(&Known { denoise, values: truth, mask: tensor(mask, features, device) })?
                    }
                    None => {
                        let seen = observation.observe(truth);
                        let replaced = Replaced { denoise, observation, seen };
                        // What a sampler clips, or leaves of the noise, moves means a little.
                        replaced.observation.agreeing(restore(&replaced)?, replaced.seen.clone())
                    }
                }
            }
            false => {
                let told = |labels| trainee.offers().differentiable_given(labels).ok_or_else(|| no_diffusion(name));
                let given = told(labels)?;
                let denoise: Box<dyn Differentiable> = match guidance {
                    Some(guidance) => Box::new(Guided { given, against: told(Vec::new())?, guidance }),
                    None => given,
                };
                restore(&Observed {
                    denoise: &*denoise,
                    observation: observation.clone(),
                    seen: observation.observe(truth),
                    noise: NOISE,
                    variance,
                    scale: args.scale,
                })?
            }
        };
        restored.extend(numbers(drawn)?);
    }

    let (truth, found) = (tensor(repeated, features, device), tensor(restored.clone(), features, device));
    let from_seen = apart(&observation.observe(found.clone()), &observation.observe(truth.clone()));
    let apart = apart(&found, &truth);
    if !apart.is_finite() {
        let scale = args.scale;
        return Err(Failure::new(format!(
            "the samples are not finite; a --scale below {scale} or more --steps may help"
        )));
    }
    let restored = draw.drawn(restored, None);
    let left = rows.chunks_exact(features).flat_map(|row| args.keep.left_of(row, shape, row[0])).collect();
    write(&out, [&draw.drawn(rows, None), &draw.drawn(left, None)], &restored, draws)?;
    if console.json {
        return console.json(&json!({
            "out": out, "keep": args.keep.to_string(), "pictures": pictures, "draws": draws,
            "rms-of-seen": from_seen, "rms": apart,
        }));
    }
    console.note(format!(
        "root mean squares: {from_seen:.3} between what was seen and the same of the samples, {apart:.3} between samples and \
         originals"
    ));
    console.say(out.display())
}

/// What restores.
enum By<'a> {
    /// The steps of a diffusion.
    Chain(&'a Levels, Sampler),
    /// One element after another, those that are marked being known.
    Elements(&'a dyn Elements, Vec<bool>),
}

/// The marks of what is known, for a model that draws elements one by one.
fn completable(args: &Restore, mask: Option<&[bool]>) -> Outcome<Vec<bool>> {
    let flags =
        [("--replace", args.replace), ("--steps", args.steps.is_some()), ("--guidance", args.guidance.is_some())];
    for (flag, given) in flags {
        if given {
            return Err(Failure::Usage(format!("{flag}: it is for models that remove noise step by step")));
        }
    }
    let keep = args.keep;
    let none = || Failure::Usage(format!("--keep {keep}: a model of pixels completes what whole pixels are left of"));
    Ok(mask.ok_or_else(none)?.to_vec())
}

fn no_diffusion(name: &str) -> Failure {
    Failure::new(format!("{name} removes no noise from pictures in a way that can be guided; restore needs that"))
}

/// Of a PNG, a line a picture: the original, what is left of it, and the samples; of other formats the samples alone.
fn write(out: &Path, [original, left]: [&Drawn; 2], restored: &Drawn, draws: usize) -> Outcome {
    if out.extension().is_none_or(|extension| extension != "png") {
        return export::write(out, restored, &Vec::new());
    }
    let line = |i: usize| {
        let samples = (i * draws..(i + 1) * draws).map(|sample| restored.picture(sample));
        [original.picture(i), left.picture(i)].into_iter().chain(samples)
    };
    let tiles: Option<Vec<Picture>> = (0..original.n).flat_map(line).collect();
    let grid = tiles.and_then(|tiles| Picture::grid_of(&tiles, draws + 2));
    let grid = grid.ok_or_else(|| Failure::new("the samples are no pictures"))?;
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent).map_err(Failure::file(parent))?;
    }
    write_atomically(out, &grid.to_png(&Vec::new())?)
}

/// The mean over the numbers of a picture of their variances.
fn variance(rows: &[f32], features: usize) -> f64 {
    let n = (rows.len() / features.max(1)).max(1) as f64;
    let of = |j: usize| {
        let column = || rows.iter().skip(j).step_by(features).map(|value| f64::from(*value));
        let mean = column().sum::<f64>() / n;
        column().map(|value| (value - mean).powi(2)).sum::<f64>() / n
    };
    let mean = (0..features).map(of).sum::<f64>() / features.max(1) as f64;
    mean.max(1e-6)
}

/// The root mean square of a difference.
fn apart(a: &Rows, b: &Rows) -> f64 {
    f64::from((a.clone() - b.clone()).square().mean().into_scalar::<f32>()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood_and_others_are_not() {
        for keep in NAMES.iter().map(|(_, keep)| *keep).chain([Keep::Coarse(4)]) {
            assert_eq!(keep.to_string().parse(), Ok(keep));
        }
        for wrong in ["", "coarse", "coarse=1", "coarse=x", "middle"] {
            assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_is_what_is_observed() {
        let shape = [1, 4, 4];
        let picture: Vec<f32> = (0..16).map(|v| v as f32).collect();
        assert_eq!(Keep::Top.left_of(&picture, shape, -1.0)[6..10], [6.0, 7.0, -1.0, -1.0]);
        assert_eq!(Keep::Frame.mask(shape).unwrap().iter().filter(|seen| !**seen).count(), 4);
        assert_eq!(Keep::Coarse(2).left_of(&picture, shape, 0.0)[..4], [2.5, 2.5, 4.5, 4.5]);
        assert_eq!(Keep::Coarse(3).left_of(&picture, shape, -1.0)[..5], [5.0, 5.0, 5.0, -1.0, 5.0]);
        let colours: Vec<f32> = (0..12).map(|v| v as f32).collect();
        assert_eq!(Keep::Grey.left_of(&colours, [3, 2, 2], 0.0)[..5], [4.0, 5.0, 6.0, 7.0, 4.0]);
        assert!((variance(&[0.0, 1.0, 2.0, 1.0], 2) - 0.5).abs() < 1e-9);
    }
}
