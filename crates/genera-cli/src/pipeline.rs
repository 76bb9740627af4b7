//! A pipeline folder that diffusers wrote, as something to draw from.

use std::path::Path;

use genera::burn::tensor::Device;
use genera::diffusion::Diffusion;
use genera::interop::read_pipeline;
use genera::nn::UNet;

use crate::failure::{Failure, Outcome};
use crate::measure::{Draw, Way, labels_in_turn};

/// Rows at a time: networks of other projects may be large.
const CHUNK: usize = 64;

/// Reads the pipeline in `folder`.
pub fn open(folder: &Path, device: &Device) -> Outcome<Diffusion<UNet>> {
    if !folder.is_dir() {
        return Err(Failure::new(format!("{}: no such folder; `genera train` makes runs", folder.display())));
    }
    let pipeline = read_pipeline(folder, device)?;
    let scheduler = pipeline.scheduler.ok_or_else(|| {
        let folder = folder.display();
        Failure::new(format!(
            "{folder}: a network alone, with no word on its noise; name a folder with model_index.json"
        ))
    })?;
    let features = pipeline.unet.shape().iter().product();
    let config = scheduler.diffusion(features).map_err(|error| Failure::new(error).during(folder.display()))?;
    Ok(config.init(pipeline.unet)?)
}

/// How to draw from it. Its images have 256 grey levels on `[-1, 1]`.
pub fn draw<'a>(model: &'a Diffusion<UNet>, device: &Device) -> Draw<'a> {
    Draw {
        way: Way::Chain {
            denoise: Box::new(move |labels| Box::new(model.given(labels))),
            levels: model.levels().clone(),
            sampler: model.config().sampler.clone(),
        },
        shape: model.net.shape().to_vec(),
        view: genera_data::View::Symmetric,
        grey_levels: 256,
        labels: labels_in_turn(model.net.config().num_class_embeds),
        classes: None,
        device: device.clone(),
        chunk: CHUNK,
    }
}
