//! How activations are written in recipes and configurations.

use genera_kernels::Activation;
use serde::{Deserialize, Serialize};

/// The names of [`Activation`]s: `silu`, `leaky_relu` and so on. For `#[serde(with = "ActivationName")]`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "snake_case")]
pub(crate) enum ActivationName {
    Identity,
    Relu,
    LeakyRelu,
    #[serde(alias = "swish")]
    Silu,
    Selu,
    Gelu,
    Tanh,
    Sigmoid,
    Softplus,
}
