//! Weights and pictures that follow from their names, as in parity/inception.py: both sides compute them, so that no
//! large file has to be stored.

use crate::weights::Array;

/// Hashes of 0 .. count: the last steps of MurmurHash 3, as in parity/inception.py.
fn hashes(count: usize, seed: u32) -> impl Iterator<Item = u32> {
    (0..count as u32).map(move |i| {
        let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
        h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
        h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
        h ^ (h >> 16)
    })
}

pub(super) fn array(name: &str, shape: &[usize]) -> Array {
    let seed = name.bytes().fold(2_166_136_261_u32, |h, byte| (h ^ u32::from(byte)).wrapping_mul(16_777_619));
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let (middle, reach) = match shape.len() {
        1 if name.ends_with("bn.weight") || name.ends_with("running_var") => (1.0, 0.1),
        1 => (0.0, 0.05),
        _ => (0.0, (6.0 / fan_in).sqrt()),
    };
    let value = |h: u32| (middle + reach * 2.0 * (f64::from(h) / 2_f64.powi(32) - 0.5)) as f32;
    Array { shape: shape.to_vec(), values: hashes(shape.iter().product(), seed).map(value).collect() }
}

pub(super) fn picture([channels, height, width]: [usize; 3], seed: u32) -> Vec<u8> {
    let noise = hashes(channels * height * width, seed);
    let byte = |(at, h): (usize, u32)| {
        let (c, y, x) = (at / (height * width), at / width % height, at % width);
        ((3 * x + 5 * y + 40 * c + (h >> 26) as usize) % 256) as u8
    };
    noise.enumerate().map(byte).collect()
}
