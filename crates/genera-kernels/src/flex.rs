//! The door between Burn's tensors and the slices that kernels work on.
//!
//! Burn 0.22 erases the backend of a tensor; `#[backend_extension]` finds it again at run time. A kernel is served to
//! f32 tensors of the Flex backend, with or without autodiff, on a processor that has what it needs; see [`simd`].

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, DispatchDevice, ExtensionType, Flex};
use burn::tensor::{Bytes, DType, Shape, Tensor};

use crate::simd::Simd;

/// Leave to run a kernel on `x`, if it lives where kernels serve.
pub(crate) fn simd<const D: usize>(x: &Tensor<D>) -> Option<Simd> {
    let device = x.device();
    let on_flex = match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(device.clone().inner(), DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)]
        _ => false,
    };
    if on_flex && x.dtype() == DType::F32 { Simd::detect() } else { None }
}

/// An operand that may be absent.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum Maybe<B: Backend> {
    /// Absent.
    None,
    /// Present.
    Some(FloatTensor<B>),
}

impl<const D: usize> From<Option<Tensor<D>>> for Maybe<burn::backend::Dispatch> {
    fn from(tensor: Option<Tensor<D>>) -> Self {
        tensor.map_or(Self::None, |tensor| Self::Some(tensor.into_dispatch()))
    }
}

impl Maybe<Flex> {
    pub(crate) fn contiguous(self) -> Option<FlexTensor> {
        match self {
            Self::None => None,
            Self::Some(tensor) => Some(tensor.to_contiguous()),
        }
    }
}

impl<C: CheckpointStrategy> Maybe<Autodiff<Flex, C>> {
    /// The value and its place in the graph; an absent operand is a constant there.
    pub(crate) fn into_parts(self) -> (Maybe<Flex>, NodeGuard) {
        match self {
            Self::None => {
                let nothing = <Autodiff<Flex, C> as AutodiffBackend>::from_inner(tensor(Vec::new(), [0]));
                (Maybe::None, nothing.into_parts().1)
            }
            Self::Some(tensor) => {
                let (tensor, node) = tensor.into_parts();
                (Maybe::Some(tensor), node)
            }
        }
    }
}

/// The array of a tensor on a plain Flex device.
pub(crate) fn plain<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    tensor.try_into_primitive::<Flex>().expect("the device was checked at the door")
}

/// The buffer of a tensor, for writing: a view is copied, and a shared one when it is first written to.
pub(crate) fn owned(tensor: FlexTensor) -> FlexTensor {
    let whole = tensor.is_contiguous() && tensor.bytes().len() == tensor.layout().num_elements() * size_of::<f32>();
    if whole { tensor } else { tensor.to_contiguous() }
}

/// The elements of a contiguous tensor.
pub(crate) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("kernels read contiguous f32 tensors")
}

/// A tensor of `values`, not copied.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// `len` numbers of no particular value, for a kernel that writes every one of them before any is read.
#[allow(unsafe_code, clippy::uninit_vec)]
pub(crate) fn unwritten(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`; every bit pattern is an f32, and by contract none is read before it is written.
    unsafe { values.set_len(len) };
    values
}

/// Hands the gradient of a parent to the graph, if it wants one.
pub(crate) fn register(gradients: &mut Gradients, parent: Option<NodeId>, gradient: impl FnOnce() -> FlexTensor) {
    if let Some(parent) = parent {
        gradients.register::<Flex>(parent, gradient());
    }
}
