//! A prior over two levels of codes: the coarse grid first, then the fine one, which is told the coarse.
//!
//! ```text
//! p(c|y) = p(c_top|y) p(c_bottom|c_top, y)
//! ```
//!
//! Razavi, van den Oord and Vinyals (arXiv:1906.00446), section 3.2. Coarse codes become vectors, see their neighbours and
//! are enlarged to the fine grid; the fine prior is told the vector at each of its places, and the class.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::{GivenPrior, ToldPrior};
use crate::autoregressive::Autoregressive;
use crate::caution::sampler;
use crate::nn::{CausalError, Conv2d, ConvOptions, Embedding, Told};
use crate::traits::{Batch, Caution, Cautious, Density, Loss, Model, Rows, Sample, Tokens, View};

/// What a fine prior is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeContextConfig {
    /// Numbers for each coarse code.
    pub width: usize,
}

impl Default for CodeContextConfig {
    fn default() -> Self {
        Self { width: 32 }
    }
}

impl CodeContextConfig {
    /// How many numbers a fine prior is told of each place, with so many classes.
    pub fn told(&self, classes: usize) -> usize {
        self.width + classes
    }

    /// A prior of `top` and `bottom` over grids of these heights and widths, coarse and fine, and books of `codes` coarse
    /// codes. The network of `top` is told `classes` numbers of each grid, at least one, and that of `bottom`
    /// [`told`](CodeContextConfig::told) of each place.
    ///
    /// # Errors
    /// A width of zero.
    pub fn init<N: Module + Told>(
        &self,
        [top, bottom]: [Autoregressive<N>; 2],
        grids: [[usize; 2]; 2],
        codes: usize,
        classes: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<CodeHierarchy<N>, CausalError> {
        if self.width == 0 {
            return Err(CausalError::Size { what: "width of the context" });
        }
        let mut conv = || Conv2d::new(self.width, self.width, 3, ConvOptions::same(3), rng, device);
        let (coarse, fine) = (conv(), conv());
        let context = CodeContext { table: Embedding::new(codes, self.width, rng, device), coarse, fine, grids };
        Ok(CodeHierarchy { top, bottom, context, classes: Classes(classes) })
    }
}

/// Coarse codes as numbers at every fine place.
#[derive(Module, Debug)]
struct CodeContext {
    table: Embedding,
    coarse: Conv2d,
    fine: Conv2d,
    #[module(skip)]
    grids: [[usize; 2]; 2],
}

impl CodeContext {
    /// `[B, T], [B, C] -> [B, h · w · (width + C)]`.
    fn forward(&self, codes: Tokens, classes: Rows) -> Rows {
        let ([rows, places], [coarse, fine], count) = (codes.dims(), self.grids, classes.dims()[1]);
        let vectors = self.table.forward(codes.reshape([rows * places]));
        let width = vectors.dims()[1];
        let h: Tensor<4> = vectors.reshape([rows, coarse[0], coarse[1], width]);
        let h = activate(self.coarse.forward(h), Activation::Relu);
        let h = (0..2).fold(h, |h, axis| h.select(axis + 1, nearest(coarse[axis], fine[axis], &classes.device())));
        let h = activate(self.fine.forward(h), Activation::Relu);
        let classes: Tensor<4> = classes.reshape([rows, 1, 1, count]);
        let classes = classes.expand([rows, fine[0], fine[1], count]);
        Tensor::cat(vec![h, classes], 3).reshape([rows, fine[0] * fine[1] * (width + count)])
    }
}

/// For each of `to` places the one of `from` that covers it.
fn nearest(from: usize, to: usize, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i32> = (0..to).map(|place| (place * from / to) as i32).collect();
    Tensor::from_data(TensorData::new(places, [to]), device)
}

/// A prior over codes of two levels, the coarse ones first in a row.
#[derive(Module, Debug)]
pub struct CodeHierarchy<N: Module> {
    /// `p(c_top|y)`.
    pub top: Autoregressive<N>,
    /// `p(c_bottom|c_top, y)`.
    pub bottom: Autoregressive<N>,
    context: CodeContext,
    #[module(skip)]
    classes: Classes,
}

impl<N: Module + Told> CodeHierarchy<N> {
    /// Coarse and fine codes: `[B, T] -> [B, T_top], [B, T_bottom]`.
    fn split(&self, codes: Tokens) -> [Tokens; 2] {
        let [top, bottom] = self.context.grids.map(|[height, width]| height * width);
        [codes.clone().narrow(1, 0, top), codes.narrow(1, top, bottom)]
    }

