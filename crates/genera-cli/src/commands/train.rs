//! `genera train`: from a recipe to a run, or on from a run's newest checkpoint.

use std::path::{Path, PathBuf};

use super::Context;
use crate::args::Train;
use crate::console::Console;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::family::{Family, Trainee};
use crate::measure::{self, Subject};
use crate::recipe::{self, Recipe};
use crate::run::{Checkpoint, Progress, RunDir};
use crate::signals;
use crate::training::{Ending, Session};

pub fn run(context: &Context, args: Train) -> Outcome {
    let console = context.console;
    // What can be refused is refused before anything is written.
    let plan = Plan::new(&args)?;
    let data = Data::open(&plan.recipe.data, context.data.as_deref())?;
    let mut trainee = Family::trainee(&plan.recipe, &data, &context.device)?;
    let resumed = plan.resumed;
    let run = plan.start()?;
    let start = if resumed { restore(&run, trainee.as_mut(), console)? } else { Progress::default() };
    introduce(context, &run, trainee.as_ref(), &data, start.step);
    signals::install()?;

    let mut session = Session::new(&run, &data, &context.device, console, start, resumed)?;
    match session.train(trainee.as_mut())? {
        Ending::Finished => {}
        Ending::Asked(step) => {
            let path = run.path().display();
            console.note(format!(
                "stopped after step {step}; everything is saved. Go on with: genera train {path} --resume"
            ));
            return Err(Failure::Interrupted);
        }
    }
    conclude(context, &run, trainee.as_ref(), &data)
}

/// What to train and where.
struct Plan {
    recipe: Recipe,
    path: PathBuf,
    /// Whether a run is there to go on with.
    resumed: bool,
}

impl Plan {
    fn new(args: &Train) -> Outcome<Self> {
        let named = args.recipe.as_deref().unwrap_or(recipe::DEFAULT);
        let seed = args.seed.map(|seed| format!("seed={seed}"));
        let changes: Vec<String> = args.set.iter().cloned().chain(seed).collect();
        // `train RUN --resume`
        if args.resume && Path::new(named).is_dir() {
            if args.out.is_some() {
                return Err(Failure::Usage("a run to resume and --out name two folders; leave one out".to_owned()));
            }
            let run = RunDir::open(Path::new(named))?;
            let recipe = run.recipe().clone().with(&changes)?;
            refuse_another(&run, &recipe)?;
            return Ok(Self { recipe, path: run.path().to_owned(), resumed: true });
        }
        let recipe = Recipe::find(named, &changes)?;
        let default = || PathBuf::from("runs").join(format!("{}-{}", recipe.name, recipe.seed));
        let path = args.out.clone().unwrap_or_else(default);
        let resumed = args.resume && RunDir::is_run(&path);
        if resumed {
            refuse_another(&RunDir::open(&path)?, &recipe)?;
        } else {
            RunDir::refuse_occupied(&path)?;
        }
        Ok(Self { recipe, path, resumed })
    }

    /// Makes the run, or takes it up with its recipe changed where that makes sense halfway: more steps, other intervals.
    fn start(self) -> Outcome<RunDir> {
        if self.resumed {
            RunDir::write_recipe(&self.path, self.recipe)
        } else {
            RunDir::create(&self.path, self.recipe)
        }
    }
}

fn refuse_another(run: &RunDir, asked: &Recipe) -> Outcome {
    let known = run.recipe();
    let differs = [
        ("name", known.name != asked.name),
        ("seed", known.seed != asked.seed),
        ("data", known.data != asked.data),
        ("model", known.model != asked.model),
        ("train.optimizer", known.train.optimizer != asked.train.optimizer),
        ("train.batch_size", known.train.batch_size != asked.train.batch_size),
        ("train.accumulate", known.train.accumulate != asked.train.accumulate),
        ("train.rate", known.train.rate != asked.train.rate),
        ("train.clip_norm", known.train.clip_norm != asked.train.clip_norm),
        ("train.ema", known.train.ema != asked.train.ema),
    ];
    if let Some((key, _)) = differs.iter().find(|(_, differs)| *differs) {
        return Err(other_recipe(run, key));
    }
    // With more steps the first part would end later, under a second one that has begun.
    if known.model.is_in_two_parts() && known.train.steps != asked.train.steps {
        let (path, steps) = (run.path().display(), known.train.steps);
        return Err(Failure::new(format!(
            "{path}: the run's first part is a fraction of its {steps} `train.steps`, which cannot change halfway; choose \
             another --out for a new run"
        )));
    }
    Ok(())
}

fn other_recipe(run: &RunDir, key: &str) -> Failure {
    let path = run.path().display();
    Failure::new(format!("{path}: the run was started with another `{key}`; choose another --out for a new run"))
}

fn restore(run: &RunDir, trainee: &mut dyn Trainee, console: Console) -> Outcome<Progress> {
    match run.checkpoints().latest(|complaint| console.warn(complaint))? {
        Some(Checkpoint { progress, groups }) => {
            let path = run.checkpoints().path(progress.step);
            trainee.load(&groups).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            console.note(format!("going on from {}", path.display()));
            Ok(progress)
        }
        None => {
            console.note("no whole checkpoint yet: starting from the first step");
            Ok(Progress::default())
        }
    }
}

fn introduce(context: &Context, run: &RunDir, trainee: &dyn Trainee, data: &Data, step: u64) {
    let recipe = run.recipe();
    let console = context.console;
    console.note(format!("{}: {}", recipe.name, recipe.title));
    console.note(format!(
        "data {}: {} to learn from, {} held out; {} parameters; device {}, {} threads; seed {}",
        recipe.data.name,
        data.train().len(),
        data.held_out().len(),
        trainee.parameters(),
        context.device_name,
        rayon::current_num_threads(),
        recipe.seed
    ));
    if let Family::StyleGan(spec) = &recipe.model
        && let grown @ 1.. = spec.net.growth.steps.iter().sum::<u64>()
        && grown >= recipe.train.steps
    {
        let steps = recipe.train.steps;
        console.warn(format!(
            "the last stage begins after step {grown} and training ends after step {steps}: pictures stay coarse; lower \
             model.net.growth.steps or raise train.steps"
        ));
    }
    if step > 0 {
        console.note(format!("{step} of {} steps are done", recipe.train.steps));
    }
}

/// Measures what was trained, writes the report, and says what to look at.
fn conclude(context: &Context, run: &RunDir, trainee: &dyn Trainee, data: &Data) -> Outcome {
    let console = context.console;
    let recipe = run.recipe();
    let subject = Subject {
        recipe,
        recipe_sha256: run.recipe_sha256(),
        trainee,
        data,
        device: &context.device,
        step: recipe.train.steps,
    };
    let plan = measure::Plan::usual(run.path().parent().unwrap_or(Path::new(".")));
    let scores = measure::evaluate(&subject, &plan, |what| console.note(what))?;
    run.write_scores(&scores)?;
    super::report::write(run, &subject, Some(&scores), context, &run.report_path())?;
    if console.json {
        return console.json(&serde_json::json!({ "run": run.path(), "report": run.report_path(), "scores": scores }));
    }
    super::eval::say(console, &scores)?;
    console.say(format!("run     {}", run.path().display()))?;
    console.say(format!("report  {}   <- open this file", run.report_path().display()))
}
