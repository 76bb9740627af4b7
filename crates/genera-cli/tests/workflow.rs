//! What a user does: train, sample, measure, report; and what the program says of nonsense.

mod common;

use std::fs;
use std::process::Stdio;

use common::{TINY, checkpoints, fail, genera, run_tiny, succeed, tempdir, text, tiny, weights};

#[test]
fn train_sample_eval_report() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let output = run_tiny(here, 20, "r", &["--set", "train.checkpoint_every=10", "--set", "train.preview_every=10"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("mmd-p@held-out") && said.contains("report.html"), "{said}");
    assert!(text(&output.stderr).contains("device cpu"), "the device is stated");
    for file in ["recipe.toml", "log.jsonl", "scores.json", "report.html", "samples/step-00000010.png"] {
        assert!(here.join("r").join(file).is_file(), "{file}");
    }
    assert_eq!(checkpoints(&here.join("r")).len(), 2);
    assert_eq!(fs::read_to_string(here.join("r/log.jsonl")).unwrap().lines().count(), 4);

    // Samples are the same for any chunk and any number of threads, and row i does not depend on their number.
    succeed(here, &["sample", "r", "-n", "40", "--out", "a.npy"]);
    succeed(here, &["sample", "r", "-n", "40", "--chunk", "7", "--threads", "1", "--out", "b.npy"]);
    succeed(here, &["sample", "r", "-n", "10", "--out", "c.npy"]);
    let [a, b, c] = ["a.npy", "b.npy", "c.npy"].map(|name| fs::read(here.join(name)).unwrap());
    assert_eq!(a, b);
    assert_eq!(a[128..128 + 80], c[128..], "a header of 128 bytes, then 10 rows of 2 numbers of 4 bytes");

    // Given noise is the start of deterministic solvers.
    let noise = ["sample", "r", "-n", "40", "--solver", "heun", "--steps", "5", "--noise", "a.npy", "--out"];
    succeed(here, &[&noise[..], &["d.npy"]].concat());
    succeed(here, &[&noise[..], &["e.npy", "--seed", "9"]].concat());
    assert_eq!(fs::read(here.join("d.npy")).unwrap(), fs::read(here.join("e.npy")).unwrap());

    for out in ["g.png", "g.npz", "g.safetensors"] {
        assert_eq!(succeed(here, &["sample", "r", "--out", out]).trim(), out);
    }
    let png = fs::read(here.join("g.png")).unwrap();
    let words = text(&png);
    assert!(
        words.contains("genera:seed") && words.contains("genera:recipe-sha256") && words.contains("genera:command")
    );

    let first = succeed(here, &["eval", "r", "--json"]);
    let scores: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(scores["step"], 20);
    assert!(scores["measures"].as_array().unwrap().len() >= 3);
    // An expectation that cannot hold: eval says so, and only --check makes it a failure.
    let recipe = fs::read_to_string(here.join("r/recipe.toml")).unwrap();
    fs::write(here.join("r/recipe.toml"), recipe.replace("at_least = 0.05", "at_least = 1.5")).unwrap();
    assert!(succeed(here, &["eval", "r"]).contains("NOT MET"));
    let check = genera(here).args(["eval", "r", "--check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1));

    fs::remove_file(here.join("r/report.html")).unwrap();
    succeed(here, &["report", "r"]);
    assert!(fs::read_to_string(here.join("r/report.html")).unwrap().contains("</html>"));
}

/// A folder that diffusers wrote, its noise and what its own DDIM makes of it in ten steps (`parity/pipeline.py`).
#[test]
fn a_pipeline_folder_draws_what_diffusers_draws() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/pipeline");
    let noise = format!("{golden}/noise.npy");
    let arguments =
        ["sample", golden, "-n", "4", "--solver", "ddim", "--steps", "10", "--noise", &noise, "--out", "drawn.npy"];
    succeed(here, &arguments);
    let read = |path: &std::path::Path| -> Vec<f32> {
        npyz::NpyFile::new(&fs::read(path).unwrap()[..]).unwrap().into_vec().unwrap()
    };
    let drawn = read(&here.join("drawn.npy"));
    let theirs = read(std::path::Path::new(&format!("{golden}/ddim10.npy")));
    assert_eq!(drawn.len(), theirs.len());
    let scale = theirs.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
    let apart = drawn.iter().zip(&theirs).fold(0.0_f32, |apart, (ours, value)| apart.max((ours - value).abs()));
    // Ten steps of an untrained network, each with rounding of its own.
    assert!(apart < 3e-4 * scale, "{apart} of {scale}");
}

#[test]
fn the_same_seed_trains_the_same_weights_on_any_number_of_threads() {
    let scratch = tempdir().unwrap();
    for (out, more) in [("a", &["--threads", "1"][..]), ("b", &["--threads", "4"]), ("c", &["--seed", "1"])] {
        assert!(run_tiny(scratch.path(), 8, out, more).status.success());
    }
    let [a, b, c] = ["a", "b", "c"].map(|run| weights(&scratch.path().join(run)));
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn nonsense_is_refused_in_one_line() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    for (arguments, code, wanted) in [
        (&["trian"][..], 2, "train"),
        (&["train", "--stpes", "3"], 2, "--stpes"),
        (&["train", "--device", "gpu"], 2, "cuda"),
        (&["train", "--device", "cuda"], 2, "--features cuda"),
        (&["train", "--threads", "0"], 2, "--threads"),
        (&["train", "ddpm-digit"], 1, "did you mean `ddpm-digits`?"),
        (&["train", "missing.toml"], 1, "missing.toml"),
        (&["train", "--set", "train.stepz=3"], 1, "did you mean `steps`?"),
        (&["train", "--set", "train.steps"], 2, "a.b.c=value"),
        (&["train", "--set", "data.name=digitz"], 1, "digitz"),
        (&["train", "--set", "train.optimizer.learning_rate=-1"], 1, "learning_rate"),
        (&["train", "--set", "model.conditional=\"maybe\""], 1, "model.conditional"),
        (&["train", "wgan-gp-8gaussians", "--set", "train.accumulate=3"], 1, "train.accumulate is 3"),
        (&["train", "wgan-1d", "--set", "model.conditional=true"], 1, "no classes"),
        (&["train", "wgan-1d", "--set", "model.game.critic_steps=0"], 1, "critic_steps"),
        (
            &["train", "hinge-8gaussians", "--set", "model.game.objective={kind=\"hinge\",smoothing=0.3}"],
            1,
            "model.game.objective.smoothing: the kind `hinge` has no such setting",
        ),
        (
            &["train", "sngan-fashion", "--set", "data.name=digits", "--set", "model.critic.net.halvings=5"],
            1,
            "halvings",
        ),
        (&["train", "fgan-gan", "--set", "model.critic.deviation=true"], 1, "critic.deviation"),
        (&["train", "avb-toy", "--set", "model.encoder.contrast=1"], 1, "`contrast` is 1"),
        (&["train", "realnvp-moons", "--set", "data.levels=2"], 1, "data.levels"),
        (&["train", "realnvp-digits", "--set", "data.levels=18"], 1, "there must be 2 to 17"),
        (&["train", "planar-energy", "--set", "data.name=u2"], 1, "set data.name to \"u4\""),
        (&["train", "fgan-gan", "--set", "model.reference.deviation=0"], 1, "deviation"),
        (
            &["train", "vqvae-digits", "--set", "model.conditional=true", "--set", "model.prior={kind=\"made\"}"],
            1,
            "cannot be told the class",
        ),
        (&["train", "vqvae2-digits", "--set", "model.prior={kind=\"imagegpt\"}"], 1, "codes of another grid"),
        (&["train", "vqvae-digits", "--set", "model.bottom={kind=\"pixelcnn\"}"], 1, "one grid"),
        (&["train", "vqvae2-digits", "--set", "model.context.width=0"], 1, "width of the context"),
        (&["train", "binary-vae-digits", "--set", "model.posterior.temperature=0"], 1, "temperature"),
        (&["train", "stylegan-digits", "--set", "model.net.channels=[8]"], 1, "growth.steps"),
        (&["train", "stylegan-digits", "--set", "model.game.critic_steps=2"], 1, "train.accumulate is 1"),
        (&["train", "avb-toy", "--set", "model.encoder.latents=3"], 1, "two latents"),
        (&["train", "avb-digits", "--set", "data.view=unit"], 1, "bernoulli is for bits"),
        (&["train", "ddpm-digits", "--set", "data.view=unit"], 1, "set it to symmetric"),
        (&["train", "ddpm-digits", "--set", "data.view=dequantised"], 1, "model.likelihood = {}"),
        (&["train", "reflow-moons", "--set", "model.reflow.first=1.0"], 1, "reflow.first is 1"),
        (&["train", "consistency-moons", "--set", "sample.solver=heun"], 1, "sample.solver"),
        (&["train", "ddpm-moons", "--set", "sample.solver=consistency"], 1, "model.consistency"),
        (&["train", "ddpm-moons", "--set", "sample.tolerance=1e-3"], 1, "tolerance"),
        (&["train", "ddpm-moons", "--set", "sample.offset=1"], 1, "offset"),
        (&["train", "no/such/run", "--resume"], 1, "no/such/run"),
        (&["sample", "nowhere"], 1, "nowhere"),
        (&["sample", "."], 1, "model_index.json"),
        (&["sample", ".", "-n", "0"], 2, "--count"),
        (&["eval", "nowhere"], 1, "nowhere"),
        (&["report", "."], 1, "recipe.toml"),
        (&["recipes", "foo"], 1, "foo"),
        (&["data", "fetch", "mnits"], 2, "did you mean `mnist`?"),
        (&["data", "foo"], 1, "foo"),
        (&["completions", "tcsh"], 2, "tcsh"),
    ] {
        fail(here, arguments, code, wanted);
    }
    assert_eq!(fs::read_dir(here).unwrap().count(), 0, "nothing is left behind by what is refused");

    assert!(run_tiny(here, 4, "r", &[]).status.success());
    fail(here, &["train", "--out", "r"], 1, "--resume");
    fail(here, &["train", "r", "--resume", "--set", "model.net.width=32"], 1, "another `model`");
    fail(here, &["train", "r", "--resume", "--seed", "7"], 1, "another `seed`");
    fail(here, &["sample", "r", "--solver", "eular"], 2, "did you mean `euler`?");
    fail(here, &["sample", "r", "--out", "x.jpg"], 2, ".jpg");
    fail(here, &["sample", "r", "--out", "folder"], 2, "no pictures");
    fail(here, &["sample", "r", "--noise", "no.npy"], 1, "no.npy");
    fail(here, &["sample", "r", "--eta", "0.5", "--solver", "heun"], 1, "eta");
    fail(here, &["sample", "r", "--labels", "1"], 2, "--labels");
    fs::write(here.join("bad.npy"), b"\x93NUMPY\x01\x00garbage").unwrap();
    fail(here, &["sample", "r", "--noise", "bad.npy"], 1, "bad.npy");
}

#[test]
fn a_loss_that_is_not_a_number_names_step_batch_and_checkpoint() {
    let scratch = tempdir().unwrap();
    let more = ["--set", "train.optimizer={kind=\"sgd\",learning_rate=1e30}", "--set", "train.checkpoint_every=1"];
    let more = [&more[..], &["--set", "train.rate={kind=\"constant\"}"]].concat();
    let output = run_tiny(scratch.path(), 50, "r", &more);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().last().unwrap();
    assert!(line.starts_with("error: step ") && line.contains("batch") && line.contains("checkpoint"), "{line}");
}

#[test]
fn listings_are_text_or_json_and_survive_a_closed_pipe() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    assert!(succeed(here, &["recipes"]).contains("ddpm-digits (default)"));
    let recipes: serde_json::Value = serde_json::from_str(&succeed(here, &["recipes", "--json"])).unwrap();
    assert!(recipes.as_array().unwrap().iter().any(|recipe| recipe["name"] == "ddpm-moons"));
    assert!(succeed(here, &["recipes", "ddpm-moons"]).contains("family = \"diffusion\""));
    assert!(succeed(here, &["data"]).contains("digits"));
    assert!(succeed(here, &["data", "digits"]).contains("1500 to learn from, 297 held out"));
    assert!(succeed(here, &["data", "moons"]).contains("entropy"));
    let data: serde_json::Value = serde_json::from_str(&succeed(here, &["data", "--json"])).unwrap();
    assert!(data.as_array().unwrap().len() > 10);
    for shell in ["bash", "zsh", "fish"] {
        assert!(succeed(here, &["completions", shell]).contains("genera"));
    }
    assert!(!succeed(here, &["recipes"]).contains('\u{1b}'), "no colours where nobody sees them");

    let mut child =
        genera(here).args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn doctor_finds_nothing_wrong() {
    let scratch = tempdir().unwrap();
    let said = succeed(scratch.path(), &["doctor"]);
    assert!(said.contains("good") && !said.contains("BAD"), "{said}");
}

#[test]
fn a_signal_saves_and_the_run_goes_on() {
    if !cfg!(unix) {
        return;
    }
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let mut child =
        genera(here).args(tiny(100_000, "r", &[])).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while fs::metadata(here.join("r/log.jsonl")).map_or(true, |log| log.len() == 0) {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it should be training");
    }
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("train r --resume"));
    let saved = checkpoints(&here.join("r"));
    let step: u64 = saved[0].file_name().unwrap().to_str().unwrap().trim_start_matches("step-").parse().unwrap();
    let more = format!("train.steps={}", step + 5);
    succeed(here, &["train", "r", "--resume", "--set", &more]);
    assert_eq!(checkpoints(&here.join("r")).len(), 2);
    assert!(TINY.len() > 2);
}

