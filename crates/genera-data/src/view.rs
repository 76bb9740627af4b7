//! How a model sees a row: the map from grey levels to numbers, its log-Jacobian and its inverse.
//!
//! A grey level `l` of `K` levels (0 … K−1) becomes
//!
//! | view           | number                        | log-Jacobian of a row of F numbers |
//! |----------------|-------------------------------|------------------------------------|
//! | binary         | 1 if 255·l > 128·(K−1), or 0  | 0: a probability stays one         |
//! | dynamic-binary | Bernoulli(l / (K−1))          | 0                                  |
//! | tokens         | l                             | 0                                  |
//! | unit           | l / (K−1), in [0, 1]          | −F·log(K−1)                        |
//! | symmetric      | 2l / (K−1) − 1, in [−1, 1]    | F·log(2 / (K−1))                   |
//! | dequantised    | (l + u) / K, u ~ U[0, 1)      | −F·log K                           |
//!
//! With `y = view(l)`, a density `p` of `y` speaks of levels as `log p(l) = log p(y) + log_jacobian`, in nats. Under
//! `dequantised` the mean of that over `u` bounds `log P(l)` from below (Theis et al., arXiv:1511.01844). The rule of
//! `binary` is `x > 128` on the scale 0 … 255, and the same threshold for any other number of levels.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Images, Result};

/// The numbers that stand for a row. See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// A row of a table as it is.
    Raw,
    /// Black or white by a threshold.
    Binary,
    /// Black or white by chance, anew in every batch (Salakhutdinov and Murray, ICML 2008).
    DynamicBinary,
    /// Whole numbers from 0, for models of discrete data.
    Tokens,
    /// Numbers in [0, 1].
    Unit,
    /// Numbers in [−1, 1].
    Symmetric,
    /// Numbers in [0, 1) with uniform noise of one level's width.
    Dequantised,
}

impl View {
    /// How many values a number can take, where they are finitely many and whole: 2 or `levels`.
    pub fn values(self, levels: u16) -> Option<u16> {
        match self {
            Self::Binary | Self::DynamicBinary => Some(2),
            Self::Tokens => Some(levels),
            Self::Raw | Self::Unit | Self::Symmetric | Self::Dequantised => None,
        }
    }

    /// log |dy/dl| of one number, in nats; 0 for views whose numbers are whole.
    pub fn log_jacobian(self, levels: u16) -> f64 {
        let top = f64::from(levels - 1);
        match self {
            Self::Raw | Self::Binary | Self::DynamicBinary | Self::Tokens => 0.0,
            Self::Unit => -top.ln(),
            Self::Symmetric => (2.0 / top).ln(),
            Self::Dequantised => -f64::from(levels).ln(),
        }
    }

    /// The grey level, below `levels`, that the number `y` stands for: the nearest one, or under `Dequantised` the one
    /// whose interval holds it. Numbers out of range give the nearest level, NaN gives 0.
    pub fn level(self, y: f32, levels: u16) -> u8 {
        let top = f32::from(levels - 1);
        let level = match self {
            Self::Raw | Self::Tokens => y.round(),
            Self::Binary | Self::DynamicBinary => top * f32::from(u8::from(y > 0.5)),
            Self::Unit => (y * top).round(),
            Self::Symmetric => ((y + 1.0) * 0.5 * top).round(),
            Self::Dequantised => (y * f32::from(levels)).floor(),
        };
        level.clamp(0.0, top) as u8
    }
}

/// `level` of `levels` on the scale 0 … 255 of a picture file.
pub fn to_pixel(level: u8, levels: u16) -> u8 {
    let top = u32::from(levels - 1);
    ((u32::from(level) * 255 + top / 2) / top) as u8
}

/// A data set seen through a [`View`]: `f32` rows on demand.
#[derive(Clone, Copy, Debug)]
pub struct Viewed<'a> {
    dataset: &'a Dataset,
    view: View,
}

