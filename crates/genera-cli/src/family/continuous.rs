//! Continuous flows: what a recipe says of them.

use genera::burn::tensor::Device;
use genera::continuous::{
    Backward, ContinuousFlow, ContinuousFlowConfig, Divergence, FieldMlp, FieldMlpConfig, Integration,
};
use genera::ode::Scored;
use genera::traits::Rows;
use genera_metrics::LikelihoodKind;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Offers;
use crate::data::Data;
use crate::failure::{Failure, Outcome};

/// A continuous flow, apart from what its data says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuousSpec {
    /// The vector field.
    #[serde(default)]
    pub net: FieldMlpConfig,
    /// How trajectories are integrated while training.
    #[serde(default)]
    pub training: Integration,
    /// How they are for likelihoods and samples: to a tolerance, which is part of the record.
    #[serde(default)]
    pub evaluation: Integration,
    /// How gradients are computed.
    #[serde(default)]
    pub backward: Backward,
    /// The weight of the kinetic energy.
    #[serde(default)]
    pub kinetic: f64,
    /// The weight of the Jacobian's norm.
    #[serde(default)]
    pub jacobian: f64,
    /// The weight of flow matching.
    #[serde(default)]
    pub flow_matching: f64,
    /// So many first steps descend flow matching alone.
    #[serde(default)]
    pub matching_steps: u64,
    /// How much the times of flow matching gather near the data; 0: not at all.
    #[serde(default)]
    pub matching_emphasis: f64,
}

impl Offers for ContinuousFlow<FieldMlp> {
    fn scored(&self, x: &Rows) -> Option<Scored> {
        Some(self.score(x.clone()))
    }
}

impl ContinuousSpec {
    /// A fresh flow for `data`.
    pub fn init(&self, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<ContinuousFlow<FieldMlp>> {
        if self.evaluation.solver.tolerance().is_none() {
            return Err(Failure::new(
                "model.evaluation.solver: a likelihood states its tolerance; let the steps be adaptive",
            ));
        }
        let net = self.net.init(data.train().features(), rng, device)?;
        let config = ContinuousFlowConfig {
            training: self.training,
            evaluation: self.evaluation,
            backward: self.backward,
            kinetic: self.kinetic,
            jacobian: self.jacobian,
            flow_matching: self.flow_matching,
            matching_steps: self.matching_steps,
            matching_emphasis: self.matching_emphasis,
        };
        Ok(config.init(net)?)
    }

    /// Exact up to the tolerance, or estimated with probes of the divergence.
    pub fn likelihood(&self) -> Option<LikelihoodKind> {
        let tolerance = self.evaluation.solver.tolerance()?;
        let probes = match self.evaluation.divergence {
            Divergence::Exact => None,
            Divergence::Hutchinson { probes, .. } => Some(probes),
        };
        Some(LikelihoodKind::ProbabilityFlow { tolerance, probes })
    }
}
