//! Scores: networks whose last layer is a linear map of features, and what may be added to that map.
//!
//! ```text
//! f(x, y) = w · φ(x) + b + ⟨e(y), φ(x)⟩ + v s(φ)
//! ```
//!
//! `⟨e(y), φ(x)⟩` is the projection of Miyato and Koyama (arXiv:1802.05637), with one vector `e(y)` a class. `s` is the
//! minibatch standard deviation of Karras et al. (arXiv:1710.10196): the standard deviation of each feature over the batch,
//! averaged over the features; one number, the same for all rows, by which a critic sees that samples are too much alike.
//! There it is a further channel before the last layers; here it is a further input of the last.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use genera_rng::Rng;

use super::derivative::{Linearise, Linearised};
use super::{Embedding, Linear, init};
use crate::traits::{Net, Rows};

/// What a network that is told classes sees.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// `[B, F]`.
    pub x: Rows,
    /// One class a row, for networks that are told: `[B]`.
    pub labels: Option<Tensor<1, Int>>,
}

impl From<Rows> for Labelled {
    fn from(x: Rows) -> Self {
        Self { x, labels: None }
    }
}

/// A network whose score is a linear map of its features.
pub trait Scorer {
    /// `φ(x)`: `[B, F] -> [B, D]`.
    fn features(&self, x: Rows) -> Rows;
    /// The same with the derivative: `[B, F] -> [B, D]`.
    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows>;
    /// The last layer, from `D` features to one number.
    fn output(&self) -> &Linear;
}

/// What a [`Critic`] adds to the last layer of its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// The number of classes that it is told of.
    pub classes: Option<usize>,
    /// Whether it sees the minibatch standard deviation.
    pub deviation: bool,
}

/// A score of rows, given their classes if it is told them: `[B, F] -> [B, 1]`.
#[derive(Module, Debug)]
pub struct Critic<S: Module> {
    net: S,
    /// `e(y)`.
    label: Option<Embedding>,
    /// `v`, `[1]`.
    deviation: Option<Param<Tensor<1>>>,
}

impl<S: Module + Scorer> Critic<S> {
    /// `net` with its weights, and fresh weights of what is added.
    pub fn new(net: S, additions: Additions, rng: &mut Rng, device: &Device) -> Self {
        let width = net.output().weight.lazy_shape()[1];
        let table = |classes, rng: &mut Rng| init::fan_in_uniform([classes, width], width, rng, device);
        Self {
            label: additions.classes.map(|classes| Embedding { weight: table(classes, rng) }),
            deviation: additions.deviation.then(|| init::fan_in_uniform([1], width, rng, device)),
            net,
        }
    }

    /// `φ(x)`: `[B, F] -> [B, D]`.
    pub fn features(&self, x: Rows) -> Rows {
        self.net.features(x)
    }

    /// This critic with `change` of its network, which has the same features.
    pub fn with_net(self, change: impl FnOnce(S) -> S) -> Self {
        Self { net: change(self.net), ..self }
    }

    /// `e(y)`: `[B, D]`, if the critic is told classes.
    fn projection(&self, labels: Option<Tensor<1, Int>>) -> Option<Rows> {
        self.label.as_ref().zip(labels).map(|(label, labels)| label.forward(labels))
    }
}

impl<S: Module + Scorer> Net<Labelled> for Critic<S> {
    fn forward(&self, Labelled { x, labels }: Labelled) -> Rows {
        let features = self.net.features(x);
        let mut score = self.net.output().forward(features.clone());
        if let Some(vectors) = self.projection(labels) {
            score = score + (vectors * features.clone()).sum_dim(1);
        }
        match &self.deviation {
            Some(weight) => score + spread(features).value * weight.val().unsqueeze(),
            None => score,
        }
    }
}

impl<S: Module + Scorer> Linearise<Labelled> for Critic<S> {
    fn linearise(&self, Labelled { x, labels }: Labelled) -> Linearised<'_, Rows, Rows> {
        let at = self.net.linearise_features(x);
        let features = at.value.clone();
        let mut parts = vec![self.net.output().linearise(features.clone())];
        if let Some(vectors) = self.projection(labels) {
            let pulled = vectors.clone();
            let value = (vectors.clone() * features.clone()).sum_dim(1);
            let push = move |v: Rows| (vectors.clone() * v).sum_dim(1);
            parts.push(Linearised::new(value, push, move |u: Rows| pulled.clone() * u));
        }
        if let Some(weight) = &self.deviation {
            let scaled = move |s: Rows| s * weight.val().unsqueeze();
            parts.push(spread(features).then(|s| Linearised::new(scaled(s), scaled, scaled)));
        }
        at.then(|_| sum(parts))
    }
}

/// The sum of maps of one point.
fn sum<'a>(parts: Vec<Linearised<'a, Rows, Rows>>) -> Linearised<'a, Rows, Rows> {
    let mut parts = parts.into_iter();
    let first = parts.next().expect("there is the last layer");
    parts.fold(first, Linearised::plus)
}

/// `ε` of the minibatch standard deviation, below the root.
const EPSILON: f64 = 1e-8;

/// The standard deviation of each feature over the batch, averaged over the features, for every row:
/// `[B, D] -> [B, 1]`. Rows do mix.
///
/// With `c = φ - mean φ`, `σ_d = √(mean c² + ε)`, `s = mean_d σ_d`: the derivative along `v` is `Σ c v / (B D σ)`, its
/// transpose `c Σ u / (B D σ)`.
fn spread(features: Rows) -> Linearised<'static, Rows, Rows> {
    let [rows, width] = features.dims();
    let centred = features.clone() - features.mean_dim(0);
    let sigma = (centred.clone().square().mean_dim(0) + EPSILON).sqrt();
    let slope = centred / sigma.clone() / (rows * width) as f64;
    let pulled = slope.clone();
    let everywhere = move |s: Tensor<2>| s.expand([rows, 1]);
    Linearised::new(
        everywhere(sigma.mean_dim(1)),
        move |v: Rows| everywhere((slope.clone() * v).sum_dim(1).sum_dim(0)),
        move |u: Rows| pulled.clone() * u.sum_dim(0),
    )
}
