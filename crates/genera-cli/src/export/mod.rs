//! Samples as files: one module a format.

mod arrays;
mod npz;
mod picture;
mod png;
mod scatter;

use std::path::Path;

use genera_data::View;

pub use arrays::{read_rows, to_npy};
pub use picture::Picture;

use crate::failure::{Failure, Outcome};
use crate::run::write_atomically;

/// Rows drawn from a model, and how to look at them.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The model's own numbers, row-major `[n, F]`.
    pub rows: Vec<f32>,
    /// How many rows.
    pub n: usize,
    /// The shape of one row: `[C, H, W]` of an image, `[F]` of a point.
    pub shape: Vec<usize>,
    /// How the numbers stand for grey levels.
    pub view: View,
    /// How many grey levels there are.
    pub levels: u16,
    /// One class a row, for models that are told the class.
    pub labels: Option<Vec<usize>>,
}

/// Words that travel inside a file: name and text.
pub type Notes = Vec<(String, String)>;

impl Drawn {
    /// `[n, C, H, W]` or `[n, F]`.
    pub fn full_shape(&self) -> Vec<usize> {
        [&[self.n][..], &self.shape].concat()
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[f32] {
        let features = self.shape.iter().product::<usize>();
        &self.rows[index * features..(index + 1) * features]
    }

    /// Row `index` as an image; none if it is no image that a PNG can hold.
    pub fn picture(&self, index: usize) -> Option<Picture> {
        let &[channels @ (1 | 3), height, width] = &self.shape[..] else { return None };
        let row = self.row(index);
        let pixel = |y: f32| genera_data::to_pixel(self.view.level(y, self.levels), self.levels);
        let pixels = (0..height * width)
            .flat_map(|at| (0..channels).map(move |c| pixel(row[c * height * width + at])))
            .collect();
        Some(Picture { width, height, channels, pixels })
    }

    /// All rows in one picture: a grid of images, or a scatter plot of points in the plane.
    pub fn overview(&self) -> Option<Picture> {
        match &self.shape[..] {
            [2] => Some(scatter::plot(&self.rows)),
            _ => Picture::grid(&(0..self.n).map(|index| self.picture(index)).collect::<Option<Vec<_>>>()?),
        }
    }
}

/// Writes `drawn` to `path`, in the format that its extension names; a path without one is a folder of PNG files.
pub fn write(path: &Path, drawn: &Drawn, notes: &Notes) -> Outcome {
    check(path, drawn)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Failure::file(parent))?;
    }
    let bytes = match extension(path) {
        "png" => drawn.overview().ok_or_else(|| no_picture(drawn))?.to_png(notes)?,
        "npy" => to_npy(&drawn.full_shape(), &drawn.rows)?,
        "npz" => npz::to_npz(drawn, notes)?,
        "safetensors" => arrays::to_safetensors(drawn, notes),
        _ => return write_folder(path, drawn, notes),
    };
    write_atomically(path, &bytes)
}

/// Whether [`write()`] can write `drawn`-like rows to `path`: asked before the work of drawing.
pub fn check(path: &Path, drawn: &Drawn) -> Outcome {
    let picturable = matches!(drawn.shape[..], [1 | 3, _, _]);
    match extension(path) {
        "npy" | "npz" | "safetensors" => Ok(()),
        "png" if picturable || drawn.shape == [2] => Ok(()),
        "" if picturable => Ok(()),
        "png" | "" => Err(no_picture(drawn)),
        other => Err(Failure::Usage(format!(
            "--out {}: `.{other}` is no format of samples; use .png, .npy, .npz, .safetensors, or a folder",
            path.display()
        ))),
    }
}

fn write_folder(folder: &Path, drawn: &Drawn, notes: &Notes) -> Outcome {
    std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    let digits = drawn.n.saturating_sub(1).to_string().len().max(5);
    for index in 0..drawn.n {
        let mut notes = notes.clone();
        notes.push(("genera:index".to_owned(), index.to_string()));
        let picture = drawn.picture(index).ok_or_else(|| no_picture(drawn))?;
        let path = folder.join(format!("{index:0digits$}.png"));
        let bytes = picture.to_png(&notes)?;
        std::fs::write(&path, bytes).map_err(Failure::file(&path))?;
    }
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or("")
}

fn no_picture(drawn: &Drawn) -> Failure {
    Failure::Usage(format!("rows of shape {:?} are no pictures; use --out FILE.npy, .npz or .safetensors", drawn.shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(shape: &[usize], n: usize) -> Drawn {
        let features: usize = shape.iter().product();
        let rows = (0..n * features).map(|i| (i % 5) as f32 / 2.0 - 1.0).collect();
        Drawn { rows, n, shape: shape.to_vec(), view: View::Symmetric, levels: 256, labels: None }
    }

    #[test]
    fn channels_go_last_in_pictures() {
        let drawn = Drawn { rows: vec![-1.0, -1.0, 0.0, 0.0, 1.0, 1.0], ..ramp(&[3, 1, 2], 1) };
        let picture = drawn.picture(0).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (2, 1, 3));
        assert_eq!(picture.pixels, [0, 128, 255, 0, 128, 255]);
    }

    #[test]
    fn every_format_is_written_and_read_back() {
        let scratch = tempfile::tempdir().unwrap();
        let drawn = ramp(&[1, 4, 4], 6);
        let notes = vec![("genera:seed".to_owned(), "7".to_owned())];
        for name in ["a.png", "a.npy", "a.npz", "a.safetensors", "folder"] {
            write(&scratch.path().join(name), &drawn, &notes).unwrap();
        }
        let (shape, rows) = arrays::read_npy(&scratch.path().join("a.npy")).unwrap();
        assert_eq!((shape, rows), (drawn.full_shape(), drawn.rows.clone()));
        let arrays = genera::weights::read(scratch.path().join("a.safetensors")).unwrap();
        assert_eq!(arrays["samples"].values, drawn.rows);
        assert_eq!(std::fs::read_dir(scratch.path().join("folder")).unwrap().count(), 6);
        let image = image::open(scratch.path().join("folder/00003.png")).unwrap().to_luma8();
        assert_eq!(image.as_raw(), &drawn.picture(3).unwrap().pixels);
    }

    #[test]
    fn what_is_no_picture_is_refused_before_the_work() {
        assert!(check(Path::new("x.png"), &ramp(&[3], 1)).is_err());
        assert!(check(Path::new("x.jpg"), &ramp(&[1, 4, 4], 1)).is_err());
        assert!(check(Path::new("x.npy"), &ramp(&[3], 1)).is_ok());
        assert!(check(Path::new("x.png"), &ramp(&[2], 1)).is_ok());
    }
}
