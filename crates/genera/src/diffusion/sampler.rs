//! Solvers: functions of a list of levels, over anything that denoises.
//!
//! One step from `(α, σ)` down to `(α', σ')`, with `x̂₀` the prediction at the upper level:
//!
//! ```text
//! ancestral     x' = keep x + pull x̂₀ + √variance ε, no noise in the last step      Ho et al., 2006.11239
//! ddim          x' = α' x̂₀ + √(σ'² − s²) ε̂ + s ε, s = η √β̃                         Song et al., 2010.02502
//! euler         x' = (σ'/σ) x + (α' − α σ'/σ) x̂₀
//! heun          the mean of the slopes at both ends                                Karras et al., 2206.00364
//! dpm-solver++  x' = (σ'/σ) x + (α' − α σ'/σ) D, D = (1 + c) x̂₀ − c x̂₀(before)    Lu et al., 2211.01095
//!               c = h / (2 h₀), h and h₀ this and the last step in log(α/σ); the last step is of first order
//! ```
//!
//! Steps of the reverse stochastic equation (`euler-maruyama`, `reverse-diffusion`, `stochastic-heun`) are in
//! `stochastic.rs`; their noise is the increment of a Brownian path that belongs to the row, so a finer chain follows the
//! same path. Where they arrive at clean data they give `x̂₀`. `probability-flow` follows the ordinary equation in steps as
//! long as its tolerance allows, and `langevin` moves at each level but not between them. `consistency` takes `x̂₀` for
//! where the flow ends, at a noise `σ_min/α_min`, and goes back up: `x' = α' x̂₀ + √(σ'² − (α' σ_min/α_min)²) ε` (Song et
//! al., 2303.01469). A [`Corrector`] adds Langevin steps to any of them, and a [`Churn`] noise.
//!
//! Euler's step is DDIM's with η = 0, whatever the schedule, and DDIM with η = 1 is the ancestral step, which is also
//! the ancestral Euler step of k-diffusion. They differ in what clipping does: `ddim` keeps the direction `ε̂` of the
//! unclipped prediction (as diffusers does by default), the others follow the clipped one.
//!
//! Heun's rule depends on the coordinates. As in k-diffusion it is applied to `x/α` as a function of `σ/α`; where the
//! chain starts without signal (`α = 0`: flows), to `x/(α+σ)` as a function of `σ/(α+σ)`, which for a flow is time.

use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::awake;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::corrector::Place;
use super::grid::Habit;
use super::step::{Frame, euler, heun, log_step};
use super::stochastic::{self, End};
use super::{
    Churn, Clip, Corrector, DiffusionError, Finish, Guidance, Level, Levels, ProbabilityFlow, Spacing, Transition,
    Variance, within,
};
use crate::sde::Brownian;
use crate::traits::{Denoise, Rows};

/// How to step from one level to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// The reverse chain itself.
    #[default]
    #[serde(alias = "ddpm")]
    Ancestral,
    /// Non-Markov chains with the same marginals.
    Ddim,
    /// Euler's rule for the probability-flow equation.
    Euler,
    /// Heun's rule, two evaluations a step.
    Heun,
    /// The second-order multistep solver of DPM-Solver++ (2M).
    #[serde(rename = "dpm-solver++")]
    DpmSolver,
    /// Euler and Maruyama's rule for the reverse stochastic equation.
    EulerMaruyama,
    /// The forward kernel between two levels, run backwards.
    ReverseDiffusion,
    /// Heun's rule for the reverse stochastic equation, two evaluations a step.
    StochasticHeun,
    /// The probability-flow equation in adaptive steps, each row for itself. `steps` is not read.
    ProbabilityFlow,
    /// No step between levels: the corrector does all there is (annealed Langevin dynamics). Where the chain ends at clean
    /// data, the last step removes the noise that is left.
    Langevin,
    /// To the end of the flow at once, and back up to the next level: for consistency models.
    Consistency,
}

impl Solver {
    /// Whether its noise is that of a Brownian path. It then speaks of the score and of the kernel between levels, of which
    /// pure noise (`α = 0`) has none.
    fn is_driven(self) -> bool {
        matches!(self, Self::EulerMaruyama | Self::ReverseDiffusion | Self::StochasticHeun)
    }
}

