//! `genera sample`: draws from a run, or from a pipeline folder that diffusers wrote.

use std::path::{Path, PathBuf};

use genera::Caution;
use genera::diffusion::Solver;
use genera_data::caption::encode;
use genera_rng::Rng;

use super::{Context, Loaded};
use crate::args::Sample;
use crate::export::{self, Drawn, Notes};
use crate::failure::{Failure, Outcome};
use crate::family::{Family, Trainee};
use crate::hash::sha256;
use crate::measure::{Draw, Way};
use crate::pipeline;
use crate::run::RunDir;
use crate::solver::{self, Choice};

pub fn run(context: &Context, args: &Sample) -> Outcome {
    if RunDir::is_run(&args.source) {
        let loaded = Loaded::open(&args.source, context)?;
        let draw = Draw::of_recipe(&loaded.subject(context))?;
        let recipe = loaded.run.recipe();
        let mut draw =
            draw.ok_or_else(|| Failure::new(format!("{} is a model that nothing is drawn from", recipe.name)))?;
        if let Some(scale) = args.guidance {
            if !recipe.model.is_guidable() {
                return Err(unguidable());
            }
            draw.guide(loaded.trainee.as_ref(), recipe.guidance(scale))?;
        }
        if let Some(labels) = &args.labels {
            let conditional = recipe.model.is_conditional() && loaded.data.captions().is_none();
            draw.labels = checked(labels, loaded.data.classes(), conditional)?;
        }
        if !args.caption.is_empty() {
            read(&mut draw, loaded.trainee.as_ref(), &args.caption)?;
        }
        let styled = loaded.trainee.view().styles.is_some();
        if let Some((flag, caution)) = caution(args, styled) {
            draw.way = cautious(&loaded, &draw, flag, caution)?;
        }
        let name = ("genera:recipe".to_owned(), recipe.name.clone());
        let hash = ("genera:recipe-sha256".to_owned(), loaded.run.recipe_sha256().to_owned());
        let step = ("genera:step".to_owned(), loaded.step.to_string());
        return write(context, args, draw, Some(&recipe.model), vec![name, hash, step]);
    }
    if args.guidance.is_some() {
        return Err(unguidable());
    }
    if let Some((flag, _)) = caution(args, false) {
        return Err(Failure::Usage(format!("{flag}: it is for models that draw directly")));
    }
    if !args.caption.is_empty() {
        return Err(unread());
    }
    let model = pipeline::open(&args.source, &context.device)?;
    let mut draw = pipeline::draw(&model, &context.device);
    if let Some(labels) = &args.labels {
        draw.labels = checked(labels, model.net.config().num_class_embeds, true)?;
    }
    let file = args.source.join("model_index.json");
    let text = std::fs::read(&file).map_err(Failure::file(&file))?;
    write(context, args, draw, None, vec![("genera:pipeline-sha256".to_owned(), sha256(&text))])
}

/// How much likelier than the model's own the samples shall be, and the flag that says so.
fn caution(args: &Sample, styled: bool) -> Option<(&'static str, Caution)> {
    let truncation = if styled { Caution::Style } else { Caution::Truncation };
    let temperature = args.temperature.map(|factor| ("--temperature", Caution::Temperature(factor)));
    let likeliest = args.top_k.map(|count| ("--top-k", Caution::Likeliest(count)));
    temperature.or(likeliest).or(args.truncation.map(|at| ("--truncation", truncation(at))))
}

/// The model's way of drawing with caution.
fn cautious<'a>(loaded: &'a Loaded, draw: &Draw<'_>, flag: &str, caution: Caution) -> Outcome<Way<'a>> {
    let refused = |why: &str| Failure::Usage(format!("{flag}: {why}"));
    let Some(model) = loaded.trainee.view().cautious.filter(|_| matches!(draw.way, Way::Direct(_))) else {
        return Err(refused("it is for models that draw directly"));
    };
    if !draw.labels.is_empty() {
        return Err(refused("it is for models that are not told the class of what they draw"));
    }
    if !caution.is_sound() {
        return Err(refused(
            "the value makes no sense: a temperature and the truncation of styles are at least 0, that of noise is above 0, and k is at least 1",
        ));
    }
    // A draw of one says whether the model can.
    model.with_caution(caution).ok_or_else(|| refused("this model draws from nothing that it could be taken with"))?;
    Ok(Way::Direct(Box::new(move |_| model.with_caution(caution).expect("it drew so a moment ago"))))
}

/// Of a model that is never without the class.
pub fn unguidable() -> Failure {
    Failure::Usage(
        "--guidance: it is for models that learn with and without the class (model.label_dropout)".to_owned(),
    )
}

