//! The arrays of a module: out by [`collect`], in by [`apply`].

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::{Array, Weights, WeightsError};

/// Where a visitor or mapper stands: field names and positions in lists. The name of an enum's variant is no part of
/// the path, so that swapping a layer for another kind of layer keeps the names of its neighbours.
#[derive(Default)]
pub(crate) struct FieldPath(Vec<String>);

impl FieldPath {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_owned());
        }
    }

    pub(crate) fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Every float parameter of `module` by path, whether it is trained or not.
///
/// Parameters that are still lazy are drawn now. Integer parameters are not collected: they follow from the
/// configuration.
pub fn collect(module: &impl Module) -> Weights {
    let mut visitor = Collect::default();
    module.visit(&mut visitor);
    visitor.weights
}

/// `module` with its float parameters replaced by `weights`; devices and gradient settings stay.
///
/// # Errors
/// The first of [`mismatches`]; nothing is then changed.
pub fn apply<M: Module>(module: M, weights: &Weights) -> Result<M, WeightsError> {
    match mismatches(&module, weights).into_iter().next() {
        Some(error) => Err(error),
        None => Ok(module.map(&mut Apply { path: FieldPath::default(), weights })),
    }
}

/// Everything that keeps `weights` from fitting `module`; empty if they fit.
pub fn mismatches(module: &impl Module, weights: &Weights) -> Vec<WeightsError> {
    let mut visitor = Compare { path: FieldPath::default(), weights, seen: BTreeSet::new(), errors: Vec::new() };
    module.visit(&mut visitor);
    let Compare { seen, mut errors, .. } = visitor;
    errors.extend(weights.keys().filter(|name| !seen.contains(*name)).cloned().map(WeightsError::Unknown));
    errors
}

#[derive(Default)]
struct Collect {
    path: FieldPath,
    weights: Weights,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.weights.insert(self.path.name(), Array::from_tensor(param.val()));
    }
}

struct Compare<'a> {
    path: FieldPath,
    weights: &'a Weights,
    seen: BTreeSet<String>,
    errors: Vec<WeightsError>,
}

impl ModuleVisitor for Compare<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        let needed = param.lazy_shape().to_vec();
        let error = match self.weights.get(&name) {
            None => Some(WeightsError::Missing(name.clone())),
            Some(array) => array.check(&name, &needed).err(),
        };
        self.errors.extend(error);
        self.seen.insert(name);
    }
}

/// Assumes that there are no mismatches.
struct Apply<'a> {
    path: FieldPath,
    weights: &'a Weights,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let array = &self.weights[&self.path.name()];
        let id = param.id;
        let value = Tensor::from_data(array.to_data(), &param.lazy_device());
        param.transform_for_load(value, id)
    }
}

impl Array {
    /// The values of `tensor`, read to the host.
    pub(crate) fn from_tensor<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        // Reading fails only when the device itself has failed, after which nothing can go on.
        let values = tensor.try_into_vec_as::<f32>().expect("the device lost its data");
        Self { shape, values }
    }

    /// The array in the tensor library's own form.
    pub(crate) fn to_data(&self) -> TensorData {
        TensorData::new(self.values.clone(), self.shape.clone())
    }

    /// Whether the array called `name` can stand where the shape `needed` is asked for.
    pub(crate) fn check(&self, name: &str, needed: &[usize]) -> Result<(), WeightsError> {
        if self.shape != needed {
            let (found, needed) = (self.shape.clone(), needed.to_vec());
            return Err(WeightsError::Shape { name: name.to_owned(), found, needed });
        }
        if self.values.len() != needed.iter().product::<usize>() {
            let (shape, values) = (self.shape.clone(), self.values.len());
            return Err(WeightsError::Values { name: name.to_owned(), shape, values });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Leaf {
        weight: Param<Tensor<2>>,
        bias: Option<Param<Tensor<1>>>,
    }

    #[derive(Module, Debug)]
    enum Layer {
        Leaf(Leaf),
        Bare(Param<Tensor<1>>),
    }

    #[derive(Module, Debug)]
    struct Tree {
        layers: Vec<Layer>,
        last: Leaf,
    }

    fn leaf(fill: f32, bias: bool, device: &Device) -> Leaf {
        let weight = Param::from_tensor(Tensor::full([2, 3], fill, device));
        let bias = bias.then(|| Param::from_tensor(Tensor::full([2], fill, device)));
        Leaf { weight, bias }
    }

    fn tree(fill: f32, device: &Device) -> Tree {
        let layers =
            vec![Layer::Bare(Param::from_tensor(Tensor::ones([1], device))), Layer::Leaf(leaf(fill, true, device))];
        Tree { layers, last: leaf(fill + 1.0, false, device) }
    }

    fn device() -> Device {
        Device::flex().autodiff()
    }

    #[test]
    fn names_are_field_paths() {
        let weights = collect(&tree(1.0, &device()));
        let names: Vec<_> = weights.keys().map(String::as_str).collect();
        assert_eq!(names, ["last.weight", "layers.0", "layers.1.bias", "layers.1.weight"]);
        assert_eq!(weights["last.weight"], Array { shape: vec![2, 3], values: vec![2.0; 6] });
    }

    #[test]
    fn what_goes_out_comes_in() {
        let mut weights = collect(&tree(1.0, &device()));
        weights.get_mut("layers.1.bias").unwrap().values = vec![0.1, f32::MIN_POSITIVE];
        let mut frozen = tree(5.0, &device());
        frozen.last.weight = frozen.last.weight.no_grad();
        let loaded = apply(frozen, &weights).unwrap();
        assert_eq!(collect(&loaded), weights);
        assert!(!loaded.last.weight.is_require_grad());
        let Layer::Leaf(leaf) = &loaded.layers[1] else { panic!("the kind of a layer changed") };
        assert!(leaf.weight.is_require_grad());
        assert!(leaf.weight.val().is_autodiff());
        assert!(!apply(loaded.valid(), &weights).unwrap().last.weight.val().is_autodiff());
    }

    #[test]
    fn every_mismatch_is_named() {
        let module = tree(1.0, &device());
        let mut weights = collect(&module);
        weights.remove("layers.1.bias");
        weights.insert("stranger".into(), Array { shape: vec![1], values: vec![0.0] });
        weights.insert("last.weight".into(), Array { shape: vec![3, 2], values: vec![0.0; 6] });
        weights.get_mut("layers.1.weight").unwrap().values.pop();
        let errors: Vec<_> = mismatches(&module, &weights).iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 4, "{errors:?}");
        for name in ["layers.1.bias", "stranger", "last.weight", "layers.1.weight"] {
            assert!(errors.iter().any(|error| error.contains(name)), "{name} is not in {errors:?}");
        }
        assert!(apply(module, &weights).is_err());
    }
}
