//! Which configurations a network can be made from.

use genera_kernels::Activation;

use super::config::{ConfigError, DownBlockType, MidBlockType, TimeEmbeddingType, UNetConfig, UpBlockType};

/// No width, size or count of a sensible network is larger; products of a few of them fit 64 bits.
const LARGEST: usize = 1 << 20;

impl UNetConfig {
    /// Height and width, if a network can be made from this configuration.
    ///
    /// # Errors
    /// The first key whose value does not fit, and why.
    pub(super) fn check(&self) -> Result<[usize; 2], ConfigError> {
        let channels = &self.block_out_channels;
        self.check_range()?;
        for (key, blocks) in
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())]
        {
            require(blocks == channels.len(), key, blocks, || {
                format!("{blocks} levels, but block_out_channels has {}; give one type for each", channels.len())
            })?;
        }
        require(self.dropout == 0.0, "dropout", self.dropout, || "only 0 is supported".into())?;
        let act_fn_is_known = matches!(self.act_fn, Activation::Silu | Activation::Relu | Activation::Gelu);
        require(act_fn_is_known, "act_fn", format!("{:?}", self.act_fn), || "use silu, relu or gelu".into())?;
        require(self.downsample_padding < 2, "downsample_padding", self.downsample_padding, || "use 0 or 1".into())?;
        self.check_groups()?;
        self.check_heads()?;
        self.check_text()?;
        self.check_embedding()?;
        self.check_size()
    }

    fn check_range(&self) -> Result<(), ConfigError> {
        let sizes = self.sample_size.iter().flatten().map(|size| ("sample_size", *size));
        let channels = self.block_out_channels.iter().map(|channels| ("block_out_channels", *channels));
        let optional = [
            ("time_embedding_dim", self.time_embedding_dim),
            ("attention_head_dim", self.attention_head_dim),
            ("attn_norm_num_groups", self.attn_norm_num_groups),
            ("num_class_embeds", self.num_class_embeds),
            ("num_train_timesteps", self.num_train_timesteps),
            ("cross_attention_dim", self.cross_attention_dim),
        ];
        let optional = optional.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let always = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("layers_per_block", self.layers_per_block),
            ("norm_num_groups", self.norm_num_groups),
        ];
        for (key, value) in sizes.chain(channels).chain(optional).chain(always) {
            require((1..=LARGEST).contains(&value), key, value, || format!("use 1 to {LARGEST}"))?;
        }
        require(!self.block_out_channels.is_empty(), "block_out_channels", "[]", || "give at least one level".into())?;
        for (key, value) in [("mid_block_scale_factor", self.mid_block_scale_factor), ("norm_eps", self.norm_eps)] {
            require(value.is_finite() && value > 0.0, key, value, || "use a positive number".into())?;
        }
        Ok(())
    }

    /// Inputs of the way up are sums of two levels' channels: what divides all of these divides those.
    fn check_groups(&self) -> Result<(), ConfigError> {
        let groups = self.norm_num_groups;
        for channels in &self.block_out_channels {
            require(channels.is_multiple_of(groups), "norm_num_groups", groups, || {
                format!("does not divide the {channels} channels of a level")
            })?;
        }
        match (self.attn_norm_num_groups, self.block_out_channels.last()) {
            (Some(groups), Some(channels)) => {
                require(channels.is_multiple_of(groups), "attn_norm_num_groups", groups, || {
                    format!("does not divide the {channels} channels of the last level")
                })
            }
            _ => Ok(()),
        }
    }

    fn check_heads(&self) -> Result<(), ConfigError> {
        let Some(width) = self.attention_head_dim else { return Ok(()) };
        let channels = &self.block_out_channels;
        use {DownBlockType::*, UpBlockType::*};
        let down = channels.iter().zip(&self.down_block_types);
        let down = down.filter(|(_, kind)| matches!(kind, AttnDownBlock2D | CrossAttnDownBlock2D));
        let up = channels.iter().rev().zip(&self.up_block_types);
        let up = up.filter(|(_, kind)| matches!(kind, AttnUpBlock2D | CrossAttnUpBlock2D));
        let reads = self.mid_block_type == Some(MidBlockType::UNetMidBlock2DCrossAttn);
        let middle = channels.last().filter(|_| reads || self.mid_block_type.is_some() && self.add_attention);
        for channels in down.map(|(c, _)| c).chain(up.map(|(c, _)| c)).chain(middle) {
            require(width <= *channels, "attention_head_dim", width, || {
                format!("is more than the {channels} channels of a level with attention")
            })?;
        }
        Ok(())
    }

    /// Blocks that attend to a text need to know how wide its states are.
    fn check_text(&self) -> Result<(), ConfigError> {
        let known = self.cross_attention_dim.is_some();
        let problem = || "it attends to a text: give the width of its states, cross_attention_dim".to_owned();
        let down = self.down_block_types.contains(&DownBlockType::CrossAttnDownBlock2D);
        let up = self.up_block_types.contains(&UpBlockType::CrossAttnUpBlock2D);
        let middle = self.mid_block_type == Some(MidBlockType::UNetMidBlock2DCrossAttn);
        require(known || !down, "down_block_types", "CrossAttnDownBlock2D", problem)?;
        require(known || !up, "up_block_types", "CrossAttnUpBlock2D", problem)?;
        require(known || !middle, "mid_block_type", "UNetMidBlock2DCrossAttn", problem)
    }

    fn check_embedding(&self) -> Result<(), ConfigError> {
        let positional = self.time_embedding_type == TimeEmbeddingType::Positional;
        let half = self.block_out_channels[0] as i64 / 2;
        let fits = (0..half.max(1)).contains(&i64::from(self.freq_shift));
        require(!positional || fits, "freq_shift", self.freq_shift, || format!("use 0 to {}", half.max(1) - 1))?;
        let learned = self.time_embedding_type == TimeEmbeddingType::Learned;
        require(!learned || self.num_train_timesteps.is_some(), "num_train_timesteps", "null", || {
            "a learnt time embedding needs the number of times".into()
        })
    }

    fn check_size(&self) -> Result<[usize; 2], ConfigError> {
        let missing = || ConfigError {
            key: "sample_size",
            value: "null".into(),
            problem: "give the height and width of the images".into(),
        };
        let size = self.sample_size.ok_or_else(missing)?;
        // At most 21 levels halve a size of 2²⁰, and `1 << 63` is still a number.
        let step = 1_usize << (self.block_out_channels.len() - 1).min(63);
        for side in size {
            require(side.is_multiple_of(step), "sample_size", side, || {
                format!("must be a multiple of {step}, since {} levels halve it", self.block_out_channels.len() - 1)
            })?;
        }
        Ok(size)
    }
}

/// Nothing if `condition` holds; otherwise the error that names the key.
pub(crate) fn require(
    condition: bool,
    key: &'static str,
    value: impl ToString,
    problem: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    match condition {
        true => Ok(()),
        false => Err(ConfigError { key, value: value.to_string(), problem: problem() }),
    }
}
