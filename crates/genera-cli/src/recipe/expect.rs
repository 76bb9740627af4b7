//! What a recipe promises: a measure, a bound, and what was measured when the bound was set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What is measured.
    pub measure: Measure,
    /// The upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// What was measured when the bound was set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// A number measured when a bound was set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The seed of the training.
    pub seed: u64,
    /// What it reached.
    pub value: f64,
}

impl Expect {
    /// Whether `value` is what was promised. NaN never is.
    pub fn holds(&self, value: f64) -> bool {
        self.at_most.is_none_or(|bound| value <= bound)
            && self.at_least.is_none_or(|bound| value >= bound)
            && !value.is_nan()
    }

    /// The bound in words.
    pub fn bound(&self) -> String {
        let most = self.at_most.map(|bound| format!("at most {bound}"));
        let least = self.at_least.map(|bound| format!("at least {bound}"));
        [least, most].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}

/// What stands in the place of a classifier where points are measured as they are.
pub const POINTS: &str = "points";

/// Everything that can be measured. In text, what it is measured with or on follows an `@`: for tables, `points` in the
/// place of a classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measure {
    /// `frechet@CLASSIFIER`: Fréchet distance between samples and held-out data on a classifier's features.
    Frechet(String),
    /// `frechet-ratio@CLASSIFIER`: that distance over the one between training and held-out data.
    FrechetRatio(String),
    /// `rarest-class@CLASSIFIER`: the share of the rarest class among the samples.
    RarestClass(String),
    /// `top-probability@CLASSIFIER`: the mean probability of the class that the classifier names.
    TopProbability(String),
    /// `class-accuracy@CLASSIFIER`: the share of samples in which the classifier sees the class that was asked for.
    ClassAccuracy(String),
    /// `kid@CLASSIFIER`: kernel distance between samples and held-out data on a classifier's features.
    Kid(String),
    /// `precision@CLASSIFIER`: the share of samples that lie where held-out data lie.
    Precision(String),
    /// `recall@CLASSIFIER`: the share of held-out data that lie where samples lie.
    Recall(String),
    /// `f-score@CLASSIFIER`: the harmonic mean of precision and recall.
    FScore(String),
    /// `density@CLASSIFIER`: how many balls around held-out data a sample lies in, over what data would.
    Density(String),
    /// `coverage@CLASSIFIER`: the share of held-out data with a sample in their neighbourhood.
    Coverage(String),
    /// `memorisation@CLASSIFIER`: the chance that a sample is nearer to the training data than a held-out row is.
    Memorisation(String),
    /// `caption-match@CLASSIFIER`: the share of samples that follow all of a caption whose combination was never shown.
    CaptionMatch(String),
    /// `digit-match@CLASSIFIER`: the share of them in which the classifier sees the digit.
    DigitMatch(String),
    /// `clip-score@CLIP`: the mean cosine of samples and their captions, by a model of both.
    ClipScore(String),
    /// `prior-gain@CLASSIFIER`: the Fréchet distance of codes drawn uniformly over that of a learnt prior's samples.
    PriorGain(String),
    /// `usage@BOOK`: the share of a book's entries that held-out data name.
    Usage(String),
    /// `perplexity@BOOK`: as many entries as the held-out data would name if they named all alike.
    Perplexity(String),
    /// `mmd@held-out`: squared maximum mean discrepancy between samples and held-out data.
    Mmd,
    /// `mmd-p@held-out`: the p-value of the permutation test that belongs to it.
    MmdP,
    /// `bits-per-dimension@held-out`: minus the log-likelihood of held-out grey levels, or a bound on it.
    BitsPerDimension,
    /// `nats@held-out`: the log-likelihood of a held-out row, or a bound on it.
    Nats,
    /// `kl@fresh`: the divergence of a known density from the model, in nats, on fresh points of it.
    Kl,
    /// `reverse-kl@samples`: the divergence of the model from a known density, in nats, on its own samples.
    ReverseKl,
    /// `modes@samples`: how many modes of a known mixture have their share of samples.
    Modes,
    /// `near-modes@samples`: the share of samples within three deviations of a mode.
    NearModes,
    /// `wasserstein@held-out`: the distance between samples and held-out points on the line.
    Wasserstein,
    /// `divergence-gap@fresh`: what a learnt bound lacks of a divergence, as a part of it.
    DivergenceGap,
    /// `posterior-gain@grid`: the divergence of the best Gaussian from a known posterior over that of a model's posterior.
    PosteriorGain,
    /// `heaviest-component@samples`: the share of samples that most likely come from the heaviest part of a known mixture.
    HeaviestComponent,
    /// `r-hat@chains`: the largest split R-hat of a coordinate of the chains that draw.
    RHat,
    /// `effective-share@chains`: the least effective sample size of a coordinate, as a part of the draws of the chains.
    EffectiveShare,
    /// `acceptance@chains`: the share of proposals that chains take.
    Acceptance,
    /// `fisher@fresh`: `E|s − ∇log p|² / E|∇log p|²` of a score and a known density, on fresh points of it.
    Fisher,
    /// `accuracy@held-out`: the share of held-out rows that a classifier names rightly.
    Accuracy,
    /// `active-units@held-out`: how many latents have a posterior mean that varies with the row.
    ActiveUnits,
    /// `mutual-information@held-out`: what a latent says of its row, in nats.
    MutualInformation,
    /// `aggregate-divergence@held-out`: the divergence of the mean posterior from the prior, in nats.
    AggregateDivergence,
    /// `thickness-match@samples`: the share of samples as thick as a caption of a combination that was never shown says.
    ThicknessMatch,
    /// `slant-match@samples`: the share of them that lean as it says.
    SlantMatch,
    /// `retrieval@held-out`: the share of held-out pictures whose caption is found among all combinations.
    Retrieval,
    /// `samples-per-second`: the speed of sampling here.
    SamplesPerSecond,
}