impl<'a> Viewed<'a> {
    /// `dataset` under `view`.
    ///
    /// # Errors
    /// A table can only be seen raw, images never.
    pub fn new(dataset: &'a Dataset, view: View) -> Result<Self> {
        match (dataset, view) {
            (Dataset::Table(table), view) if view != View::Raw => {
                Err(Error::shape(table.name(), "a table has no grey levels: its view is `raw`"))
            }
            (Dataset::Images(images), View::Raw) => {
                let views = "binary, dynamic-binary, tokens, unit, symmetric, dequantised";
                Err(Error::shape(images.name(), format!("the view `raw` is for tables; images have {views}")))
            }
            _ => Ok(Self { dataset, view }),
        }
    }

    /// The set that is seen.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// The view it is seen through.
    pub fn view(&self) -> View {
        self.view
    }

    /// log |dy/dl| of a row, in nats: add it to a model's log-density to get that of the grey levels.
    pub fn log_jacobian(&self) -> f64 {
        match self.dataset {
            Dataset::Table(_) => 0.0,
            Dataset::Images(images) => images.features() as f64 * self.view.log_jacobian(images.levels()),
        }
    }

    /// The rows at `indices`, row-major `[B, F]`. Makes one draw: row `i` of the batch uses row `i` of `rng`, so a
    /// batch may be filled in parts.
    ///
    /// # Panics
    /// If an index is not below the number of rows.
    pub fn rows(&self, indices: &[usize], rng: &mut Rng) -> Vec<f32> {
        let mut out = vec![0.0; indices.len() * self.dataset.features()];
        self.fill(indices, rng, &mut out);
        out
    }

    /// Writes the rows at `indices` to `out`, row-major `[B, F]`; otherwise as [`rows`](Self::rows).
    ///
    /// # Panics
    /// If an index is not below the number of rows, or `out` is not `B·F` long.
    pub fn fill(&self, indices: &[usize], rng: &mut Rng, out: &mut [f32]) {
        assert_eq!(out.len(), indices.len() * self.dataset.features(), "the buffer does not fit the batch");
        match self.dataset {
            Dataset::Table(table) => {
                let rows = out.chunks_exact_mut(table.columns().len());
                rows.zip(indices).for_each(|(row, &index)| row.copy_from_slice(table.row(index)));
            }
            Dataset::Images(images) => self.fill_images(images, indices, rng, out),
        }
    }

