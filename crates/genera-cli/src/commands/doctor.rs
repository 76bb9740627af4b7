//! `genera doctor`: this machine, and whether the program computes rightly on it, against oracles that are exact.

use std::time::Instant;

use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::diffusion::{MixtureDenoiser, Sampler, Schedule, Solver};
use genera::kernels::{self, Activation, AttentionMask, ConvOptions, plain};
use genera::weights;
use genera_data::describe;
use genera_rng::Rng;
use serde_json::json;

use super::Context;
use crate::console::{Colour, table};
use crate::data::numbers;
use crate::failure::{Failure, Outcome};
use crate::run::{Checkpoints, Progress};

/// A check: what it looks at, and what it found.
type Check = (&'static str, fn(&Device) -> Outcome<String>);

const CHECKS: [Check; 5] = [
    ("samples of a known mixture have its moments", mixture_moments),
    ("one thread computes the same bits as all", thread_counts),
    ("a product of matrices is that of plain loops", matrix_product),
    ("fused kernels compute what plain expressions do", fused_kernels),
    ("a checkpoint comes back as it was saved", checkpoint),
];

pub fn run(context: &Context) -> Outcome {
    let console = context.console;
    let mut findings = Vec::new();
    for (name, check) in CHECKS {
        let started = Instant::now();
        let (good, text) = match check(&context.device) {
            Ok(text) => (true, text),
            Err(failure) => (false, failure.line().unwrap_or_default()),
        };
        findings.push((name, good, text, started.elapsed().as_secs_f64()));
    }
    let folders = genera_data::data_folders(context.data.as_deref());
    let sets = describe(&folders);
    let found: Vec<(&str, String)> = sets
        .iter()
        .filter(|set| !set.places.is_empty())
        .map(|set| {
            let here = set.places.iter().find(|place| super::data::is_there(set.name, place));
            (set.name, here.map_or_else(|| "not here".to_owned(), |place| place.display().to_string()))
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let threads = rayon::current_num_threads();
    if console.json {
        let checks = findings.iter().map(
            |(name, good, text, seconds)| json!({ "check": name, "good": good, "found": text, "seconds": seconds }),
        );
        let data: serde_json::Map<_, _> =
            found.iter().map(|(name, place)| ((*name).to_owned(), json!(place))).collect();
        console.json(&json!({
            "version": version, "device": context.device_name.to_string(), "threads": threads,
            "data": data, "checks": checks.collect::<Vec<_>>(),
        }))?;
    } else {
        let mut rows = vec![
            ["genera".to_owned(), version.to_owned()].to_vec(),
            ["device".to_owned(), context.device_name.to_string()].to_vec(),
            ["threads".to_owned(), threads.to_string()].to_vec(),
        ];
        rows.extend(found.iter().map(|(name, place)| [format!("data {name}"), place.clone()].to_vec()));
        table(&rows).iter().try_for_each(|line| console.say(line))?;
        let word = |good: bool| {
            if good { console.coloured("good", Colour::Green) } else { console.coloured("BAD ", Colour::Red) }
        };
        let line = |(name, good, text, seconds): &(&str, bool, String, f64)| {
            console.say(format!("{}  {name}: {text} ({seconds:.1} s)", word(*good)))
        };
        findings.iter().try_for_each(line)?;
    }
    if findings.iter().all(|(_, good, ..)| *good) { Ok(()) } else { Err(Failure::Unmet) }
}

/// Draws from an exact denoiser of two Gaussians: no network, so whatever is wrong is the sampler's or the machine's.
fn mixture_moments(device: &Device) -> Outcome<String> {
    let (n, rng) = (4000, Rng::new(0).fork("doctor"));
    let drawn = numbers(mixture_samples(n, &rng, device)?)?;
    let mean = drawn.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64;
    let second = drawn.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n as f64;
    // ½ N(−1, ¼) + ½ N(2, ¼): mean ½, second moment 2.5 + 0.25, variances 2.5 and 5.4 of what is averaged.
    let bound = |variance: f64| 5.0 * (variance / n as f64).sqrt() + 0.02;
    let text = format!("mean {mean:.3} (0.5), second moment {second:.3} (2.75)");
    if (mean - 0.5).abs() < bound(2.5) && (second - 2.75).abs() < bound(5.4) {
        Ok(text)
    } else {
        Err(Failure::new(text))
    }
}

fn mixture_samples(n: usize, rng: &Rng, device: &Device) -> Outcome<Tensor<2>> {
    let mixture = MixtureDenoiser::new(&[(0.5, vec![-1.0], vec![0.25]), (0.5, vec![2.0], vec![0.25])], device)?;
    let levels = Schedule::cosine(1000).levels()?;
    let sampler = Sampler { solver: Solver::DpmSolver, steps: 40, ..Sampler::default() };
    Ok(sampler.sample(&mixture, &levels, [n, 1], &mut rng.clone(), device)?)
}

fn thread_counts(device: &Device) -> Outcome<String> {
    let rng = Rng::new(1).fork("doctor");
    let all = numbers(product(&rng, device))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(Failure::new)?;
    let one = pool.install(|| numbers(product(&rng, device)))?;
    let differ = all.iter().zip(&one).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    match differ {
        0 => Ok(format!("{} numbers, 1 and {} threads", all.len(), rayon::current_num_threads())),
        _ => Err(Failure::new(format!("{differ} of {} numbers differ", all.len()))),
    }
}

const SIDE: usize = 300;

fn factors(rng: &Rng) -> [Vec<f32>; 2] {
    ["a", "b"].map(|name| rng.fork(name).normal(SIDE, SIDE))
}

fn product(rng: &Rng, device: &Device) -> Tensor<2> {
    let [a, b] = factors(rng).map(|values| crate::data::tensor(values, SIDE, device));
    a.matmul(b)
}

fn matrix_product(device: &Device) -> Outcome<String> {
    let rng = Rng::new(2).fork("doctor");
    let [a, b] = factors(&rng);
    let found = numbers(product(&rng, device))?;
    let exact = |row: usize, column: usize| -> f64 {
        (0..SIDE).map(|k| f64::from(a[row * SIDE + k]) * f64::from(b[k * SIDE + column])).sum()
    };
    let error =
        (0..SIDE * SIDE).map(|at| (f64::from(found[at]) - exact(at / SIDE, at % SIDE)).abs()).fold(0.0, f64::max);
    // Sums of 300 products of size 1 in single precision.
    if error < 1e-3 {
        Ok(format!("largest error {error:.1e}"))
    } else {
        Err(Failure::new(format!("error {error:.1e}")))
    }
}

/// The shapes are odd and small: every kernel takes its path for what is left over.
fn fused_kernels(device: &Device) -> Outcome<String> {
    let rng = Rng::new(4).fork("doctor");
    let flat = |name: &str, n: usize| Tensor::<1>::from_data(TensorData::new(rng.fork(name).normal(1, n), [n]), device);
    let tensor = |name: &str, shape: [usize; 4]| flat(name, shape.iter().product()).reshape(shape);
    let (x, weight, bias) = (tensor("x", [3, 13, 11, 24]), tensor("weight", [20, 24, 3, 3]), flat("bias", 24));
    let options = ConvOptions { padding: [[1, 1], [1, 1]], ..ConvOptions::default() };
    let (q, k, v) = (tensor("q", [2, 3, 17, 8]), tensor("k", [2, 3, 17, 8]), tensor("v", [2, 3, 17, 8]));
    let matrix: Tensor<2> = weight.clone().reshape([180, 24]);
    let silu = Activation::Silu;
    let pairs = [
        (
            "conv2d",
            kernels::conv2d(x.clone(), weight.clone(), None, None, options),
            plain::conv2d(x.clone(), weight, None, None, options),
        ),
        (
            "group_norm",
            kernels::group_norm(x.clone(), bias.clone(), bias.clone(), 4, 1e-5, silu),
            plain::group_norm(x.clone(), bias.clone(), bias, 4, 1e-5, silu),
        ),
        ("linear", kernels::linear(x.clone(), matrix.clone(), None, silu), plain::linear(x, matrix, None, silu)),
        (
            "attention",
            kernels::attention(q.clone(), k.clone(), v.clone(), 0.3, AttentionMask::Causal),
            plain::attention(q, k, v, 0.3, AttentionMask::Causal),
        ),
    ];
    let mut worst: (&str, f64) = ("", 0.0);
    for (name, fused, plain) in pairs {
        let largest = |x: Tensor<4>| f64::from(x.abs().max().into_scalar::<f32>());
        let error = largest(fused - plain.clone()) / largest(plain);
        // NaN is the worst of all.
        if error.is_nan() || error > worst.1 {
            worst = (name, error);
        }
    }
    let text = format!("largest relative error {:.1e} ({})", worst.1, worst.0);
    if worst.1 < 1e-5 { Ok(text) } else { Err(Failure::new(text)) }
}

fn checkpoint(_: &Device) -> Outcome<String> {
    let folder = std::env::temp_dir().join(format!("genera-doctor-{}", std::process::id()));
    let checkpoints = Checkpoints::new(folder.clone());
    let array = weights::Array { shape: vec![100, 100], values: Rng::new(3).normal(100, 100) };
    let group = weights::Weights::from([("a".to_owned(), array)]);
    let progress = Progress { step: 1, seconds: 0.5, loss: 0.25 };
    let outcome =
        checkpoints.save(progress, "", &[("model", group.clone())], 1).and_then(|_| checkpoints.latest(|_| ()));
    let _ = std::fs::remove_dir_all(&folder);
    match outcome? {
        Some(back) if back.progress == progress && back.groups == [("model".to_owned(), group)] => {
            Ok(format!("in {}", std::env::temp_dir().display()))
        }
        _ => Err(Failure::new("it did not")),
    }
}
