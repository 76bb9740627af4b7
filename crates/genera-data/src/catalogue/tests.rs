use std::fs;

use super::*;

fn request<'a>(name: &'a str, folders: &'a [PathBuf]) -> Request<'a> {
    Request { name, folders, shape: None, points: 100, seed: 1 }
}

/// Four small IDX files: `[N, 2, 2]` images whose pixels and labels count up.
fn write_idx(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (file, n) in IDX_FILES.iter().zip([4_u8, 4, 2, 2]) {
        let bytes = if file.contains("images") {
            [&[0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 2, 0, 0, 0, 2][..], &(0..4 * n).collect::<Vec<_>>()].concat()
        } else {
            [&[0, 0, 8, 1, 0, 0, 0, n][..], &(0..n).collect::<Vec<_>>()].concat()
        };
        fs::write(folder.join(file), bytes).unwrap();
    }
}

#[test]
fn what_needs_no_file_opens() {
    assert_eq!(open(&request("digits", &[])).unwrap().train.len(), 1500);
    let moons = open(&request("moons", &[])).unwrap();
    assert_eq!((moons.train.len(), moons.test.len(), moons.train.features()), (80, 20, 2));
    assert_eq!(open(&request("moons", &[])).unwrap(), moons);
    assert_ne!(open(&Request { seed: 2, ..request("moons", &[]) }).unwrap(), moons);
}

#[test]
fn published_sets_are_found_or_every_place_is_named() {
    let root = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| root.path().join(name));
    let folders = [first.clone(), second.clone()];
    for public in Public::ALL {
        let error = open(&request(public.name(), &folders)).unwrap_err().to_string();
        for place in [first.join(public.name()), second.clone()] {
            assert!(error.contains(&place.display().to_string()), "{error}");
        }
        assert!(error.contains("data fetch"), "{error}");
    }
    write_idx(&second.join("fashion-mnist"));
    let split = open(&request("fashion-mnist", &folders)).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.train.event_shape()), (4, 2, vec![1, 2, 2]));
    assert_eq!(split.test.labels().unwrap().classes()[9], "ankle boot");
    assert!(open(&request("mnist", &folders)).is_err());
    // The folder itself, not only a sub-folder of the set's name; but never one set for the other.
    let direct = [second.join("fashion-mnist")];
    assert!(open(&request("fashion-mnist", &direct)).is_ok());
    assert!(open(&request("mnist", &direct)).is_err());
    // Damage is an error that names the file, not a set that is missing.
    fs::write(direct[0].join(IDX_FILES[2]), [0, 0, 8]).unwrap();
    assert!(open(&request("fashion-mnist", &direct)).unwrap_err().to_string().contains(IDX_FILES[2]));
}

#[test]
fn paths_open_by_what_they_hold() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let rows: String = (0..25).map(|i| format!("{i},{}\n", i * i)).collect();
    let split = open(&request(&write("squares.csv", rows.as_bytes()), &[])).unwrap();
    let Dataset::Table(test) = &split.test else { panic!("not a table") };
    assert_eq!((split.train.len(), test.values(), test.name()), (23, &[9.0, 81.0, 19.0, 361.0][..], "squares"));
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1][..], &[7; 10]].concat();
    assert_eq!(open(&request(&write("a.idx", &idx), &[])).unwrap().train.event_shape(), [1, 1, 1]);
    assert!(open(&request(&write("a.png", b"\x89PNG\r\n\x1a\n"), &[])).unwrap_err().to_string().contains("folder"));
    assert!(open(&request(&write("empty", b""), &[])).is_err());
    let error = open(&request("no-such-thing", &[])).unwrap_err().to_string();
    assert!(error.contains("no-such-thing") && error.contains("moons") && error.contains("cifar10"), "{error}");
}

#[test]
fn folders_of_pictures_keep_their_parts() {
    let root = tempfile::tempdir().unwrap();
    for (part, class) in [("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")] {
        let folder = root.path().join(part).join(class);
        fs::create_dir_all(&folder).unwrap();
        image::GrayImage::from_pixel(3, 2, image::Luma([9])).save(folder.join("1.png")).unwrap();
    }
    let name = root.path().display().to_string();
    let split = open(&request(&name, &[])).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.test.event_shape()), (2, 2, vec![1, 2, 3]));
    fs::rename(root.path().join("test/b"), root.path().join("test/c")).unwrap();
    assert!(open(&request(&name, &[])).unwrap_err().to_string().contains("differ"));
}

#[test]
fn every_set_is_described_once() {
    let described = describe(&[PathBuf::from("data")]);
    let names: std::collections::BTreeSet<_> = described.iter().map(|set| set.name).collect();
    let all = 1 + 4 + Toy::ALL.len() + Line::ALL.len();
    assert_eq!((names.len(), described.len()), (all, all));
    assert!(described.iter().all(|set| set.places.is_empty() || set.places[0].starts_with("data")));
    let digits = digits();
    assert_eq!(described[0].rows, Some([digits.train.len(), digits.test.len()]));
    assert_eq!(described[0].shape, digits.train.event_shape());
}

#[test]
fn the_explicit_folder_comes_first() {
    let folders = data_folders(Some(Path::new("mine")));
    assert_eq!(folders[0], Path::new("mine"));
    assert!(folders.len() >= 2);
}

/// The real sets, where a copy is: `GENERA_DATA` must name a folder with `mnist`.
#[test]
#[ignore = "needs MNIST in GENERA_DATA"]
fn real_mnist() {
    let split = open(&request("mnist", &data_folders(None))).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.train.event_shape()), (60_000, 10_000, vec![1, 28, 28]));
    let count = |set: &Dataset, class| set.labels().unwrap().rows().iter().filter(|&&label| label == class).count();
    assert_eq!((count(&split.train, 0), count(&split.test, 9)), (5923, 1009));
    let Dataset::Images(train) = split.train else { panic!("not images") };
    let mean = train.bytes().iter().map(|&byte| f64::from(byte)).sum::<f64>() / train.bytes().len() as f64 / 255.0;
    assert!((mean - 0.1307).abs() < 1e-4, "{mean}");
}
