use std::io::Write;

use super::*;

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{header}\n");
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

/// A ZIP archive with each file stored (method 0) or deflated (8).
fn archive(files: &[(&str, &[u8], u16)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for &(name, bytes, method) in files {
        let mut packed = bytes.to_vec();
        if method == 8 {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            packed = encoder.finish().unwrap();
        }
        let mut common = [20_u16, 0, method, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        directory.extend([b"PK\x01\x02".as_slice(), &[20, 0], &common, &[0; 10]].concat());
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), &packed].concat());
    }
    let (at, count) = (out.len() as u32, files.len() as u16);
    let size = directory.len() as u32;
    out.extend(directory);
    out.extend([b"PK\x05\x06".as_slice(), &[0; 4]].concat());
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0; 2]);
    out
}

#[test]
fn every_type_is_read() {
    let read = |descr: &str, data: &[u8]| parse(&npy(&header(descr, "(1,)"), data)).unwrap().numbers().next().unwrap();
    assert_eq!(read("|u1", &[200]), 200.0);
    assert_eq!(read("|i1", &[200]), -56.0);
    assert_eq!(read("|b1", &[1]), 1.0);
    assert_eq!(read("<i2", &[0xfe, 0xff]), -2.0);
    assert_eq!(read(">u2", &[1, 2]), 258.0);
    assert_eq!(read(">i4", &(-7_i32).to_be_bytes()), -7.0);
    assert_eq!(read("<i8", &(-7_i64).to_le_bytes()), -7.0);
    assert_eq!(read("<u8", &7_u64.to_le_bytes()), 7.0);
    assert_eq!(read("<f4", &1.5_f32.to_le_bytes()), 1.5);
    assert_eq!(read(">f8", &(-2.5_f64).to_be_bytes()), -2.5);
    for descr in ["<f2", "<c8", "|O", "<U3", "", "'"] {
        assert!(parse(&npy(&header(descr, "(1,)"), &[0; 8])).is_err(), "{descr}");
    }
    assert!(parse(&npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1,), }", &[0])).is_err());
}

#[test]
fn layouts_of_images() {
    let bytes: Vec<u8> = (0..12).collect();
    let set = |shape: &str| parse(&npy(&header("|u1", shape), &bytes)).and_then(|array| array.dataset("a", None));
    let (first, last) = (set("(1, 3, 2, 2)").unwrap(), set("(1, 5, 5, 3)"));
    assert!(last.is_err());
    assert_eq!(first.event_shape(), [3, 2, 2]);
    assert_eq!(set("(3, 2, 2)").unwrap().event_shape(), [1, 2, 2]);
    let (Dataset::Images(last), Dataset::Images(first)) = (set("(1, 6, 1, 2)").unwrap(), set("(2, 2, 3, 1)").unwrap())
    else {
        panic!("not images")
    };
    assert_eq!((last.shape(), last.bytes()), ([2, 6, 1], &[0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11][..]));
    assert_eq!((first.shape(), first.bytes()), ([2, 3, 1], &bytes[..]));
    assert_eq!(set("(4, 3)").unwrap().event_shape(), [3]);
    assert_eq!(set("(12,)").unwrap().len(), 12);
    assert!(set("(1, 1, 12, 1, 1)").is_err() && set("()").is_err() && set("(13,)").is_err());
    assert!(parse(&npy(&header("|u1", "(0, 99999999999)"), &[])).unwrap().dataset("a", None).is_err());
}

#[test]
fn archives() {
    let x = npy(&header("<f4", "(2, 2)"), &[1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat());
    let y = npy(&header("<i8", "(2,)"), &[1_i64, 0].map(i64::to_le_bytes).concat());
    for method in [0, 8] {
        let whole = archive(&[("y.npy", &y, method), ("x.npy", &x, method)]);
        let Npz::Whole(Dataset::Table(set)) = parse_npz("a", &whole).unwrap() else { panic!("not a table") };
        assert_eq!((set.values(), set.labels().unwrap().rows()), (&[1.0, 2.0, 3.0, 4.0][..], &[1, 0][..]));
        let train = [("x_train.npy", &x[..], method), ("y_train.npy", &y[..], method)];
        let split = archive(&[&train[..], &[("x_test.npy", &x[..], method)]].concat());
        let Npz::Split(split) = parse_npz("a", &split).unwrap() else { panic!("not a split") };
        assert!(split.train.labels().is_some() && split.test.labels().is_none());
        assert!(parse_npz("a", &archive(&[("only.npy", &x, method)])).is_ok());
        assert!(parse_npz("a", &archive(&[("p.npy", &x, method), ("q.npy", &x, method)])).is_err());
        assert!(parse_npz("a", &archive(&[("x.npy", &x, method), ("y.npy", &x, method)])).is_err());
        for end in 0..whole.len() {
            assert!(parse_npz("a", &whole[..end]).is_err(), "cut at {end}");
        }
    }
    assert!(parse_npz("a", &archive(&[("x.npy", &x, 12)])).is_err());
}
