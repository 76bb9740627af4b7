//! Weights on their way into a network that only looks: taken by name, batch normalisation folded into convolutions.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};

use crate::weights::{Array, Weights, WeightsError};

/// Weights, and which of them have been taken.
pub(super) struct Source<'a> {
    weights: &'a Weights,
    pub(super) device: Device,
    taken: BTreeSet<String>,
}

/// A batch normalisation: where its arrays are, and its ε.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm<'a> {
    pub(super) name: &'a str,
    pub(super) eps: f64,
}

impl<'a> Source<'a> {
    pub(super) fn new(weights: &'a Weights, device: &Device) -> Self {
        Self { weights, device: device.clone(), taken: BTreeSet::new() }
    }

    /// Refuses weights that nothing has taken; they belong to another network.
    pub(super) fn finish(self) -> Result<(), WeightsError> {
        // A counter of training steps, which some files store as a float.
        let left = |name: &&String| !self.taken.contains(*name) && !name.ends_with("num_batches_tracked");
        self.weights.keys().find(left).map_or(Ok(()), |name| Err(WeightsError::Unknown(name.clone())))
    }

    /// The array called `name`, which must have this shape.
    pub(super) fn array(&mut self, name: &str, shape: &[usize]) -> Result<&'a Array, WeightsError> {
        let array = self.weights.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        array.check(name, shape)?;
        self.taken.insert(name.to_owned());
        Ok(array)
    }

    /// The shape of the array called `name`, which must have `D` axes.
    pub(super) fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D], WeightsError> {
        let array = self.weights.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        let shape = array.shape.clone();
        shape.try_into().map_err(|found| WeightsError::Axes { name: name.to_owned(), found, needed: D })
    }

    /// The bias beside a weight, zero if there is none.
    pub(super) fn bias(&mut self, name: &str, outputs: usize) -> Result<Vec<f64>, WeightsError> {
        match self.array(name, &[outputs]) {
            Ok(array) => Ok(array.values.iter().map(|v| f64::from(*v)).collect()),
            Err(WeightsError::Missing(_)) => Ok(vec![0.0; outputs]),
            Err(error) => Err(error),
        }
    }

    /// `γ (w ∗ x + b − μ) / √(σ² + ε) + β` as one convolution, weight and bias; `shape` is `[outputs, inputs, kh, kw]`.
    pub(super) fn conv(
        &mut self,
        name: &str,
        shape: [usize; 4],
        norm: Option<Norm<'_>>,
    ) -> Result<(Tensor<4>, Tensor<1>), WeightsError> {
        let outputs = shape[0];
        let mut weight = self.array(&format!("{name}.weight"), &shape)?.values.clone();
        let mut bias = self.bias(&format!("{name}.bias"), outputs)?;
        if let Some(Norm { name, eps }) = norm {
            let mut part = |part| self.array(&format!("{name}.{part}"), &[outputs]).map(|array| &array.values);
            let (gamma, beta) = (part("weight")?, part("bias")?);
            let (mean, variance) = (part("running_mean")?, part("running_var")?);
            let taps = weight.len() / outputs.max(1);
            for (o, weight) in weight.chunks_exact_mut(taps.max(1)).enumerate() {
                let scale = f64::from(gamma[o]) / (f64::from(variance[o]) + eps).sqrt();
                weight.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
                bias[o] = f64::from(beta[o]) + (bias[o] - f64::from(mean[o])) * scale;
            }
        }
        Ok((self.tensor(weight, shape), self.vector(bias)))
    }

    pub(super) fn vector(&self, values: Vec<f64>) -> Tensor<1> {
        let length = values.len();
        self.tensor(values.into_iter().map(|v| v as f32).collect(), [length])
    }

    pub(super) fn tensor<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}