/// A model with and without its class, drawn by every solver that has noise or steps of its own.
#[test]
fn guidance_and_further_solvers() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let conditional = [
        "--set",
        "model.conditional=true",
        "--set",
        "model.label_dropout=0.2",
        "--set",
        "model.schedule={kind=\"variance-preserving\",steps=10}",
        "--set",
        "model.likelihood={tolerance=1e-2}",
    ];
    let output = run_tiny(here, 5, "r", &conditional);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("kl@fresh"), "{}", text(&output.stdout));
    let scores: serde_json::Value = serde_json::from_slice(&fs::read(here.join("r/scores.json")).unwrap()).unwrap();
    let nats = scores["measures"].as_array().unwrap().iter().find(|score| score["measure"] == "nats@held-out").unwrap();
    assert!(nats["record"]["evaluations"].as_f64().unwrap() > 5.0, "{nats}");
    for solver in ["euler-maruyama", "reverse-diffusion", "stochastic-heun", "probability-flow"] {
        let steps = if solver == "probability-flow" { &[][..] } else { &["--steps", "5"] };
        let draw = ["sample", "r", "-n", "12", "--solver", solver, "--guidance", "2"];
        let draw = [&draw[..], steps, &["--out"]].concat();
        succeed(here, &[&draw[..], &["a.npy"]].concat());
        succeed(here, &[&draw[..], &["b.npy", "--chunk", "4", "--threads", "1"]].concat());
        assert_eq!(fs::read(here.join("a.npy")).unwrap(), fs::read(here.join("b.npy")).unwrap(), "{solver}");
    }
    let draw = |scale: &str| {
        succeed(here, &["sample", "r", "-n", "12", "--guidance", scale, "--out", "c.npy"]);
        fs::read(here.join("c.npy")).unwrap()
    };
    assert!(draw("1") != draw("4") && draw("0") != draw("1"));
    fail(here, &["sample", "r", "--guidance", "nan"], 1, "guidance.scale");
    fail(here, &["sample", "r", "--solver", "langevin"], 1, "corrector");
    fail(here, &["sample", "r", "--solver", "consistency"], 2, "model.consistency");
    fail(here, &["sample", "r", "--solver", "probability-flow", "--steps", "5"], 2, "tolerance");
    let hostile =
        genera(here).args(["sample", "r", "-n", "4", "--guidance", "1e6", "--out", "d.npy"]).output().unwrap();
    assert!(matches!(hostile.status.code(), Some(0 | 1)), "{}", text(&hostile.stderr));

    // A bound of continuous time, which says how many levels it drew.
    assert!(run_tiny(here, 5, "plain", &["--set", "model.bound={continuous={draws=4}}"]).status.success());
    let scores: serde_json::Value = serde_json::from_slice(&fs::read(here.join("plain/scores.json")).unwrap()).unwrap();
    let nats = scores["measures"].as_array().unwrap().iter().find(|score| score["measure"] == "nats@held-out").unwrap();
    assert_eq!(nats["record"]["bound"]["draws"], 4, "{nats}");
    assert!(nats["record"]["standard_error"].as_f64().unwrap() > 0.0, "{nats}");
    let refused = tiny(5, "refused", &["--set", "model.bound={continuous={draws=0}}"]);
    fail(here, &refused.iter().map(String::as_str).collect::<Vec<_>>(), 1, "bound.continuous.draws");
    fail(here, &["sample", "plain", "--guidance", "2"], 2, "label_dropout");
    let refused = tiny(5, "refused", &["--set", "sample.guidance={scale=2.0}"]);
    fail(here, &refused.iter().map(String::as_str).collect::<Vec<_>>(), 1, "label_dropout");
}

