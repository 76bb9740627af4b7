//! Likelihoods along the probability flow, and of grey levels with learnt noise between them.

mod common;

use std::fs;
use std::path::Path;

use common::{checkpoints, fail, genera, run_tiny, succeed, tempdir, text, weights};
use serde_json::Value;

fn measured(run: &Path, measure: &str) -> Value {
    let scores: Value = serde_json::from_str(&fs::read_to_string(run.join("scores.json")).unwrap()).unwrap();
    let all = scores["measures"].as_array().unwrap();
    all.iter().find(|score| score["measure"] == measure).unwrap_or_else(|| panic!("{scores}")).clone()
}

/// `train dequantised-diffusion-digits` with a tiny network for `steps` steps into `out`, with more settings.
fn train(here: &Path, out: &str, steps: u64, more: &[&str]) -> std::process::Output {
    let steps = format!("train.steps={steps}");
    let mut arguments = vec!["train", "dequantised-diffusion-digits", "--out", out, "--set", &steps];
    let tiny = [
        "model.net={kind=\"residual-mlp\",width=16,blocks=1}",
        "model.noise={layers=2,hidden=[16]}",
        "model.schedule={kind=\"variance-exploding\",steps=100,sigma_min=0.02,sigma_max=5.0}",
        "train.batch_size=16",
        "train.log_every=1",
        "train.checkpoint_every=2",
        "train.preview_every=0",
        "sample.steps=4",
        "measure={samples=20,likelihood_rows=3,permutations=20}",
    ];
    tiny.iter().chain(more).for_each(|set| arguments.extend(["--set", set]));
    genera(here).args(arguments).output().unwrap()
}

/// It trains, is evaluated in both ways, and goes on with the same bits.
#[test]
fn noise_between_levels_is_learnt_with_a_diffusion() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let output = train(here, "whole", 6, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(train(here, "cut", 6, &["train.keep=100"]).status.success());
    for folder in checkpoints(&here.join("cut")).split_off(1) {
        fs::remove_dir_all(folder).unwrap();
    }
    let output = genera(here).args(["train", "cut", "--resume"]).output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("step-00000002"), "{}", text(&output.stderr));
    assert_eq!(weights(&here.join("whole")), weights(&here.join("cut")));
    let log = fs::read_to_string(here.join("whole/log.jsonl")).unwrap();
    assert!(log.contains("noise-entropy"), "{log}");

    // Along the flow: all that the number depends on is in its record.
    let bits = measured(&here.join("whole"), "bits-per-dimension@held-out");
    let record = &bits["record"];
    assert_eq!(record["protocol"]["dequantisation"], serde_json::json!({ "name": "variational", "levels": 17 }));
    assert_eq!(record["protocol"]["kind"]["name"], "probability_flow");
    assert_eq!(record["protocol"]["kind"]["probes"], 2);
    assert!(record["protocol"]["kind"]["tolerance"].as_f64().unwrap() > 0.0);
    assert!(record["evaluations"].as_f64().unwrap() > 7.0 && record["probe_standard_error"].as_f64().unwrap() > 0.0);
    let nats = measured(&here.join("whole"), "nats@held-out");
    let to_bits = 64.0 * std::f64::consts::LN_2;
    for (of, sign) in [("value", -1.0), ("standard_error", 1.0), ("probe_standard_error", 1.0)] {
        let at = |score: &Value| if of == "value" { score[of].as_f64() } else { score["record"][of].as_f64() }.unwrap();
        assert!((at(&bits) - sign * at(&nats) / to_bits).abs() < 1e-9, "{of}: {bits} {nats}");
    }
    // A number of grey levels: near the four bits of even chances after next to no training, and above nothing.
    let value = bits["value"].as_f64().unwrap();
    assert!(value > 1.0 && value < 12.0, "{value}");
    let page = fs::read_to_string(here.join("whole/report.html")).unwrap();
    assert!(page.contains("variational") && page.contains("2 probes, by which the mean is"));

    // By the bound instead, and exactly along the flow.
    let bound = ["model.bound={continuous={draws=4}}"];
    let recipe = fs::read_to_string(here.join("whole/recipe.toml")).unwrap();
    let at = recipe.find("[model.likelihood").unwrap();
    fs::write(here.join("flowless.toml"), without_tables(&recipe, "[model.likelihood")).unwrap();
    assert!(at > 0);
    let mut arguments = vec!["train", "flowless.toml", "--out", "bound"];
    bound.iter().for_each(|set| arguments.extend(["--set", set]));
    succeed(here, &arguments);
    assert_eq!(weights(&here.join("whole")), weights(&here.join("bound")), "the likelihood does not enter training");
    let bound = measured(&here.join("bound"), "bits-per-dimension@held-out");
    assert_eq!(bound["record"]["protocol"]["kind"]["name"], "lower_bound");
    assert_eq!(bound["record"]["protocol"]["dequantisation"]["name"], "variational");
    assert!(bound["record"].get("probe_standard_error").is_none());
    // A bound of one network is above its likelihood along the flow, up to what a few draws miss.
    let error =
        4.0 * (bound["record"]["standard_error"].as_f64().unwrap() + record["standard_error"].as_f64().unwrap());
    assert!(bound["value"].as_f64().unwrap() > value - error, "{bound} {bits}");
    succeed(here, &["sample", "whole", "-n", "4", "--out", "x.npy"]);
    succeed(here, &["sample", "whole", "-n", "4", "--out", "x.png"]);

    for (sets, wanted) in [
        (&["model.weighting=\"simple\""][..], "weighting"),
        (&["data.view=\"unit\""], "model.noise"),
        (&["data.view=\"tokens\""], "model.noise"),
        (&["model.classifier={kind=\"mlp\",hidden=[8]}"], "model.noise"),
        (&["model.noise.layers=0"], "layers"),
    ] {
        let output = train(here, "bad", 2, sets);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.lines().last().unwrap().contains(wanted), "{wanted}: {said}");
    }
    fail(here, &["train", "ddpm-moons", "--set", "model.noise={layers=2,hidden=[8]}"], 1, "model.noise");
}

