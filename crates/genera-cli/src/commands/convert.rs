//! `genera convert`: the network of a diffusion under another schedule. The weights stay as they are; the recipe says what
//! they were trained under, and the model looks at rows as they were there.

use std::str::FromStr;

use genera::diffusion::Schedule;
use serde_json::{Value, json};

use super::{Context, Loaded};
use crate::args::Convert;
use crate::failure::{Failure, Outcome};
use crate::family::Family;
use crate::recipe::{Recipe, nearest};
use crate::run::RunDir;

/// What recipes call a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(&'static str);

const KINDS: [&str; 10] = [
    "variance-exploding",
    "variance-preserving",
    "sub-variance-preserving",
    "karras",
    "betas",
    "linear",
    "scaled-linear",
    "cosine",
    "sigmoid",
    "linear-flow",
];

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = KINDS.iter().find(|kind| **kind == text).map(|kind| Self(kind));
        known.ok_or_else(|| {
            let hint = nearest(text, KINDS).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            format!("it is none of {}{hint}", KINDS.join(", "))
        })
    }
}

impl Kind {
    /// The schedule of this kind for a network that was trained under `own`: that itself, if it is one; otherwise one that
    /// knows the same noise.
    fn schedule(self, own: &Schedule) -> Outcome<Schedule> {
        let described = serde_json::to_value(own).map_err(Failure::new)?;
        if described.get("kind").and_then(Value::as_str) == Some(self.0) {
            return Ok(own.clone());
        }
        let usual = match self.0 {
            "betas" => json!({ "kind": "betas", "betas": [] }),
            kind => json!({ "kind": kind, "steps": own.steps() }),
        };
        let usual: Schedule = serde_json::from_value(usual).map_err(Failure::new)?;
        Ok(usual.spanning(&own.levels()?))
    }
}

/// What `--set` may change: the rest says how the weights came about.
const OPEN: [&str; 4] = ["model.schedule", "sample", "measure", "expect"];

pub fn run(context: &Context, args: &Convert) -> Outcome {
    let console = context.console;
    if let Some(set) = args.set.iter().find(|set| !OPEN.iter().any(|key| reaches(set, key))) {
        let open = OPEN.join(", ");
        return Err(Failure::Usage(format!(
            "--set {set}: the weights are what they are; a conversion changes {open} only"
        )));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let name = args.run.file_name().unwrap_or_default().to_string_lossy();
        args.run.with_file_name(format!("{name}-{}", args.schedule.0))
    });
    RunDir::refuse_occupied(&out)?;
    let loaded = Loaded::open(&args.run, context)?;
    let recipe = converted(loaded.run.recipe(), args)?;
    // What is refused is refused before anything is written.
    let mut trainee = Family::trainee(&recipe, &loaded.data, &context.device)?;
    let checkpoint = loaded.run.checkpoints().latest(|_| ())?;
    let checkpoint = checkpoint.ok_or_else(|| Failure::new("the checkpoint was there a moment ago"))?;
    trainee.load(&checkpoint.groups)?;

    let groups: Vec<(&str, _)> = checkpoint.groups.iter().map(|(name, group)| (name.as_str(), group.clone())).collect();
    let run = RunDir::create(&out, recipe)?;
    run.checkpoints().save(checkpoint.progress, run.recipe_sha256(), &groups, run.recipe().train.keep)?;
    if loaded.run.log_path().is_file() {
        std::fs::copy(loaded.run.log_path(), run.log_path()).map_err(Failure::file(&run.log_path()))?;
    }
    let (schedule, trained_under) = run.recipe().model.schedules().ok_or_else(no_diffusion)?;
    if console.json {
        return console.json(&json!({ "out": out, "schedule": schedule, "trained_under": trained_under }));
    }
    let [least, most] = schedule.levels()?.noise_range();
    console.note(format!("the noise, sigma/alpha, goes from {least:.4} to {most:.4}, as the network knows it"));
    console.say(out.display())
}

/// The recipe of the new run: the same network, looked at in another way. What was measured was measured of the old one.
fn converted(recipe: &Recipe, args: &Convert) -> Outcome<Recipe> {
    let (schedule, trained_under) = recipe.model.schedules().ok_or_else(no_diffusion)?;
    let own = trained_under.unwrap_or(schedule).clone();
    let mut recipe = recipe.clone();
    recipe.expect.iter_mut().for_each(|expect| expect.measured.clear());
    recipe.model = recipe.model.under(args.schedule.schedule(&own)?, None);
    let mut recipe = recipe.with(&args.set)?;
    let (schedule, _) = recipe.model.schedules().ok_or_else(no_diffusion)?;
    let schedule = schedule.clone();
    // Churn is for schedules that keep the data's scale.
    if !schedule.keeps_scale() && !args.set.iter().any(|set| reaches(set, "sample.churn")) {
        recipe.sample.iter_mut().for_each(|sampler| sampler.churn = None);
    }
    let trained_under = (schedule != own).then_some(own);
    recipe.model = recipe.model.under(schedule, trained_under);
    Ok(recipe)
}

/// Whether a setting changes `key` or a part of it.
fn reaches(set: &str, key: &str) -> bool {
    let path = set.split('=').next().unwrap_or_default().trim();
    path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn no_diffusion() -> Failure {
    Failure::new("this model has no schedule of noise; convert is for diffusions of rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_one_and_its_own_is_given_back() {
        for kind in KINDS {
            let kind: Kind = kind.parse().unwrap();
            for own in [Schedule::linear(100), Schedule::variance_exploding(50), Schedule::karras(50)] {
                let found = kind.schedule(&own).unwrap();
                assert!(found.levels().is_ok(), "{kind:?}");
                let described = serde_json::to_value(&found).unwrap();
                assert_eq!(described["kind"], kind.0);
                let own_kind = serde_json::to_value(&own).unwrap()["kind"].as_str().unwrap().parse::<Kind>().unwrap();
                assert_eq!(own_kind.schedule(&own).unwrap(), own);
            }
        }
        assert!("varianceexploding".parse::<Kind>().unwrap_err().contains("did you mean `variance-exploding`?"));
    }

    #[test]
    fn a_setting_is_known_by_its_path() {
        assert!(reaches("sample.solver=ddim", "sample") && reaches("sample={}", "sample"));
        assert!(!reaches("samples=3", "sample") && !reaches("model.target=v", "model.schedule"));
    }
}