/// Models that are trained in two parts, the first a fraction of all steps.
#[test]
fn two_parts_keep_their_boundary_and_their_samplers() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let train = |recipe: &str, more: &[&str]| {
        let mut arguments = vec!["train", recipe, "--out", recipe];
        for set in ["train.steps=4", "train.batch_size=16", "measure={samples=20,likelihood_rows=2,permutations=10}"] {
            arguments.extend(["--set", set]);
        }
        succeed(here, &[&arguments[..], more].concat());
    };
    let small = ["--set", "data.points=200", "--set", "model.net={kind=\"mlp\",width=16,layers=1}"];
    train("consistency-moons", &small);
    fail(here, &["train", "consistency-moons", "--resume", "--set", "train.steps=8"], 1, "first part");
    succeed(here, &["train", "consistency-moons", "--resume"]);
    // A student says where the flow ends, which other solvers take for a mean.
    let sample = ["sample", "consistency-moons", "-n", "4", "--out", "a.npy", "--solver"];
    succeed(here, &[&sample[..], &["consistency", "--steps", "3"]].concat());
    fail(here, &[&sample[..], &["ddim"]].concat(), 2, "where the flow ends");

    // Codes are guided as rows are.
    train("latent-diffusion-digits", &["--set", "model.net={kind=\"mlp\",width=16,layers=1}"]);
    let drawn = |scale: &str| {
        let sample = ["sample", "latent-diffusion-digits", "-n", "4", "--guidance", scale, "--out", "b.npy"];
        succeed(here, &sample);
        fs::read(here.join("b.npy")).unwrap()
    };
    assert!(drawn("1") != drawn("4"));
    fail(here, &["sample", "latent-diffusion-digits", "--guidance", "nan"], 1, "guidance.scale");
    succeed(here, &["eval", "latent-diffusion-digits", "--sweep=guidance=0,2"]);

    // Codes of places are pictures to the diffusion.
    let unet = "model.net={kind=\"unet\",block_out_channels=[8],down_block_types=[\"DownBlock2D\"],\
                up_block_types=[\"UpBlock2D\"],layers_per_block=1,norm_num_groups=4}";
    train("latent-diffusion-vq-digits", &["--set", unet]);
    succeed(here, &["train", "latent-diffusion-vq-digits", "--resume"]);
    succeed(here, &["sample", "latent-diffusion-vq-digits", "-n", "4", "--guidance", "2", "--out", "c.npy"]);
    let rows = ["train", "latent-diffusion-digits", "--out", "rows", "--set", unet];
    fail(here, &rows, 1, "a U-Net is for images");
}

