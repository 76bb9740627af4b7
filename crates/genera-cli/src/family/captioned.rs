//! Diffusions that read captions: the texts that they know, and those that a user writes.

use genera::diffusion::{Diffusion, Level};
use genera::nn::CaptionedUNet;
use genera::traits::{Denoise, Rows};
use genera_data::caption::encode;

use super::diffusion::Denoiser;
use crate::data::Data;
use crate::failure::{Failure, Outcome};

/// `net`, which knows the captions of the data by their numbers.
pub fn taught(net: CaptionedUNet, data: &Data, conditional: bool) -> Outcome<CaptionedUNet> {
    let captions = data.captions().filter(|_| conditional).ok_or_else(|| {
        Failure::new("model.net: it reads captions; set data.captions = true and model.conditional = true")
    })?;
    let texts = captions.all().iter().map(|caption| encode(&caption.text, net.length()));
    let texts = texts.collect::<Result<Vec<_>, _>>();
    Ok(net.reading(texts.map_err(|error| Failure::new(error).during("model.net.text.length"))?))
}

/// How long a text may be, its end included; none if the model reads none.
pub fn text_length(model: &Diffusion<Denoiser>) -> Option<usize> {
    match &model.net {
        Denoiser::CaptionedUnet(net) => Some(net.length()),
        _ => None,
    }
}

/// The model told `texts[i mod len]` of row `i`, or nothing if there are none.
pub fn reading(model: &Diffusion<Denoiser>, texts: Vec<Vec<u8>>) -> Option<Box<dyn Denoise + 'static>> {
    let Denoiser::CaptionedUnet(net) = &model.net else { return None };
    let labels = (0..texts.len()).collect();
    let net = Denoiser::CaptionedUnet(net.clone().reading(texts));
    let mut model = model.clone();
    model.net = net;
    Some(Box::new(Reading { model, labels }))
}

/// A diffusion whose captions are others than those of its data.
struct Reading {
    model: Diffusion<Denoiser>,
    labels: Vec<usize>,
}

impl Denoise for Reading {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_with_variance(x, levels).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        self.model.given(self.labels.clone()).denoise_with_variance(x, levels)
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        self.model.given(self.labels.clone()).denoise_some(samples, x, levels)
    }
}
