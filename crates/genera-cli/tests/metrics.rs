//! `genera metrics` and `genera compare` from outside: what they measure, and what they refuse.

mod common;

use std::path::Path;

use common::{fail, genera, succeed, tempdir, tiny};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use npyz::zip::write::FileOptions;
use serde_json::Value;

/// A folder of grey 8x8 pictures.
fn pictures(folder: &Path, name: &str, count: u32, seed: u32) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for index in 0..count {
        let pixel = |x: u32, y: u32| {
            // A few rounds of a multiplicative hash: noise on a ramp.
            let mut h = (x + 8 * y + 64 * index).wrapping_mul(2_654_435_761).wrapping_add(seed);
            h = (h ^ (h >> 15)).wrapping_mul(0x85EB_CA6B);
            h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
            Luma([(20 * x + 5 * y + (h >> 25)) as u8])
        };
        GrayImage::from_fn(8, 8, pixel).save(folder.join(format!("{index:03}.png"))).unwrap();
    }
}

fn measures(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(folder, &[&["metrics", "--json"], arguments].concat())).unwrap()
}

fn value(found: &Value, measure: &str) -> f64 {
    let all = found["measures"].as_array().unwrap();
    let one = all.iter().find(|one| one["measure"] == measure).unwrap_or_else(|| panic!("no {measure} in {found}"));
    one["value"].as_f64().unwrap()
}

/// Name, shape and numbers.
type Array<'a> = (&'a str, &'a [u64], &'a [f64]);

fn npz(path: &Path, arrays: &[Array<'_>]) {
    let mut archive = NpzWriter::create(path).unwrap();
    for (name, shape, values) in arrays {
        let mut writer =
            archive.array(name, FileOptions::default()).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
    }
}

#[test]
fn folders_are_measured_and_statistics_are_reused() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    pictures(here, "real", 90, 1);
    pictures(here, "fake", 80, 2);
    let same = measures(here, &["real", "real"]);
    assert!(value(&same, "frechet") < 1e-9 && value(&same, "precision") == 1.0 && value(&same, "coverage") == 1.0);
    let found = measures(
        here,
        &["real", "fake", "--features", "digits", "--also", "mmd,two-sample", "--save-statistics", "s.npz"],
    );
    assert_eq!(found["features"], "digits-classifier");
    assert_eq!(found["real"]["n"], 90);
    assert!(value(&found, "frechet") > 0.0 && value(&found, "inception-score") >= 1.0);
    let again = measures(here, &["s.npz", "fake", "--features", "digits"]);
    assert!((value(&again, "frechet") / value(&found, "frechet") - 1.0).abs() < 1e-9);
    assert_eq!(again["measures"][0]["record"]["n"], serde_json::json!([90, 80]));
    // Statistics of one network do not compare with features of another.
    fail(here, &["metrics", "s.npz", "fake"], 1, "statistics of `digits-classifier` do not compare");
    let table = succeed(here, &["metrics", "real", "fake", "--limit", "40", "--intervals", "10"]);
    assert!(table.contains("features: pixels") && table.contains(" to ") && table.contains("n 40 and 40"), "{table}");
    // Data sets by name, whole and held out.
    let digits = measures(here, &["digits", "digits:test", "--features", "digits", "--save-features", "kept"]);
    assert_eq!((digits["real"]["n"].as_u64(), digits["fake"]["n"].as_u64()), (Some(1500), Some(297)));
    assert!(here.join("kept/real.npy").is_file() && here.join("kept/fake.logits.npy").is_file());
}

/// What the program says on stderr as it measures.
fn remarks(folder: &Path, arguments: &[&str]) -> String {
    let output = genera(folder).arg("metrics").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    common::text(&output.stderr)
}

#[test]
fn features_are_kept_until_the_pictures_change() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    pictures(here, "real", 90, 1);
    pictures(here, "fake", 80, 2);
    let arguments = ["real", "fake", "--features", "digits", "--also", "two-sample"];
    let kept = || std::fs::read_dir(here.join(".cache")).map_or(0, Iterator::count);
    let apart = measures(here, &[&arguments[..], &["--no-cache"]].concat());
    assert_eq!(kept(), 0);
    let first = measures(here, &arguments);
    assert_eq!(kept(), 2);
    assert!(!remarks(here, &[&arguments[..], &["--no-cache"]].concat()).contains("taken from"));
    assert_eq!(remarks(here, &arguments).matches("taken from").count(), 2);
    let same = |one: &Value, two: &Value| {
        let values = |found: &Value| -> Vec<(String, f64)> {
            let all = found["measures"].as_array().unwrap();
            all.iter().map(|m| (m["measure"].to_string(), m["value"].as_f64().unwrap())).collect()
        };
        values(one).iter().zip(values(two)).all(|((a, x), (b, y))| *a == b && (x - y).abs() <= 1e-9 * x.abs())
    };
    assert!(same(&first, &measures(here, &arguments)) && same(&first, &apart));
    // Another network, another content: looked at anew.
    measures(here, &["real", "fake", "--features", "pixels"]);
    assert_eq!(kept(), 2, "nothing is kept of what costs nothing");
    std::fs::rename(here.join("fake"), here.join("moved")).unwrap();
    assert_eq!(remarks(here, &["real", "moved", "--features", "digits"]).matches("taken from").count(), 2);
    GrayImage::from_pixel(8, 8, Luma([9])).save(here.join("moved/000.png")).unwrap();
    assert_eq!(remarks(here, &["real", "moved", "--features", "digits"]).matches("taken from").count(), 1);
    assert_eq!(kept(), 3);
    // A damaged file is no harm.
    for file in std::fs::read_dir(here.join(".cache")).unwrap() {
        std::fs::write(file.unwrap().path(), b"junk").unwrap();
    }
    std::fs::rename(here.join("moved"), here.join("fake")).unwrap();
    pictures(here, "fake", 80, 2);
    assert!(same(&first, &measures(here, &arguments)));
}

