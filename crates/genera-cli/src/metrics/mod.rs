//! Measures between two sets of pictures or points: the work behind `genera metrics`.

mod look;
pub mod sets;
mod statistics;

use std::time::Instant;

use clap::ValueEnum;
use genera_metrics::{
    Judge, Kernel, MetricError, Moments, Points, frechet, frechet_infinity, frechet_of_moments, halves,
    inception_score, kid, manifold, mmd2_unbiased, two_sample_test,
};
use genera_rng::Rng;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use look::{Looker, Seen};
pub use sets::Set;
pub use statistics::Statistics;

use crate::failure::{Failure, Outcome};

/// What is measured on request only: it takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Also {
    /// The Fréchet distance extrapolated to infinitely many samples
    FrechetInfinity,
    /// The maximum mean discrepancy with Gaussian kernels of five bandwidths around the median distance
    Mmd,
    /// Whether nearest neighbours, and a logistic regression, tell the two sets apart
    TwoSample,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Neighbours that size the balls of precision and recall.
    pub k: usize,
    pub kid_subsets: usize,
    /// Rows of each subset; a thousand, or all if there are fewer.
    pub kid_subset_size: Option<usize>,
    pub splits: usize,
    pub seed: u64,
    pub also: Vec<Also>,
    /// Pairs of halves for intervals; none without.
    pub intervals: Option<usize>,
}

/// One side, looked at.
pub enum Side {
    Seen(Seen),
    Statistics(Statistics),
}

/// A number, what it is, and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub measure: String,
    pub value: f64,
    /// The 95 % interval, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    pub seconds: f64,
    pub record: Map<String, Value>,
}

/// Everything that fits the two sides. `tell` hears what is going on, `warn` what a reader must know.
pub fn measure(
    [real, fake]: [&Side; 2],
    features: &str,
    options: &Options,
    mut tell: impl FnMut(&str),
    mut warn: impl FnMut(String),
) -> Outcome<Vec<Measured>> {
    let (Side::Seen(real_seen), Side::Seen(fake_seen)) = (real, fake) else {
        tell("Fréchet distance");
        return Ok(vec![of_statistics([real, fake], features, &mut warn)?]);
    };
    let (real, fake) = (points(real_seen)?, points(fake_seen)?);
    let mut found = Vec::new();
    let rng = |name: &str| Rng::new(options.seed).fork(name);
    let interval = |measure: fn(&Points<'_>, &Points<'_>, usize) -> Result<f64, MetricError>| {
        let run = |n| halves(&real, &fake, n, &mut rng("intervals"), |x, y| measure(x, y, options.k))?.interval(0.95);
        options.intervals.map(run).transpose()
    };

    tell("Fréchet distance");
    let started = Instant::now();
    let distance = frechet(&real, &fake, features)?;
    if let Some(notice) = distance.notice() {
        warn(format!("{notice}; take more rows than features for a Fréchet distance that means something"));
    }
    let taken = started.elapsed();
    let spread = interval(|x, y, _| Ok(frechet(x, y, "")?.value))?;
    found.push(measured("frechet", distance.value, taken.as_secs_f64(), &distance).within(spread));

    tell("kernel distance");
    let started = Instant::now();
    let size = options.kid_subset_size.unwrap_or(1000.min(real.n()).min(fake.n()));
    let kernel = kid(&real, &fake, options.kid_subsets, size, features, &mut rng("kid"))?;
    let taken = started.elapsed();
    let spread = interval(|x, y, _| mmd2_unbiased(x, y, &Kernel::cubic()))?;
    found.push(measured("kid", kernel.mean, taken.as_secs_f64(), &kernel).within(spread));

    if real.n().min(fake.n()) > options.k {
        tell("precision and recall");
        let started = Instant::now();
        let balls = manifold(&real, &fake, options.k, features)?;
        let taken = started.elapsed().as_secs_f64();
        for (name, value, spread) in [
            ("precision", balls.precision, interval(|x, y, k| Ok(manifold(x, y, k, "")?.precision))?),
            ("recall", balls.recall, interval(|x, y, k| Ok(manifold(x, y, k, "")?.recall))?),
            ("f-score", balls.f_score(), interval(|x, y, k| Ok(manifold(x, y, k, "")?.f_score()))?),
            ("density", balls.density, interval(|x, y, k| Ok(manifold(x, y, k, "")?.density))?),
            ("coverage", balls.coverage, interval(|x, y, k| Ok(manifold(x, y, k, "")?.coverage))?),
        ] {
            // All five come from one pass, whose record they share.
            found.push(measured(name, value, taken, &balls).within(spread));
        }
    } else {
        warn(format!("precision and recall need more than {} rows on each side", options.k));
    }

    if let Some((p, classes)) = &fake_seen.probabilities {
        tell("inception score");
        let started = Instant::now();
        let splits = options.splits.min(fake.n());
        let score = inception_score(&Points::new(p, fake.n(), *classes)?, splits, features)?;
        found.push(measured("inception-score", score.mean, started.elapsed().as_secs_f64(), &score));
    }
    for also in &options.also {
        found.extend(on_request(*also, [&real, &fake], features, &rng, &mut tell)?);
    }
    Ok(found)
}

