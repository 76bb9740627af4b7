//! A style-based generator as a player: where its samples start, how styles are mixed, and the truncation of styles.
//!
//! ```text
//! mixing       with probability p the layers from a random one on follow a second style
//! truncation   w ← c + ψ (w − c),   c = E w
//! ```
//!
//! Karras, Laine and Aila, "StyleGAN" (arXiv:1812.04948), section 3.1 and appendix B. There `c` is a running mean of training;
//! here it is the mean over styles of the network that draws, always the same ones, so nothing has to be saved. With `ψ` the
//! noise of pixels shrinks too: at 0 all rows are equal, and at 1 they are the bits of the model itself.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::adversarial::Generate;
use crate::caution::{Caution, sampler};
use crate::nn::{Grown, Labelled, StyleGenerator, images, rows};
use crate::traits::{Cautious, Net, Rows, Sample, Styles};

/// Styles whose mean is `c`.
const MEAN_OF: usize = 4096;

/// Images of `[C, H, W]` in the middle of a square canvas, whose sides are those of the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Canvas {
    pub shape: [usize; 3],
    pub side: usize,
}

impl Canvas {
    /// What is left of and above the image.
    fn margins(self) -> [usize; 2] {
        [self.shape[1], self.shape[2]].map(|side| (self.side - side) / 2)
    }

    /// Rows of images on the canvas, surrounded by `background`: `[B, C · H · W] -> [B, S, S, C]`.
    pub fn laid(self, x: Rows, background: f64) -> Tensor<4> {
        let ([top, left], [_, height, width]) = (self.margins(), self.shape);
        let below = self.side - height - top;
        let right = self.side - width - left;
        images(x, self.shape).pad([(0, 0), (top, below), (left, right), (0, 0)], background as f32)
    }

    /// The rows of the images on a canvas, of any stage: `[B, s, s, C] -> [B, C · H · W]`.
    fn cut(self, mut canvas: Tensor<4>) -> Rows {
        while canvas.dims()[1] < self.side {
            canvas = genera_kernels::upsample_nearest2x(canvas);
        }
        let ([top, left], [_, height, width]) = (self.margins(), self.shape);
        rows(canvas.narrow(1, top, height).narrow(2, left, width))
    }
}

/// A style-based generator behind noise.
#[derive(Module, Debug)]
pub struct Styled {
    net: StyleGenerator,
    #[module(skip)]
    latents: usize,
    #[module(skip)]
    mixing: f64,
    #[module(skip)]
    canvas: Canvas,
    #[module(skip)]
    device: Device,
}

impl Styled {
    pub(super) fn new(net: StyleGenerator, latents: usize, mixing: f64, canvas: Canvas, device: &Device) -> Self {
        Self { net, latents, mixing, canvas, device: device.clone() }
    }

    /// This generator grown so far.
    pub(super) fn at(self, grown: Grown) -> Self {
        Self { net: self.net.at(grown), ..self }
    }

    /// How far it has grown.
    pub fn grown(&self) -> Grown {
        self.net.grown()
    }

    fn rows(&self, values: Vec<f32>, width: usize) -> Rows {
        let n = values.len() / width;
        Tensor::from_data(TensorData::new(values, [n, width]), &self.device)
    }

    fn normal(&self, n: usize, width: usize, rng: &mut Rng) -> Rows {
        self.rows(rng.normal(n, width), width)
    }

    /// Samples, with styles drawn towards their mean and with less noise.
    fn truncated(&self, psi: f64, centre: &Rows, n: usize, rng: &mut Rng) -> Rows {
        let w = self.styles(n, rng);
        let noise = self.normal(n, self.net.noise(), rng);
        let w = (w - centre.clone()) * psi + centre.clone();
        self.canvas.cut(self.net.synthesise(|_| w.clone(), noise * psi))
    }
}

impl Net<Labelled> for Styled {
    /// Training's way: an image of the stage's side from a row of [`Styled::noise`], with mixed styles.
    fn forward(&self, Labelled { x, .. }: Labelled) -> Rows {
        let (latents, layers) = (self.latents, self.net.layers());
        let piece = |first: usize, width: usize| x.clone().narrow(1, first, width);
        let noise = piece(2 * latents + 1, self.net.noise());
        let w = self.net.styles(piece(0, latents));
        if self.mixing == 0.0 {
            return rows(self.net.synthesise(|_| w.clone(), noise));
        }
        let other = self.net.styles(piece(latents, latents)) - w.clone();
        // A number below p is the place, as a part of p; where it is above, all layers follow the first style.
        let place = piece(2 * latents, 1) / self.mixing;
        let mixed = |layer: usize| {
            // The first layer always follows the first style: the others begin to differ at places below its own.
            let reached = place.clone().lower_elem(layer as f64 / (layers - 1) as f64);
            let within = place.clone().lower_elem(1.0);
            w.clone() + other.clone() * (reached.float() * within.float())
        };
        rows(self.net.synthesise(mixed, noise))
    }
}

impl Generate for Styled {
    /// `z`, the second `z`, one number uniform on [0, 1), and the noise of pixels.
    fn noise(&self, n: usize, rng: &mut Rng) -> Rows {
        let z = self.normal(n, 2 * self.latents, rng);
        let place = self.rows(rng.uniform(n, 1), 1);
        Tensor::cat(vec![z, place, self.normal(n, self.net.noise(), rng)], 1)
    }

    fn cautious(&self) -> Option<&dyn Cautious> {
        Some(self)
    }
}

impl Sample for Styled {
    /// One style a row. Early stages are drawn as coarse pictures of the full size.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let w = self.styles(n, rng);
        self.drawn(w.clone(), w, self.layers(), rng)
    }
}

impl Cautious for Styled {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        match caution {
            Caution::Style(1.0) => Some(sampler(move |n, rng: &mut Rng| self.sample(n, rng))),
            Caution::Style(psi) if caution.is_sound() => {
                let centre = self.centre();
                Some(sampler(move |n, rng: &mut Rng| self.truncated(psi, &centre, n, rng)))
            }
            _ => None,
        }
    }
}

impl Styles for Styled {
    fn layers(&self) -> usize {
        self.net.layers()
    }

    fn styles(&self, n: usize, rng: &mut Rng) -> Rows {
        self.net.styles(self.normal(n, self.latents, rng))
    }

    fn centre(&self) -> Rows {
        self.styles(MEAN_OF, &mut Rng::new(0).fork("centre of styles")).mean_dim(0)
    }

    fn drawn(&self, coarse: Rows, fine: Rows, cut: usize, rng: &mut Rng) -> Rows {
        let noise = self.normal(coarse.dims()[0], self.net.noise(), rng);
        let style = |layer: usize| if layer < cut { coarse.clone() } else { fine.clone() };
        self.canvas.cut(self.net.synthesise(style, noise))
    }
}
