//! The U-Net of diffusion models: Ronneberger et al. (arXiv:1505.04597) with the residual blocks, attention and time
//! embedding of Ho et al. (arXiv:2006.11239).
//!
//! Structure, names of the weights and keys of the configuration are those of diffusers' `UNet2DModel` 0.42, so that
//! its checkpoints load and give the same images; blocks that attend to a text are those of `UNet2DConditionModel`. Not supported: dropout, skip blocks with FIR filters (`Skip..`,
//! `..Encoder..`, `K..` blocks), `class_embed_type = "identity"`, `act_fn = "mish"`; each is an error that says so.

mod attention;
mod check;
mod config;
mod level;
mod resnet;
mod text;
mod time;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate};
use genera_rng::Rng;

pub use config::{
    ClassEmbedType, ConfigError, DownBlockType, MidBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift,
    UNetConfig, UpBlockType,
};
use level::{DownBlock, MidBlock, UpBlock};
// The autoencoders are made of the same parts.
pub(in crate::nn) use attention::{Attention, Heads};
pub(crate) use check::require;
pub(in crate::nn) use config::sample_size;
pub(in crate::nn) use resnet::{Resample, ResnetBlock, Scale, Style};
use time::{ClassEmbedding, TimeProjection};

use super::{Conditioned, Conv2d, GroupNorm, TextStates, TimestepEmbedding, image};
use crate::traits::{Net, Rows};

/// A U-Net: `[B, C · H · W] -> [B, C' · H · W]`.
///
/// Without labels, a class-conditional network sees the time alone; a network without classes ignores labels. Labels
/// must be below `num_class_embeds`, and times of a learnt embedding below `num_train_timesteps`. The times of a
/// Fourier network are noise levels, and positive. Blocks that attend to a text attend to the image alone if there is none.
#[derive(Module, Debug)]
pub struct UNet {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    config: UNetConfig,
    #[module(skip)]
    shape: [usize; 3],
}

impl UNetConfig {
    /// Fresh weights.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<UNet, ConfigError> {
        let [height, width] = self.check()?;
        let (levels, finest) = (0..self.block_out_channels.len(), self.block_out_channels[0]);
        let same = ConvOptions::same(3);
        Ok(UNet {
            conv_in: Conv2d::new(self.in_channels, finest, 3, same, rng, device),
            time_proj: TimeProjection::new(self, rng, device),
            time_embedding: TimestepEmbedding::new(TimeProjection::width(self), self.time_width(), rng, device),
            class_embedding: ClassEmbedding::new(self, rng, device),
            down_blocks: levels.clone().map(|level| DownBlock::new(level, self, rng, device)).collect(),
            mid_block: self.mid_block_type.map(|_| MidBlock::new(self, rng, device)),
            up_blocks: levels.map(|level| UpBlock::new(level, self, rng, device)).collect(),
            conv_norm_out: GroupNorm::new(self.norm_num_groups, finest, self.norm_eps as f32, device),
            conv_out: Conv2d::new(finest, self.out_channels, 3, same, rng, device),
            config: self.clone(),
            shape: [self.in_channels, height, width],
        })
    }
}

impl UNet {
    /// The configuration that the network was made from.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The event shape `[C, H, W]` of its input.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The output for rows that are told a text each.
    pub fn forward_told(&self, input: Conditioned, text: &TextStates) -> Rows {
        self.run(input, Some(text))
    }

    fn run(&self, Conditioned { x, time, labels }: Conditioned, text: Option<&TextStates>) -> Rows {
        let mut embedding = self.time_embedding.forward(self.time_proj.forward(time.clone()));
        if let Some((classes, labels)) = self.class_embedding.as_ref().zip(labels) {
            embedding = embedding + classes.forward(labels, &self.time_proj);
        }
        // Every residual block applies the activation to the embedding: once is enough.
        let embedding = activate(embedding, self.config.act_fn);

        let x = if self.config.center_input_sample { x * 2.0 - 1.0 } else { x };
        let mut h = self.conv_in.forward(image::images(x, self.shape));
        let mut skips: Vec<Tensor<4>> = vec![h.clone()];
        for block in &self.down_blocks {
            h = block.forward(h, &embedding, text, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            h = block.forward(h, &embedding, text);
        }
        for block in &self.up_blocks {
            h = block.forward(h, &embedding, text, &mut skips);
        }
        let y = image::rows(self.conv_out.forward(self.conv_norm_out.forward_into(h, Activation::Silu)));
        match self.time_proj {
            TimeProjection::Fourier(_) => y / time.unsqueeze_dim(1),
            TimeProjection::Positional(_) | TimeProjection::Learned(_) => y,
        }
    }
}

impl Net<Conditioned> for UNet {
    fn forward(&self, input: Conditioned) -> Rows {
        self.run(input, None)
    }
}
