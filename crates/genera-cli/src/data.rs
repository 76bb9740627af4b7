//! The data of a recipe: what to learn from and what to be judged on.

use std::path::Path;

use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::traits::{Batch, Rows};
use genera_data::{Dataset, Line, Request, Split, Toy};
use genera_rng::Rng;

use crate::failure::{Failure, Outcome};
use crate::recipe::DataSpec;

/// Points of a toy density, unless the recipe says otherwise.
const TOY_POINTS: usize = 5000;

/// A data set in two parts, seen as the recipe says.
pub struct Data {
    spec: DataSpec,
    split: Split,
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
        for part in [&split.train, &split.test] {
            part.viewed(spec.view)?;
            if part.is_empty() {
                return Err(Failure::new(format!("data `{}`: no rows to learn from or to be judged on", spec.name)));
            }
        }
        Ok(Self { spec: spec.clone(), split })
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
        let labels = part.labels().map(|labels| indices.iter().map(|&row| usize::from(labels.rows()[row])).collect());
        Ok(Batch { x: tensor(self.rows(part, indices, rng)?, part.features(), device), labels })
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

/// Row-major numbers as a tensor, `[B, features]`.
pub fn tensor(rows: Vec<f32>, features: usize, device: &Device) -> Rows {
    let shape = [rows.len() / features, features];
    Tensor::from_data(TensorData::new(rows, shape), device)
}

/// A tensor's numbers, row-major.
pub fn numbers(rows: Rows) -> Outcome<Vec<f32>> {
    rows.into_data().try_to_vec().map_err(|error| Failure::new(format!("reading a tensor: {error:?}")))
}