#[test]
fn every_measure_has_an_interval() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    pictures(here, "real", 60, 1);
    pictures(here, "fake", 60, 2);
    let also = "frechet-infinity,mmd,two-sample,sliced-wasserstein,wasserstein,sinkhorn";
    let found = measures(here, &["real", "fake", "--features", "digits", "--also", also, "--intervals", "10"]);
    let all = found["measures"].as_array().unwrap();
    assert_eq!(all.len(), 15, "{found}");
    for one in all {
        let ends = one["interval"].as_array().unwrap_or_else(|| panic!("no interval: {one}"));
        assert!(ends[0].as_f64().unwrap() <= ends[1].as_f64().unwrap(), "{one}");
    }
}

#[test]
fn hostile_pictures_are_named() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    pictures(here, "real", 12, 1);
    for (name, error) in [("text", "003x.png"), ("tiny", "003x.png"), ("huge", "003x.png")] {
        pictures(here, name, 12, 2);
        let path = here.join(name).join("003x.png");
        match name {
            "text" => std::fs::write(&path, "not a picture at all").unwrap(),
            "tiny" => GrayImage::new(1, 1).save(&path).unwrap(),
            _ => RgbImage::from_fn(10_000, 40, |x, _| Rgb([(x % 251) as u8, 0, 7])).save(&path).unwrap(),
        }
        let arguments = ["metrics", "real", name, "--save-statistics", "never.npz", "--save-features", "never"];
        fail(here, &arguments, 1, error);
        assert!(!here.join("never.npz").exists() && !here.join("never").exists(), "{name}: something was written");
        let left = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(left.filter(|name| name.to_string_lossy().ends_with(".tmp")).count() == 0);
        // A network brings pictures of any size to its own; what is no picture stays an error.
        let arguments = ["real", name, "--features", "digits"];
        match name {
            "text" => fail(here, &[&["metrics"], &arguments[..]].concat(), 1, error),
            _ => assert_eq!(measures(here, &arguments)["fake"]["n"], 13),
        }
    }
    // A hundred million pixels in a file of a hundred kilobytes.
    pictures(here, "vast", 3, 2);
    GrayImage::new(10_000, 10_000).save(here.join("vast/9.png")).unwrap();
    fail(here, &["metrics", "real", "vast"], 1, "9.png: shape [1, 10000, 10000]");
    assert_eq!(measures(here, &["real", "vast", "--features", "digits"])["fake"]["n"], 4);
    // Grey, colour and alpha side by side.
    pictures(here, "mixed", 4, 3);
    let save = |picture: DynamicImage, name: &str| picture.save(here.join("mixed").join(name)).unwrap();
    save(DynamicImage::ImageRgb8(RgbImage::from_pixel(9, 7, Rgb([1, 2, 3]))), "a.png");
    save(DynamicImage::ImageRgba8(RgbaImage::from_pixel(8, 8, Rgba([9, 8, 7, 100]))), "b.png");
    save(DynamicImage::ImageLuma8(GrayImage::from_pixel(30, 20, Luma([200]))), "c.JPG");
    assert_eq!(measures(here, &["real", "mixed", "--features", "digits"])["fake"]["n"], 7);
    std::fs::create_dir(here.join("empty")).unwrap();
    fail(here, &["metrics", "real", "empty"], 1, "empty: there is no PNG or JPEG file");
    fail(here, &["metrics", "real", "nowhere"], 1, "nowhere");
}

