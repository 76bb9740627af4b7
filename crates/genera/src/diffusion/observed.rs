//! Samples of which a linear map is known: pictures painted over, drained of colour, or made small.
//!
//! ```text
//! y = A x₀ + s n
//! x̂₀ + γ (σ²/α) ∇log p(y|x_t),   ∇log p(y|x_t) ≈ (∂x̂₀/∂x_t)ᵀ Aᵀ (r² A Aᵀ + s²)⁻¹ (y − A x̂₀)
//! r² = v σ² / (α² v + σ²)        what is uncertain of x₀ given x_t, for data of variance v
//! ```
//!
//! Reconstruction guidance: Ho et al., 2204.03458; in this form Song, Vahdat, Mardani and Kautz, "Pseudoinverse-guided
//! diffusion models for inverse problems" (2023). It takes `p(x₀|x_t)` for a normal distribution of variance `r²`, and is
//! exact where it is one: for normal data of variance `v`. It moves all of a sample towards what is known of a part, and it
//! needs the derivative of the denoiser.
//!
//! ```text
//! x̂₀ + A⁺ (y − A x̂₀),   A⁺ = Aᵀ (A Aᵀ)⁻¹
//! ```
//!
//! Replacement needs none: a prediction is moved the least way to where it agrees with `y`. What a solver then makes of a
//! row, `x_t = α x̂₀ + σ ε̂`, has `A x_t = α y + σ A ε̂`, the measurement at the noise of that level, as Song et al.,
//! 2011.13456, appendix I, put it there; and clean rows have `A x₀ = y`. Exact where what is seen says nothing of the rest:
//! for normal data whose numbers are independent and of one variance. Where `A` picks numbers it is
//! [`Known`](super::Known).

use burn::tensor::{Device, Tensor, TensorData};

use super::{Differentiable, DiffusionError, Level, of_samples, within};
use crate::traits::{Denoise, Rows};

/// `A`, whose rows are orthogonal.
#[derive(Clone, Debug)]
pub struct Observation {
    /// `A`, transposed: `[F, M]`.
    transposed: Rows,
    /// The diagonal of `A Aᵀ`.
    squares: Vec<f64>,
}

impl Observation {
    /// The numbers where `seen` is true: inpainting of the others.
    pub fn of(seen: &[bool], device: &Device) -> Self {
        let places: Vec<Vec<usize>> = (0..seen.len()).filter(|at| seen[*at]).map(|at| vec![at]).collect();
        Self::means(&places, seen.len(), device)
    }

    /// The mean over the channels of pictures `[C, H, W]`: colourisation.
    pub fn grey([channels, height, width]: [usize; 3], device: &Device) -> Self {
        let pixels = height * width;
        let places: Vec<Vec<usize>> = (0..pixels).map(|at| (0..channels).map(|c| c * pixels + at).collect()).collect();
        Self::means(&places, channels * pixels, device)
    }

