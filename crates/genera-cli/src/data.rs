//! The data of a recipe: what to learn from and what to be judged on.

use std::path::Path;

use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::traits::{Batch, Rows};
use genera_data::caption::{Attributes, Captions};
use genera_data::{Dataset, Line, Request, Split, Stroke, Toy};
use genera_rng::Rng;

use crate::failure::{Failure, Outcome};
use crate::recipe::DataSpec;

/// Points of a toy density, unless the recipe says otherwise.
const TOY_POINTS: usize = 5000;

/// A data set in two parts, seen as the recipe says.
pub struct Data {
    spec: DataSpec,
    split: Split,
    captions: Option<Captions>,
}

impl Data {
    /// Opens what `spec` names; files are looked for in `folder` first.
    pub fn open(spec: &DataSpec, folder: Option<&Path>) -> Outcome<Self> {
        let toy = spec.name.parse::<Toy>().is_ok() || spec.name.parse::<Line>().is_ok();
        if spec.points.is_some() && !toy {
            return Err(Failure::new(format!("data.points: `{}` is no toy density; its size is fixed", spec.name)));
        }
        let split = genera_data::open(&Request {
            name: &spec.name,
            folders: &genera_data::data_folders(folder),
            shape: spec.shape,
            points: spec.points.unwrap_or(TOY_POINTS),
            // The same points for every seed of the training: seeds compare trainings, not data sets.
            seed: 0,
        })?;
        let split = match spec.levels {
            Some(levels) => Split { train: in_levels(split.train, levels)?, test: in_levels(split.test, levels)? },
            None => split,
        };
        for part in [&split.train, &split.test] {
            part.viewed(spec.view)?;
            if part.is_empty() {
                return Err(Failure::new(format!("data `{}`: no rows to learn from or to be judged on", spec.name)));
            }
        }
        if !spec.captions {
            return Ok(Self { spec: spec.clone(), split, captions: None });
        }
        let Dataset::Images(images) = &split.train else {
            return Err(Failure::new(format!("data.captions: `{}` is no set of pictures; remove it", spec.name)));
        };
        let captions = Captions::learn(images)?;
        let hidden: Vec<bool> = (0..images.len())
            .map(|row| attributes(&captions, &split.train, row).is_some_and(|a| a.is_held_out()))
            .collect();
        // What is never shown is left out of the training set alone: thirds are those of all of it.
        let Split { train, test } = split;
        Ok(Self {
            spec: spec.clone(),
            split: Split { train: train.split(|row| hidden[row]).train, test },
            captions: Some(captions),
        })
    }

    /// The captions of the pictures, if they stand in the place of classes.
    pub fn captions(&self) -> Option<&Captions> {
        self.captions.as_ref()
    }

    /// How many things a model can be told of a row: captions, or classes.
    pub fn tellable(&self) -> Option<usize> {
        self.captions.as_ref().map(|captions| captions.all().len()).or_else(|| self.classes())
    }

    /// What a model is told of the rows of `part` at `indices`: their classes, or the numbers of captions drawn from `rng`
    /// (in one draw).
    pub fn told(&self, part: &Dataset, indices: &[usize], rng: &mut Rng) -> Option<Vec<usize>> {
        match &self.captions {
            Some(captions) => {
                let caption = |(&row, mut stream): (&usize, _)| {
                    attributes(captions, part, row).map(|attributes| captions.draw(attributes, &mut stream))
                };
                indices.iter().zip(rng.streams(indices.len())).map(caption).collect()
            }
            None => part.labels().map(|labels| indices.iter().map(|&row| usize::from(labels.rows()[row])).collect()),
        }
    }

    /// What is so of a picture; none without captions.
    pub fn attributes(&self, part: &Dataset, row: usize) -> Option<Attributes> {
        attributes(self.captions.as_ref()?, part, row)
    }

