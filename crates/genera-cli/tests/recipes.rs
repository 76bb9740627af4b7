//! What recipes may say: those that come with the program, and what they leave out.

mod common;

use std::fs;

use common::{fail, succeed, tempdir, text};

/// Every recipe trains three steps; sets that are not embedded are written here, tiny, in their own format.
#[test]
fn every_recipe_takes_three_steps() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    for (folder, side) in [("mnist", 28_u32), ("fashion-mnist", 28)] {
        let folder = here.join("data").join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (part, n) in [("train", 40_u32), ("t10k", 20)] {
            let images: Vec<u8> = (0..n * side * side).map(|i| (i * 7 % 256) as u8).collect();
            let header = [0x0803_u32, n, side, side].iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<u8>>();
            fs::write(folder.join(format!("{part}-images-idx3-ubyte")), [header, images].concat()).unwrap();
            let header = [0x0801_u32, n].iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<u8>>();
            let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
            fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), [header, labels].concat()).unwrap();
        }
    }
    let table: String = (0..40).map(|row| format!("{},{},{}\n", row % 7, row % 5, row * row % 11)).collect();
    // What a file holds says its content, not its name.
    fs::write(here.join("diamonds.npz"), table).unwrap();
    let recipes: serde_json::Value = serde_json::from_str(&succeed(here, &["recipes", "--json"])).unwrap();
    for recipe in recipes.as_array().unwrap() {
        let name = recipe["name"].as_str().unwrap();
        let mut arguments = vec!["train", name, "--data", "data", "--out", name];
        for set in ["train.steps=3", "train.batch_size=4", "train.preview_every=0", "train.log_every=1"] {
            arguments.extend(["--set", set]);
        }
        arguments.extend(["--set", "measure={samples=10,likelihood_rows=2,permutations=10}"]);
        if recipe["model"]["family"] == "diffusion" {
            // A short chain: it is bounded in full and drawn from in full.
            arguments.extend(["--set", "model.schedule.steps=4", "--set", "sample.steps=2"]);
        }
        succeed(here, &arguments);
        assert!(here.join(name).join("report.html").is_file(), "{name}");
    }
    // What a model can do is on its page, and nothing else.
    let sections = ["latents", "styles", "modes", "distance", "completions", "field", "captions", "volume"];
    for (name, wanted) in [
        ("vae-digits", &["latents"][..]),
        ("vae-flow-prior-mnist", &["latents"]),
        ("vqvae-digits", &["latents"]),
        ("vqvae2-digits", &["latents"]),
        ("binary-vae-digits", &["latents"]),
        ("pixelcnn-digits", &["completions", "field"]),
        ("imagegpt-digits", &["completions", "field"]),
        ("realnvp-moons", &["volume"]),
        ("cnf-moons", &["volume"]),
        ("realnvp-digits", &["latents", "volume"]),
        ("gmm-flower", &[]),
        ("ddpm-digits", &[]),
        ("stylegan-digits", &["styles"]),
        ("wgan-1d", &["distance"]),
        ("gan-8gaussians", &["modes"]),
        ("avb-digits", &[]),
        ("text-digits", &["captions"]),
        ("clip-digits", &[]),
    ] {
        let page = fs::read_to_string(here.join(name).join("report.html")).unwrap();
        let found: Vec<&str> =
            sections.into_iter().filter(|id| page.contains(&format!("<section id=\"{id}\""))).collect();
        assert_eq!(found, wanted, "{name}");
        assert!(!page.contains("not a number"), "{name}");
        let bent = page.contains("lines of a regular grid of noise");
        assert_eq!(bent, ["realnvp-moons", "cnf-moons"].contains(&name), "{name}");
        assert_eq!(page.contains("Judgement"), name == "gan-8gaussians", "{name}");
    }
    // What latents and books carry is measured and shown, and classes that were told are looked for.
    for (name, measures) in [
        ("vae-digits", &["active-units@held-out", "mutual-information@held-out", "aggregate-divergence@held-out"][..]),
        ("vqvae-digits", &["usage@codes", "perplexity@codes"]),
        ("vqvae2-digits", &["usage@top-codes", "usage@bottom-codes", "perplexity@bottom-codes"]),
        ("dvae-digits-conditional", &["class-accuracy@digits-classifier", "usage@codes"]),
        (
            "text-digits",
            &["caption-match@digits-classifier", "digit-match@digits-classifier", "thickness-match@samples"],
        ),
        ("clip-digits", &["retrieval@held-out"]),
    ] {
        let scores = fs::read_to_string(here.join(name).join("scores.json")).unwrap();
        assert!(measures.iter().all(|measure| scores.contains(&format!("\"{measure}\""))), "{name}: {scores}");
        let page = fs::read_to_string(here.join(name).join("report.html")).unwrap();
        assert_eq!(page.contains("aggregated posterior"), name == "vae-digits", "{name}");
    }
    succeed(here, &["sample", "vqvae-digits-conditional", "-n", "4", "--labels", "3", "--out", "threes.npy"]);
    fail(here, &["sample", "vqvae-digits-conditional", "--labels", "10", "--out", "x.npy"], 2, "0 to 9");
    captions_are_drawn_and_nonsense_is_named(here);
}

