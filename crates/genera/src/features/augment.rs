//! Small random displacements of training images.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use crate::traits::Rows;

/// What lies around an image: black in the symmetric view.
const OUTSIDE: f32 = -1.0;

/// Each image moved by up to `most` pixels in each direction, with linear interpolation: `[B, C · H · W]`.
pub(super) fn moved(x: Rows, [channels, height, width]: [usize; 3], most: f64, rng: &mut Rng) -> Rows {
    let (rows, device) = (x.dims()[0], x.device());
    let mut values = x.try_into_vec_as::<f32>().expect("the device lost its data");
    let image = channels * height * width;
    for (pixels, mut stream) in values.chunks_exact_mut(image.max(1)).zip(rng.streams(rows)) {
        let [dy, dx] = [0; 2].map(|_: i32| (2.0 * stream.uniform() - 1.0) * most);
        for plane in pixels.chunks_exact_mut(height * width) {
            let still = plane.to_vec();
            let at = |y: isize, x: isize| match (usize::try_from(y), usize::try_from(x)) {
                (Ok(y), Ok(x)) if y < height && x < width => still[y * width + x],
                _ => OUTSIDE,
            };
            for (index, pixel) in plane.iter_mut().enumerate() {
                let (y, y_share) = split(index / width, dy);
                let (x, x_share) = split(index % width, dx);
                let row = |y| at(y, x) * (1.0 - x_share) + at(y, x + 1) * x_share;
                *pixel = row(y) * (1.0 - y_share) + row(y + 1) * y_share;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [rows, image]), &device)
}

/// The pixel that `coordinate + offset` falls on, and the share of the next one.
fn split(coordinate: usize, offset: f64) -> (isize, f32) {
    let place = coordinate as f64 + offset;
    (place.floor() as isize, (place - place.floor()) as f32)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_displacement_keeps_what_stays_inside() {
        let (side, most) = (8, 1.5);
        let mut image = vec![-1.0_f32; 2 * 64];
        image[3 * side + 3] = 1.0; // two pixels of light in the first channel
        let x =
            Tensor::<1>::from_data(TensorData::new(image.repeat(50), [50 * 128]), &Device::flex()).reshape([50, 128]);
        let found: Vec<f32> = moved(x.clone(), [2, side, side], most, &mut Rng::new(0)).try_into_vec_as().unwrap();
        let mut centres = Vec::new();
        for image in found.chunks_exact(128) {
            let light = |pixel: &f32| f64::from(pixel + 1.0);
            assert!((image.iter().map(light).sum::<f64>() - 2.0).abs() < 1e-5);
            assert!(image[64..].iter().all(|pixel| *pixel == -1.0));
            let row = |(at, pixel): (usize, &f32)| (at / side) as f64 * light(pixel) / 2.0;
            centres.push(image[..64].iter().enumerate().map(row).sum::<f64>() - 3.0);
        }
        assert!(centres.iter().all(|centre| centre.abs() < most + 1e-5));
        assert!(centres.iter().any(|centre| *centre > 0.5 * most));
        assert!(centres.iter().any(|centre| *centre < -0.5 * most));
        let still: Vec<f32> = moved(x.clone(), [2, side, side], 0.0, &mut Rng::new(0)).try_into_vec_as().unwrap();
        assert_eq!(still, x.try_into_vec_as::<f32>().unwrap());
    }
}
