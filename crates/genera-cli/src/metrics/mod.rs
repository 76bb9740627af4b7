//! Measures between two sets of pictures or points: the work behind `genera metrics`.

mod look;
pub mod sets;
mod statistics;

use std::time::Instant;

use clap::ValueEnum;
use genera_metrics::{
    Frechet, Judge, Kernel, Manifold, MetricError, Points, Sinkhorn, frechet, frechet_infinity, frechet_of_moments,
    inception_score, kid, manifold, median_distance, mmd2_unbiased, sliced_wasserstein, two_sample_test, wasserstein,
};
use genera_rng::Rng;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use look::Looker;
pub use sets::Set;
pub use statistics::Statistics;

use crate::failure::{Failure, Outcome};
use crate::measure::intervals;
use crate::seen::Seen;

/// What is measured on request only: it takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Also {
    /// The Fréchet distance extrapolated to infinitely many samples
    FrechetInfinity,
    /// The maximum mean discrepancy with Gaussian kernels of five bandwidths around the median distance
    Mmd,
    /// Whether nearest neighbours, and a logistic regression, tell the two sets apart
    TwoSample,
    /// The 2-Wasserstein distance on random lines
    SlicedWasserstein,
    /// The exact 2-Wasserstein distance of the first 300 rows of each
    Wasserstein,
    /// The Sinkhorn divergence of squared distances, of the first 1000 rows of each
    Sinkhorn,
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
    let sets = Sets { real: real_seen.points()?, fake: fake_seen.points()?, features, options };
    let Sets { real, fake, .. } = &sets;
    let mut found = Vec::new();

    tell("Fréchet distance");
    let started = Instant::now();
    let distance = distance([real_seen, fake_seen], features)?;
    if let Some(notice) = distance.notice() {
        warn(format!("{notice}; take more rows than features for a Fréchet distance that means something"));
    }
    let taken = started.elapsed().as_secs_f64();
    let spread = sets.interval(|x, y| Ok(frechet(x, y, "")?.value))?;
    found.push(measured("frechet", distance.value, taken, &distance).within(spread));

    tell("kernel distance");
    let started = Instant::now();
    let size = options.kid_subset_size.unwrap_or(1000.min(real.n()).min(fake.n()));
    let kernel = kid(real, fake, options.kid_subsets, size, features, &mut sets.rng("kid"))?;
    let taken = started.elapsed().as_secs_f64();
    let spread = sets.interval(|x, y| mmd2_unbiased(x, y, &Kernel::cubic()))?;
    found.push(measured("kid", kernel.mean, taken, &kernel).within(spread));

    if real.n().min(fake.n()) > options.k {
        tell("precision and recall");
        let started = Instant::now();
        let balls = manifold(real, fake, options.k, features)?;
        let taken = started.elapsed().as_secs_f64();
        let spreads = sets.intervals(|x, y| Ok(of_balls(&manifold(x, y, options.k, "")?)))?;
        let names = ["precision", "recall", "f-score", "density", "coverage"];
        for ((name, value), spread) in names.into_iter().zip(of_balls(&balls)).zip(spreads) {
            // All five come from one pass, whose record they share.
            found.push(measured(name, value, taken, &balls).within(spread));
        }
    } else {
        warn(format!("precision and recall need more than {} rows on each side", options.k));
    }

    if let Some((p, classes)) = &fake_seen.probabilities {
        tell("inception score");
        let started = Instant::now();
        let p = Points::new(p, fake.n(), *classes)?;
        let splits = options.splits.min(fake.n());
        let score = inception_score(&p, splits, features)?;
        let taken = started.elapsed().as_secs_f64();
        let of_half = |p: &Points<'_>| Ok([inception_score(p, splits.min(p.n()), "")?.mean]);
        let [spread] = sets.intervals_between(real, &p, |_, p| of_half(p))?;
        found.push(measured("inception-score", score.mean, taken, &score).within(spread));
    }
    for also in &options.also {
        found.extend(on_request(*also, &sets, &mut tell)?);
    }
    Ok(found)
}

fn of_balls(balls: &Manifold) -> [f64; 5] {
    [balls.precision, balls.recall, balls.f_score(), balls.density, balls.coverage]
}

/// Two sets of features, and how to measure them.
struct Sets<'a> {
    real: Points<'a>,
    fake: Points<'a>,
    features: &'a str,
    options: &'a Options,
}

impl Sets<'_> {
    /// Randomness of its own for each purpose.
    fn rng(&self, name: &str) -> Rng {
        Rng::new(self.options.seed).fork(name)
    }

    /// The 95 % interval of a measure, where intervals are asked for.
    fn interval(
        &self,
        measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<f64, MetricError>,
    ) -> Outcome<Option<[f64; 2]>> {
        self.intervals(|x, y| Ok([measure(x, y)?])).map(|[interval]| interval)
    }

    fn intervals<const K: usize>(
        &self,
        measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<[f64; K], MetricError>,
    ) -> Outcome<[Option<[f64; 2]>; K]> {
        self.intervals_between(&self.real, &self.fake, measure)
    }

    fn intervals_between<const K: usize>(
        &self,
        x: &Points<'_>,
        y: &Points<'_>,
        measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<[f64; K], MetricError>,
    ) -> Outcome<[Option<[f64; 2]>; K]> {
        intervals(self.options.intervals, &Rng::new(self.options.seed), x, y, measure)
    }

    /// The first rows of both, at most `most`.
    fn some(&self, most: usize) -> [Points<'_>; 2] {
        [&self.real, &self.fake].map(|set| set.first(most))
    }
}