    fn fill_images(&self, images: &Images, indices: &[usize], rng: &mut Rng, out: &mut [f32]) {
        let (top, levels) = (u32::from(images.levels() - 1), f64::from(images.levels()));
        let streams = rng.streams(indices.len());
        // One number for each level where it does not depend on chance.
        let table: [f32; 256] = std::array::from_fn(|level| {
            let unit = level as f64 / f64::from(top);
            match self.view {
                View::Binary => f32::from(u8::from(255 * level as u32 > 128 * top)),
                View::Raw | View::Tokens => level as f32,
                View::Unit | View::DynamicBinary => unit as f32,
                View::Symmetric => (2.0 * unit - 1.0) as f32,
                View::Dequantised => (level as f64 / levels) as f32,
            }
        });
        for ((row, &index), mut stream) in out.chunks_exact_mut(images.features()).zip(indices).zip(streams) {
            let numbers = images.row(index).iter().map(|&level| table[usize::from(level)]);
            // 24 bits are all that an f32 in [0, 1) keeps; with them the sum below stays under the next level.
            let mut uniform = || (stream.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0);
            match self.view {
                View::DynamicBinary => {
                    row.iter_mut().zip(numbers).for_each(|(y, p)| *y = f32::from(u8::from(uniform() < p)));
                }
                View::Dequantised => {
                    let step = 1.0 / f32::from(images.levels());
                    row.iter_mut().zip(numbers).for_each(|(y, low)| {
                        let noisy = low + uniform() * step;
                        // Rounding may reach the next level: stay just below it.
                        *y = noisy.min((low + step).next_down());
                    });
                }
                _ => row.iter_mut().zip(numbers).for_each(|(y, number)| *y = number),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE_VIEWS: [View; 6] =
        [View::Binary, View::DynamicBinary, View::Tokens, View::Unit, View::Symmetric, View::Dequantised];

    fn ramp(levels: u16) -> Dataset {
        let bytes = (0..levels).map(|level| level as u8).collect();
        Dataset::Images(Images::new("ramp", [1, 1, 1], levels, bytes, None).unwrap())
    }

    /// Every level comes back from every view that keeps it, for every number of levels.
    #[test]
    fn levels_survive_the_round_trip() {
        for levels in 2..=256 {
            let set = ramp(levels);
            let all: Vec<usize> = (0..set.len()).collect();
            for view in [View::Tokens, View::Unit, View::Symmetric, View::Dequantised] {
                for y_and_level in set.viewed(view).unwrap().rows(&all, &mut Rng::new(3)).iter().zip(0..) {
                    assert_eq!(u16::from(view.level(*y_and_level.0, levels)), y_and_level.1, "{view:?} of {levels}");
                }
            }
        }
    }

    #[test]
    fn ranges() {
        let set = ramp(256);
        let all: Vec<usize> = (0..256).collect();
        let of = |view| set.viewed(view).unwrap().rows(&all, &mut Rng::new(0));
        assert_eq!((of(View::Unit)[0], of(View::Unit)[255]), (0.0, 1.0));
        assert_eq!((of(View::Symmetric)[0], of(View::Symmetric)[255]), (-1.0, 1.0));
        assert!(of(View::Dequantised).iter().all(|y| (0.0..1.0).contains(y)));
        let binary = of(View::Binary);
        assert_eq!(binary.iter().position(|&y| y == 1.0), Some(129));
        assert_eq!(IMAGE_VIEWS.map(|view| view.level(f32::NAN, 256)), [0; 6]);
        assert_eq!(View::Unit.level(7.0, 17), 16);
        assert_eq!((to_pixel(16, 17), to_pixel(1, 2), to_pixel(8, 17), to_pixel(77, 256)), (255, 255, 128, 77));
    }

    /// The log-Jacobian is the log of the slope, by differences of the view itself.
    #[test]
    fn log_jacobian_is_the_slope() {
        for levels in [2, 17, 256] {
            let set = ramp(levels);
            for view in [View::Unit, View::Symmetric] {
                let seen = set.viewed(view).unwrap();
                let y = seen.rows(&[0, 1], &mut Rng::new(0));
                assert!((seen.log_jacobian() - f64::from(y[1] - y[0]).ln()).abs() < 1e-5);
            }
            // Dequantised: the mean over many draws is (l + ½) / K, so neighbours differ by the slope.
            let seen = set.viewed(View::Dequantised).unwrap();
            let mean = |level| {
                let y = seen.rows(&vec![level; 100_000], &mut Rng::new(1));
                y.iter().map(|&y| f64::from(y)).sum::<f64>() / 1e5
            };
            let slope = mean(1) - mean(0);
            assert!((seen.log_jacobian() - slope.ln()).abs() < 0.01, "{levels}");
        }
    }

    #[test]
    fn dynamic_binarisation_has_the_right_mean() {
        let set = ramp(17);
        let n = 20_000;
        let y = set.viewed(View::DynamicBinary).unwrap().rows(&vec![4; n], &mut Rng::new(5));
        let mean = f64::from(y.iter().sum::<f32>()) / n as f64;
        assert!((mean - 0.25).abs() < 5.0 * (0.25_f64 * 0.75 / n as f64).sqrt(), "{mean}");
    }

    #[test]
    fn a_batch_in_parts_is_the_same_batch() {
        let set = ramp(256);
        let seen = set.viewed(View::Dequantised).unwrap();
        let indices: Vec<usize> = (0..64).map(|i| i * 3 % 256).collect();
        let whole = seen.rows(&indices, &mut Rng::new(9));
        let rng = Rng::new(9);
        let parts: Vec<f32> =
            indices.chunks(8).zip(0..).flat_map(|(part, i)| seen.rows(part, &mut rng.rows_from(8 * i))).collect();
        assert_eq!(whole, parts);
    }

    #[test]
    fn a_view_must_fit_its_set() {
        assert!(ramp(17).viewed(View::Raw).is_err());
        let table = Dataset::Table(crate::Table::new("t", vec!["a".into()], vec![1.0, 2.0], None).unwrap());
        assert!(table.viewed(View::Unit).is_err());
        assert_eq!(table.viewed(View::Raw).unwrap().rows(&[1, 0], &mut Rng::new(0)), [2.0, 1.0]);
    }
}