/// What is measured on held-out data, and what needs nothing.
const PLAIN: [(&str, Measure); 24] = [
    ("mmd@held-out", Measure::Mmd),
    ("mmd-p@held-out", Measure::MmdP),
    ("bits-per-dimension@held-out", Measure::BitsPerDimension),
    ("nats@held-out", Measure::Nats),
    ("kl@fresh", Measure::Kl),
    ("reverse-kl@samples", Measure::ReverseKl),
    ("modes@samples", Measure::Modes),
    ("near-modes@samples", Measure::NearModes),
    ("wasserstein@held-out", Measure::Wasserstein),
    ("divergence-gap@fresh", Measure::DivergenceGap),
    ("posterior-gain@grid", Measure::PosteriorGain),
    ("heaviest-component@samples", Measure::HeaviestComponent),
    ("r-hat@chains", Measure::RHat),
    ("effective-share@chains", Measure::EffectiveShare),
    ("acceptance@chains", Measure::Acceptance),
    ("fisher@fresh", Measure::Fisher),
    ("accuracy@held-out", Measure::Accuracy),
    ("active-units@held-out", Measure::ActiveUnits),
    ("mutual-information@held-out", Measure::MutualInformation),
    ("aggregate-divergence@held-out", Measure::AggregateDivergence),
    ("thickness-match@samples", Measure::ThicknessMatch),
    ("slant-match@samples", Measure::SlantMatch),
    ("retrieval@held-out", Measure::Retrieval),
    ("samples-per-second", Measure::SamplesPerSecond),
];