/// From kept moments where both sides have them, otherwise from the rows.
fn distance([real, fake]: [&Seen; 2], features: &str) -> Outcome<Frechet> {
    let enough = |seen: &Seen| seen.n > seen.d;
    Ok(match (&real.moments, &fake.moments) {
        (None, None) => frechet(&real.points()?, &fake.points()?, features)?,
        _ if !enough(real) || !enough(fake) => frechet(&real.points()?, &fake.points()?, features)?,
        _ => frechet_of_moments(&real.fitted()?, &fake.fitted()?, features)?,
    })
}

/// Rows that optimal transport is computed for: its cost is that of all pairs, many times over.
const TRANSPORTED: usize = 300;
/// Rows of a smoothed transport, and its directions of lines.
const SMOOTHED: usize = 1000;
const DIRECTIONS: usize = 200;

fn on_request(also: Also, sets: &Sets<'_>, tell: &mut impl FnMut(&str)) -> Outcome<Vec<Measured>> {
    let started = Instant::now();
    let Sets { real, fake, features, .. } = sets;
    Ok(match also {
        Also::FrechetInfinity => {
            tell("Fréchet distance of infinitely many samples");
            let line = frechet_infinity(real, fake, 15, &mut sets.rng("infinity"))?;
            let taken = started.elapsed().as_secs_f64();
            let spread = sets.interval(|x, y| Ok(frechet_infinity(x, y, 15, &mut sets.rng("infinity"))?.value))?;
            vec![measured("frechet-infinity", line.value, taken, &line).within(spread)]
        }
        Also::Mmd => {
            tell("maximum mean discrepancy");
            let kernel = Kernel::around_median(real, fake)?;
            let value = mmd2_unbiased(real, fake, &kernel)?;
            let taken = started.elapsed().as_secs_f64();
            let spread = sets.interval(|x, y| mmd2_unbiased(x, y, &kernel))?;
            let record = json!({ "kernel": kernel, "unbiased": true, "n": [real.n(), fake.n()], "features": features });
            vec![measured("mmd", value, taken, &record).within(spread)]
        }
        Also::TwoSample => {
            tell("two-sample tests");
            let mut tests = Vec::new();
            for (name, judge) in
                [("two-sample-neighbours", Judge::Neighbours), ("two-sample-logistic", Judge::Logistic)]
            {
                let started = Instant::now();
                let test = two_sample_test(real, fake, judge, features, &mut sets.rng("two-sample"))?;
                let taken = started.elapsed().as_secs_f64();
                let again = |x: &Points<'_>, y: &Points<'_>| {
                    Ok(two_sample_test(x, y, judge, "", &mut sets.rng("two-sample"))?.accuracy)
                };
                tests.push(measured(name, test.accuracy, taken, &test).within(sets.interval(again)?));
            }
            tests
        }
        Also::SlicedWasserstein => {
            tell("sliced Wasserstein distance");
            let distance =
                |x: &Points<'_>, y: &Points<'_>| sliced_wasserstein(x, y, 2.0, DIRECTIONS, &mut sets.rng("slices"));
            let value = distance(real, fake)?;
            let taken = started.elapsed().as_secs_f64();
            let record =
                json!({ "power": 2, "directions": DIRECTIONS, "n": [real.n(), fake.n()], "features": features });
            vec![measured("sliced-wasserstein", value, taken, &record).within(sets.interval(distance)?)]
        }
        Also::Wasserstein | Also::Sinkhorn => {
            let exact = also == Also::Wasserstein;
            tell(if exact { "Wasserstein distance" } else { "Sinkhorn divergence" });
            let [x, y] = sets.some(if exact { TRANSPORTED } else { SMOOTHED });
            // An entropy of a twentieth of a typical cost: smooth, and near the optimum.
            let epsilon = 0.05 * median_distance(&x, &y)?.powi(2);
            let sinkhorn = Sinkhorn { epsilon: epsilon.max(1e-12), tolerance: 1e-3, iterations: 10_000 };
            let distance = |x: &Points<'_>, y: &Points<'_>| match exact {
                true => wasserstein(x, y, 2.0),
                false => sinkhorn.divergence(x, y, 2.0),
            };
            let value = distance(&x, &y)?;
            let taken = started.elapsed().as_secs_f64();
            let [spread] = sets.intervals_between(&x, &y, |x, y| Ok([distance(x, y)?]))?;
            let epsilon = (!exact).then_some(sinkhorn.epsilon);
            let record = json!({ "power": 2, "epsilon": epsilon, "n": [x.n(), y.n()], "features": features });
            let name = if exact { "wasserstein" } else { "sinkhorn-divergence" };
            vec![measured(name, value, taken, &record).within(spread)]
        }
    })
}

/// Of known moments only the Fréchet distance can be had.
fn of_statistics(sides: [&Side; 2], features: &str, warn: &mut impl FnMut(String)) -> Outcome<Measured> {
    let started = Instant::now();
    let moments = |side: &Side| match side {
        Side::Seen(seen) => Ok::<_, Failure>((seen.fitted()?, Some(seen.n), None)),
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
