//! What samples look like to something, and how near that is to data: fidelity, variety, and whether they are copies.

use genera_metrics::{Manifold, MetricError, Points, frechet, halves_of_each, manifold, memorisation};
use genera_rng::Rng;
use serde_json::{Value, json};

use super::{Judge, Plan, Subject, record};
use crate::data::Data;
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::recipe::{Measure, POINTS};
use crate::run::{Baseline, Score};
use crate::seen::{Key, Seen};

/// Neighbours that size the balls of precision, recall, density and coverage.
const NEIGHBOURS: usize = 3;
/// Held-out points of a table that samples are held against, and training rows that say what data would score: the
/// pairs of all of them would take longer than training.
const MOST: usize = 5000;

/// What looks, and what it sees of the data.
pub struct Beholder<'a> {
    name: String,
    eyes: Eyes<'a>,
    pub held_out: Seen,
    pub train: Seen,
}

enum Eyes<'a> {
    /// A classifier, by its last hidden layer.
    Judge(&'a Judge),
    /// Nothing but the columns themselves, each over its deviation among the training rows (in the plane over one).
    Points { scales: Vec<f32> },
}

impl<'a> Beholder<'a> {
    /// A classifier.
    pub fn judge(
        judge: &'a Judge,
        subject: &Subject<'_>,
        drawn: &Drawn,
        plan: &Plan<'_>,
        tell: &mut impl FnMut(String),
    ) -> Outcome<Self> {
        let data = subject.data;
        let mut part = |part, name: &str| {
            // Data and samples alike go the way from the model's numbers to the classifier's: black and white images
            // are held against black and white ones.
            let rows = judge.readable(&data.first_rows(part, usize::MAX)?, drawn);
            let key = Key::of(judge.fingerprint()).with_numbers(&rows);
            let tell = |text| tell(format!("features of {name} data: {text}"));
            plan.cache.seen(Some(key), tell, || judge.see(&rows, data.train().features()))
        };
        let (held_out, train) = (part(data.held_out(), "held-out")?, part(data.train(), "training")?);
        Ok(Self { name: judge.name().to_owned(), eyes: Eyes::Judge(judge), held_out, train })
    }

    /// The numbers of tables as they are.
    pub fn points(data: &Data) -> Outcome<Self> {
        let d = data.train().features();
        let train = data.first_rows(data.train(), usize::MAX)?;
        let scales = if d == 2 { vec![1.0; 2] } else { deviations(&train, d) };
        let eyes = Eyes::Points { scales };
        let part = |rows: Vec<f32>, n: usize| Seen::new(eyes.scaled(&rows), n, None);
        let held_out = part(data.first_rows(data.held_out(), MOST)?, data.held_out().len().min(MOST));
        let train = part(train, data.train().len());
        Ok(Self { name: POINTS.to_owned(), held_out, train, eyes })
    }

    /// What its measures are called after.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples.
    pub fn see(&self, drawn: &Drawn) -> Outcome<Seen> {
        match &self.eyes {
            Eyes::Judge(judge) => judge.see(&judge.readable(&drawn.rows, drawn), drawn.rows.len() / drawn.n.max(1)),
            points @ Eyes::Points { .. } => Ok(Seen::new(points.scaled(&drawn.rows), drawn.n, None)),
        }
    }

    /// Precision, recall, density and coverage of samples against held-out data.
    pub fn balls(&self, samples: &Seen) -> Outcome<Manifold> {
        Ok(manifold(&self.held_out.points()?, &samples.points()?, NEIGHBOURS, &self.name)?)
    }

    /// The Fréchet distance of samples from held-out data.
    pub fn distance(&self, samples: &Seen) -> Outcome<f64> {
        Ok(frechet(&samples.points()?, &self.held_out.points()?, &self.name)?.value)
    }