type OfClassifier = fn(String) -> Measure;
/// What is measured with a classifier, or of a book.
const OF_CLASSIFIER: [(&str, OfClassifier); 18] = [
    ("frechet", Measure::Frechet),
    ("frechet-ratio", Measure::FrechetRatio),
    ("rarest-class", Measure::RarestClass),
    ("top-probability", Measure::TopProbability),
    ("class-accuracy", Measure::ClassAccuracy),
    ("kid", Measure::Kid),
    ("precision", Measure::Precision),
    ("recall", Measure::Recall),
    ("f-score", Measure::FScore),
    ("density", Measure::Density),
    ("coverage", Measure::Coverage),
    ("memorisation", Measure::Memorisation),
    ("caption-match", Measure::CaptionMatch),
    ("digit-match", Measure::DigitMatch),
    ("clip-score", Measure::ClipScore),
    ("prior-gain", Measure::PriorGain),
    ("usage", Measure::Usage),
    ("perplexity", Measure::Perplexity),
];

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, classifier) = match self {
            Self::Frechet(classifier) => ("frechet", classifier),
            Self::FrechetRatio(classifier) => ("frechet-ratio", classifier),
            Self::RarestClass(classifier) => ("rarest-class", classifier),
            Self::TopProbability(classifier) => ("top-probability", classifier),
            Self::ClassAccuracy(classifier) => ("class-accuracy", classifier),
            Self::Kid(classifier) => ("kid", classifier),
            Self::Precision(classifier) => ("precision", classifier),
            Self::Recall(classifier) => ("recall", classifier),
            Self::FScore(classifier) => ("f-score", classifier),
            Self::Density(classifier) => ("density", classifier),
            Self::Coverage(classifier) => ("coverage", classifier),
            Self::Memorisation(classifier) => ("memorisation", classifier),
            Self::CaptionMatch(classifier) => ("caption-match", classifier),
            Self::DigitMatch(classifier) => ("digit-match", classifier),
            Self::ClipScore(clip) => ("clip-score", clip),
            Self::PriorGain(classifier) => ("prior-gain", classifier),
            Self::Usage(book) => ("usage", book),
            Self::Perplexity(book) => ("perplexity", book),
            plain => {
                let name = PLAIN.iter().find(|(_, measure)| measure == plain).map_or("", |(name, _)| name);
                return f.write_str(name);
            }
        };
        write!(f, "{kind}@{classifier}")
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, measure)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(measure.clone());
        }
        let (kind, with) = text.split_once('@').unwrap_or((text, ""));
        match OF_CLASSIFIER.iter().find(|(name, _)| *name == kind) {
            Some((_, measure)) if !with.is_empty() => Ok(measure(with.to_owned())),
            _ => {
                let with = |name: &str| match name {
                    "usage" | "perplexity" => "BOOK",
                    "clip-score" => "CLIP",
                    _ => "CLASSIFIER",
                };
                let of_classifier = OF_CLASSIFIER.iter().map(|(name, _)| format!("`{name}@{}`", with(name)));
                let all: Vec<String> = PLAIN.iter().map(|(name, _)| format!("`{name}`")).chain(of_classifier).collect();
                Err(format!("unknown measure `{text}`, expected one of {}", all.join(", ")))
            }
        }
    }
}

impl TryFrom<String> for Measure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> Self {
        measure.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_survives_its_name() {
        let with = OF_CLASSIFIER.iter().map(|(_, measure)| measure("digits-classifier".into()));
        for measure in PLAIN.iter().map(|(_, measure)| measure.clone()).chain(with) {
            assert_eq!(measure.to_string().parse(), Ok(measure));
        }
        assert!("frechet".parse::<Measure>().is_err() && "fid@x".parse::<Measure>().is_err());
    }

    #[test]
    fn bounds_are_inclusive_and_nan_meets_none() {
        let expect = Expect { measure: Measure::Mmd, at_most: Some(2.0), at_least: Some(1.0), measured: vec![] };
        assert_eq!([0.9, 1.0, 2.0, 2.1, f64::NAN].map(|value| expect.holds(value)), [false, true, true, false, false]);
        assert_eq!(expect.bound(), "at least 1 and at most 2");
    }
}
