//! The networks, each as the list of its layers.

use burn::tensor::Tensor;

use super::layers::{activation, halve, images, residual, rows, scale, shift, sum_image};
use super::{Linearise, Linearised};
use crate::nn::{
    Activation, ConditionalMlp, ConditionalResNet, Conditioned, ConvCritic, GrowingCritic, Mlp, ResidualCritic,
    ResidualMlp, Scorer,
};
use crate::traits::Rows;

impl Mlp {
    /// The last hidden layer and its derivative: `[B, inputs] -> [B, width]`.
    pub(in crate::nn) fn linearise_hidden(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let hidden = &self.layers[..self.layers.len() - 1];
        hidden.iter().fold(Linearised::at(x), |at, layer| {
            at.then(|x| layer.linearise(x)).then(|z| activation(z, self.activation))
        })
    }
}

impl Linearise for Mlp {
    fn linearise(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x).then(|h| self.layers[self.layers.len() - 1].linearise(h))
    }
}

impl Linearise<Conditioned> for ConditionalMlp {
    fn linearise(&self, Conditioned { x, time, labels }: Conditioned) -> Linearised<'_, Rows, Rows> {
        let f = self.config.activation;
        let embedding = self.embedding(time, labels);
        let first = self.projection.linearise(x).then(|h| shift(h, embedding)).then(|z| activation(z, f));
        let hidden =
            self.layers.iter().fold(first, |at, layer| at.then(|h| layer.linearise(h)).then(|z| activation(z, f)));
        hidden.then(|h| self.output.linearise(h))
    }
}

impl Linearise<Conditioned> for ResidualMlp {
    fn linearise(&self, Conditioned { x, time, labels }: Conditioned) -> Linearised<'_, Rows, Rows> {
        let embedding = self.condition.forward(time, labels);
        let blocks = self.blocks.iter().fold(self.projection.linearise(x), |at, block| {
            let time = block.time.forward(embedding.clone());
            at.then(|h| {
                residual(h, |h| {
                    let inner = block.norm.linearise(h).then(|h| block.linear_1.linearise(h)).then(|h| shift(h, time));
                    inner.then(|z| activation(z, block.activation)).then(|h| block.linear_2.linearise(h))
                })
            })
        });
        blocks.then(|h| self.norm.linearise(h)).then(|h| self.output.linearise(h))
    }
}

impl Linearise<Conditioned> for ConditionalResNet {
    fn linearise(&self, Conditioned { x, time, labels }: Conditioned) -> Linearised<'_, Rows, Rows> {
        let embedding = self.condition.forward(time, labels);
        let first = images(x, self.shape).then(|x| self.conv_in.linearise(x));
        let blocks = self.blocks.iter().fold(first, |at, block| {
            let time = block.time.forward(embedding.clone()).unsqueeze_dims(&[1, 2]);
            let relu = |z| activation(z, Activation::Relu);
            at.then(|h| {
                residual(h, |h| {
                    let inner = shift(h, time).then(|h| block.conv_1.linearise(h)).then(relu);
                    inner.then(|h| block.conv_2.linearise(h)).then(relu).then(|h| block.conv_3.linearise(h))
                })
            })
        });
        blocks.then(|h| self.conv_out.linearise(h)).then(rows)
    }
}

impl ConvCritic {
    /// The last image, as rows, and its derivative: `[B, C · H · W] -> [B, D]`.
    pub(in crate::nn) fn linearise_hidden(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let last = self.layers.iter().fold(images(x, self.shape), |at, layer| {
            at.then(|h| layer.linearise(h)).then(|z| activation(z, Activation::LeakyRelu))
        });
        last.then(rows)
    }
}

impl Linearise for ConvCritic {
    fn linearise(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x).then(|h| self.output.linearise(h))
    }
}

impl ResidualCritic {
    /// The sum of the last image and its derivative: `[B, C · H · W] -> [B, D]`.
    pub(in crate::nn) fn linearise_hidden(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let relu = |z| activation(z, Activation::Relu);
        let last = self.blocks.iter().fold(images(x, self.shape), |at, block| {
            at.then(|h| {
                let size = |h| if block.halves { halve(h) } else { Linearised::at(h) };
                let start = if block.first { Linearised::at(h.clone()) } else { relu(h.clone()) };
                let inner = start.then(|h| block.conv1.linearise(h)).then(relu).then(|h| block.conv2.linearise(h));
                let short = size(h);
                let short = match &block.shortcut {
                    Some(conv) => short.then(|h| conv.linearise(h)),
                    None => short,
                };
                inner.then(size).plus(short)
            })
        });
        last.then(relu).then(sum_image)
    }
}

impl Linearise for ResidualCritic {
    fn linearise(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x).then(|h| self.output().linearise(h))
    }
}

impl GrowingCritic {
    /// The last layer but one and its derivative: `[B, colours · S · S] -> [B, D]`.
    pub(in crate::nn) fn linearise_hidden(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let (stage, alpha, side) = (self.grown.stage, self.grown.alpha, self.grown.side());
        let leaky = |z| activation(z, Activation::LeakyRelu);
        let block = |h: Tensor<4>, stage: usize| {
            let layers = &self.blocks[stage - 1];
            let inner = layers.conv1.linearise(h).then(leaky).then(|h| layers.conv2.linearise(h));
            inner.then(halve).then(leaky)
        };
        let start = images(x, [self.colours, side, side]).then(|x| {
            let newest = self.from_rgb[stage].linearise(x.clone());
            match stage {
                0 => newest,
                _ if alpha >= 1.0 => newest.then(|h| block(h, stage)),
                _ => {
                    let newest = newest.then(|h| block(h, stage)).then(|h| scale(h, alpha));
                    let before = halve(x).then(|x| self.from_rgb[stage - 1].linearise(x));
                    newest.plus(before.then(|h| scale(h, 1.0 - alpha)))
                }
            }
        });
        let last = (1..stage).rev().fold(start, |at, stage| at.then(|h| block(h, stage)));
        let end = last.then(|h| self.conv.linearise(h)).then(leaky).then(rows);
        end.then(|h| self.dense.linearise(h)).then(|z| activation(z, Activation::LeakyRelu))
    }
}
