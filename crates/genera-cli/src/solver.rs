//! What the command line says of a solver, in place of the recipe's.

use genera::diffusion::{Sampler, Solver};

use crate::failure::{Failure, Outcome};
use crate::family::Family;
use crate::recipe::nearest;

const NAMES: [&str; 12] = [
    "ancestral",
    "ddpm",
    "ddim",
    "euler",
    "heun",
    "dpm-solver++",
    "euler-maruyama",
    "reverse-diffusion",
    "stochastic-heun",
    "probability-flow",
    "langevin",
    "consistency",
];

/// The solver that recipes call so.
pub fn named(text: &str) -> Result<Solver, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        let hint = nearest(text, NAMES).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("it is none of {}{hint}", NAMES.join(", "))
    })
}

/// What recipes call it.
pub fn name(solver: Solver) -> String {
    let name = serde_json::to_value(solver).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What is said; the recipe has its way in the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choice {
    pub solver: Option<Solver>,
    pub steps: Option<usize>,
    pub eta: Option<f64>,
}

impl Choice {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `sampler` with what is said changed. What the recipe says of its own solver alone goes with that: another one starts
    /// without corrector, eta and tolerance, and keeps churn where it can. Of a pipeline there is no `model`.
    pub fn over(&self, sampler: &Sampler, model: Option<&Family>) -> Outcome<Sampler> {
        let mut sampler = sampler.clone();
        if let Some(solver) = self.solver {
            if let Some(why) = Family::misfit(model, solver) {
                return Err(Failure::Usage(format!("--solver {}: {why}", name(solver))));
            }
            if solver != sampler.solver {
                (sampler.solver, sampler.eta, sampler.tolerance) = (solver, 0.0, Sampler::default().tolerance);
                sampler.churn = sampler.churn.filter(|_| matches!(solver, Solver::Euler | Solver::Heun));
                // The corrector is all that moves the rows of the one solver that keeps it.
                sampler.corrector = sampler.corrector.filter(|_| solver == Solver::Langevin);
            }
        }
        if self.steps.is_some() && sampler.solver == Solver::ProbabilityFlow {
            let why = "the probability-flow solver takes as many as its tolerance asks for; leave them out";
            return Err(Failure::Usage(format!("steps: {why}")));
        }
        sampler.steps = self.steps.unwrap_or(sampler.steps);
        sampler.eta = self.eta.unwrap_or(sampler.eta);
        Ok(sampler)
    }
}

#[cfg(test)]
mod tests {
    use genera::diffusion::{Churn, Corrector, StepSize};

    use super::*;

    #[test]
    fn every_name_is_that_of_recipes() {
        for known in NAMES {
            let solver = named(known).unwrap();
            assert_eq!(name(solver), if known == "ddpm" { "ancestral" } else { known });
        }
        assert!(named("eular").unwrap_err().contains("did you mean `euler`?"));
    }

    #[test]
    fn another_solver_leaves_what_was_said_of_the_first() {
        let corrector = Some(Corrector { steps: 1, size: StepSize::Relative(0.16) });
        let recipe = Sampler { solver: Solver::ReverseDiffusion, steps: 200, corrector, ..Sampler::default() };
        let chosen = |solver: Option<Solver>| {
            Choice { solver, steps: Some(20), eta: None }
                .over(&recipe, None)
                .unwrap_or_else(|error| panic!("{error:?}"))
        };
        assert_eq!(chosen(Some(Solver::Ddim)).corrector, None);
        for solver in [None, Some(Solver::ReverseDiffusion), Some(Solver::Langevin)] {
            assert_eq!(chosen(solver).corrector, corrector, "{solver:?}");
        }
        let adaptive = Sampler { solver: Solver::ProbabilityFlow, tolerance: 1e-3, ..Sampler::default() };
        let of = |solver, steps| Choice { solver, steps, eta: None }.over(&adaptive, None);
        assert_eq!(of(Some(Solver::Heun), Some(5)).unwrap().tolerance, Sampler::default().tolerance);
        assert_eq!(of(Some(Solver::ProbabilityFlow), None).unwrap(), adaptive);
        assert!(matches!(of(None, Some(5)), Err(Failure::Usage(_))));
        assert!(matches!(of(Some(Solver::Consistency), None), Err(Failure::Usage(_))));
        let churn: Churn = serde_json::from_str(r#"{"amount": 10.0}"#).unwrap();
        let churned = Sampler { solver: Solver::Heun, churn: Some(churn), ..Sampler::default() };
        let of = |solver| Choice { solver: Some(solver), ..Choice::default() }.over(&churned, None).unwrap().churn;
        assert_eq!((of(Solver::Euler), of(Solver::Ddim)), (Some(churn), None));
    }
}
