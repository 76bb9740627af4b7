//! Normalizing flows, learnt from data or from an energy.

use std::sync::Arc;

use genera::burn::tensor::Device;
use genera::flow::{
    BaseKind, DequantiserConfig, EnergyFlow, Flow, FlowConfig, Interval, Layer, Noise, PlaneEnergy,
    VariationalDequantisation,
};
use genera::traits::{Density, Sample};
use genera_data::View;
use genera_metrics::LikelihoodKind;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Offers;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// Rows of the first batch, which layers with a data-dependent start see.
const FIRST_BATCH: usize = 1024;

/// A flow of any layers.
type AnyFlow = Flow<Vec<Layer>, Noise>;

/// A flow that is fitted to an energy of the plane. The data are samples of its density to be judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergySpec {
    /// The energy.
    pub energy: PlaneEnergy,
    /// Which divergence: −1 is the reverse KL, values up to 1 alpha-divergences on the way to the forward KL.
    #[serde(default = "reverse")]
    pub alpha: f64,
    /// The flow. Without an interval it gets that of the energy's box.
    pub flow: FlowConfig,
}

/// A flow of whole numbers, with noise between them that is learnt too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DequantisedSpec {
    /// The flow. Without an interval it gets the unit one, with RealNVP's `α = 0.05`.
    pub flow: FlowConfig,
    /// The noise.
    pub noise: DequantiserConfig,
}

impl DequantisedSpec {
    /// A fresh model for the recipe's data, started from some of them.
    pub fn init(
        &self,
        recipe: &Recipe,
        data: &Data,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<VariationalDequantisation> {
        let Some(levels) = data.levels().filter(|_| data.view() == View::Tokens) else {
            return Err(Failure::new("data.view: learnt noise fills the gaps between levels; set it to `tokens`"));
        };
        if is_conditional(&self.flow) {
            return Err(Failure::new(
                "model.flow: with learnt noise a flow is told no classes; leave context and base",
            ));
        }
        let interval = self.flow.interval.or(Some(Interval { low: 0.0, high: 1.0, alpha: 0.05 }));
        let flow = FlowConfig { interval, ..self.flow.clone() }.init(&data.shape(), None, rng, device)?;
        let model = self.noise.init(flow, data.train().features(), levels.into(), rng, device)?;
        let first = Rng::new(recipe.seed).fork("first");
        let indices: Vec<usize> = (0..FIRST_BATCH.min(data.train().len())).collect();
        Ok(model.started(&data.batch(data.train(), &indices, &mut first.clone(), device)?, &mut first.fork("noise")))
    }

    /// What its likelihoods are.
    pub fn kind(&self) -> LikelihoodKind {
        match self.noise.bound_samples {
            1 => LikelihoodKind::LowerBound,
            k => LikelihoodKind::KSampleBound { k },
        }
    }
}

fn reverse() -> f64 {
    -1.0
}

impl Offers for AnyFlow {
    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        Some(Box::new(self.given(labels).ok()?))
    }

    fn density_given(&self, labels: Vec<usize>) -> Option<Box<dyn Density + '_>> {
        Some(Box::new(self.given(labels).ok()?))
    }
}

impl Offers for EnergyFlow<Vec<Layer>, Noise> {}

impl Offers for VariationalDequantisation {}

/// Whether the flow is told the class of what it draws.
pub fn is_conditional(config: &FlowConfig) -> bool {
    config.context > 0 || config.base == BaseKind::Classes
}

/// A fresh flow for the recipe's data, started from some of them.
pub fn init(config: &FlowConfig, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<AnyFlow> {
    let indices: Vec<usize> = (0..FIRST_BATCH.min(data.train().len())).collect();
    let first = data.batch(data.train(), &indices, &mut Rng::new(recipe.seed).fork("first"), device)?;
    let flow = config.init(&data.shape(), data.classes(), rng, device)?.started(&first);
    Ok(Flow { entropy: data.toy().map(|toy| toy.entropy().nats), ..flow })
}

/// A fresh flow for the recipe's energy.
pub fn init_energy(
    spec: &EnergySpec,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<EnergyFlow<Vec<Layer>, Noise>> {
    if data.shape() != [2] {
        return Err(Failure::new("model.energy: the energies are of the plane; take data of two columns"));
    }
    let name = serde_json::to_value(spec.energy).ok().and_then(|name| name.as_str().map(str::to_owned));
    if data.toy().map(|toy| toy.name()) != name.as_deref() {
        let name = name.unwrap_or_default();
        return Err(Failure::new(format!(
            "model.energy is {name}, but the model would be judged by other data; set data.name to \"{name}\""
        )));
    }
    let of_box = |half: f64| Interval { low: -half, high: half, alpha: 0.0 };
    let interval = spec.flow.interval.or(spec.energy.half_side().map(of_box));
    let flow = FlowConfig { interval, ..spec.flow.clone() }.init(&[2], None, rng, device)?;
    Ok(EnergyFlow::new(flow, Arc::new(spec.energy), spec.alpha)?)
}