    /// Fidelity, variety and memorisation, beside what training data score; nothing of too few rows.
    pub fn measure(&self, samples: &Seen, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
        if [samples, &self.held_out, &self.train].iter().any(|seen| seen.n <= NEIGHBOURS) {
            return Ok(Vec::new());
        }
        let (real, train, fake) = (self.held_out.points()?, self.train.points()?, samples.points()?);
        let name = || self.name.clone();
        let balls = self.balls(samples)?;
        let balls_of_train = manifold(&real, &train.first(MOST), NEIGHBOURS, &self.name)?;
        let spreads = plan.intervals(&real, &fake, |x, y| Ok(values(&manifold(x, y, NEIGHBOURS, "")?)))?;
        let kinds: [fn(String) -> Measure; 5] =
            [Measure::Precision, Measure::Recall, Measure::FScore, Measure::Density, Measure::Coverage];
        let details = json!({ "n": fake.n(), "samples": balls });
        let mut scores: Vec<Score> = kinds
            .iter()
            .zip(values(&balls))
            .zip(values(&balls_of_train))
            .zip(spreads)
            .map(|(((kind, value), beside), spread)| {
                score(kind(name()), value, Some(("training data", beside)), spread, &details)
            })
            .collect();
        let copies = memorisation(&train, &real, &fake)?;
        let [spread] = plan.intervals(&real, &fake, |x, y| Ok([memorisation(&train, x, y)?.closer]))?;
        let details = json!({
            "n": fake.n(), "z": copies.z, "copies": copies.copies, "quantiles": copies.quantiles, "features": self.name,
        });
        scores.push(score(Measure::Memorisation(name()), copies.closer, Some(("fresh data", 0.5)), spread, &details));
        Ok(scores)
    }
}

impl Eyes<'_> {
    fn scaled(&self, rows: &[f32]) -> Vec<f32> {
        match self {
            Self::Judge(_) => rows.to_vec(),
            Self::Points { scales } => rows.iter().zip(scales.iter().cycle()).map(|(x, scale)| x / scale).collect(),
        }
    }
}

fn values(balls: &Manifold) -> [f64; 5] {
    [balls.precision, balls.recall, balls.f_score(), balls.density, balls.coverage]
}

/// The deviation of each column; one of a column that is constant.
fn deviations(rows: &[f32], d: usize) -> Vec<f32> {
    let column = |j: usize| rows.iter().skip(j).step_by(d).map(|value| f64::from(*value));
    let n = (rows.len() / d) as f64;
    let deviation = |j: usize| {
        let mean = column(j).sum::<f64>() / n;
        (column(j).map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    (0..d).map(deviation).map(|deviation| if deviation > 0.0 { deviation as f32 } else { 1.0 }).collect()
}

/// A measure, with its interval in the record where there is one.
pub fn score(
    measure: Measure,
    value: f64,
    baseline: Option<(&str, f64)>,
    interval: Option<[f64; 2]>,
    details: &Value,
) -> Score {
    let mut record = record(details);
    if let Some(interval) = interval {
        record.insert("interval".to_owned(), json!(interval));
    }
    let baseline = baseline.map(|(of, value)| Baseline { of: of.to_owned(), value });
    Score { measure: measure.to_string(), value, baseline, record }
}

/// The 95 % intervals of what `measure` gives of two sets, from `n` pairs of halves; none without `n`.
pub fn intervals<const K: usize>(
    n: Option<usize>,
    rng: &Rng,
    x: &Points<'_>,
    y: &Points<'_>,
    measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<[f64; K], MetricError>,
) -> Outcome<[Option<[f64; 2]>; K]> {
    let Some(n) = n else { return Ok([None; K]) };
    let found = halves_of_each(x, y, n, &mut rng.fork("intervals"), measure)?;
    let mut intervals = [None; K];
    for (interval, halves) in intervals.iter_mut().zip(&found) {
        *interval = Some(halves.interval(0.95)?);
    }
    Ok(intervals)
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_scaled_by_their_deviation_and_constant_ones_stay() {
        let found = super::deviations(&[1.0, 5.0, 0.0, 3.0, 5.0, 0.0], 3);
        assert_eq!(found, [1.0, 1.0, 1.0]);
        assert_eq!(super::deviations(&[0.0, 8.0], 1), [4.0]);
    }
}
