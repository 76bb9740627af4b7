//! `genera eval --sweep`: precision rises and recall falls as a model draws with more caution.

mod common;

use common::{fail, genera, run_tiny, succeed, tempdir, text};
use genera_rng::Rng;
use serde_json::Value;

fn values(sweep: &Value, measure: &str) -> Vec<f64> {
    sweep["points"].as_array().unwrap().iter().map(|point| point[measure].as_f64().unwrap()).collect()
}

#[test]
fn caution_trades_variety_for_fidelity() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    // What an untrained linear flow draws: it starts as the identity.
    let rows = Rng::new(1).normal(600, 2);
    let lines: String = rows.chunks(2).map(|row| format!("{},{}\n", row[0], row[1])).collect();
    std::fs::write(here.join("normal.csv"), lines).unwrap();
    let recipe = r#"
        name = "linear"
        title = "A linear flow on normal points"
        data = { name = "normal.csv", view = "raw" }
        model = { family = "flow", architecture = { kind = "plu" } }
        measure = { samples = 400, permutations = 20 }
        [train]
        steps = 2
        batch_size = 16
        optimizer = { kind = "sgd", learning_rate = 1e-4 }
        checkpoint_every = 2
    "#;
    std::fs::write(here.join("linear.toml"), recipe).unwrap();
    succeed(here, &["train", "linear.toml", "--out", "r"]);
    let scores: Value =
        serde_json::from_str(&succeed(here, &["eval", "r", "--sweep", "--intervals", "10", "--json"])).unwrap();
    let sweeps = scores["sweeps"].as_array().unwrap();
    assert_eq!(
        sweeps.iter().map(|sweep| sweep["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["temperature", "truncation"]
    );
    for sweep in sweeps {
        assert_eq!((sweep["n"].as_u64(), sweep["by"].as_str()), (Some(400), Some("points")));
        let (precision, recall) = (values(sweep, "precision"), values(sweep, "recall"));
        let last = precision.len() - 1;
        assert!(precision[0] > precision[last] && recall[0] < 0.75 * recall[last], "{sweep}");
        assert!(recall.windows(2).all(|pair| pair[0] <= pair[1] + 0.05), "{sweep}");
        let distance = values(sweep, "frechet");
        assert!(distance[0] > distance[last], "{sweep}");
    }
    // Without caution the samples are those of the model.
    let measure = |name: &str| {
        scores["measures"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["measure"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    let whole = measure("precision@points");
    assert!((whole["value"].as_f64().unwrap() - values(&sweeps[0], "precision").last().unwrap()).abs() < 0.1);
    let interval = whole["record"]["interval"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() < interval[1].as_f64().unwrap());
    for name in ["recall@points", "density@points", "coverage@points", "f-score@points", "memorisation@points"] {
        measure(name);
    }
    // Sweeps stay when the rest is measured again, and are on the page.
    let text_of = succeed(here, &["eval", "r", "--sweep=temperature=0.5,1"]);
    assert!(text_of.contains("temperature of 400 samples each, by points"), "{text_of}");
    succeed(here, &["eval", "r"]);
    let kept: Value = serde_json::from_slice(&std::fs::read(here.join("r/scores.json")).unwrap()).unwrap();
    assert_eq!(kept["sweeps"].as_array().unwrap().len(), 2);
    assert_eq!(kept["sweeps"][0]["points"].as_array().unwrap().len(), 2);
    succeed(here, &["report", "r"]);
    let page = std::fs::read_to_string(here.join("r/report.html")).unwrap();
    assert!(page.contains("With caution") && page.contains("largest absolute value of the noise"));
}

#[test]
fn styles_are_drawn_towards_their_mean() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let mut arguments = vec!["train", "stylegan-digits", "--out", "r"];
    for set in ["train.steps=4", "train.preview_every=2", "model.net.growth={steps=[2],fade=1}"] {
        arguments.extend(["--set", set]);
    }
    arguments.extend(["--set", "measure={samples=60,permutations=10}"]);
    succeed(here, &arguments);
    let scores: Value = serde_json::from_str(&succeed(here, &["eval", "r", "--sweep=truncation", "--json"])).unwrap();
    let sweeps = scores["sweeps"].as_array().unwrap();
    assert_eq!((sweeps.len(), sweeps[0]["kind"].as_str()), (1, Some("truncation of styles")));
    assert_eq!(values(&sweeps[0], "at"), [0.3, 0.5, 0.7, 0.85, 1.0]);
    fail(here, &["eval", "r", "--sweep=temperature"], 2, "no temperature to turn down");
    let draw = |flags: &[&str], out: &str| {
        succeed(here, &[&["sample", "r", "-n", "3", "--out", out], flags].concat());
        std::fs::read(here.join(out)).unwrap()
    };
    let own = draw(&[], "own.npy");
    assert_eq!(own, draw(&["--truncation", "1"], "one.npy"));
    assert_ne!(own, draw(&["--truncation", "0.5"], "half.npy"));
    let mean = draw(&["--truncation", "0"], "mean.npy");
    let rows: Vec<&[u8]> = mean[mean.len() - 3 * 4 * 64..].chunks_exact(4 * 64).collect();
    assert!(rows[0] == rows[1] && rows[1] == rows[2]);
    fail(here, &["sample", "r", "--truncation", "-1"], 2, "--truncation");
    succeed(here, &["report", "r"]);
    let page = std::fs::read_to_string(here.join("r/report.html")).unwrap();
    for wanted in ["how far styles stay from their mean", "Straight ways between two styles", "Samples over time"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn what_has_no_dial_says_so() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    assert!(run_tiny(here, 3, "r", &[]).status.success());
    let before = std::fs::read(here.join("r/scores.json")).unwrap();
    fail(here, &["eval", "r", "--sweep"], 2, "no caution to turn down");
    fail(here, &["eval", "r", "--sweep=truncation"], 2, "no truncation to turn down");
    fail(here, &["eval", "r", "--sweep=guidance"], 2, "no guidance to turn down");
    fail(here, &["eval", "r", "--sweep=cold"], 2, "neither temperature, truncation, guidance, steps nor all");
    fail(here, &["eval", "r", "--sweep=steps=5,11"], 1, "11 sampling steps of a chain of 10");
    fail(here, &["eval", "r", "--sweep=steps", "--solver", "probability-flow"], 2, "tolerance");
    fail(here, &["eval", "r", "--sweep=steps", "--eta", "1"], 1, "only the ddim solver reads eta");
    fail(here, &["eval", "r", "--solver", "ddim"], 2, "--sweep");
    fail(here, &["eval", "r", "--sweep=temperature=0"], 2, "no positive number");
    assert_eq!(std::fs::read(here.join("r/scores.json")).unwrap(), before);
    assert!(text(&genera(here).args(["eval", "--help"]).output().unwrap().stdout).contains("--sweep"));
}

/// A model that learns with and without the class has one dial more; where a classifier looks, it tells whether samples
/// are of the class that was asked for.
#[test]
fn guidance_is_swept_with_class_accuracy() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let recipe = r#"
        name = "guided"
        title = "Digits, told the class nine times of ten"
        data = { name = "digits", view = "symmetric" }
        model = { family = "diffusion", schedule = { kind = "cosine", steps = 20 }, conditional = true, label_dropout = 0.1, net = { kind = "mlp", width = 16 } }
        sample = { solver = "ddim", steps = 4 }
        measure = { samples = 60, likelihood_rows = 2 }
        [train]
        steps = 2
        batch_size = 8
        optimizer = { kind = "sgd", learning_rate = 1e-4 }
        checkpoint_every = 2
    "#;
    std::fs::write(here.join("guided.toml"), recipe).unwrap();
    succeed(here, &["train", "guided.toml", "--out", "r"]);
    assert!(succeed(here, &["eval", "r", "--sweep=guidance=2"]).contains("accuracy"));
    let scores: Value =
        serde_json::from_str(&succeed(here, &["eval", "r", "--sweep=guidance=-1,1,3", "--json"])).unwrap();
    let sweep = &scores["sweeps"][0];
    assert_eq!((sweep["kind"].as_str(), sweep["points"].as_array().unwrap().len()), (Some("guidance"), 3));
    // Four steps, each of which asks with and without the class unless the scale is 1.
    assert_eq!(values(sweep, "evaluations"), [8.0, 4.0, 8.0]);
    assert!(values(sweep, "accuracy").iter().all(|share| (0.0..=1.0).contains(share)), "{sweep}");
    assert!(values(sweep, "frechet")[0] != values(sweep, "frechet")[2]);
    let measures = scores["measures"].as_array().unwrap();
    assert!(measures.iter().any(|one| one["measure"] == "class-accuracy@digits-classifier"), "{scores}");
    succeed(here, &["report", "r"]);
    let page = std::fs::read_to_string(here.join("r/report.html")).unwrap();
    assert!(page.contains("scale of guidance") && page.contains("class accuracy"));
}

/// What samples are worth in few steps and in many, by one solver and by another, and what they cost.
#[test]
fn steps_are_swept_with_their_evaluations() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let recipe = r#"
        name = "stepped"
        title = "Digits, hardly learnt"
        data = { name = "digits", view = "symmetric" }
        model = { family = "diffusion", schedule = { kind = "cosine", steps = 40 }, net = { kind = "mlp", width = 16 } }
        sample = { steps = 10, corrector = { steps = 1, size = { relative = 0.1 } } }
        measure = { samples = 60, likelihood_rows = 2 }
        [train]
        steps = 2
        batch_size = 8
        optimizer = { kind = "sgd", learning_rate = 1e-4 }
        checkpoint_every = 2
    "#;
    std::fs::write(here.join("stepped.toml"), recipe).unwrap();
    succeed(here, &["train", "stepped.toml", "--out", "r"]);
    let swept = |more: &[&str]| -> Vec<Value> {
        let line = succeed(here, &[&["eval", "r", "--json"][..], more].concat());
        serde_json::from_str::<Value>(&line).unwrap()["sweeps"].as_array().unwrap().clone()
    };
    let own = swept(&["--sweep=steps=4,2"]);
    assert_eq!((own.len(), own[0]["kind"].as_str()), (1, Some("steps of ancestral")));
    assert_eq!((values(&own[0], "at"), values(&own[0], "evaluations")), (vec![2.0, 4.0], vec![4.0, 8.0]));
    assert_eq!(own[0]["by"], "digits-classifier");
    assert!(values(&own[0], "frechet").iter().all(|distance| *distance > 0.0));
    // Other solvers go without the recipe's corrector, and their sweeps stay beside its own.
    swept(&["--sweep=steps=4", "--solver", "ddim", "--eta", "1"]);
    let all = swept(&["--sweep=steps", "--solver", "heun"]);
    let of = |kind: &str| all.iter().find(|sweep| sweep["kind"] == kind).unwrap_or_else(|| panic!("{kind}"));
    assert_eq!(values(of("steps of ddim, eta 1"), "evaluations"), [4.0]);
    // The last of Heun's steps is Euler's; the chain of 40 levels serves no more.
    assert_eq!(values(of("steps of heun"), "at"), [5.0, 10.0, 20.0]);
    assert_eq!(values(of("steps of heun"), "evaluations"), [9.0, 19.0, 39.0]);
    let text_of = succeed(here, &["eval", "r", "--sweep=steps=4"]);
    assert!(text_of.contains("steps of ancestral of 60 samples each") && text_of.contains("evaluations"), "{text_of}");
    succeed(here, &["report", "r"]);
    let page = std::fs::read_to_string(here.join("r/report.html")).unwrap();
    for wanted in ["In few steps", "Fréchet distance by digits-classifier", "evaluations of the network"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}
