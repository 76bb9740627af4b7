//! What a classifier says of samples: Fréchet distance on its features, which classes there are, how clear they are.

use std::path::Path;

use genera::burn::tensor::Device;
use genera::features::Classifier;
use genera::traits::Features;
use genera_data::View;
use genera_metrics::{Points, classes, frechet, kid, manifold, memorisation};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::{numbers, tensor};
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::family::Family;
use crate::recipe::Measure;
use crate::run::{Baseline, RunDir, Score};

/// The classifier of the embedded digits is embedded too.
const EMBEDDED: &str = "digits-classifier";
/// Rows at a time.
const CHUNK: usize = 500;
/// Neighbours that size the balls of precision, recall and coverage; subsets of the kernel distance, and their rows.
const NEIGHBOURS: usize = 3;
const KID_SUBSETS: usize = 20;
const KID_ROWS: usize = 1000;

/// A classifier that measures.
pub struct Judge {
    name: String,
    classifier: Classifier,
    device: Device,
}

/// The classifier for the data of `subject`: the one its expectations name, or the embedded one for digits.
pub fn name_for(subject: &Subject<'_>) -> Option<String> {
    let named = subject.recipe.expect.iter().find_map(|expect| match &expect.measure {
        Measure::Frechet(name)
        | Measure::FrechetRatio(name)
        | Measure::RarestClass(name)
        | Measure::TopProbability(name)
        | Measure::Kid(name)
        | Measure::Precision(name)
        | Measure::Recall(name)
        | Measure::Coverage(name)
        | Measure::Memorisation(name) => Some(name.clone()),
        _ => None,
    });
    named.or_else(|| (subject.recipe.data.name == "digits").then(|| EMBEDDED.to_owned()))
}

impl Judge {
    /// The embedded classifier, or the one that a run has trained.
    pub fn open(name: &str, plan: &Plan<'_>, device: &Device) -> Outcome<Self> {
        let (name, device) = (name.to_owned(), device.clone());
        if plan.classifier.is_none() && name == EMBEDDED {
            return Ok(Self { name, classifier: Classifier::digits(&device), device });
        }
        let folder = plan.classifier.map_or_else(|| plan.runs.join(format!("{name}-0")), Path::to_owned);
        let run = RunDir::open(&folder).map_err(|_| {
            let folder = folder.display();
            Failure::new(format!("{folder}: no run of it; train it with `genera train {name} --out {folder}`"))
        })?;
        let Family::Classifier(config) = &run.recipe().model else {
            return Err(Failure::new(format!("{}: not the run of a classifier", folder.display())));
        };
        let checkpoint = run.checkpoints().latest(|_| ())?.ok_or_else(|| {
            Failure::new(format!("{}: no whole checkpoint yet; go on with --resume", folder.display()))
        })?;
        let classifier = config.init(&mut genera_rng::Rng::new(0), &device)?;
        let group =
            ["ema", "model"].into_iter().find_map(|name| checkpoint.groups.iter().find(|(known, _)| known == name));
        let (_, weights) = group.ok_or_else(|| Failure::new(format!("{}: no weights", folder.display())))?;
        Ok(Self { name, classifier: genera::weights::apply(classifier, weights)?, device })
    }

    /// What is printed beside its numbers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `[C, H, W]` of what it looks at.
    pub fn shape(&self) -> [usize; 3] {
        self.classifier.config().shape
    }