/// `draw` told these captions in turn.
fn read<'a>(draw: &mut Draw<'a>, trainee: &'a dyn Trainee, captions: &[String]) -> Outcome {
    let length = trainee.offers().text_length().ok_or_else(unread)?;
    let texts = captions.iter().map(|caption| encode(caption, length)).collect::<Result<Vec<_>, _>>();
    let texts = texts.map_err(|error| Failure::Usage(format!("--caption: {error}")))?;
    let Way::Chain { denoise, .. } = &mut draw.way else { return Err(unread()) };
    (draw.labels, draw.classes) = ((0..texts.len()).collect(), Some(Vec::new()));
    *denoise = Box::new(move |told| {
        let texts = told.into_iter().map(|caption| texts[caption].clone()).collect();
        trainee.offers().denoise_reading(texts).expect("it read texts a moment ago")
    });
    Ok(())
}

fn unread() -> Failure {
    Failure::Usage("--caption: this model reads no captions; text-digits is a recipe of one that does".to_owned())
}

/// Draws, writes, says where.
fn write(context: &Context, args: &Sample, mut draw: Draw<'_>, model: Option<&Family>, mut notes: Notes) -> Outcome {
    let console = context.console;
    draw.chunk = args.chunk as usize;
    adjust(&mut draw.way, args, model)?;
    let features = draw.shape.iter().product();
    let noise = args.noise.as_deref().map(|path| read_noise(path, args.n as usize, features)).transpose()?;
    let nothing = Drawn {
        rows: Vec::new(),
        n: 0,
        shape: draw.shape.clone(),
        view: draw.view,
        levels: draw.grey_levels,
        labels: None,
    };
    let out = args.out.clone().unwrap_or_else(|| default_name(args.seed, &nothing));
    export::check(&out, &nothing)?;

    console.note(format!("device {}, {} threads", context.device_name, rayon::current_num_threads()));
    let drawn = draw.rows_from(args.n as usize, noise.as_deref(), &Rng::new(args.seed).fork("sample"))?;
    notes.extend(words(args, &draw.way));
    export::write(&out, &drawn, &notes)?;
    if console.json {
        let notes: serde_json::Map<_, _> = notes.into_iter().map(|(name, text)| (name, text.into())).collect();
        return console.json(&serde_json::json!({ "out": out, "shape": drawn.full_shape(), "notes": notes }));
    }
    console.say(out.display())
}

/// What the command line says of the solver. Everything that can be refused is refused before the work.
fn adjust(way: &mut Way<'_>, args: &Sample, model: Option<&Family>) -> Outcome {
    let Way::Chain { levels, sampler, .. } = way else {
        let given = [
            ("--solver", args.solver.is_some()),
            ("--steps", args.steps.is_some()),
            ("--eta", args.eta.is_some()),
            ("--noise", args.noise.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::Usage(format!("{flag}: it is for models that remove noise step by step"))),
            None => Ok(()),
        };
    };
    let choice = Choice { solver: args.solver, steps: args.steps.map(|steps| steps as usize), eta: args.eta };
    *sampler = choice.over(sampler, model)?;
    sampler.chain(levels)?;
    Ok(())
}

fn checked(labels: &[usize], classes: Option<usize>, conditional: bool) -> Outcome<Vec<usize>> {
    let classes = classes
        .filter(|_| conditional)
        .ok_or_else(|| Failure::Usage("--labels: this model is not told the class of what it draws".to_owned()))?;
    match labels.iter().find(|&&label| label >= classes) {
        Some(label) => Err(Failure::Usage(format!("--labels {label}: the classes are 0 to {}", classes - 1))),
        None => Ok(labels.to_vec()),
    }
}

/// Standard normal noise from a file: the first `n` of its rows.
fn read_noise(path: &Path, n: usize, features: usize) -> Outcome<Vec<f32>> {
    let mut values = export::read_rows(path, features)?;
    let rows = values.len() / features;
    if rows < n {
        let path = path.display();
        return Err(Failure::new(format!("{path}: {rows} rows, but {n} samples are asked for; say how many with -n")));
    }
    values.truncate(n * features);
    Ok(values)
}

fn default_name(seed: u64, drawn: &Drawn) -> PathBuf {
    let png = PathBuf::from(format!("samples-{seed}.png"));
    if export::check(&png, drawn).is_ok() { png } else { png.with_extension("npy") }
}

/// What a picture should say about itself.
fn words(args: &Sample, way: &Way<'_>) -> Notes {
    let solver = match way {
        Way::Chain { sampler, .. } => {
            let guidance = sampler.guidance.map(|guidance| format!(" guidance={}", guidance.scale)).unwrap_or_default();
            let name = solver::name(sampler.solver);
            let text = match sampler.solver {
                Solver::ProbabilityFlow => format!("{name} tolerance={}{guidance}", sampler.tolerance),
                _ => format!("{name} steps={} eta={}{guidance}", sampler.steps, sampler.eta),
            };
            Some(("genera:solver", text))
        }
        Way::Direct(_) => None,
    };
    let command: Vec<String> = std::env::args().skip(1).collect();
    [("genera:seed", args.seed.to_string())]
        .into_iter()
        .chain(solver)
        .chain([
            ("genera:command", format!("genera {}", command.join(" "))),
            ("Software", format!("genera {}", env!("CARGO_PKG_VERSION"))),
        ])
        .map(|(name, text)| (name.to_owned(), text))
        .collect()
}