    /// The means over squares of `factor` by `factor` of pictures `[C, H, W]`: super-resolution. What does not fill a
    /// square is not seen.
    ///
    /// # Errors
    /// A factor that no square fits.
    pub fn coarse(
        [channels, height, width]: [usize; 3],
        factor: usize,
        device: &Device,
    ) -> Result<Self, DiffusionError> {
        within(
            (1..=height.min(width)).contains(&factor),
            "factor",
            factor as f64,
            "at least 1, and no more than the picture's sides",
        )?;
        let (rows, columns) = (height / factor, width / factor);
        let square = |at: usize| {
            let (c, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
            let inside =
                move |i: usize| (c * height + row * factor + i / factor) * width + column * factor + i % factor;
            (0..factor * factor).map(inside).collect()
        };
        let places: Vec<Vec<usize>> = (0..channels * rows * columns).map(square).collect();
        Ok(Self::means(&places, channels * height * width, device))
    }

    /// The mean over each of `places`, which do not overlap, of rows of length `features`.
    fn means(places: &[Vec<usize>], features: usize, device: &Device) -> Self {
        let count = places.len();
        let mut transposed = vec![0.0_f32; features * count];
        for (m, place) in places.iter().enumerate() {
            place.iter().for_each(|at| transposed[at * count + m] = 1.0 / place.len() as f32);
        }
        let transposed = Tensor::from_data(TensorData::new(transposed, [features, count]), device);
        Self { transposed, squares: places.iter().map(|place| 1.0 / place.len() as f64).collect() }
    }

    /// `A x`: `[B, F] -> [B, M]`.
    pub fn observe(&self, x: Rows) -> Rows {
        x.matmul(self.transposed.clone())
    }

    /// `x + A⁺ (y − A x)`, the nearest rows to `x` of which `y` is seen: `[B, F], [B, M] -> [B, F]`.
    pub fn agreeing(&self, x: Rows, y: Rows) -> Rows {
        let squares: Vec<f32> = self.squares.iter().map(|square| *square as f32).collect();
        let squares = Tensor::from_data(TensorData::new(squares, [1, self.squares.len()]), &x.device());
        let missing = y - self.observe(x.clone());
        x + self.back(missing / squares)
    }

    /// `Aᵀ y`: `[B, M] -> [B, F]`.
    fn back(&self, y: Rows) -> Rows {
        y.matmul(self.transposed.clone().transpose())
    }
}

/// A denoiser whose predictions agree with `y`, by replacement.
pub struct Replaced<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Denoise,
    /// `A`.
    pub observation: Observation,
    /// `y`: `[B, M]`, or `[1, M]` for all rows.
    pub seen: Rows,
}

impl Denoise for Replaced<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.observation.agreeing(self.denoise.denoise(x, levels), self.seen.clone())
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let x0 = self.denoise.denoise_some(samples, x, levels);
        self.observation.agreeing(x0, of_samples(&self.seen, samples))
    }
}

/// A denoiser that is told `y`, by its derivative.
pub struct Observed<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Differentiable,
    /// `A`.
    pub observation: Observation,
    /// `y`: `[B, M]`, or `[1, M]` for all rows.
    pub seen: Rows,
    /// `s`, the standard deviation of the noise in `y`.
    pub noise: f64,
    /// `v`, the variance of the data.
    pub variance: f64,
    /// `γ`: 1 is what the formula says.
    pub scale: f64,
}

impl Denoise for Observed<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_some(&(0..x.dims()[0]).collect::<Vec<usize>>(), x, levels)
    }

    /// Where there is no signal (`α = 0`) a noisy row says nothing of what was seen.
    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let ([rows, _], device) = (x.dims(), x.device());
        let seen = of_samples(&self.seen, samples);
        let x0 = self.denoise.denoise_some(samples, x.clone(), levels);
        let missing = seen - self.observation.observe(x0.clone());
        let uncertain = |level: &Level| {
            let squared = level.sigma * level.sigma;
            self.variance * squared / (level.alpha * level.alpha * self.variance + squared)
        };
        let weight = |level: &Level, square: &f64| {
            1.0 / (uncertain(level) * square + self.noise * self.noise).max(f64::MIN_POSITIVE)
        };
        let squares = &self.observation.squares;
        let weights = levels.iter().flat_map(|level| squares.iter().map(move |square| weight(level, square) as f32));
        let weights = TensorData::new(weights.collect::<Vec<f32>>(), [rows, squares.len()]);
        let pull = self.observation.back(missing * Tensor::from_data(weights, &device));
        let (_, pulled) = self.denoise.denoise_and_pull(samples, x, levels, vec![pull]);
        let factor = |level: &Level| match level.alpha > 0.0 {
            true => (self.scale * level.sigma * level.sigma / level.alpha) as f32,
            false => 0.0,
        };
        let factors = TensorData::new(levels.iter().map(factor).collect::<Vec<f32>>(), [rows, 1]);
        pulled.into_iter().fold(x0, |x0, pulled| x0 + pulled * Tensor::from_data(factors.clone(), &device))
    }
}
