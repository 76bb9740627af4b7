//! A U-Net that is told a text: a transformer reads it, and the image attends to what it read.

use burn::module::Module;
use burn::tensor::Device;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::text_encoder::{END, PADDING};
use super::unet::{ConfigError, UNet, UNetConfig, require};
use super::{Conditioned, TextEncoder, TextEncoderConfig};
use crate::traits::{Net, Rows};

/// Both networks, apart from what the data say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptionedUNetConfig {
    /// What reads.
    pub text: TextEncoderConfig,
    /// What draws; at least one of its blocks attends to the text.
    pub unet: UNetConfig,
}

impl CaptionedUNetConfig {
    /// Fresh weights for texts of `symbols` symbols; no text is known yet.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, symbols: usize, rng: &mut Rng, device: &Device) -> Result<CaptionedUNet, ConfigError> {
        let unet = UNetConfig { cross_attention_dim: Some(self.text.width), ..self.unet.clone() };
        require(unet.attends_to_text(), "down_block_types", format!("{:?}", unet.down_block_types), || {
            "no block attends to the text; make one of them CrossAttnDownBlock2D, CrossAttnUpBlock2D or \
             UNetMidBlock2DCrossAttn"
                .into()
        })?;
        Ok(CaptionedUNet {
            text: self.text.init(symbols, rng, device)?,
            unet: unet.init(rng, device)?,
            texts: Vec::new(),
        })
    }
}

/// A U-Net whose labels are numbers of texts. A label without a text, or none, says nothing: an empty text.
#[derive(Module, Debug)]
pub struct CaptionedUNet {
    text: TextEncoder,
    unet: UNet,
    /// Each with its end and its padding, all equally long.
    #[module(skip)]
    texts: Vec<Vec<u8>>,
}

impl CaptionedUNet {
    /// The same network, whose label `i` means `texts[i]`: symbols of the alphabet, an end, and padding up to
    /// [`CaptionedUNet::length`].
    pub fn reading(self, texts: Vec<Vec<u8>>) -> Self {
        Self { texts, ..self }
    }

    /// How long texts are, with their padding.
    pub fn length(&self) -> usize {
        self.text.length()
    }
}

impl Net<Conditioned> for CaptionedUNet {
    fn forward(&self, input: Conditioned) -> Rows {
        let rows = input.x.dims()[0];
        let mut silence = vec![PADDING; self.length()];
        silence[0] = END;
        let labels = match &input.labels {
            Some(labels) => labels.clone().try_into_vec_as::<i32>().expect("the device lost its data"),
            None => vec![-1; rows],
        };
        let text = |label: &i32| usize::try_from(*label).ok().and_then(|label| self.texts.get(label));
        let texts: Vec<&[u8]> = labels.iter().map(|label| text(label).unwrap_or(&silence).as_slice()).collect();
        let read = self.text.forward(&texts);
        self.unet.forward_told(Conditioned { labels: None, ..input }, &read)
    }
}