/// Everything between noise and samples but the denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampler {
    /// The rule of each step.
    pub solver: Solver,
    /// The number of steps.
    pub steps: usize,
    /// The fraction of the ancestral standard deviation that `ddim` adds at each step, from 0 to 1; nothing else reads it.
    pub eta: f64,
    /// How the steps are spread over the chain.
    pub spacing: Spacing,
    /// How many levels the `leading` spacing starts above the lowest; nothing else reads it.
    pub offset: usize,
    /// Where the chain ends.
    pub finish: Finish,
    /// What happens to predictions.
    pub clip: Clip,
    /// The variance of the `ancestral` step. Where it should be learned and the denoiser has not, it is the small one.
    pub variance: Variance,
    /// Langevin steps at each level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrector: Option<Corrector>,
    /// Noise stirred in before each step of `euler` or `heun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// The tolerance of `probability-flow`, relative and absolute; nothing else reads it.
    pub tolerance: f64,
    /// How strongly samples are drawn towards their class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance>,
}

/// The tolerance of `probability-flow`, unless another is asked for.
const TOLERANCE: f64 = 1e-5;

impl Default for Sampler {
    fn default() -> Self {
        Self {
            solver: Solver::default(),
            steps: 100,
            eta: 0.0,
            spacing: Spacing::default(),
            offset: 0,
            finish: Finish::default(),
            clip: Clip::default(),
            variance: Variance::default(),
            corrector: None,
            churn: None,
            tolerance: TOLERANCE,
            guidance: None,
        }
    }
}

/// One finished step of a trajectory.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// How many steps came before.
    pub step: usize,
    /// The level that was left.
    pub from: Level,
    /// The level that was reached.
    pub to: Level,
    /// The rows at `to`: `[B, F]`.
    pub x: &'a Rows,
    /// The last prediction of clean data made at `from`: `[B, F]`.
    pub x0: &'a Rows,
}

impl Sampler {
    /// The levels to visit, noisiest first, ending where the chain ends: `steps + 1` levels.
    ///
    /// # Errors
    /// No steps, more steps than levels, `eta` out of range, a setting that the solver or the spacing does not read, a clip
    /// that clips everything.
    pub fn chain(&self, levels: &Levels) -> Result<Vec<Level>, DiffusionError> {
        within((0.0..=1.0).contains(&self.eta), "eta", self.eta, "from 0 to 1")?;
        if self.eta > 0.0 && self.solver != Solver::Ddim {
            return Err(DiffusionError::Combination(
                "only the ddim solver reads eta; set eta = 0 or solver = \"ddim\"",
            ));
        }
        self.clip.validate()?;
        self.corrector.map_or(Ok(()), |corrector| corrector.validate())?;
        self.churn.map_or(Ok(()), |churn| churn.validate())?;
        self.guidance.map_or(Ok(()), |guidance| guidance.check())?;
        ProbabilityFlow { tolerance: self.tolerance, ..ProbabilityFlow::default() }.check()?;
        let refuse = |what| Err(DiffusionError::Combination(what));
        if self.tolerance != TOLERANCE && self.solver != Solver::ProbabilityFlow {
            return refuse(
                "only the probability-flow solver reads tolerance; leave it out or set solver = \"probability-flow\"",
            );
        }
        if self.offset != 0 && self.spacing != Spacing::Leading {
            return refuse("only the leading spacing reads offset; set offset = 0 or spacing = \"leading\"");
        }
        if self.solver == Solver::Langevin && self.corrector.is_none() {
            return refuse("the langevin solver moves by its corrector alone; set corrector = { steps, size }");
        }
        if self.solver == Solver::ProbabilityFlow && self.corrector.is_some() {
            return refuse("the probability-flow solver stops at no level for a corrector; take another solver");
        }
        if self.churn.is_some()
            && !(matches!(self.solver, Solver::Euler | Solver::Heun) && levels.schedule().keeps_scale())
        {
            return refuse("churn is for the euler and heun solvers on schedules that keep the data's scale");
        }
        let habit = Habit {
            below: usize::from(self.solver == Solver::DpmSolver && self.spacing != Spacing::Trailing),
            rounds: !matches!(self.solver, Solver::Euler | Solver::Heun),
        };
        let chain = self.spacing.chain(levels, self.steps, self.offset, self.finish, habit)?;
        if self.solver.is_driven() && chain.iter().any(|level| level.alpha <= 0.0) {
            return refuse("this solver follows the score, and the chain starts in pure noise; take ancestral or heun");
        }
        Ok(chain)
    }

