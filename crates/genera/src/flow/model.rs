//! A flow: exact density, sampling, and learning from data by the forward KL divergence.
//!
//! ```text
//! loss = −E log p(x) = KL(π ‖ p) + H(π)
//! ```
//!
//! Where the entropy `H(π)` of the data is known, the estimate of the divergence itself is reported beside the loss.

use burn::module::Module;
use burn::tensor::Tensor;
use genera_rng::Rng;

use super::base::{indices, log_sum_exp};
use super::{Base, FlowError, Transform};
use crate::caution::sampler;
use crate::nn::Embedding;
use crate::traits::{Batch, Bijection, Caution, Cautious, Density, Faults, Loss, Model, Rows, Sample, View};

/// How many rows are inverted at once when samples are drawn.
const ROWS_AT_ONCE: usize = 512;

/// Data to noise, or back.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Forward,
    Inverse,
}

/// A bijection and the base that it ends in; with `label`, every network of it is told the class.
#[derive(Module, Debug)]
pub struct Flow<T: Module, B: Module> {
    /// Data to noise.
    pub bijection: T,
    /// The density of the noise.
    pub base: B,
    /// What the networks are told of each class; none if they are told nothing.
    pub label: Option<Embedding>,
    /// The entropy of the data in nats, where it is known.
    #[module(skip)]
    pub entropy: Option<f64>,
}

impl<T: Module + Transform, B: Module + Base> Flow<T, B> {
    /// An unconditional flow.
    pub fn new(bijection: T, base: B) -> Self {
        Self { bijection, base, label: None, entropy: None }
    }

    /// How many classes the flow tells apart; none if it does not.
    pub fn classes(&self) -> Option<usize> {
        self.label.as_ref().map(Embedding::classes).or_else(|| self.base.classes())
    }

    /// The flow of given classes: row `i` of what is scored or drawn has class `labels[i mod len]`.
    ///
    /// # Errors
    /// No labels, or a label that is not below [`Flow::classes`].
    pub fn given(&self, labels: Vec<usize>) -> Result<Given<'_, T, B>, FlowError> {
        let classes = self.classes().unwrap_or(0);
        let worst = labels.iter().copied().max().unwrap_or(usize::MAX);
        let needed = format!("classes below {classes}, at least one of them");
        FlowError::unless(worst < classes, "labels", format!("{labels:?}"), needed)?;
        Ok(Given { flow: self, labels })
    }

    /// The flow with its data-dependent layers started from a batch. Layers that have started before stay.
    pub fn started(self, batch: &Batch) -> Self {
        let context = batch.labels.as_deref().and_then(|labels| self.context(labels));
        Self { bijection: self.bijection.started(&batch.x, context.as_ref()), ..self }
    }

    /// `log p(x)` in nats, in double precision, one a row.
    ///
    /// # Errors
    /// The first row without a finite value, and the layer where that arose.
    pub fn scores(&self, x: Rows) -> Result<Vec<f64>, FlowError> {
        let values: Vec<f64> = self.log_prob(x.clone()).to_data().iter::<f32>().map(f64::from).collect();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(row) => {
                let at = self.origin(x.narrow(0, row, 1), Way::Forward);
                Err(FlowError::Row { row, what: format!("log p is {}", values[row]), at })
            }
        }
    }

    /// [`Sample::sample`], and every number of it is finite.
    ///
    /// # Errors
    /// The first row that has a number that is not, and the layer where that arose.
    pub fn draws(&self, n: usize, rng: &mut Rng) -> Result<Rows, FlowError> {
        let labels = self.classes().map(|classes| rng.below(n, classes));
        let z = self.noise(n, labels.as_deref(), rng);
        let x = self.invert(z.clone(), labels.as_deref());
        match x.to_data().iter::<f32>().position(|value| !value.is_finite()) {
            None => Ok(x),
            Some(at) => {
                let row = at / x.dims()[1];
                let at = self.origin(z.narrow(0, row, 1), Way::Inverse);
                Err(FlowError::Row { row, what: "the sample is not finite".to_owned(), at })
            }
        }
    }

    /// The first stage at which one row is not finite.
    fn origin(&self, row: Rows, way: Way) -> String {
        let context = self.context(&[0]);
        let finite = |x: &Rows| x.to_data().iter::<f32>().all(f32::is_finite);
        let (begin, end) = match way {
            Way::Forward => ("the data", "the base"),
            Way::Inverse => ("the base", "the data"),
        };
        if !finite(&row) {
            return begin.to_owned();
        }
        let mut stages = self.bijection.stages();
        if way == Way::Inverse {
            stages.reverse();
        }
        let mut x = row;
        for (name, stage) in stages {
            let (z, log_det) = match way {
                Way::Forward => stage.forward_given(x, context.as_ref()),
                Way::Inverse => stage.inverse_given(x, context.as_ref()),
            };
            if !finite(&z) || !finite(&log_det.unsqueeze()) {
                return name;
            }
            x = z;
        }
        end.to_owned()
    }

    /// What the networks are told of each row.
    fn context(&self, labels: &[usize]) -> Option<Rows> {
        self.label.as_ref().map(|table| table.forward(indices(labels, &table.weight.device())))
    }

    /// `log p(x | y)`: `[B, F] -> [B]`.
    fn log_prob_given(&self, x: Rows, labels: &[usize]) -> Tensor<1> {
        let (z, log_det) = self.bijection.forward_given(x, self.context(labels).as_ref());
        self.base.log_prob_given(z, labels) + log_det
    }

    /// One draw a row of `z`, with its `log p(x | y)`; without labels if there are none.
    pub(super) fn push(&self, z: Rows, labels: Option<&[usize]>) -> (Rows, Tensor<1>) {
        let context = labels.and_then(|labels| self.context(labels));
        let log_base = match labels {
            Some(labels) => self.base.log_prob_given(z.clone(), labels),
            None => self.base.log_prob(z.clone()),
        };
        let (x, log_det) = self.bijection.inverse_given(z, context.as_ref());
        (x, log_base - log_det)
    }

    /// Draws of the base, of given classes if there are any.
    pub(super) fn noise(&self, n: usize, labels: Option<&[usize]>, rng: &mut Rng) -> Rows {
        match labels {
            Some(labels) => self.base.sample_given(labels, rng),
            None => self.base.sample(n, rng),
        }
    }

    /// Noise becomes data in pieces, which bounds memory.
    fn invert(&self, z: Rows, labels: Option<&[usize]>) -> Rows {
        let rows = z.dims()[0];
        let pieces = (0..rows).step_by(ROWS_AT_ONCE).map(|first| {
            let here = ROWS_AT_ONCE.min(rows - first);
            let context = labels.and_then(|labels| self.context(&labels[first..first + here]));
            self.bijection.inverse_given(z.clone().narrow(0, first, here), context.as_ref()).0
        });
        let pieces: Vec<Rows> = pieces.collect();
        if pieces.is_empty() { z } else { Tensor::cat(pieces, 0) }
    }

    /// As [`Sample::sample`], from noise drawn with caution; none of a base without normal noise.
    fn sample_with(&self, n: usize, caution: Caution, rng: &mut Rng) -> Option<Rows> {
        let labels = self.classes().map(|classes| rng.below(n, classes));
        Some(self.invert(self.base.sample_with(n, labels.as_deref(), caution, rng)?, labels.as_deref()))
    }
}

