//! Pictures and captions in one space.

use genera::burn::tensor::Device;
use genera::features::{Clip, ClipConfig};
use genera_data::caption::{SYMBOLS, encode};
use genera_rng::Rng;

use super::Offers;
use crate::data::Data;
use crate::failure::{Failure, Outcome};

impl Offers for Clip {
    fn clip(&self) -> Option<&Clip> {
        Some(self)
    }
}

/// A fresh model of the pictures and the captions of `data`.
pub fn init(config: &ClipConfig, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Clip> {
    let captions = data
        .captions()
        .ok_or_else(|| Failure::new("model.family: it learns from captions; set data.captions = true"))?;
    let clip = untaught(config, data, rng, device)?;
    let texts = captions.all().iter().map(|caption| encode(&caption.text, clip.length()));
    let texts = texts.collect::<Result<Vec<_>, _>>();
    Ok(clip.reading(texts.map_err(|error| Failure::new(error).during("model.text.length"))?))
}

/// The same, which knows no caption by its number.
pub fn untaught(config: &ClipConfig, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Clip> {
    match data.shape()[..] {
        [channels, height, width] => Ok(config.init([channels, height, width], SYMBOLS, rng, device)?),
        _ => Err(Failure::new("model.family: it is for pictures")),
    }
}