fn on_request(
    also: Also,
    [real, fake]: [&Points<'_>; 2],
    features: &str,
    rng: &dyn Fn(&str) -> Rng,
    tell: &mut impl FnMut(&str),
) -> Outcome<Vec<Measured>> {
    let started = Instant::now();
    let taken = || started.elapsed().as_secs_f64();
    Ok(match also {
        Also::FrechetInfinity => {
            tell("Fréchet distance of infinitely many samples");
            let line = frechet_infinity(real, fake, 15, &mut rng("infinity"))?;
            vec![measured("frechet-infinity", line.value, taken(), &line)]
        }
        Also::Mmd => {
            tell("maximum mean discrepancy");
            let kernel = Kernel::around_median(real, fake)?;
            let value = mmd2_unbiased(real, fake, &kernel)?;
            let record = json!({ "kernel": kernel, "unbiased": true, "n": [real.n(), fake.n()], "features": features });
            vec![measured("mmd", value, taken(), &record)]
        }
        Also::TwoSample => {
            tell("two-sample tests");
            let mut tests = Vec::new();
            for (name, judge) in
                [("two-sample-neighbours", Judge::Neighbours), ("two-sample-logistic", Judge::Logistic)]
            {
                let started = Instant::now();
                let test = two_sample_test(real, fake, judge, features, &mut rng("two-sample"))?;
                tests.push(measured(name, test.accuracy, started.elapsed().as_secs_f64(), &test));
            }
            tests
        }
    })
}

/// Of known moments only the Fréchet distance can be had.
fn of_statistics(sides: [&Side; 2], features: &str, warn: &mut impl FnMut(String)) -> Outcome<Measured> {
    let started = Instant::now();
    let moments = |side: &Side| match side {
        Side::Seen(seen) => Ok::<_, Failure>((Moments::of(&points(seen)?), Some(seen.n), None)),
        Side::Statistics(known) => Ok((known.moments.clone(), known.n, known.features.clone())),
    };
    let [(left, left_n, left_features), (right, right_n, right_features)] = [moments(sides[0])?, moments(sides[1])?];
    let names: Vec<String> = [left_features, right_features].into_iter().flatten().collect();
    let looked = sides.iter().any(|side| matches!(side, Side::Seen(_)));
    let other = names.iter().find(|name| (looked && *name != features) || **name != names[0]);
    if let Some(other) = other {
        let mine = if looked { features } else { &names[0] };
        return Err(Failure::new(format!("statistics of `{other}` do not compare with features of `{mine}`")));
    }
    if names.is_empty() {
        warn("the statistics do not say what extracted their features: make sure that it was the same".to_owned());
    }
    let distance = frechet_of_moments(&left, &right, names.first().map_or(features, String::as_str))?;
    let mut found = measured("frechet", distance.value, started.elapsed().as_secs_f64(), &distance);
    found.record.insert("n".to_owned(), json!([left_n, right_n]));
    Ok(found)
}

/// The rows as points.
pub fn points(seen: &Seen) -> Outcome<Points<'_>> {
    Ok(Points::new(&seen.features, seen.n, seen.d)?)
}

fn measured(name: &str, value: f64, seconds: f64, record: &impl Serialize) -> Measured {
    let record = match serde_json::to_value(record) {
        Ok(Value::Object(record)) => record,
        _ => Map::new(),
    };
    Measured { measure: name.to_owned(), value, interval: None, seconds, record }
}

impl Measured {
    fn within(self, interval: Option<[f64; 2]>) -> Self {
        Self { interval, ..self }
    }
}
