//! Spectral normalisation: every weight divided by its largest singular value.
//!
//! ```text
//! v ← Wᵀu / ‖Wᵀu‖,   u ← W v / ‖W v‖,   σ = uᵀ W v,   W̄ = W / σ
//! ```
//!
//! Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (arXiv:1802.05957). The iteration goes on
//! from where it stood, so one step a use is enough; `u` and `v` count as constants in gradients, `σ` does not. A kernel is the
//! matrix `[outputs, inputs · kh · kw]`, as in the paper and in PyTorch. Every parameter of two or more axes is normalised.
//!
//! It wraps: the module that comes out has the same layers with other weights, and gradients with respect to the
//! weights before the division flow through it.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use genera_rng::Rng;

use crate::weights::{Array, FieldPath, Weights, WeightsError};

/// The vectors of the power iteration, by the path of the weight.
#[derive(Clone, Debug)]
pub struct Spectral {
    vectors: BTreeMap<String, Pair>,
    iterations: usize,
}

/// `u`, `[outputs]`, and `v`, `[inputs]`.
#[derive(Clone, Debug)]
struct Pair {
    u: Tensor<1>,
    v: Tensor<1>,
}

impl Pair {
    /// The vectors after `iterations` further steps on `weight`, `[outputs, inputs]`.
    fn stepped(self, weight: &Tensor<2>, iterations: usize) -> Self {
        (0..iterations).fold(self, |Self { u, .. }, _| {
            let v = unit(weight.clone().transpose().matmul(u.unsqueeze_dim(1)).squeeze_dim(1));
            let u = unit(weight.clone().matmul(v.clone().unsqueeze_dim(1)).squeeze_dim(1));
            Self { u, v }
        })
    }

    /// `uᵀ W v`: `[1]`.
    fn sigma(&self, weight: Tensor<2>) -> Tensor<1> {
        let outer: Tensor<2> = self.u.clone().unsqueeze_dim::<2>(1) * self.v.clone().unsqueeze_dim(0);
        (weight * outer).sum()
    }
}

/// `x / max(‖x‖, 1e-12)`.
fn unit(x: Tensor<1>) -> Tensor<1> {
    let norm = x.clone().square().sum().sqrt().clamp_min(1e-12);
    x / norm
}

impl Spectral {
    /// Random vectors for the weights of `module`, brought near to the singular ones by fifteen steps.
    pub fn new(module: &impl Module, iterations: usize, rng: &mut Rng) -> Self {
        let mut start = Start { path: FieldPath::default(), rng, vectors: BTreeMap::new() };
        module.visit(&mut start);
        Self { vectors: start.vectors, iterations }
    }

    /// One use further: the steps of the power iteration on the weights of `module`.
    pub fn advance(&mut self, module: &impl Module) {
        let mut weights = Matrices::default();
        module.visit(&mut weights);
        for (path, weight) in weights.found {
            if let Some(pair) = self.vectors.get_mut(&path) {
                *pair = pair.clone().stepped(&weight.inner(), self.iterations);
            }
        }
    }

    /// `module` with every weight divided by its `σ`.
    pub fn normalised<M: Module>(&self, module: M) -> M {
        module.map(&mut Normalise { path: FieldPath::default(), spectral: self })
    }

    /// `σ` of every weight of `module`, by path.
    pub fn norms(&self, module: &impl Module) -> BTreeMap<String, f64> {
        let mut weights = Matrices::default();
        module.visit(&mut weights);
        let of = |(path, weight): (String, Tensor<2>)| {
            let sigma = self.vectors.get(&path)?.sigma(weight.inner());
            Some((path, f64::from(sigma.into_scalar::<f32>())))
        };
        weights.found.into_iter().filter_map(of).collect()
    }

    /// The vectors, as `<path>_u` and `<path>_v`: the names of PyTorch's buffers.
    pub fn save(&self) -> Weights {
        let array = |name: String, x: &Tensor<1>| (name, Array::from_tensor(x.clone()));
        let both =
            |(path, pair): (&String, &Pair)| [array(format!("{path}_u"), &pair.u), array(format!("{path}_v"), &pair.v)];
        self.vectors.iter().flat_map(both).collect()
    }

    /// These with the vectors that [`Spectral::save`] gave.
    ///
    /// # Errors
    /// A vector that is missing, unknown or of another length.
    pub fn loaded(&self, saved: &Weights) -> Result<Self, WeightsError> {
        let known = self.save();
        if let Some(unknown) = saved.keys().find(|name| !known.contains_key(*name)) {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        let read = |name: String, like: &Tensor<1>| {
            let array = saved.get(&name).ok_or_else(|| WeightsError::Missing(name.clone()))?;
            array.check(&name, &like.dims())?;
            Ok(Tensor::from_data(array.to_data(), &like.device()))
        };
        let vectors = self.vectors.iter().map(|(path, pair)| {
            let (u, v) = (read(format!("{path}_u"), &pair.u)?, read(format!("{path}_v"), &pair.v)?);
            Ok((path.clone(), Pair { u, v }))
        });
        Ok(Self { vectors: vectors.collect::<Result<_, WeightsError>>()?, iterations: self.iterations })
    }
}

/// `β Σ ‖W Wᵀ − I‖²` over the weights of `module` with the shorter side first, differentiable: `[1]`; none if it has no
/// weights.
pub fn orthogonality(module: &impl Module) -> Option<Tensor<1>> {
    let mut weights = Matrices::default();
    module.visit(&mut weights);
    let of = |weight: Tensor<2>| {
        let [outputs, inputs] = weight.dims();
        let wide = if outputs <= inputs { weight } else { weight.transpose() };
        let gram = wide.clone().matmul(wide.transpose());
        let identity = Tensor::<2>::eye(outputs.min(inputs), &gram.device());
        (gram - identity).square().sum()
    };
    weights.found.into_iter().map(|(_, weight)| of(weight)).reduce(|sum, more| sum + more)
}

/// A weight as the matrix `[outputs, everything else]`; none for vectors.
fn matrix<const D: usize>(weight: Tensor<D>) -> Option<Tensor<2>> {
    let shape = weight.dims();
    let inputs = shape[1..].iter().product();
    (D >= 2).then(|| weight.reshape([shape[0], inputs]))
}

/// Every weight of a module as a matrix, with its gradient.
#[derive(Default)]
struct Matrices {
    path: FieldPath,
    found: Vec<(String, Tensor<2>)>,
}

impl ModuleVisitor for Matrices {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(weight) = matrix(param.val()) {
            self.found.push((self.path.name(), weight));
        }
    }
}

struct Start<'a> {
    path: FieldPath,
    rng: &'a mut Rng,
    vectors: BTreeMap<String, Pair>,
}

impl ModuleVisitor for Start<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(weight) = matrix(param.val()) else { return };
        let weight = weight.inner();
        let mut vector = |n: usize| {
            let values = self.rng.normal(1, n);
            unit(Tensor::from_data(burn::tensor::TensorData::new(values, [n]), &weight.device()))
        };
        let [outputs, inputs] = weight.dims();
        let pair = Pair { u: vector(outputs), v: vector(inputs) };
        self.vectors.insert(self.path.name(), pair.stepped(&weight, 15));
    }
}

struct Normalise<'a> {
    path: FieldPath,
    spectral: &'a Spectral,
}

impl ModuleMapper for Normalise<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let pair = self.spectral.vectors.get(&self.path.name());
        param.map(|weight| match pair.zip(matrix(weight.clone())) {
            Some((pair, flat)) => {
                let sigma = pair.sigma(flat);
                weight / sigma.reshape([1; D])
            }
            None => weight,
        })
    }
}