#[test]
fn hostile_arrays_are_named() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let unit = [1.0, 0.0, 0.0, 1.0];
    npz(&here.join("good.npz"), &[("mu", &[2], &[0.0, 0.0]), ("sigma", &[2, 2], &unit)]);
    npz(&here.join("other.npz"), &[("mu", &[2], &[3.0, 4.0]), ("sigma", &[2, 2], &unit)]);
    let found = measures(here, &["good.npz", "other.npz"]);
    assert!((value(&found, "frechet") - 25.0).abs() < 1e-12);
    assert_eq!(found["real"]["n"], Value::Null);
    let cases: [(&str, &[Array<'_>], &str); 6] = [
        ("keys.npz", &[("a", &[2], &[0.0, 0.0]), ("b", &[2], &[0.0, 0.0])], "keys.npz: not a valid"),
        ("half.npz", &[("mu", &[2], &[0.0, 0.0])], "half.npz: statistics without `sigma`"),
        ("nan.npz", &[("mu", &[2], &[0.0, f64::NAN]), ("sigma", &[2, 2], &unit)], "nan.npz: `mu` holds NaN"),
        ("shape.npz", &[("mu", &[2], &[0.0, 0.0]), ("sigma", &[1, 4], &unit)], "shape.npz: `sigma` has shape [1, 4]"),
        ("skew.npz", &[("mu", &[2], &[0.0, 0.0]), ("sigma", &[2, 2], &[1.0, 9.0, 0.0, 1.0])], "skew.npz"),
        ("rows.npz", &[("x", &[2, 2], &[0.0, f64::NAN, 1.0, 2.0])], "rows.npz"),
    ];
    for (name, arrays, wanted) in cases {
        npz(&here.join(name), arrays);
        fail(here, &["metrics", "good.npz", name], 1, wanted);
    }
    std::fs::write(here.join("junk.npz"), b"PK nothing").unwrap();
    fail(here, &["metrics", "good.npz", "junk.npz"], 1, "junk.npz");
    let hint = "`genera data fetch inception`";
    fail(here, &["metrics", "digits", "digits", "--features", "inception", "--data", "."], 2, hint);
    std::fs::create_dir(here.join("inception")).unwrap();
    let weights = here.join("inception/weights-inception-2015-12-05-6726825d.pth");
    std::fs::write(&weights, b"junk").unwrap();
    let name = "weights-inception-2015-12-05-6726825d.pth";
    fail(here, &["metrics", "digits", "digits", "--features", "inception", "--data", "."], 1, name);
    std::fs::write(here.join("w.pth"), b"junk").unwrap();
    fail(here, &["metrics", "digits", "digits", "--features", "inception", "--weights", "w.pth"], 1, "w.pth");
    fail(here, &["metrics", "digits", "digits", "--features", "net.json", "--weights", "w.pth"], 2, "no such file");
    std::fs::write(here.join("net.json"), "{ \"name\": 1 }").unwrap();
    fail(here, &["metrics", "digits", "digits", "--features", "net.json", "--weights", "w.pth"], 1, "net.json");
    fail(here, &["metrics", "moons", "moons", "--features", "digits", "--samples", "40"], 1, "--features pixels");
}

#[test]
fn runs_are_measured_and_compared() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    for (out, seed) in [("one", "0"), ("two", "1")] {
        let arguments = tiny(12, out, &["--seed", seed]);
        succeed(here, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let found = measures(here, &["moons:test", "one", "--samples", "60"]);
    assert_eq!(found["fake"]["n"], 60);
    assert!(value(&found, "frechet") > 0.0);
    let output = genera(here).args(["compare", "one", "two"]).output().unwrap();
    if !output.status.success() {
        // Scores are written by training where there is something to measure, otherwise by eval.
        for run in ["one", "two"] {
            succeed(here, &["eval", run]);
        }
    }
    let markdown = succeed(here, &["compare", "one", "two"]);
    assert!(
        markdown.contains("## moons") && markdown.contains("(seed 1)") && markdown.contains("lower bound"),
        "{markdown}"
    );
    succeed(here, &["compare", "one", "two", "--out", "table.html"]);
    let page = std::fs::read_to_string(here.join("table.html")).unwrap();
    assert!(page.contains("Quality against speed") && page.contains("seed 1"));
    let json: Value = serde_json::from_str(&succeed(here, &["compare", "one", "--json"])).unwrap();
    assert!(json[0]["lines"][0]["parameters"].as_u64().unwrap() > 0);
    // An exact likelihood beside bounds: apart, unless asked.
    let flow = ["train", "planar-moons", "--seed", "5", "--out", "three", "--set", "train.steps=3"];
    let small = ["--set", "data.points=200", "--set", "train.preview_every=0", "--set", "train.batch_size=16"];
    let measure = ["--set", "measure={samples=40,permutations=20}"];
    succeed(here, &[&flow[..], &small, &measure].concat());
    let apart = succeed(here, &["compare", "one", "two", "three"]);
    let head = apart.lines().find(|line| line.contains("model")).unwrap();
    assert!(head.contains("nats a row (exact)") && head.contains("nats a row (lower bound)"), "{apart}");
    assert!(apart.contains("--across-kinds"));
    let together = succeed(here, &["compare", "one", "two", "three", "--across-kinds"]);
    let head = together.lines().find(|line| line.contains("model")).unwrap();
    assert_eq!(head.matches("nats a row").count(), 1, "{together}");
    assert!(together.contains("(exact)") && together.contains("(lower bound)"), "{together}");
    fail(here, &["compare", "nowhere"], 1, "nowhere");
    fail(here, &["compare", "one", "--out", "x.csv"], 2, ".html, .md or .json");
}
