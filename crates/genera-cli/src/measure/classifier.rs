//! What a classifier says of samples: distances of its features, which classes there are, how clear they are.

use std::path::Path;

use genera::burn::tensor::Device;
use genera::features::Classifier;
use genera::traits::Features;
use genera::weights::Metadata;
use genera_data::{Dataset, View};
use genera_metrics::{Kernel, Points, classes, frechet, kid, mmd2_unbiased};
use genera_rng::Rng;
use serde_json::json;

use super::beholder::{Beholder, score};
use super::{Plan, Subject, record};
use crate::data::{numbers, tensor};
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::family::Family;
use crate::hash::sha256;
use crate::recipe::{Measure, POINTS};
use crate::run::{RunDir, Score};
use crate::seen::Seen;

/// The classifier of the embedded digits is embedded too.
const EMBEDDED: &str = "digits-classifier";
/// Rows at a time.
const CHUNK: usize = 500;
/// Subsets of the kernel distance, and their rows.
const KID_SUBSETS: usize = 20;
const KID_ROWS: usize = 1000;

/// A classifier that measures.
pub struct Judge {
    name: String,
    classifier: Classifier,
    fingerprint: String,
    device: Device,
}

/// The classifier for the data of `subject`: the one its expectations name, or the embedded one for digits, or for other
/// images that of the run at `classifier`.
pub fn name_for(subject: &Subject<'_>, classifier: Option<&Path>) -> Option<String> {
    let named = subject.recipe.expect.iter().find_map(|expect| match &expect.measure {
        Measure::Frechet(name)
        | Measure::FrechetRatio(name)
        | Measure::RarestClass(name)
        | Measure::TopProbability(name)
        | Measure::ClassAccuracy(name)
        | Measure::Kid(name)
        | Measure::Precision(name)
        | Measure::Recall(name)
        | Measure::FScore(name)
        | Measure::Density(name)
        | Measure::Coverage(name)
        | Measure::Memorisation(name)
        | Measure::CaptionMatch(name)
        | Measure::DigitMatch(name)
        | Measure::PriorGain(name)
            if name != POINTS =>
        {
            Some(name.clone())
        }
        _ => None,
    });
    let embedded = || (subject.recipe.data.name == "digits").then(|| EMBEDDED.to_owned());
    let given = || {
        let folder = classifier.filter(|_| !matches!(subject.data.train(), Dataset::Table(_)))?;
        // A folder without a run is complained of when it is opened.
        Some(RunDir::open(folder).map_or_else(|_| "classifier".to_owned(), |run| run.recipe().name.clone()))
    };
    named.or_else(embedded).or_else(given)
}

impl Judge {
    /// The embedded classifier, or that of the run at `classifier`, or the one of its name among `runs`.
    pub fn open(name: &str, classifier: Option<&Path>, runs: &Path, device: &Device) -> Outcome<Self> {
        if classifier.is_none() && name == EMBEDDED {
            return Ok(Self::of(name, Classifier::digits(device), device));
        }
        let folder = classifier.map_or_else(|| runs.join(format!("{name}-0")), Path::to_owned);
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
        let fresh = config.init(&mut Rng::new(0), device)?;
        let group =
            ["ema", "model"].into_iter().find_map(|name| checkpoint.groups.iter().find(|(known, _)| known == name));
        let (_, weights) = group.ok_or_else(|| Failure::new(format!("{}: no weights", folder.display())))?;
        Ok(Self::of(name, genera::weights::apply(fresh, weights)?, device))
    }

    fn of(name: &str, classifier: Classifier, device: &Device) -> Self {
        let fingerprint = format!("{name} {}", sha256(&classifier.to_bytes(Metadata::new())));
        Self { name: name.to_owned(), classifier, fingerprint, device: device.clone() }
    }

    /// All that its answers depend on.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What is printed beside its numbers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `[C, H, W]` of what it looks at.
    pub fn shape(&self) -> [usize; 3] {
        self.classifier.config().shape
    }

    /// Every measure of samples, beside what held-out or training data give.
    pub fn measure(&self, beholder: &Beholder<'_>, samples: &Seen, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
        let (real, train, fake) = (beholder.held_out.points()?, beholder.train.points()?, samples.points()?);
        let distance = frechet(&fake, &real, &self.name)?;
        let between_real = frechet(&train, &real, &self.name)?;
        let (p, real_p) = (probabilities(samples)?, probabilities(&beholder.held_out)?);
        let (seen, seen_real) = (classes(&p, &self.name)?, classes(&real_p, &self.name)?);
        let rarest = |fractions: &[f64]| fractions.iter().copied().fold(f64::INFINITY, f64::min);
        let kernel = |x: &Points<'_>| {
            let size = KID_ROWS.min(x.n()).min(real.n());
            kid(&real, x, KID_SUBSETS, size, &self.name, &mut Rng::new(0).fork("kid"))
        };
        let (kernel, kernel_of_train) = (kernel(&fake)?, kernel(&train)?);

