//! `genera interpolate` and `genera convert`: rows by their codes, networks under other schedules.

mod common;

use std::fs;

use common::{fail, genera, run_tiny, succeed, tempdir, weights};

/// Ways between two rows by their codes, the ends of which are the rows.
#[test]
fn rows_are_joined_by_their_codes() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let joined = |run: &str, more: &[&str]| -> serde_json::Value {
        serde_json::from_str(&succeed(here, &[&["interpolate", run, "--json"], more].concat())).unwrap()
    };
    let read = |path: &str| -> Vec<f32> {
        npyz::NpyFile::new(&fs::read(here.join(path)).unwrap()[..]).unwrap().into_vec().unwrap()
    };
    // Of networks that learnt next to nothing: their flow is tame where there is little noise.
    let schedule = ["--set", "model.schedule={kind=\"karras\",steps=100,sigma_min=0.02,sigma_max=5.0}"];
    assert!(run_tiny(here, 10, "r", &schedule).status.success());
    let found = joined("r", &["-n", "3", "--stations", "5", "--out", "arc.npy"]);
    assert_eq!((&found["pairs"], &found["stations"]), (&3.into(), &5.into()));
    assert!(found["rms-of-ends"].as_f64().unwrap() < 1e-2, "{found}");
    let arc = read("arc.npy");
    assert_eq!(arc.len(), 3 * 5 * 2);
    joined("r", &["-n", "1", "--stations", "5", "--out", "first.npy", "--threads", "1"]);
    assert_eq!(read("first.npy"), arc[..10], "a pair does not depend on the others");
    joined("r", &["-n", "3", "--stations", "5", "--straight", "--out", "line.npy"]);
    let line = read("line.npy");
    assert!(line[..2] == arc[..2] && line[8..10] == arc[8..10] && line[4..6] != arc[4..6]);
    fail(here, &["interpolate", "r", "--tolerance", "0"], 2, "--tolerance");
    fail(here, &["interpolate", "r", "--stations", "1"], 2, "--stations");

    // Pictures that are told their class, and a family that encodes at once.
    let net = "model.net={kind=\"unet\",block_out_channels=[8],down_block_types=[\"DownBlock2D\"],\
               up_block_types=[\"UpBlock2D\"],layers_per_block=1,norm_num_groups=4}";
    let little = ["--set", "train.steps=2", "--set", "train.batch_size=16", "--set", "train.preview_every=0"];
    let measure = ["--set", "measure={samples=20,likelihood_rows=2,permutations=20}"];
    for (recipe, more) in [
        ("ddpm-digits", &["--set", net, "--set", "sample.steps=10", schedule[0], schedule[1]][..]),
        ("realnvp-moons", &[]),
    ] {
        genera(here).args([&["train", recipe, "--out", recipe], more, &little, &measure].concat()).output().unwrap();
    }
    let found = joined("ddpm-digits", &["-n", "1", "--stations", "3"]);
    assert_eq!(found["out"], "interpolated.png");
    assert!(found["rms-of-ends"].as_f64().unwrap() < 0.1, "{found}");
    let found = joined("realnvp-moons", &["--out", "flow.npy"]);
    assert!(found["rms-of-ends"].as_f64().unwrap() < 1e-3, "{found}");
}

/// The network of a DDPM as a score network, and back.
#[test]
fn a_network_serves_another_schedule() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let schedule = ["--set", "model.schedule={kind=\"linear\",steps=100}"];
    assert!(run_tiny(here, 20, "r", &schedule).status.success());
    let convert = |run: &str, kind: &str, out: &str, more: &[&str]| {
        succeed(here, &[&["convert", run, "--schedule", kind, "--out", out, "--json"], more].concat())
    };
    let read = |path: &str| fs::read_to_string(here.join(path)).unwrap();
    let samples = |run: &str, more: &[&str]| {
        succeed(here, &[&["sample", run, "-n", "12", "--out", "x.npy"], more].concat());
        fs::read(here.join("x.npy")).unwrap()
    };
    // Annealed Langevin dynamics of what was trained as a DDPM.
    let langevin = "sample={solver=\"langevin\",steps=20,corrector={steps=2,size={signal-to-noise=0.16}}}";
    let said: serde_json::Value =
        serde_json::from_str(&convert("r", "variance-exploding", "ladder", &["--set", langevin])).unwrap();
    assert_eq!(
        (&said["schedule"]["kind"], &said["trained_under"]["kind"]),
        (&"variance-exploding".into(), &"linear".into())
    );
    assert_eq!(weights(&here.join("r")), weights(&here.join("ladder")), "the weights stay as they are");
    assert_ne!(samples("ladder", &[]), samples("r", &[]));
    for solver in ["ddim", "heun", "reverse-diffusion"] {
        samples("ladder", &["--solver", solver, "--steps", "10"]);
    }
    let scores: serde_json::Value = serde_json::from_str(&succeed(here, &["eval", "ladder", "--json"])).unwrap();
    assert_eq!(scores["step"], 20);
    succeed(here, &["report", "ladder"]);
    // The flow of both descriptions is one: from the same noise come the same points.
    let noise = samples("r", &[]);
    fs::write(here.join("noise.npy"), noise).unwrap();
    let points = |run: &str| -> Vec<f32> {
        let bytes = samples(run, &["--solver", "probability-flow", "--noise", "noise.npy"]);
        npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
    };
    for (a, b) in points("r").into_iter().zip(points("ladder")) {
        assert!((a - b).abs() < 2e-2 * b.abs().max(1.0), "{a} {b}");
    }
    // And back: the run that it was, to the bit of its recipe and of its samples.
    convert("r", "karras", "edm", &[]);
    convert("edm", "linear", "back", &[]);
    // What was measured is of the run that was measured.
    let recipe = |run: &str| read(&format!("{run}/recipe.toml")).split("[[expect]]").next().unwrap().to_owned();
    assert_eq!(recipe("back"), recipe("r"));
    assert_eq!(samples("back", &[]), samples("r", &[]));

    let refused =
        |more: &[&str], code: i32, wanted: &str| fail(here, &[&["convert", "r"], more].concat(), code, wanted);
    refused(&["--schedule", "linear-flow"], 1, "was trained from");
    let beyond = ["--schedule", "variance-exploding", "--set", "model.schedule.sigma_max=1000.0"];
    refused(&beyond, 1, "was trained from");
    refused(&["--schedule", "karrras"], 2, "did you mean `karras`?");
    refused(&["--schedule", "karras", "--set", "model.target=v"], 2, "model.schedule");
    refused(&["--schedule", "karras", "--out", "ladder"], 1, "a run is there already");
    assert!(!here.join("r-linear-flow").exists() && !here.join("r-variance-exploding").exists());
    let kde = ["train", "kde-moons", "--out", "k", "--set", "data.points=200", "--set", "train.batch_size=160"];
    genera(here).args(kde).output().unwrap();
    fail(here, &["convert", "k", "--schedule", "karras"], 1, "convert is for diffusions");
    fail(here, &["interpolate", "k"], 1, "no row into a code");
}
