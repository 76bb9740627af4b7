//! Guidance with a classifier: the classifier of noisy rows that a recipe asks for beside its diffusion.

// The derive of `Module` names the crate `burn`.
use genera::burn;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor};
use genera::diffusion::{Classified, Diffusion, NoisyClassifier};
use genera::nn::Conditioned;
use genera::train::Descent;
use genera::traits::{Denoise, Net, Rows};
use genera::vae::{NetConfig, Network};
use genera_rng::Rng;

use super::diffusion::Denoiser;
use super::{Offers, Trainee};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// A network of rows beside which the time stands: as one number, or beside an image as a further channel.
#[derive(Module, Debug)]
pub struct Timed {
    net: Network,
    #[module(skip)]
    beside: usize,
}

impl Net<Conditioned> for Timed {
    fn forward(&self, Conditioned { x, time, .. }: Conditioned) -> Rows {
        // Times span about a thousand.
        let [rows] = time.dims();
        let time = (time / 500.0 - 1.0).unsqueeze_dim::<2>(1).expand([rows, self.beside]);
        self.net.forward(Tensor::cat(vec![x, time], 1))
    }
}

impl Trainee for Classified<Denoiser, Timed> {
    fn parameters(&self) -> usize {
        self.diffusion().num_params() + self.classifier().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for Classified<Denoiser, Timed> {
    fn denoise_given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        Some(self.given(labels))
    }
}

/// `diffusion` with a classifier whose network is `config`.
pub fn beside(
    diffusion: Diffusion<Denoiser>,
    config: &NetConfig,
    recipe: &Recipe,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    let classes = data
        .classes()
        .ok_or_else(|| Failure::new("model.classifier: the data have no classes; remove it or take other data"))?;
    let (net, beside) = match (config, data.shape().as_slice()) {
        (NetConfig::Conv { .. }, &[channels, height, width]) => {
            (config.encoder(&[channels + 1, height, width], 0, classes, rng, device)?, height * width)
        }
        (_, shape) => (config.encoder(shape, 1, classes, rng, device)?, 1),
    };
    let classifier = NoisyClassifier::new(Timed { net, beside }, diffusion.levels().clone(), classes);
    let (config, steps) = (recipe.train.descent(), recipe.train.steps);
    Ok(Box::new(Classified::new(Descent::new(diffusion, config, steps)?, Descent::new(classifier, config, steps)?)))
}
