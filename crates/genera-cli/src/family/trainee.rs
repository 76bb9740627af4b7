//! What is trained by a recipe, and what it offers to whoever samples, measures or shows it.

use genera::burn::module::Module;
use genera::diffusion::{Differentiable, Guidance};
use genera::features::{Classifier, Clip};
use genera::gan::{Bend, DivergenceBound, ImplicitAutoencoder};
use genera::mcmc::Walk;
use genera::ode::Scored;
use genera::train::Descent;
use genera::traits::{Denoise, Density, Learner, LowerBound, Model, Rows, Sample};
use genera::vae::Diagnostics;
use genera_rng::Rng;

/// Something that is trained by a recipe.
pub trait Trainee: Learner + Send {
    /// How many numbers are trained.
    fn parameters(&self) -> usize;
    /// What it offers beyond its view.
    fn offers(&self) -> &dyn Offers {
        &Nothing
    }
}

/// What a model offers beyond its view. Most offer little of it.
pub trait Offers {
    /// The model as a remover of noise, row `i` having class `labels[i mod len]`, or no class if there are no labels;
    /// none if it removes no noise.
    fn denoise_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        None
    }
    /// The same as a remover of noise whose derivative is known; none if it has none.
    fn differentiable_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Differentiable + '_>> {
        None
    }
    /// The model as something to draw rows of these classes from, labels as above; none if it is not told classes.
    fn sample_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        None
    }
    /// The same, guided so towards the classes; none if what is drawn cannot be guided, or if it can as a remover of noise.
    fn sample_guided(&self, _labels: Vec<usize>, _guidance: Guidance) -> Option<Box<dyn Sample + '_>> {
        None
    }
    /// The model as an exact density given these classes, labels as above; none if it is not told classes.
    fn density_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Density + '_>> {
        None
    }
    /// The model as a bound given these classes, labels as above; none if it is not told classes.
    fn lower_bound_given(&self, _labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        None
    }
    /// Log-likelihoods with what they cost and err by; none if there is nothing to say of that.
    fn scored(&self, _x: &Rows) -> Option<Scored> {
        None
    }
    /// What the model sees in the place of rows of grey levels, with noise between the levels that it has learnt, and the
    /// log-density of that noise in nats; none if it sees rows as they are.
    fn filled(&self, _x: &Rows, _rng: &mut Rng) -> Option<(Rows, Vec<f64>)> {
        None
    }
    /// How many symbols of a text the model can be told, its end included; none if it reads none.
    fn text_length(&self) -> Option<usize> {
        None
    }
    /// The model as a remover of noise that is told `texts[i mod len]` of row `i`, each as long as
    /// [`Offers::text_length`] says, or nothing if there are none; none if it reads none.
    fn denoise_reading(&self, _texts: Vec<Vec<u8>>) -> Option<Box<dyn Denoise + '_>> {
        None
    }
    /// Rows of codes drawn uniformly, if the model has learnt a prior over codes.
    fn uniform_codes(&self) -> Option<&dyn Sample> {
        None
    }
    /// What the latents of these rows carry, if the model has a Gaussian posterior over them.
    fn diagnostics(&self, _x: Rows, _rng: &mut Rng) -> Option<Diagnostics> {
        None
    }
    /// The model as a classifier, if it is one.
    fn classifier(&self) -> Option<&Classifier> {
        None
    }
    /// The model as one of pictures and captions, if it is one.
    fn clip(&self) -> Option<&Clip> {
        None
    }
    /// The model as a witness of a divergence, if it is one.
    fn divergence_bound(&self) -> Option<&DivergenceBound> {
        None
    }
    /// The model as an implicit posterior of a bend, if it is one.
    fn bent(&self) -> Option<&ImplicitAutoencoder<Bend>> {
        None
    }
    /// The model as chains to follow; none if it draws in another way.
    fn chains(&self) -> Option<&dyn Walk> {
        None
    }
    /// What the critic of a game gives each row, and where that rises: `[B, F] -> ([B, 1], [B, F])`; none if there is no
    /// critic, or if it is told classes.
    fn judged(&self, _x: Rows) -> Option<(Rows, Rows)> {
        None
    }
}

struct Nothing;

impl Offers for Nothing {}

impl<M: Model + Module + Offers + Send> Trainee for Descent<M> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self.model()
    }
}