    /// Draws samples from given standard normal noise, on its device: `[B, F] -> [B, F]`. Further noise comes from `rng`.
    ///
    /// # Errors
    /// Those of [`Sampler::chain`].
    pub fn sample_from(
        &self,
        denoise: &dyn Denoise,
        levels: &Levels,
        noise: Rows,
        rng: &mut Rng,
    ) -> Result<Rows, DiffusionError> {
        let chain = self.chain(levels)?;
        Ok(self.run(denoise, levels, &chain, start(&chain, noise), rng, &mut |_| ()))
    }

    /// Draws `n` rows, `[n, features]`, on `device`; row `i` does not depend on `n`.
    ///
    /// # Errors
    /// Those of [`Sampler::chain`].
    pub fn sample(
        &self,
        denoise: &dyn Denoise,
        levels: &Levels,
        shape: [usize; 2],
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Rows, DiffusionError> {
        self.sample_from(denoise, levels, noise(shape, rng, device), rng)
    }

    /// Walks from `x` at the first level of `chain`, which is one of `levels`, to the last: `[B, F] -> [B, F]`. `observe`
    /// sees every step. Row `i` of the noise of each step is that of sample `i` in `rng`.
    pub fn run(
        &self,
        denoise: &dyn Denoise,
        levels: &Levels,
        chain: &[Level],
        x: Rows,
        rng: &mut Rng,
        observe: &mut dyn FnMut(Moment<'_>),
    ) -> Rows {
        awake(|| self.walk(denoise, levels, chain, x, rng, observe))
    }

    fn walk(
        &self,
        denoise: &dyn Denoise,
        levels: &Levels,
        chain: &[Level],
        mut x: Rows,
        rng: &mut Rng,
        observe: &mut dyn FnMut(Moment<'_>),
    ) -> Rows {
        let ([rows, width], device) = (x.dims(), x.device());
        if self.solver == Solver::ProbabilityFlow {
            return self.flow(denoise, levels, chain, x, observe);
        }
        let (Some(first), Some(end)) = (chain.first(), chain.last()) else { return x };
        let mut brownian = self.solver.is_driven().then(|| Brownian::new([rows, width], [first.time, end.time], rng));
        let ends = [levels.lowest().sigma, levels.top().sigma];
        let mut before: Option<(Level, Rows)> = None;
        for (step, pair) in chain.windows(2).enumerate() {
            let (mut from, to) = (pair[0], pair[1]);
            let last = step + 2 == chain.len();
            let mut followed = None;
            if let Some(corrector) = &self.corrector {
                let place = Place { level: from, below: to, ends };
                (x, followed) = corrector.run(denoise, &self.clip, place, x, rng);
            }
            if let Some(churn) = &self.churn {
                let raised = churn.raised(from, chain.len() - 1, levels);
                x = churn.stir(x, from, raised, rng);
                from = raised;
            }
            // Where the corrector does all there is, nothing would be done with another prediction.
            let (raw, fraction) = match followed.filter(|_| self.solver == Solver::Langevin && to.sigma > 0.0) {
                Some(raw) => (raw, None),
                None => denoise.denoise_with_variance(x.clone(), &vec![from; rows]),
            };
            let x0 = self.clip.apply(raw.clone());
            // The noise of the driven solvers; none in the last step, as for the ancestral one.
            let mut increment = |standard: bool| match &mut brownian {
                Some(path) if !last && standard => path.standard_increment(from.time, to.time, &device),
                Some(path) if !last => path.increment(from.time, to.time, &device),
                _ => x.zeros_like(),
            };
            let h = from.time - to.time;
            let next = match self.solver {
                Solver::Ancestral => {
                    let step = Transition::between(from, to);
                    let mean = x.clone() * step.keep + x0.clone() * step.pull;
                    if last {
                        mean
                    } else {
                        mean + self.deviation(step, fraction, &x) * noise(x.dims(), rng, &x.device())
                    }
                }
                Solver::Ddim => {
                    let deviation = self.eta * Transition::between(from, to).small.sqrt();
                    // (x − α x̂₀) / σ is the predicted noise.
                    let direction = (to.sigma * to.sigma - deviation * deviation).max(0.0).sqrt() / from.sigma;
                    let mean = x0.clone() * to.alpha + x.clone() * direction - raw * (from.alpha * direction);
                    if deviation > 0.0 { mean + noise(x.dims(), rng, &x.device()) * deviation } else { mean }
                }
                Solver::Euler => euler(&x, &x0, from, to),
                Solver::Heun if to.sigma == 0.0 => euler(&x, &x0, from, to),
                Solver::Heun => {
                    let ahead = euler(&x, &x0, from, to);
                    let x0_ahead = self.clip.apply(denoise.denoise(ahead.clone(), &vec![to; rows]));
                    heun(&x, ahead, x0_ahead, Frame::of(chain), from, to)
                }
                Solver::DpmSolver => {
                    let first_order = last && (to.sigma == 0.0 || chain.len() <= 15);
                    match &before {
                        Some((above, x0_before)) if !first_order => {
                            let c = log_step(from, to) / (2.0 * log_step(*above, from));
                            euler(&x, &(x0.clone() * (1.0 + c) - x0_before.clone() * c), from, to)
                        }
                        _ => euler(&x, &x0, from, to),
                    }
                }
                _ if to.sigma == 0.0 => x0.clone() * to.alpha,
                Solver::EulerMaruyama => {
                    stochastic::euler_maruyama(&x, &x0, from, levels.rates(from.time), h, increment(false))
                }
                Solver::StochasticHeun => {
                    let (above, below) = (levels.rates(from.time), levels.rates(to.time));
                    let dw = increment(false);
                    let ahead = stochastic::euler_maruyama(&x, &x0, from, above, h, dw.clone());
                    let x0_ahead = self.clip.apply(denoise.denoise(ahead.clone(), &vec![to; rows]));
                    let upper = End { x: &x, x0: &x0, level: from, rates: above };
                    let lower = End { x: &ahead, x0: &x0_ahead, level: to, rates: below };
                    stochastic::heun(upper, lower, h, dw)
                }
                Solver::ReverseDiffusion => stochastic::reverse_diffusion(&x, &x0, from, to, increment(true)),
                Solver::Consistency => {
                    let lowest = levels.lowest();
                    let there = lowest.sigma / lowest.alpha * to.alpha;
                    let mean = x0.clone() * to.alpha;
                    match (to.sigma * to.sigma - there * there).max(0.0).sqrt() {
                        0.0 => mean,
                        spread => mean + noise(x.dims(), rng, &device) * spread,
                    }
                }
                Solver::Langevin | Solver::ProbabilityFlow => x.clone(),
            };
            observe(Moment { step, from, to, x: &next, x0: &x0 });
            before = Some((from, x0));
            x = next;
        }
        x
    }

    /// Down the probability flow in one go, and then to clean data if the chain ends there.
    fn flow(
        &self,
        denoise: &dyn Denoise,
        levels: &Levels,
        chain: &[Level],
        x: Rows,
        observe: &mut dyn FnMut(Moment<'_>),
    ) -> Rows {
        let (Some(&from), Some(&to)) = (chain.first(), chain.last()) else { return x };
        let clean = to.sigma == 0.0;
        let arrival = if clean { levels.lowest() } else { to };
        let flow = ProbabilityFlow { tolerance: self.tolerance, ..ProbabilityFlow::default() };
        let rows = x.dims()[0];
        let x = flow.carried(denoise, &self.clip, levels, x, [from.time, arrival.time]);
        let x0 = self.clip.apply(denoise.denoise(x.clone(), &vec![arrival; rows]));
        let x = if clean { x0.clone() } else { x };
        observe(Moment { step: chain.len().saturating_sub(2), from: arrival, to, x: &x, x0: &x0 });
        x
    }

    /// The standard deviation of an ancestral step, `[B, F]`.
    fn deviation(&self, step: Transition, fraction: Option<Rows>, like: &Rows) -> Rows {
        let fixed = |variance: f64| Tensor::full_like(like, variance.sqrt());
        match (self.variance, fraction) {
            (Variance::FixedLarge, _) => fixed(step.large),
            (Variance::Learned, Some(fraction)) => {
                let (small, large) = (step.small.ln() / 2.0, step.large.ln() / 2.0);
                (fraction * (large - small) + small).exp()
            }
            _ => fixed(step.small),
        }
    }
}

/// The rows from which a chain starts, given standard normal noise.
pub(super) fn start(chain: &[Level], noise: Rows) -> Rows {
    noise * chain.first().map_or(1.0, Level::scale)
}

/// Standard normal noise, one draw of `rng`.
pub(super) fn noise(shape: [usize; 2], rng: &mut Rng, device: &Device) -> Rows {
    Tensor::from_data(TensorData::new(rng.normal(shape[0], shape[1]), shape), device)
}