    /// What samples are told, in turn: every class, or captions of the held-out pictures, the same ones always; nothing where
    /// there is neither.
    pub fn told_in_turn(&self) -> Vec<usize> {
        let held_out = self.held_out();
        let captions =
            || self.told(held_out, &(0..held_out.len()).collect::<Vec<_>>(), &mut Rng::new(0).fork("captions"));
        match &self.captions {
            Some(_) => captions().unwrap_or_default(),
            None => (0..self.classes().unwrap_or(0)).collect(),
        }
    }

    /// What the model may learn from.
    pub fn train(&self) -> &Dataset {
        &self.split.train
    }

    /// What it is judged on.
    pub fn held_out(&self) -> &Dataset {
        &self.split.test
    }

    /// The numbers that stand for a row.
    pub fn view(&self) -> genera_data::View {
        self.spec.view
    }

    /// The toy density, if it is one.
    pub fn toy(&self) -> Option<Toy> {
        self.spec.name.parse().ok()
    }

    /// The density on the line, if it is one.
    pub fn line(&self) -> Option<Line> {
        self.spec.name.parse().ok()
    }

    /// The shape of one row, `[C, H, W]` or `[F]`.
    pub fn shape(&self) -> Vec<usize> {
        self.split.train.event_shape()
    }

    /// The number of grey levels of images.
    pub fn levels(&self) -> Option<u16> {
        match &self.split.train {
            Dataset::Images(images) => Some(images.levels()),
            Dataset::Table(_) => None,
        }
    }

    /// The number of classes, where the rows are labelled.
    pub fn classes(&self) -> Option<usize> {
        self.split.train.labels().map(|labels| labels.classes().len())
    }

    /// The rows of `part` at `indices` as a batch. What the view draws comes from `rng`.
    pub fn batch(&self, part: &Dataset, indices: &[usize], rng: &mut Rng, device: &Device) -> Outcome<Batch> {
        let x = tensor(self.rows(part, indices, rng)?, part.features(), device);
        Ok(Batch { x, labels: self.told(part, indices, rng) })
    }

    /// The rows of `part` at `indices`, as the model sees them: `[B, F]`, row-major.
    pub fn rows(&self, part: &Dataset, indices: &[usize], rng: &mut Rng) -> Outcome<Vec<f32>> {
        Ok(part.viewed(self.spec.view)?.rows(indices, rng))
    }

    /// The first `n` rows of `part`, or all if there are fewer.
    pub fn first_rows(&self, part: &Dataset, n: usize) -> Outcome<Vec<f32>> {
        let indices: Vec<usize> = (0..n.min(part.len())).collect();
        self.rows(part, &indices, &mut Rng::new(0).fork("view"))
    }
}

/// Pictures in fewer grey levels.
fn in_levels(part: Dataset, levels: u16) -> Outcome<Dataset> {
    match part {
        Dataset::Images(images) => Ok(Dataset::Images(images.with_levels(levels)?)),
        Dataset::Table(table) => {
            Err(Failure::new(format!("data.levels: `{}` is a table and has no grey levels; remove it", table.name())))
        }
    }
}

/// What is so of a labelled picture.
fn attributes(captions: &Captions, part: &Dataset, row: usize) -> Option<Attributes> {
    let Dataset::Images(images) = part else { return None };
    let digit = usize::from(*images.labels()?.rows().get(row)?);
    let [_, _, width] = images.shape();
    Some(captions.attributes(digit, Stroke::of(images.row(row), width, images.levels())))
}

/// Row-major numbers as a tensor, `[B, features]`.
pub fn tensor(rows: Vec<f32>, features: usize, device: &Device) -> Rows {
    let shape = [rows.len() / features, features];
    Tensor::from_data(TensorData::new(rows, shape), device)
}

/// A tensor's numbers, row-major.
pub fn numbers(rows: Rows) -> Outcome<Vec<f32>> {
    rows.into_data().try_to_vec().map_err(|error| Failure::new(format!("reading a tensor: {error:?}")))
}