    /// `log p` of both levels in nats, given indicators of the class: `[B, T], [B, C] -> [B], [B]`.
    fn terms(&self, codes: Tokens, classes: Rows) -> [Tensor<1>; 2] {
        let [top, bottom] = self.split(codes);
        let told = self.context.forward(top.clone(), classes.clone());
        [self.top.log_prob_told(top.float(), &classes), self.bottom.log_prob_told(bottom.float(), &told)]
    }

    /// Whether there are classes to be told of.
    pub fn has_classes(&self) -> bool {
        self.classes.0 > 1
    }

    fn given_classes(&self, labels: &[usize]) -> Given<'_, N> {
        Given { prior: self, labels: labels.to_vec() }
    }
}

/// A prior for given classes.
struct Given<'a, N: Module> {
    prior: &'a CodeHierarchy<N>,
    labels: Vec<usize>,
}

impl<N: Module + Told> Given<'_, N> {
    fn classes(&self, rows: usize) -> Rows {
        let labels: Vec<usize> = self.labels.iter().copied().cycle().take(rows).collect();
        self.prior.classes.indicators(&labels, &self.prior.top.device())
    }
}

impl<N: Module + Told> Sample<Tokens> for Given<'_, N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        let (prior, classes) = (self.prior, self.classes(n));
        let top: Tokens = prior.top.given(classes.clone()).sample(n, rng);
        let told = prior.context.forward(top.clone(), classes);
        let bottom: Tokens = prior.bottom.given(told).sample(n, rng);
        Tensor::cat(vec![top, bottom], 1)
    }
}

impl<N: Module + Told> Density<Tokens> for Given<'_, N> {
    fn log_prob(&self, x: Tokens) -> Tensor<1> {
        let classes = self.classes(x.dims()[0]);
        let [top, bottom] = self.prior.terms(x, classes);
        top + bottom
    }
}

impl<N: Module + ModuleDisplay + Told> ToldPrior for CodeHierarchy<N> {
    fn given(&self, labels: &[usize]) -> Box<dyn GivenPrior + '_> {
        Box::new(self.given_classes(labels))
    }
}

impl<N: Module + Told> Model for CodeHierarchy<N> {
    /// Minus the mean log-probability of a code, in nats.
    fn loss(&self, batch: Batch, _rng: &mut Rng) -> Loss {
        let (classes, places) = (self.classes.of_batch(&batch), batch.x.dims()[1]);
        let [top, bottom] = self.terms(batch.x.int(), classes).map(|log_p| log_p.mean().neg());
        let number = |x: &Tensor<1>| f64::from(x.clone().into_scalar::<f32>());
        let parts = vec![("top", number(&top)), ("bottom", number(&bottom))];
        Loss { value: (top + bottom) / places as f64, parts }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

impl<N: Module + Told> Sample<Tokens> for CodeHierarchy<N> {
    /// Classes are drawn too, uniformly.
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        let labels = self.classes.drawn(n, rng);
        self.given_classes(&labels).sample(n, rng)
    }
}

impl<N: Module + Told> Density<Tokens> for CodeHierarchy<N> {
    /// The mean over the classes.
    fn log_prob(&self, x: Tokens) -> Tensor<1> {
        self.classes.mean(|class| self.given_classes(&[class]).log_prob(x.clone()))
    }
}

impl<N: Module + ModuleDisplay + Told> Cautious<Tokens> for CodeHierarchy<N> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample<Tokens> + '_>> {
        let careful = Self { top: self.top.cautious(caution)?, bottom: self.bottom.cautious(caution)?, ..self.clone() };
        Some(sampler(move |n, rng| careful.sample(n, rng)))
    }
}
