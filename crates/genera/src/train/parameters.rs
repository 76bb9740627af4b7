//! A module seen as vectors: its float parameters by path, each flattened, without autodiff.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::weights::FieldPath;

/// One parameter.
pub(crate) struct Parameter {
    /// All its elements, `[N]`.
    pub value: Tensor<1>,
    /// Whether gradients are asked for.
    pub trained: bool,
}

/// The float parameters of `module` by path. Their values share memory with the module's.
pub(crate) fn parameters(module: &impl Module) -> BTreeMap<String, Parameter> {
    let mut visitor = Read { path: FieldPath::default(), parameters: BTreeMap::new() };
    module.visit(&mut visitor);
    visitor.parameters
}

/// `module` with the value of each float parameter replaced by `change(path, value)`, `[N] -> [N]`. Shapes, devices
/// and gradient settings stay.
pub(crate) fn map_parameters<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Map { path: FieldPath::default(), change })
}

/// All elements of `tensor` in row-major order.
pub(crate) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.dims().iter().product::<usize>();
    tensor.reshape([elements])
}

struct Read {
    path: FieldPath,
    parameters: BTreeMap<String, Parameter>,
}

impl ModuleVisitor for Read {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let trained = value.is_require_grad();
        self.parameters.insert(self.path.name(), Parameter { value: flat(value.inner()), trained });
    }
}

struct Map<F> {
    path: FieldPath,
    change: F,
}

impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Map<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        param.map(|value| {
            let (shape, trained, strategy) =
                (value.dims(), value.is_require_grad(), value.gradient_checkpointing_strategy());
            let value = (self.change)(&name, flat(value.inner())).reshape(shape);
            match strategy {
                None => value,
                Some(strategy) => {
                    Tensor::from_inner(value).with_gradient_checkpointing_strategy(strategy).set_require_grad(trained)
                }
            }
        })
    }
}
