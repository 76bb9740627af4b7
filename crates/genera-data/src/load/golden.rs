//! Files by NumPy, PyArrow and Pillow; `parity/data.py` writes them.

use super::{
    folder,
    npy::{self, Npz},
};
use crate::{Dataset, Images, Split, Table};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../parity/golden/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The script's `images`, `[N, H, W, C] = [3, 6, 5, 3]`, as bytes `[N, C, H, W]`.
fn images() -> Vec<u8> {
    let at = |image: usize, channel: usize, pixel: usize| ((image * 30 + pixel) * 3 + channel) * 7 % 256;
    (0..3)
        .flat_map(|image| (0..3).flat_map(move |channel| (0..30).map(move |pixel| at(image, channel, pixel) as u8)))
        .collect()
}

/// The script's `table`, `[5, 2]`.
fn table() -> Vec<f32> {
    (0..10).map(|i| (-1.0 + 2.0 * f64::from(i) / 9.0) as f32).collect()
}

fn as_images(set: &Dataset) -> &Images {
    let Dataset::Images(images) = set else { panic!("not images") };
    images
}

fn as_table(set: &Dataset) -> &Table {
    let Dataset::Table(table) = set else { panic!("not a table") };
    table
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
}

#[test]
fn numpy() {
    let set = npy::parse(&file("images-nhwc.npy")).unwrap().dataset("x", None).unwrap();
    assert_eq!((as_images(&set).shape(), as_images(&set).bytes()), ([3, 6, 5], &images()[..]));
    let set = npy::parse(&file("table-big-endian.npy")).unwrap().dataset("x", None).unwrap();
    close(as_table(&set).values(), &table());
    let Npz::Whole(set) = npy::parse_npz("x", &file("stored.npz")).unwrap() else { panic!("not one set") };
    close(as_table(&set).values(), &table());
    assert_eq!(set.labels().unwrap().rows(), [0, 1, 2, 1, 0]);
    let Npz::Split(Split { train, test }) = npy::parse_npz("x", &file("deflated.npz")).unwrap() else {
        panic!("no split")
    };
    assert_eq!([as_images(&train).bytes(), as_images(&test).bytes()].concat(), images());
    assert_eq!((train.labels().unwrap().rows(), test.labels().unwrap().rows()), (&[0, 1][..], &[1][..]));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet() {
    use super::parquet::parse;
    for codec in ["none", "snappy", "zstd"] {
        let set = parse("x", file(&format!("table-{codec}.parquet")), None).unwrap();
        let first: Vec<f32> = table().into_iter().step_by(2).collect();
        close(as_table(&set).values(), &(0..5).flat_map(|i| [first[i], i as f32]).collect::<Vec<_>>());
        assert_eq!(as_table(&set).columns(), ["a", "b"]);
        assert_eq!(set.labels().unwrap().classes(), ["x", "y", "z"]);
        assert_eq!(set.labels().unwrap().rows(), [0, 1, 0, 2, 1]);
    }
    let set = parse("x", file("images.parquet"), None).unwrap();
    assert_eq!((as_images(&set).shape(), as_images(&set).bytes()), ([3, 6, 5], &images()[..]));
    assert_eq!(set.labels().unwrap().rows(), [2, 0, 1]);
    assert_eq!(parse("x", file("images.parquet"), Some([1, 4, 4])).unwrap().event_shape(), [1, 4, 4]);
}

#[test]
fn pictures() {
    let png = folder::parse(&file("gradient.png"), None).unwrap();
    assert_eq!((png.shape, &png.bytes[..]), ([3, 6, 5], &images()[..90]));
    let jpeg = folder::parse(&file("smooth.jpg"), None).unwrap();
    assert_eq!(jpeg.shape, [3, 16, 24]);
    for (i, &byte) in jpeg.bytes[..16 * 24].iter().enumerate() {
        assert!(byte.abs_diff((i / 24 * 6 + i % 24 * 5) as u8) <= 6, "pixel {i} is {byte}");
    }
}
