//! `genera metrics REAL FAKE`: how far two sets of pictures or points are apart, whoever made them.

use std::path::Path;

use serde_json::json;

use super::Context;
use crate::args::Metrics;
use crate::console::{Console, table};
use crate::export::to_npy;
use crate::failure::{Failure, Outcome};
use crate::metrics::{Looker, Measured, Options, Set, Side, Statistics, measure};
use crate::run::write_atomically;
use crate::seen::{Cache, Seen};

pub fn run(context: &Context, args: &Metrics) -> Outcome {
    let console = context.console;
    let open = |name: &str| -> Outcome<Set> {
        let set = Set::open(name, args.samples as usize, args.seed, context)?;
        Ok(match args.limit {
            Some(n) => set.first(n as usize),
            None => set,
        })
    };
    let (real, fake) = (open(&args.real)?, open(&args.fake)?);
    let only_statistics = [&real, &fake].iter().all(|set| matches!(set, Set::Statistics(_)));
    let looker = if only_statistics {
        // Nothing is looked at.
        Looker::pixels()
    } else {
        Looker::open(&args.features, args.weights.as_deref(), args.resize, context)?
    };
    let features = looker.name();
    let cache = if args.no_cache { Cache::Off } else { Cache::usual() };
    let look = |set: Set, what: &str| -> Outcome<Side> {
        match set {
            Set::Statistics(statistics) => Ok(Side::Statistics(statistics)),
            set => Ok(Side::Seen(looker.look(set, what, &cache, context)?)),
        }
    };
    let (real, fake) = (look(real, &args.real)?, look(fake, &args.fake)?);
    let options = Options {
        k: args.neighbours as usize,
        kid_subsets: args.kid_subsets as usize,
        kid_subset_size: args.kid_subset_size.map(|size| size as usize),
        splits: args.splits as usize,
        seed: args.seed,
        also: args.also.clone(),
        intervals: args.intervals.map(|n| n as usize),
    };
    let found =
        measure([&real, &fake], &features, &options, |what| console.note(what), |warning| console.warn(warning))?;
    if let Some(path) = &args.save_statistics {
        let Side::Seen(seen) = &real else {
            return Err(Failure::Usage("--save-statistics: the first set is statistics already".to_owned()));
        };
        Statistics::write(path, &seen.fitted()?, &features)?;
        console.note(format!("statistics of {} are in {}", args.real, path.display()));
    }
    if let Some(folder) = &args.save_features {
        std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        save(folder, "real", &real)?;
        save(folder, "fake", &fake)?;
    }
    if console.json {
        let n = |side: &Side| match side {
            Side::Seen(seen) => Some(seen.n),
            Side::Statistics(statistics) => statistics.n,
        };
        return console.json(&json!({
            "real": { "name": args.real, "n": n(&real) },
            "fake": { "name": args.fake, "n": n(&fake) },
            "features": features,
            "seed": args.seed,
            "measures": found,
        }));
    }
    say(console, &features, &found)
}

fn save(folder: &Path, name: &str, side: &Side) -> Outcome {
    let Side::Seen(Seen { features, n, d, probabilities, .. }) = side else { return Ok(()) };
    write_atomically(&folder.join(format!("{name}.npy")), &to_npy(&[*n, *d], features)?)?;
    if let Some((p, classes)) = probabilities {
        // As logarithms: the scores of a softmax, up to a constant.
        let scores: Vec<f32> = p.iter().map(|p| p.max(f64::MIN_POSITIVE).ln() as f32).collect();
        write_atomically(&folder.join(format!("{name}.logits.npy")), &to_npy(&[*n, *classes], &scores)?)?;
    }
    Ok(())
}

fn say(console: Console, features: &str, found: &[Measured]) -> Outcome {
    let mut rows = vec![["measure", "value", "95 %", "how"].map(str::to_owned).to_vec()];
    for one in found {
        let interval = one.interval.map(|[low, high]| format!("{} to {}", number(low), number(high)));
        rows.push(vec![one.measure.clone(), number(one.value), interval.unwrap_or_default(), how(one)]);
    }
    console.say(format!("features: {features}"))?;
    table(&rows).iter().try_for_each(|line| console.say(line))
}

/// What a reader must know to compare the number with another.
fn how(one: &Measured) -> String {
    let get = |key: &str| one.record.get(key).map(ToString::to_string);
    let mut parts = Vec::new();
    if let Some(n) = get("n") {
        parts.push(format!("n {}", n.replace(',', " and ").replace("null", "unknown").replace(['[', ']'], "")));
    }
    for (key, word) in [
        ("k", "k"),
        ("subsets", "subsets"),
        ("subset_size", "of"),
        ("splits", "splits"),
        ("std", "std"),
        ("p_value", "p"),
    ] {
        if let Some(value) = one.record.get(key) {
            let text = value.as_f64().filter(|_| !value.is_u64()).map_or_else(|| value.to_string(), number);
            parts.push(format!("{word} {text}"));
        }
    }
    parts.join(", ")
}

/// Five significant digits.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let digits = if value == 0.0 { 0 } else { 4 - value.abs().log10().floor() as i32 };
    match digits {
        ..=0 => format!("{value:.0}"),
        1..=7 => format!("{value:.*}", digits as usize),
        _ => format!("{value:.4e}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 123_456.7, 1.234_567, 0.012_345_6, 1e-9, -2.5].map(super::number);
        assert_eq!(shown, ["0", "123457", "1.2346", "0.012346", "1.0000e-9", "-2.5000"]);
    }
}