/// `text-digits` and `clip-digits` are runs in `here`.
fn captions_are_drawn_and_nonsense_is_named(here: &std::path::Path) {
    let draw = |out: &str, more: &[&str]| {
        succeed(here, &[&["sample", "text-digits", "-n", "4", "--out", out][..], more].concat());
        fs::read(here.join(out)).unwrap()
    };
    let seven = ["--caption", "a thick seven, slanted left"];
    let sevens = draw("seven.npy", &seven);
    assert_eq!(sevens, draw("again.npy", &[&seven[..], &["--chunk", "3", "--threads", "1"]].concat()));
    // In turn: every other row is that of the other caption.
    let both = draw("both.npy", &[&seven[..], &["--caption", "anything, really"]].concat());
    assert_eq!(both[128..128 + 256], sevens[128..128 + 256]);
    assert_ne!(both[128 + 256..128 + 512], sevens[128 + 256..128 + 512]);
    assert!(text(&draw("seven.png", &seven)).contains("a thick seven, slanted left"));
    for (caption, wanted) in [("a thick 7", "character 9"), ("Seven", "character 1"), (&"x".repeat(40), "at most 39")] {
        fail(here, &["sample", "text-digits", "--caption", caption], 2, wanted);
    }
    for run in ["ddpm-digits", "gmm-flower", "vae-digits"] {
        fail(here, &["sample", run, "--caption", "a seven"], 2, "reads no captions");
    }
    fail(here, &["sample", "text-digits", "--labels", "7"], 2, "--labels");
    fail(here, &["sample", "clip-digits"], 1, "nothing is drawn");
    // A model of pictures and captions that stands beside the run scores its samples.
    fs::rename(here.join("clip-digits"), here.join("clip-digits-0")).unwrap();
    assert!(succeed(here, &["eval", "text-digits"]).contains("clip-score@clip-digits"));
    for (arguments, wanted) in [
        (&["train", "vae-digits", "--set", "data.captions=true"][..], "data.captions"),
        (&["train", "kde-moons", "--set", "data.captions=true"], "data.captions"),
        (&["train", "text-digits", "--set", "data.captions=false"], "data.captions = true"),
        (&["train", "clip-digits", "--set", "data.captions=false"], "data.captions = true"),
        (&["train", "text-digits", "--set", "model.net.text.length=20"], "model.net.text.length"),
        (&["train", "text-digits", "--set", "model.net.text.heads=5"], "heads"),
        (&["train", "clip-digits", "--set", "model.channels=[8,8,8,8]"], "channels"),
    ] {
        fail(here, arguments, 1, wanted);
    }
}