    /// Every measure of `drawn`, beside what held-out or training data give.
    pub fn measure(&self, subject: &Subject<'_>, drawn: &Drawn) -> Outcome<Vec<Score>> {
        let data = subject.data;
        let features = data.train().features();
        // Data and samples alike go the way from the model's numbers to the classifier's: black and white images are
        // held against black and white ones.
        let look = |rows: &[f32]| self.look(&symmetric(rows, drawn.view, drawn.levels), features);
        let (samples, sample_p) = look(&drawn.rows)?;
        let (train, _) = look(&data.first_rows(data.train(), usize::MAX)?)?;
        let (held_out, held_out_p) = look(&data.first_rows(data.held_out(), usize::MAX)?)?;

        let real = points(&held_out, data.held_out().len())?;
        let distance = frechet(&points(&samples, drawn.n)?, &real, &self.name)?;
        let between_real = frechet(&points(&train, data.train().len())?, &real, &self.name)?;
        let seen = classes(&points(&sample_p, drawn.n)?, &self.name)?;
        let seen_real = classes(&points(&held_out_p, data.held_out().len())?, &self.name)?;
        let rarest = |fractions: &[f64]| fractions.iter().copied().fold(f64::INFINITY, f64::min);

        let name = || self.name.clone();
        let score = |measure: Measure, value: f64, baseline: Option<(&str, f64)>, details: serde_json::Value| Score {
            measure: measure.to_string(),
            value,
            baseline: baseline.map(|(of, value)| Baseline { of: of.to_owned(), value }),
            record: record(&details),
        };
        let (of_train, of_held_out) = ("training data", "held-out data");
        let both = json!({ "n": drawn.n, "samples_and_held_out": distance, "train_and_held_out": between_real });
        let near = |x: &[f32], n: usize| manifold(&real, &points(x, n)?, NEIGHBOURS, &self.name).map_err(Failure::from);
        let (balls, balls_of_train) = (near(&samples, drawn.n)?, near(&train, data.train().len())?);
        let kernel = |x: &[f32], n: usize| {
            let (x, rng) = (points(x, n)?, &mut Rng::new(0).fork("kid"));
            let size = KID_ROWS.min(n).min(real.n());
            Ok::<_, Failure>(kid(&real, &x, KID_SUBSETS, size, &self.name, rng)?)
        };
        let (kernel, kernel_of_train) = (kernel(&samples, drawn.n)?, kernel(&train, data.train().len())?);
        let copies = memorisation(&points(&train, data.train().len())?, &real, &points(&samples, drawn.n)?)?;
        let copied = json!({
            "n": drawn.n, "z": copies.z, "copies": copies.copies, "quantiles": copies.quantiles, "features": self.name,
        });
        let ball = |measure: Measure, of: fn(&genera_metrics::Manifold) -> f64| {
            score(measure, of(&balls), Some((of_train, of(&balls_of_train))), json!({ "n": drawn.n, "samples": balls }))
        };
        Ok(vec![
            ball(Measure::Precision(name()), |balls| balls.precision),
            ball(Measure::Recall(name()), |balls| balls.recall),
            ball(Measure::Coverage(name()), |balls| balls.coverage),
            score(
                Measure::Kid(name()),
                kernel.mean,
                Some((of_train, kernel_of_train.mean)),
                json!({ "n": drawn.n, "samples_and_held_out": kernel }),
            ),
            score(Measure::Memorisation(name()), copies.closer, Some(("fresh data", 0.5)), copied),
            score(Measure::Frechet(name()), distance.value, Some((of_train, between_real.value)), both.clone()),
            score(Measure::FrechetRatio(name()), distance.value / between_real.value, None, both),
            score(
                Measure::RarestClass(name()),
                rarest(&seen.fractions),
                Some((of_held_out, rarest(&seen_real.fractions))),
                json!({ "n": drawn.n, "samples": seen, "held_out": seen_real }),
            ),
            score(
                Measure::TopProbability(name()),
                seen.top_probability,
                Some((of_held_out, seen_real.top_probability)),
                json!({ "n": drawn.n, "classifier": self.name }),
            ),
        ])
    }

    /// Features and class probabilities of rows in [−1, 1], both row-major.
    pub fn look(&self, rows: &[f32], features: usize) -> Outcome<(Vec<f32>, Vec<f32>)> {
        let (mut extracted, mut probabilities) = (Vec::new(), Vec::new());
        for chunk in rows.chunks(CHUNK * features) {
            let x = tensor(chunk.to_vec(), features, &self.device);
            extracted.extend(numbers(self.classifier.extract(x.clone()))?);
            probabilities.extend(numbers(self.classifier.probabilities(x))?);
        }
        Ok((extracted, probabilities))
    }
}

/// `accuracy@held-out` of a classifier under training.
pub fn accuracy(subject: &Subject<'_>, classifier: &Classifier) -> Outcome<Vec<Score>> {
    let data = subject.data;
    let labels = data.held_out().labels().ok_or_else(|| Failure::new("the held-out rows have no labels"))?;
    let features = data.held_out().features();
    let mut right = 0;
    let rows = data.first_rows(data.held_out(), usize::MAX)?;
    for (chunk, labels) in rows.chunks(CHUNK * features).zip(labels.rows().chunks(CHUNK)) {
        let probabilities = numbers(classifier.probabilities(tensor(chunk.to_vec(), features, subject.device)))?;
        let width = probabilities.len() / labels.len();
        right +=
            probabilities.chunks(width).zip(labels).filter(|(row, label)| argmax(row) == usize::from(**label)).count();
    }
    let n = data.held_out().len();
    let value = right as f64 / n as f64;
    let standard_error = (value * (1.0 - value) / n as f64).sqrt();
    let details = json!({ "n": n, "right": right, "standard_error": standard_error });
    Ok(vec![Score { measure: Measure::Accuracy.to_string(), value, baseline: None, record: record(&details) }])
}

/// The grey levels that numbers of a view stand for, as the classifiers want them, in [−1, 1]. An image has levels:
/// what a model adds below one is in no file that it writes.
fn symmetric(rows: &[f32], view: View, levels: u16) -> Vec<f32> {
    let top = f32::from(levels - 1);
    rows.iter().map(|&y| 2.0 * f32::from(view.level(y, levels)) / top - 1.0).collect()
}

/// Row-major numbers as `rows` points.
fn points(values: &[f32], rows: usize) -> Outcome<Points<'_>> {
    Ok(Points::new(values, rows, values.len() / rows.max(1))?)
}

fn argmax(row: &[f32]) -> usize {
    row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}