/// Held-out digits, parts of which are hidden: what comes back agrees with what was seen, by either way.
#[test]
fn pictures_are_restored() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let net = "model.net={kind=\"unet\",block_out_channels=[8],down_block_types=[\"DownBlock2D\"],\
               up_block_types=[\"UpBlock2D\"],layers_per_block=1,norm_num_groups=4}";
    let train =
        ["train", "ddpm-digits", "--out", "r", "--set", net, "--set", "train.steps=60", "--set", "train.batch_size=16"];
    let little = ["--set", "train.preview_every=0", "--set", "measure={samples=20,likelihood_rows=4}"];
    genera(here).args(train).args(little).output().unwrap();
    let restored = |more: &[&str]| -> f64 {
        let line =
            succeed(here, &[&["restore", "r", "-n", "3", "--draws", "2", "--steps", "20", "--json"], more].concat());
        let found: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(here.join(found["out"].as_str().unwrap()).exists(), "{line}");
        found["rms-of-seen"].as_f64().unwrap()
    };
    for keep in ["top", "frame", "coarse=2"] {
        let (told, untold) = (restored(&["--keep", keep]), restored(&["--keep", keep, "--scale", "0"]));
        assert!(told < 0.5 * untold, "{keep}: {told} with guidance, {untold} without");
    }
    for keep in ["left", "coarse=2", "coarse=4"] {
        assert!(restored(&["--keep", keep, "--replace"]) < 1e-5, "{keep}");
    }
    let samples = || fs::read(here.join("x.npy")).unwrap();
    restored(&["--out", "x.npy"]);
    let once = samples();
    restored(&["--out", "x.npy", "--threads", "1"]);
    assert_eq!(once, samples());
    fail(here, &["restore", "r", "--guidance", "2"], 2, "label_dropout");
    fail(here, &["restore", "r", "--keep", "nothing"], 2, "coarse=2");
    fail(here, &["restore", "r", "--keep", "coarse=99", "--replace"], 1, "factor");
    fail(here, &["restore", "r", "--keep", "coarse=99"], 1, "factor");
    fail(here, &["restore", "r", "--keep", "grey"], 2, "no colours");
    fail(here, &["restore", "r", "--scale", "nan"], 2, "finite");
    assert!(run_tiny(here, 5, "plane", &[]).status.success());
    fail(here, &["restore", "plane"], 1, "pictures");

    // A recipe's guidance is that of its restorations too, in either way; rows that finish early leave the others in peace.
    let guided = ["--set", "model.label_dropout=0.2", "--set", "sample.guidance={scale=3.0}"];
    let train = [&train[..2], &["--out", "g"], &train[4..]].concat();
    genera(here).args(train).args(little).args(guided).output().unwrap();
    for way in [&["--keep", "top"][..], &["--keep", "top", "--replace"]] {
        let restored = |more: &[&str]| {
            let line = ["restore", "g", "-n", "2", "--draws", "2", "--steps", "5", "--out", "g.npy"];
            succeed(here, &[&line[..], way, more].concat());
            fs::read(here.join("g.npy")).unwrap()
        };
        let own = restored(&[]);
        assert!(own == restored(&["--guidance", "3"]) && own != restored(&["--guidance", "1"]), "{way:?}");
    }
    let flow = ["--set", "sample={solver=\"probability-flow\",tolerance=1e-2}"];
    let train = ["train", "ddpm-digits", "--out", "f", "--set", net, "--set", "train.steps=5"];
    genera(here).args(train).args(little).args(flow).output().unwrap();
    succeed(here, &["restore", "f", "-n", "2", "--draws", "2", "--replace", "--out", "f.npy"]);

    // A model of pixels keeps those that it knows to the bit, whatever their place, and draws the others.
    let net = "model.net={kind=\"made\",width=32}";
    let train = ["train", "made-digits", "--out", "m", "--set", net, "--set", "train.steps=5"];
    genera(here).args(train).args(little).output().unwrap();
    for keep in ["top", "bottom", "frame"] {
        let arguments = ["restore", "m", "-n", "3", "--draws", "2", "--json", "--out", "m.png", "--keep", keep];
        let found: serde_json::Value = serde_json::from_str(&succeed(here, &arguments)).unwrap();
        assert_eq!(found["rms-of-seen"], 0.0, "{keep}");
        assert!(found["rms"].as_f64().unwrap() > 0.5, "{keep}: the rest is drawn");
    }
    fail(here, &["restore", "m", "--keep", "coarse=2"], 2, "whole pixels");
    fail(here, &["restore", "m", "--steps", "3"], 2, "--steps");
    // Cautious samples are others; what makes no sense is refused.
    let drawn = |more: &[&str]| {
        succeed(here, &[&["sample", "m", "-n", "20", "--out", "y.npy"], more].concat());
        fs::read(here.join("y.npy")).unwrap()
    };
    let plain = drawn(&[]);
    assert_eq!(plain, drawn(&["--temperature", "1"]));
    assert_ne!(plain, drawn(&["--temperature", "0.5"]));
    assert_ne!(plain, drawn(&["--top-k", "2"]));
    assert_eq!(plain, drawn(&["--top-k", "17"]));
    fail(here, &["sample", "m", "--temperature", "-1"], 2, "--temperature");
    fail(here, &["sample", "m", "--top-k", "0"], 2, "--top-k");
    fail(here, &["sample", "r", "--temperature", "0.5"], 2, "directly");
}