        let [kid_spread] = plan.intervals(&real, &fake, |x, y| Ok([mmd2_unbiased(x, y, &Kernel::cubic())?]))?;
        let beside = between_real.value;
        let [spread, ratio_spread] = plan.intervals(&real, &fake, |x, y| {
            let value = frechet(x, y, "")?.value;
            Ok([value, value / beside])
        })?;
        let [rarest_spread, top_spread] = plan.intervals(&real, &p, |_, p| {
            let seen = classes(p, "")?;
            Ok([rarest(&seen.fractions), seen.top_probability])
        })?;

        let name = || self.name.clone();
        let n = fake.n();
        let (of_train, of_held_out) = ("training data", "held-out data");
        let both = json!({ "n": n, "samples_and_held_out": distance, "train_and_held_out": between_real });
        let mut scores = beholder.measure(samples, plan)?;
        // Copies are told of after the distances that they would flatter.
        let copies =
            scores.iter().position(|score| score.measure.starts_with("memorisation")).map(|at| scores.remove(at));
        scores.push(score(
            Measure::Kid(name()),
            kernel.mean,
            Some((of_train, kernel_of_train.mean)),
            kid_spread,
            &json!({ "n": n, "samples_and_held_out": kernel }),
        ));
        scores.extend(copies);
        let classes_seen = json!({ "n": n, "samples": seen, "held_out": seen_real });
        scores.extend([
            score(Measure::Frechet(name()), distance.value, Some((of_train, beside)), spread, &both),
            score(Measure::FrechetRatio(name()), distance.value / beside, None, ratio_spread, &both),
            score(
                Measure::RarestClass(name()),
                rarest(&seen.fractions),
                Some((of_held_out, rarest(&seen_real.fractions))),
                rarest_spread,
                &classes_seen,
            ),
            score(
                Measure::TopProbability(name()),
                seen.top_probability,
                Some((of_held_out, seen_real.top_probability)),
                top_spread,
                &json!({ "n": n, "classifier": self.name }),
            ),
        ]);
        Ok(scores)
    }

    /// `class-accuracy`, of samples whose classes were asked for.
    pub fn class_accuracy(
        &self,
        beholder: &Beholder<'_>,
        samples: &Seen,
        asked: Option<&[usize]>,
        held_out: Option<&[u16]>,
    ) -> Option<Score> {
        class_accuracy(&self.name, samples, asked, (&beholder.held_out, held_out))
    }

    /// The rows of `drawn`'s view as this classifier wants them.
    pub fn readable(&self, rows: &[f32], drawn: &Drawn) -> Vec<f32> {
        symmetric(rows, drawn.view, drawn.levels)
    }

    /// The likeliest class of each row.
    pub fn named(&self, drawn: &Drawn) -> Outcome<Vec<usize>> {
        let (_, p) = self.look(&self.readable(&drawn.rows, drawn), drawn.rows.len() / drawn.n.max(1))?;
        Ok(p.chunks_exact((p.len() / drawn.n.max(1)).max(1)).map(argmax).collect())
    }

    /// What it sees of rows in [−1, 1].
    pub fn see(&self, rows: &[f32], features: usize) -> Outcome<Seen> {
        let n = rows.len() / features.max(1);
        let (extracted, p) = self.look(rows, features)?;
        let classes = p.len() / n.max(1);
        Ok(Seen::new(extracted, n, Some((p.into_iter().map(f64::from).collect(), classes))))
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

/// `class-accuracy@CLASSIFIER`: the share of `samples` whose likeliest class is the one that was asked for, in `asked`,
/// beside that of held-out data; none of samples that were asked for no class.
fn class_accuracy(
    name: &str,
    samples: &Seen,
    asked: Option<&[usize]>,
    held_out: (&Seen, Option<&[u16]>),
) -> Option<Score> {
    let value = agreement(samples, asked?.iter().copied())?;
    let labels = held_out.1.map(|labels| labels.iter().map(|label| usize::from(*label)));
    let beside = labels.and_then(|labels| agreement(held_out.0, labels));
    let n = samples.n as f64;
    let details = json!({
        "n": samples.n,
        "classifier": name,
        "standard_error": (value * (1.0 - value) / n.max(1.0)).sqrt(),
    });
    let beside = beside.map(|value| ("held-out data", value));
    Some(score(Measure::ClassAccuracy(name.to_owned()), value, beside, None, &details))
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

fn probabilities(seen: &Seen) -> Outcome<Points<'_>> {
    let (p, classes) = seen.probabilities.as_ref().ok_or_else(|| Failure::new("no class probabilities"))?;
    Ok(Points::new(p, seen.n, *classes)?)
}

/// The share of rows whose likeliest class is that of `labels`; none of what shows no classes.
pub fn agreement(seen: &Seen, labels: impl IntoIterator<Item = usize>) -> Option<f64> {
    let (p, classes) = seen.probabilities.as_ref()?;
    let rows = p.chunks_exact((*classes).max(1)).zip(labels);
    let right = rows.filter(|(row, label)| argmax(row) == *label).count();
    (seen.n > 0).then(|| right as f64 / seen.n as f64)
}

fn argmax<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best })
}
