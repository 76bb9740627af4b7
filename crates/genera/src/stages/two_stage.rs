//! A discrete code in training, then a prior over the codes of the data.

use burn::module::Module;
use genera_rng::Rng;

use crate::caution::sampler;
use crate::train::Descent;
use crate::traits::{
    Batch, Caution, Cautious, Codec, Density, DiscreteCode, Learner, LowerBound, Model, Rows, Sample, Scalars,
    StepError, Tokens, View,
};
use crate::weights::{Weights, WeightsError};

/// A learner whose model is a code.
pub trait Coding: Learner {
    /// The model.
    type Codec;
    /// The model as it is now.
    fn codec(&self) -> &Self::Codec;
    /// How many steps it has taken.
    fn steps_taken(&self) -> u64;
}

impl<M: Model + Module> Coding for Descent<M> {
    type Codec = M;

    fn codec(&self) -> &M {
        self.model()
    }

    fn steps_taken(&self) -> u64 {
        Self::steps_taken(self)
    }
}

/// What a prior over codes has to be.
pub trait TokenPrior: Model + Module + Sample<Tokens> + Cautious<Tokens> + Density<Tokens> {}

impl<P: Model + Module + Sample<Tokens> + Cautious<Tokens> + Density<Tokens>> TokenPrior for P {}

/// What a prior over codes is once it has been told the class of each row.
pub trait GivenPrior: Sample<Tokens> + Density<Tokens> {}

impl<P: Sample<Tokens> + Density<Tokens>> GivenPrior for P {}

/// A prior over codes that can be told the class of each row: `p(c|y)`.
pub trait ToldPrior: TokenPrior {
    /// The prior given classes, row `i` having class `labels[i mod len]`; at least one label.
    fn given(&self, labels: &[usize]) -> Box<dyn GivenPrior + '_>;
}

/// A discrete code in training, and after `first` steps of it a prior over its codes.
pub struct TwoStages<A, P> {
    coding: A,
    prior: Descent<P>,
    first: u64,
}

impl<A: Coding<Codec: DiscreteCode>, P: TokenPrior> TwoStages<A, P> {
    /// Before the first step. The prior sees codes as rows of whole numbers.
    pub fn new(coding: A, prior: Descent<P>, first: u64) -> Self {
        Self { coding, prior, first }
    }

    /// The first stage.
    pub fn coding(&self) -> &A {
        &self.coding
    }

    /// The prior.
    pub fn prior(&self) -> &P {
        self.prior.model()
    }
}

impl<A: Coding<Codec: DiscreteCode>, P: ToldPrior> TwoStages<A, P> {
    /// Both stages given classes, row `i` having class `labels[i mod len]`; at least one label.
    pub fn given(&self, labels: &[usize]) -> GivenStages<'_, A::Codec> {
        GivenStages { codec: self.coding.codec(), prior: self.prior().given(labels) }
    }
}

/// A code, and the prior over it given the class of each row.
pub struct GivenStages<'a, C> {
    codec: &'a C,
    prior: Box<dyn GivenPrior + 'a>,
}

impl<C: DiscreteCode> Sample for GivenStages<'_, C> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.codec.decode(self.prior.sample(n, rng))
    }
}

impl<C: DiscreteCode> LowerBound for GivenStages<'_, C> {
    /// `log p(x|c) + log p(c|y)` at the code `c` of `x`.
    fn lower_bound(&self, x: Rows, _rng: &mut Rng) -> Vec<f64> {
        bound(self.codec, &*self.prior, x)
    }
}

/// `log p(x|c) + log p(c)` in nats at the code `c` of each row.
fn bound<C: DiscreteCode, P: Density<Tokens> + ?Sized>(codec: &C, prior: &P, x: Rows) -> Vec<f64> {
    let codes = codec.encode(x.clone());
    let log_p = codec.log_likelihood(x, codes.clone()) + prior.log_prob(codes);
    log_p.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

/// What the arrays of each stage are called beside the other's.
const NAMES: [(&str, &str, &str); 3] = [
    ("model", "codec", "prior"),
    ("optimizer", "codec-optimizer", "prior-optimizer"),
    ("ema", "codec-ema", "prior-ema"),
];

/// What a code and a prior save, under names that tell them apart.
pub(super) fn named(
    code: Vec<(&'static str, Weights)>,
    prior: Vec<(&'static str, Weights)>,
) -> Vec<(&'static str, Weights)> {
    let of = |name: &str| NAMES.iter().find(|names| names.0 == name);
    let code = code.into_iter().filter_map(|(name, weights)| Some((of(name)?.1, weights)));
    let prior = prior.into_iter().filter_map(|(name, weights)| Some((of(name)?.2, weights)));
    code.chain(prior).collect()
}

/// What [`named`] joined.
///
/// # Errors
/// A group of neither.
pub(super) fn parted(groups: &[(String, Weights)]) -> Result<[Vec<(String, Weights)>; 2], WeightsError> {
    let (mut code, mut prior) = (Vec::new(), Vec::new());
    for (name, weights) in groups {
        let of = |which: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
            NAMES.iter().find(|names| which(names) == name).map(|names| (names.0.to_owned(), weights.clone()))
        };
        match (of(|n| n.1), of(|n| n.2)) {
            (Some(group), _) => code.push(group),
            (_, Some(group)) => prior.push(group),
            _ => return Err(WeightsError::Unknown(name.clone())),
        }
    }
    Ok([code, prior])
}

impl<A: Coding<Codec: DiscreteCode>, P: TokenPrior> Learner for TwoStages<A, P> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        // Steps are counted where they are saved.
        let first = self.coding.steps_taken() < self.first;
        let mut scalars = if first {
            self.coding.step(batches, rng)?
        } else {
            let encode = |Batch { x, labels }| Batch { x: self.coding.codec().encode(x).float(), labels };
            self.prior.step(batches.into_iter().map(encode).collect(), rng)?
        };
        scalars.push(("stage", if first { 1.0 } else { 2.0 }));
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        View {
            sample: Some(self),
            cautious: Some(self),
            lower_bound: Some(self),
            reconstruct: Some(self.coding.codec()),
            books: self.coding.view().books,
            ..View::default()
        }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        named(self.coding.save(), self.prior.save())
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let [coding, prior] = parted(groups)?;
        self.coding.load(&coding)?;
        self.prior.load(&prior)
    }
}

impl<A: Coding<Codec: DiscreteCode>, P: TokenPrior> Sample for TwoStages<A, P> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.coding.codec().decode(self.prior.model().sample(n, rng))
    }
}

impl<A: Coding<Codec: DiscreteCode>, P: TokenPrior> Cautious for TwoStages<A, P> {
    /// Caution in drawing the codes.
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        let codes = self.prior.model().with_caution(caution)?;
        Some(sampler(move |n, rng| self.coding.codec().decode(codes.sample(n, rng))))
    }
}

impl<A: Coding<Codec: DiscreteCode>, P: TokenPrior> LowerBound for TwoStages<A, P> {
    /// `log p(x|c) + log p(c)` at the code `c` of `x`: the evidence lower bound of a posterior that is sure of it.
    fn lower_bound(&self, x: Rows, _rng: &mut Rng) -> Vec<f64> {
        bound(self.coding.codec(), self.prior.model(), x)
    }
}
