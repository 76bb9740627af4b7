//! A diffusion and a classifier of its noisy rows, trained side by side, for guidance with a classifier.
//!
//! The diffusion is told nothing; samples are drawn towards classes by the gradient of the classifier (Dhariwal and
//! Nichol, 2105.05233). Both see the same batches.

use burn::module::{Module, ModuleDisplay};
use genera_rng::Rng;

use super::{ClassifierGuided, Diffusion, NoisyClassifier};
use crate::nn::Conditioned;
use crate::train::Descent;
use crate::traits::{Batch, Denoise, Learner, Net, Rows, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// What the arrays of the classifier are called beside the diffusion's.
const NAMES: [(&str, &str); 3] =
    [("model", "classifier"), ("optimizer", "classifier-optimizer"), ("ema", "classifier-ema")];

/// Both in training.
pub struct Classified<N: Module, C: Module> {
    diffusion: Descent<Diffusion<N>>,
    classifier: Descent<NoisyClassifier<C>>,
}

impl<N, C> Classified<N, C>
where
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
    C: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    /// Before the first step of either.
    pub fn new(diffusion: Descent<Diffusion<N>>, classifier: Descent<NoisyClassifier<C>>) -> Self {
        Self { diffusion, classifier }
    }

    /// What removes noise.
    pub fn diffusion(&self) -> &Diffusion<N> {
        self.diffusion.model()
    }

    /// What knows classes.
    pub fn classifier(&self) -> &NoisyClassifier<C> {
        self.classifier.model()
    }

    /// The diffusion drawn towards classes, row `i` towards `labels[i mod len]`; without labels, as it is.
    pub fn given(&self, labels: Vec<usize>) -> Box<dyn Denoise + '_> {
        match labels.is_empty() {
            true => Box::new(self.diffusion().given(labels)),
            false => Box::new(ClassifierGuided {
                denoise: self.diffusion(),
                classifier: self.classifier(),
                labels,
                scale: 1.0,
            }),
        }
    }
}

impl<N, C> Learner for Classified<N, C>
where
    N: Module + ModuleDisplay + Net<Conditioned, Rows>,
    C: Module + ModuleDisplay + Net<Conditioned, Rows>,
{
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        // The classifier goes first: a step that fails leaves the diffusion as it was.
        let of_classes = self.classifier.step(batches.clone(), &mut rng.fork("classifier"))?;
        let unlabelled = |Batch { x, .. }| Batch { x, labels: None };
        let mut scalars = self.diffusion.step(batches.into_iter().map(unlabelled).collect(), rng)?;
        let loss = of_classes.into_iter().find(|(name, _)| *name == "loss");
        scalars.extend(loss.map(|(_, value)| ("classifier", value)));
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        self.diffusion.view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let named = |(name, weights)| Some((NAMES.iter().find(|(own, _)| *own == name)?.1, weights));
        self.diffusion.save().into_iter().chain(self.classifier.save().into_iter().filter_map(named)).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let own = |name: &str| NAMES.iter().find(|(_, named)| *named == name).map(|(name, _)| (*name).to_owned());
        let (classifier, diffusion): (Vec<_>, Vec<_>) =
            groups.iter().cloned().partition(|(name, _)| own(name).is_some());
        let classifier = classifier.into_iter().filter_map(|(name, weights)| Some((own(&name)?, weights)));
        self.diffusion.load(&diffusion)?;
        self.classifier.load(&classifier.collect::<Vec<_>>())
    }
}
