//! Data sets in memory: images as bytes, tables as `f32`, each row with an optional label.
//!
//! A set of images costs its bytes once: a [`View`](crate::View) turns the rows of a batch into `f32` when they are asked
//! for, and splitting a set moves its rows.

use crate::{Error, Result, View, Viewed};

/// The classes of the rows of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    rows: Vec<u16>,
    classes: Vec<String>,
}

impl Labels {
    /// Labels `rows`, each an index into the names `classes`.
    ///
    /// # Errors
    /// If a label is not below the number of classes.
    pub fn new(rows: Vec<u16>, classes: Vec<String>) -> Result<Self> {
        match rows.iter().position(|&label| usize::from(label) >= classes.len()) {
            None => Ok(Self { rows, classes }),
            Some(row) => Err(Error::shape(
                "labels",
                format!("row {row} has label {}, but there are {} classes", rows[row], classes.len()),
            )),
        }
    }

    /// Labels whose classes are called 0, 1, 2, … up to the largest that occurs.
    pub fn numbered(rows: Vec<u16>) -> Self {
        let count = rows.iter().max().map_or(0, |&largest| usize::from(largest) + 1);
        Self { rows, classes: (0..count).map(|class| class.to_string()).collect() }
    }

    /// The class of every row, `[N]`.
    pub fn rows(&self) -> &[u16] {
        &self.rows
    }

    /// The name of every class.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// Images of one shape, as grey levels in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    name: String,
    shape: [usize; 3],
    levels: u16,
    bytes: Vec<u8>,
    labels: Option<Labels>,
}

impl Images {
    /// `bytes` as images of `shape` `[C, H, W]`, row after row, each byte below `levels` (2 to 256).
    ///
    /// # Errors
    /// If the bytes are not whole images, exceed the levels, or do not match the labels in number.
    pub fn new(
        name: impl Into<String>,
        shape: [usize; 3],
        levels: u16,
        bytes: Vec<u8>,
        labels: Option<Labels>,
    ) -> Result<Self> {
        let name = name.into();
        let wrong = |what: String| Err(Error::shape(&name, what));
        let Some(features) = shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side)).filter(|&n| n > 0) else {
            return wrong(format!("images of shape {shape:?} have no pixels or too many"));
        };
        if !(2..=256).contains(&levels) {
            return wrong(format!("{levels} grey levels; there must be 2 to 256"));
        }
        if !bytes.len().is_multiple_of(features) {
            return wrong(format!("{} bytes are not whole images of {features} bytes", bytes.len()));
        }
        if levels < 256
            && let Some(at) = bytes.iter().position(|&byte| u16::from(byte) >= levels)
        {
            return wrong(format!("byte {at} is {}, above the {levels} grey levels", bytes[at]));
        }
        check_labels(&name, bytes.len() / features, labels.as_ref())?;
        Ok(Self { name, shape, levels, bytes, labels })
    }

    /// The same images with other names for their classes; unlabelled images stay so.
    ///
    /// # Errors
    /// If a label is not below the number of names.
    pub fn with_classes(mut self, classes: &[&str]) -> Result<Self> {
        let names = || classes.iter().map(|&class| class.to_owned()).collect();
        self.labels = self.labels.map(|labels| Labels::new(labels.rows, names())).transpose()?;
        Ok(self)
    }

    /// The same images in fewer grey levels: `l` of `K` becomes `⌊l K' / K⌋`, so that the dequantised intervals of the old
    /// levels lie within those of the new ones where `K'` divides `K`.
    ///
    /// # Errors
    /// If there are not 2 to `K` new levels.
    pub fn with_levels(mut self, levels: u16) -> Result<Self> {
        if !(2..=self.levels).contains(&levels) {
            let what = format!("{levels} grey levels of {}; there must be 2 to {0}", self.levels);
            return Err(Error::shape(&self.name, what));
        }
        let (old, new) = (u32::from(self.levels), u32::from(levels));
        self.bytes.iter_mut().for_each(|byte| *byte = (u32::from(*byte) * new / old) as u8);
        self.levels = levels;
        Ok(self)
    }

    /// The name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.features()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// `[C, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The number of bytes of one image, `C·H·W`.
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of grey levels: a byte is below it.
    pub fn levels(&self) -> u16 {
        self.levels
    }

    /// The bytes of all images, `[N, C, H, W]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of image `index`, `[C, H, W]`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn row(&self, index: usize) -> &[u8] {
        let features = self.features();
        &self.bytes[index * features..(index + 1) * features]
    }

    /// The classes of the images, where they are known.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }
}

/// Rows of `f32` numbers with named columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    columns: Vec<String>,
    values: Vec<f32>,
    labels: Option<Labels>,
}

impl Table {
    /// `values` as rows of as many numbers as there are `columns`.
    ///
    /// # Errors
    /// If the values are not whole rows, one of them is not finite, or the labels differ in number.
    pub fn new(
        name: impl Into<String>,
        columns: Vec<String>,
        values: Vec<f32>,
        labels: Option<Labels>,
    ) -> Result<Self> {
        let name = name.into();
        if columns.is_empty() || !values.len().is_multiple_of(columns.len()) {
            let what = format!("{} values are not whole rows of {} columns", values.len(), columns.len());
            return Err(Error::shape(&name, what));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / columns.len(), &columns[at % columns.len()]);
            return Err(Error::shape(&name, format!("row {row}, column `{column}` is {}", values[at])));
        }
        check_labels(&name, values.len() / columns.len(), labels.as_ref())?;
        Ok(Self { name, columns, values, labels })
    }

    /// The name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All values, `[N, F]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values alone.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The values of row `index`, `[F]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        let features = self.columns.len();
        &self.values[index * features..(index + 1) * features]
    }

    /// The classes of the rows, where they are known.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }
}

