//! The networks, each as the list of its layers.

use super::layers::{activation, images, residual, rows, shift};
use super::{Linearise, Linearised};
use crate::nn::{Activation, ConditionalMlp, ConditionalResNet, Conditioned, ConvCritic, Mlp, ResidualMlp};
use crate::traits::Rows;

impl Linearise for Mlp {
    fn linearise(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(Linearised::at(x), |at, (i, layer)| {
            let at = at.then(|x| layer.linearise(x));
            if i < last { at.then(|z| activation(z, self.activation)) } else { at }
        })
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

impl Linearise for ConvCritic {
    fn linearise(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        let features = self.layers.iter().fold(images(x, self.shape), |at, layer| {
            at.then(|h| layer.linearise(h)).then(|z| activation(z, Activation::LeakyRelu))
        });
        features.then(rows).then(|h| self.output.linearise(h))
    }
}