/// Without classes the flow's own density; with classes the mean over all of them.
impl<T: Module + Transform, B: Module + Base> Density for Flow<T, B> {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        match &self.label {
            None => {
                let (z, log_det) = self.bijection.forward_and_log_det(x);
                self.base.log_prob(z) + log_det
            }
            Some(table) => {
                let (rows, classes) = (x.dims()[0], table.classes());
                let of_class = |class| self.log_prob_given(x.clone(), &vec![class; rows]).unsqueeze_dim::<2>(1);
                log_sum_exp(Tensor::cat((0..classes).map(of_class).collect(), 1)) - (classes as f64).ln()
            }
        }
    }
}

/// Without classes the flow's own samples; with classes those of a class drawn uniformly for each row.
impl<T: Module + Transform, B: Module + Base> Sample for Flow<T, B> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let labels = self.classes().map(|classes| rng.below(n, classes));
        self.invert(self.noise(n, labels.as_deref(), rng), labels.as_deref())
    }
}

impl<T: Module + Transform, B: Module + Base> Faults for Flow<T, B> {
    fn fault(&self, x: Rows) -> Option<String> {
        self.scores(x).err().map(|error| error.to_string())
    }
}

/// Glow draws at a temperature of 0.7: sharper, less varied.
impl<T: Module + Transform, B: Module + Base> Cautious for Flow<T, B> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        let draw = move |n, rng: &mut Rng| self.sample_with(n, caution, rng);
        // A draw of one says whether the base can.
        draw(1, &mut Rng::new(0)).filter(|_| caution.is_of_noise())?;
        Some(sampler(move |n, rng| draw(n, rng).expect("the base drew a moment ago")))
    }
}

impl<T: Module + Transform, B: Module + Base> Model for Flow<T, B> {
    fn loss(&self, batch: Batch, _rng: &mut Rng) -> Loss {
        let log_prob = match (&batch.labels, self.classes()) {
            (Some(labels), Some(_)) => self.log_prob_given(batch.x, labels),
            _ => self.log_prob(batch.x),
        };
        let value = -log_prob.mean();
        let nats = f64::from(value.clone().into_scalar::<f32>());
        let parts = self.entropy.map(|entropy| ("forward-kl", nats - entropy)).into_iter().collect();
        Loss { value, parts }
    }

    fn view(&self) -> View<'_> {
        // Networks that are told a class cannot do without one.
        let bijection = self.label.is_none().then_some(&self.bijection as &dyn Bijection);
        View {
            sample: Some(self),
            cautious: Some(self),
            density: Some(self),
            faults: Some(self),
            bijection,
            ..View::default()
        }
    }
}

/// A flow of given classes: partial application.
#[derive(Clone, Debug)]
pub struct Given<'a, T: Module, B: Module> {
    flow: &'a Flow<T, B>,
    labels: Vec<usize>,
}

impl<T: Module, B: Module> Given<'_, T, B> {
    fn labels(&self, rows: usize) -> Vec<usize> {
        self.labels.iter().copied().cycle().take(rows).collect()
    }
}

impl<T: Module + Transform, B: Module + Base> Density for Given<'_, T, B> {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let labels = self.labels(x.dims()[0]);
        self.flow.log_prob_given(x, &labels)
    }
}

impl<T: Module + Transform, B: Module + Base> Sample for Given<'_, T, B> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let labels = self.labels(n);
        self.flow.invert(self.flow.noise(n, Some(&labels), rng), Some(&labels))
    }
}