/// A set of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Dataset {
    /// Images.
    Images(Images),
    /// Numbers.
    Table(Table),
}

impl Dataset {
    /// The name of the set.
    pub fn name(&self) -> &str {
        match self {
            Self::Images(images) => images.name(),
            Self::Table(table) => table.name(),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Images(images) => images.len(),
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in one row, `F`.
    pub fn features(&self) -> usize {
        self.event_shape().iter().product()
    }

    /// The shape of one data point: `[C, H, W]` of an image, `[F]` of a row of a table.
    pub fn event_shape(&self) -> Vec<usize> {
        match self {
            Self::Images(images) => images.shape.to_vec(),
            Self::Table(table) => vec![table.columns.len()],
        }
    }

    /// The classes of the rows, where they are known.
    pub fn labels(&self) -> Option<&Labels> {
        match self {
            Self::Images(images) => images.labels(),
            Self::Table(table) => table.labels(),
        }
    }

    /// The set as `f32` rows under `view`.
    ///
    /// # Errors
    /// If the view is not for this kind of set.
    pub fn viewed(&self, view: View) -> Result<Viewed<'_>> {
        Viewed::new(self, view)
    }

    /// Moves the rows for which `held_out` holds to the test set and keeps the others, in order, for training.
    pub fn split(self, held_out: impl Fn(usize) -> bool) -> Split {
        let take_labels = |labels: &mut Option<Labels>| {
            labels.as_mut().map(|labels| Labels {
                rows: take_rows(&mut labels.rows, 1, &held_out),
                classes: labels.classes.clone(),
            })
        };
        match self {
            Self::Images(mut train) => {
                let (features, labels) = (train.features(), take_labels(&mut train.labels));
                let bytes = take_rows(&mut train.bytes, features, &held_out);
                let test = Images { name: train.name.clone(), bytes, labels, ..train };
                Split { train: Self::Images(train), test: Self::Images(test) }
            }
            Self::Table(mut train) => {
                let (features, labels) = (train.columns.len(), take_labels(&mut train.labels));
                let values = take_rows(&mut train.values, features, &held_out);
                let test = Table { name: train.name.clone(), columns: train.columns.clone(), values, labels };
                Split { train: Self::Table(train), test: Self::Table(test) }
            }
        }
    }
}

/// A set in two parts of the same kind and shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What a model may learn from.
    pub train: Dataset,
    /// What it is judged on.
    pub test: Dataset,
}

fn check_labels(name: &str, rows: usize, labels: Option<&Labels>) -> Result<()> {
    match labels {
        Some(labels) if labels.rows.len() != rows => {
            Err(Error::shape(name, format!("{rows} rows but {} labels", labels.rows.len())))
        }
        _ => Ok(()),
    }
}

/// Removes the rows of `width` elements that are `held_out` and returns them; both parts keep their order.
fn take_rows<T: Copy>(data: &mut Vec<T>, width: usize, held_out: impl Fn(usize) -> bool) -> Vec<T> {
    let (mut taken, mut kept) = (Vec::new(), 0);
    for row in 0..data.len() / width {
        let range = row * width..(row + 1) * width;
        if held_out(row) {
            taken.extend_from_slice(&data[range]);
        } else {
            data.copy_within(range, kept);
            kept += width;
        }
    }
    data.truncate(kept);
    data.shrink_to_fit();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_keeps_order_and_labels() {
        let labels = Labels::numbered(vec![0, 1, 2, 0, 1]);
        let images = Images::new("five", [1, 1, 2], 256, (0..10).collect(), Some(labels)).unwrap();
        let split = Dataset::Images(images).split(|row| row % 2 == 1);
        let (Dataset::Images(train), Dataset::Images(test)) = (&split.train, &split.test) else { panic!() };
        assert_eq!(train.bytes(), [0, 1, 4, 5, 8, 9]);
        assert_eq!(test.bytes(), [2, 3, 6, 7]);
        assert_eq!(train.labels().unwrap().rows(), [0, 2, 1]);
        assert_eq!(test.labels().unwrap().rows(), [1, 0]);
        assert_eq!(test.labels().unwrap().classes(), ["0", "1", "2"]);
    }

    #[test]
    fn fewer_levels_join_neighbours() {
        let images = |levels| Images::new("x", [1, 1, 4], levels, vec![0, 7, 8, 15], None).unwrap();
        assert_eq!(images(16).with_levels(2).unwrap().bytes(), [0, 0, 1, 1]);
        assert_eq!(images(16).with_levels(4).unwrap().bytes(), [0, 1, 2, 3]);
        assert_eq!(images(17).with_levels(17).unwrap(), images(17));
        for levels in [0, 1, 17] {
            assert!(images(16).with_levels(levels).is_err());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let images = |shape, levels, bytes, labels| Images::new("x", shape, levels, bytes, labels);
        assert!(images([1, 2, 2], 256, vec![0; 7], None).is_err());
        assert!(images([1, 0, 2], 256, vec![], None).is_err());
        assert!(images([usize::MAX, 2, 2], 256, vec![], None).is_err());
        assert!(images([1, 1, 1], 17, vec![17], None).is_err());
        assert!(images([1, 1, 1], 1, vec![0], None).is_err());
        assert!(images([1, 1, 1], 2, vec![0, 1], Some(Labels::numbered(vec![1]))).is_err());
        assert!(Table::new("x", vec![], vec![], None).is_err());
        assert!(Table::new("x", vec!["a".into()], vec![f32::NAN], None).is_err());
        assert!(Labels::new(vec![1], vec!["only".into()]).is_err());
    }
}
