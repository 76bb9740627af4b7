//! Every reader, on bytes that are cut, empty, oversized in their header, damaged in one place or random: an error or a set,
//! never a panic, and never more memory than the size of the input times a constant.

use std::io::Write;

use proptest::prelude::*;

use super::{cifar::Cifar, csv, folder, idx, npy};

/// Feeds `bytes` to every reader, whatever they are.
fn feed(bytes: &[u8]) {
    let _ = idx::images("x", bytes, Some(bytes));
    let _ = Cifar::Ten.parse(bytes);
    let _ = Cifar::Hundred.parse(bytes);
    let _ = super::tar::entries(bytes, |path| Some(path.to_owned()));
    let _ = folder::parse(bytes, None);
    let _ = folder::parse(bytes, Some([3, 5, 4]));
    let _ = npy::parse(bytes).and_then(|array| array.dataset("x", None));
    let _ = npy::parse(bytes).and_then(|array| array.labels());
    let _ = npy::parse_npz("x", bytes);
    let _ = csv::parse("x", bytes);
    #[cfg(feature = "parquet")]
    let _ = super::parquet::parse("x", bytes.to_vec(), None);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Small valid files of every kind.
fn samples() -> Vec<Vec<u8>> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/data");
    let mut names: Vec<_> = std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut samples: Vec<Vec<u8>> = names.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[9; 8]].concat();
    samples.extend([gzip(&idx), idx, b"a,b,label\n1,2,x\n3,4,y\n".to_vec()]);
    samples.push(vec![3; 3073]);
    samples
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        feed(&bytes);
    }

    #[test]
    fn magic_and_random_bytes(magic in 0_usize..9, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let magic: &[u8] = [
            &b"\x93NUMPY\x01\x00"[..], b"\x93NUMPY\x02\x00", b"PK\x03\x04", b"PK\x05\x06", b"PAR1", b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff", b"\x1f\x8b\x08", b"\x00\x00\x08",
        ][magic];
        feed(&[magic, &bytes].concat());
    }

    #[test]
    fn oversized_headers(sides in prop::collection::vec(any::<u32>(), 0..6), rest in prop::collection::vec(any::<u8>(), 0..64)) {
        let idx = [&[0, 0, 8, sides.len() as u8][..], &sides.iter().flat_map(|side| side.to_be_bytes()).collect::<Vec<_>>(), &rest];
        feed(&idx.concat());
        feed(&gzip(&idx.concat()));
        let shape: String = sides.iter().map(|side| format!("{}, ", u64::from(*side) << 20)).collect();
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape})}}\n");
        feed(&[b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &rest].concat());
    }

    #[test]
    fn damaged_files(choice in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let samples = samples();
        let mut bytes = choice.get(&samples).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        feed(&bytes);
    }
}

#[test]
fn cut_files() {
    for bytes in samples() {
        let step = (bytes.len() / 300).max(1);
        (0..bytes.len()).step_by(step).for_each(|end| feed(&bytes[..end]));
    }
}

/// Sixteen megabytes of zeros, packed at least fiftyfold by any compressor, are still bounded by what the header says.
#[test]
fn a_bomb_does_not_go_off() {
    let bomb = gzip(&vec![0; 1 << 24]);
    assert!(bomb.len() < (1 << 24) / 50);
    feed(&bomb);
}
