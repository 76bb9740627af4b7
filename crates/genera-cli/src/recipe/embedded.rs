//! The recipes that come with the program.

/// What `genera train` trains if nothing is named.
pub const DEFAULT: &str = "ddpm-digits";

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        /// Name and TOML text.
        const RECIPES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../../recipes/", $name, ".toml")))),*];
    };
}

recipes!(
    // Lecture 1: autoregressive models.
    "made-digits",
    "pixelcnn-digits",
    "imagegpt-digits",
    "pixelcnn-mnist",
    "gated-pixelcnn-mnist",
    "imagegpt-mnist",
    "markov-digits",
    "gru-digits",
    "wavenet-digits",
    "pixelcnn-logistics-digits",
    "made-banana",
    "made-banana-reversed",
    // Lecture 1: densities without networks.
    "kde-moons",
    "histogram-moons",
    // Lecture 2: normalizing flows.
    "planar-moons",
    "planar-energy",
    "maf-moons",
    "maf-8-gaussians",
    "maf-checkerboard",
    "maf-table",
    "iaf-energy",
    // Lecture 3: coupling layers.
    "realnvp-moons",
    "spline-moons",
    "spline-8-gaussians",
    "spline-checkerboard",
    "realnvp-digits",
    "realnvp-mnist",
    "glow-digits",
    "glow-fashion",
    // Lecture 3: continuous flows.
    "cnf-moons",
    "ffjord-moons",
    "cnf-8-gaussians",
    "cnf-checkerboard",
    // Lecture 4: latent variables.
    "gmm-flower",
    "gmm-flower-variational",
    "ppca-digits",
    // Lecture 5: variational autoencoders.
    "vae-gaussian2d",
    "vae-gaussian2d-aligned",
    "vae-digits",
    "variational-dequantisation-digits",
    "dequantised-diffusion-digits",
    "vae-mnist2",
    "vae-mnist",
    "iwae-mnist",
    "ar-vae-mnist",
    "resnet-vae-fashion",
    // Lecture 6: priors, posteriors and discrete latents.
    "vamp-mnist",
    "vae-flow-prior-mnist",
    "iaf-posterior-mnist",
    "binary-vae-digits",
    "vqvae-digits",
    "vqvae-digits-conditional",
    "vqvae2-digits",
    "dvae-digits-conditional",
    "vqvae-mnist",
    "dvae-mnist",
    // Lecture 7: adversarial learning.
    "gan-1d",
    "gan-8gaussians-saturating",
    "gan-8gaussians-saturating5",
    "gan-8gaussians",
    "lsgan-8gaussians",
    "avb-toy",
    "avb-digits",
    "dcgan-mnist",
    "cgan-mnist",
    // Lecture 8: Wasserstein distances and f-divergences.
    "wgan-1d",
    "hinge-8gaussians",
    "wgan-8gaussians",
    "wgan-gp-8gaussians",
    "sngan-8gaussians",
    "fgan-forward-kl",
    "fgan-reverse-kl",
    "fgan-pearson",
    "fgan-squared-hellinger",
    "fgan-jensen-shannon",
    "fgan-gan",
    "fgan-total-variation",
    "fgan-8gaussians",
    "wgan-gp-mnist",
    "sngan-fashion",
    // Lecture 9: styles, and what measures the others.
    "stylegan-digits",
    "stylegan-mnist",
    "digits-classifier",
    "mnist-classifier",
    "fashion-classifier",
    // Lecture 10: Gaussian diffusion.
    "ddpm-digits",
    "ddpm-moons",
    "ddpm-mnist",
    "ddpm-fashion",
    // Lecture 11: Langevin dynamics and score matching.
    "langevin-gmm",
    "mala-banana",
    "ism-moons",
    "ssm-moons",
    "dsm-moons",
    "ebm-2d",
    "ebm-digits",
    // Lecture 12: noise-conditional scores and stochastic equations.
    "ncsn-gmm",
    "ve-moons",
    "vp-moons",
    "subvp-moons",
    "vp-mnist",
    "ncsn-mnist",
    // Lecture 13: flow matching and the probability flow.
    "edm-moons",
    "flow-matching-moons",
    "transport-moons",
    "reflow-moons",
    "flow-matching-mnist",
    "edm-fashion",
    "consistency-moons",
    "consistency-mnist",
    // Lecture 14: guidance.
    "cfg-moons",
    "cfg-mnist",
    "classifier-guidance-digits",
    "classifier-guidance-mnist",
    "latent-diffusion-digits",
    "latent-diffusion-vq-digits",
    "latent-diffusion-fashion",
    "latent-diffusion-vq-fashion",
    // Lecture 14: captions.
    "clip-digits",
    "text-digits",
);

/// The names, in the order of the list above.
pub fn names() -> impl Iterator<Item = &'static str> {
    RECIPES.iter().map(|(name, _)| *name)
}

/// The TOML of the recipe called `name`.
pub fn text(name: &str) -> Option<&'static str> {
    RECIPES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