/// `recipe` without the tables whose head begins so.
fn without_tables(recipe: &str, head: &str) -> String {
    let mut kept = true;
    let keeps = |line: &&str| {
        if line.starts_with('[') {
            kept = !line.starts_with(head);
        }
        kept
    };
    recipe.lines().filter(keeps).collect::<Vec<_>>().join("\n")
}

/// Exact: zero over probes. With probes: other seeds, other probes, by about as much as is said. And the ways of the flow
/// are on the page.
#[test]
fn a_record_says_how_probes_err() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let schedule = ["--set", "model.schedule={kind=\"karras\",steps=100,sigma_min=0.02,sigma_max=5.0}"];
    let more = |likelihood: &'static str| [&schedule[..], &["--set", likelihood]].concat();
    assert!(run_tiny(here, 10, "exact", &more("model.likelihood={tolerance=1e-4}")).status.success());
    let exact = measured(&here.join("exact"), "nats@held-out");
    assert_eq!(exact["record"]["probe_standard_error"], 0.0);
    let likelihood = "model.likelihood={tolerance=1e-4,divergence={hutchinson={noise=\"gaussian\",probes=8}}}";
    assert!(run_tiny(here, 10, "probed", &more(likelihood)).status.success());
    let of_seed = |seed: &str| {
        succeed(here, &["eval", "probed", "--seed", seed]);
        let score = measured(&here.join("probed"), "nats@held-out");
        (score["value"].as_f64().unwrap(), score["record"]["probe_standard_error"].as_f64().unwrap())
    };
    let (first, second) = (of_seed("0"), of_seed("1"));
    let truth = exact["value"].as_f64().unwrap();
    assert_ne!(first.0, second.0);
    for (value, error) in [first, second] {
        assert!(error > 0.0 && (value - truth).abs() < 6.0 * error, "{value} ± {error} of {truth}");
    }
    let page = fs::read_to_string(here.join("exact/report.html")).unwrap();
    for (title, wanted) in [("Probability flow", 48), ("Reverse equation", 48)] {
        assert!(page.contains(&format!("{wanted} ways from noise to data: {title}")), "{title}");
    }
    assert_eq!((page.matches("class=\"thread\"").count(), page.matches("class=\"dots end\"").count()), (56, 96));
}

/// A flow along an equation of its own says the same of its probes, and how often its field was asked.
#[test]
fn a_continuous_flow_says_how_its_probes_err() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let of = |name: &str, divergence: &str| {
        let divergence = format!("model.evaluation.divergence={divergence}");
        let mut arguments = vec!["train", "cnf-moons", "--out", name, "--set", &divergence];
        for more in
            ["train.steps=3", "train.preview_every=0", "measure={samples=20,likelihood_rows=20,permutations=10}"]
        {
            arguments.extend(["--set", more]);
        }
        succeed(here, &arguments);
        measured(&here.join(name), "nats@held-out")
    };
    let [exact, eight, one] = [("exact", "\"exact\""), ("eight", "8"), ("one", "1")].map(|(name, probes)| match name {
        "exact" => of(name, probes),
        _ => of(name, &format!("{{hutchinson={{noise=\"gaussian\",probes={probes}}}}}")),
    });
    assert_eq!(exact["record"]["probe_standard_error"], 0.0);
    let error = eight["record"]["probe_standard_error"].as_f64().unwrap();
    let off = eight["value"].as_f64().unwrap() - exact["value"].as_f64().unwrap();
    assert!(error > 0.0 && off.abs() < 6.0 * error, "off by {off}, said {error}");
    assert!(one["record"].get("probe_standard_error").is_none(), "one probe knows nothing of its error");
    assert!(exact["record"]["evaluations"].as_f64().unwrap() >= 7.0);
    assert!(fs::read_to_string(here.join("eight/report.html")).unwrap().contains("8 probes, by which the mean is ±"));
}