/// What recipes may say beside what those that come with the program do say: each trains, draws and is scored.
#[test]
fn what_a_recipe_may_say_works() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let coupling = |univariate: &str, more: &str| {
        format!("model.architecture={{kind=\"coupling\",layers=2,hidden=[8],univariate={univariate}{more}}}")
    };
    let kind = |kind: &str| {
        format!(
            "model.architecture={{kind=\"{kind}\"{}}}",
            match kind {
                "sylvester" => ",layers=2,hidden=2",
                "radial" => ",layers=2",
                _ => "",
            }
        )
    };
    let cases: Vec<(&str, &str, Vec<String>)> = vec![
        ("radial", "realnvp-moons", vec![kind("radial")]),
        ("sylvester", "realnvp-moons", vec![kind("sylvester")]),
        ("plu", "realnvp-moons", vec![kind("plu")]),
        ("qr", "realnvp-moons", vec![kind("qr")]),
        ("nice", "realnvp-moons", vec![coupling("\"additive\"", "")]),
        ("classes", "realnvp-moons", vec!["model.base=\"classes\"".into()]),
        ("context", "realnvp-moons", vec!["model.context=2".into()]),
        ("alpha", "planar-energy", vec!["model.alpha=0.5".into()]),
        ("probe", "cnf-moons", vec!["model.training.divergence={hutchinson={noise=\"gaussian\",probes=2}}".into()]),
        ("adjoint", "cnf-moons", vec!["model.backward=\"adjoint\"".into(), "model.jacobian=0.01".into()]),
        ("histogram", "kde-moons", vec!["model.estimator={kind=\"histogram\",bins=9,margin=0.5,pseudocount=1}".into()]),
        ("kernel", "kde-moons", vec!["model.estimator={kind=\"kde\",kernel=\"cos2\",bandwidth=\"silverman\"}".into()]),
        ("draws-1", "realnvp-digits", vec!["measure.dequantisation_draws=1".into()]),
        ("draws-8", "realnvp-digits", vec!["measure.dequantisation_draws=8".into()]),
    ];
    let mut scores = std::collections::BTreeMap::new();
    for (name, recipe, sets) in &cases {
        let few = if *recipe == "kde-moons" { "train.batch_size=400" } else { "train.batch_size=16" };
        let steps = if *recipe == "kde-moons" { "train.steps=1" } else { "train.steps=3" };
        let mut arguments = vec!["train", recipe, "--out", name, "--set", few, "--set", steps];
        arguments.extend(["--set", "train.preview_every=0", "--set", "measure.samples=20"]);
        arguments.extend(["--set", "measure.likelihood_rows=20", "--set", "measure.permutations=10"]);
        if recipe.ends_with("moons") {
            arguments.extend(["--set", "data.points=1000"]);
        }
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        succeed(here, &arguments);
        let found = fs::read_to_string(here.join(name).join("scores.json")).unwrap();
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        scores.insert(*name, found);
        let out = format!("{name}.npy");
        succeed(here, &["sample", name, "-n", "3", "--out", &out]);
    }
    // More draws of the noise between the levels tighten the bound, and the record says how many there were.
    let nats = |name: &str| {
        let all = scores[name]["measures"].as_array().unwrap().clone();
        all.into_iter().find(|score| score["measure"] == "nats@held-out").unwrap()
    };
    let (one, eight) = (nats("draws-1"), nats("draws-8"));
    assert!(eight["value"].as_f64() > one["value"].as_f64(), "{one} {eight}");
    assert!(eight.to_string().contains("\"k\":8") && !one.to_string().contains("\"k\":8"), "{eight}");
}

#[test]
fn games_are_judged_by_modes_distances_and_gaps() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    for (recipe, wanted) in [
        ("wgan-gp-8gaussians", &["modes@samples", "near-modes@samples", "mmd@held-out"][..]),
        ("wgan-1d", &["wasserstein@held-out"]),
        ("fgan-gan", &["divergence-gap@fresh"]),
        ("avb-toy", &["wasserstein@held-out", "posterior-gain@grid"]),
    ] {
        let mut arguments = vec!["train", recipe, "--out", recipe];
        for set in ["train.steps=2", "train.batch_size=8", "data.points=500", "train.preview_every=0"] {
            arguments.extend(["--set", set]);
        }
        arguments.extend(["--set", "measure={samples=50,permutations=10}"]);
        succeed(here, &arguments);
        let scores = fs::read_to_string(here.join(recipe).join("scores.json")).unwrap();
        let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
        let measured: Vec<&str> =
            scores["measures"].as_array().unwrap().iter().map(|score| score["measure"].as_str().unwrap()).collect();
        assert!(wanted.iter().all(|name| measured.contains(name)), "{recipe}: {measured:?}");
        // What two players have learnt goes on where it stopped.
        succeed(here, &["train", recipe, "--resume", "--set", "train.steps=4"]);
    }
}
