//! How well pictures and captions find each other in a space of both.

use genera::features::Clip;
use genera::traits::Rows;
use genera_data::caption::{Attributes, encode};
use genera_rng::Rng;
use serde_json::json;

use super::beholder::score;
use super::caption::in_turn;
use super::{Draw, Plan, Subject};
use crate::data::{numbers, tensor};
use crate::failure::{Failure, Outcome};
use crate::family::{Family, untaught};
use crate::recipe::Measure;
use crate::run::{RunDir, Score};

/// Samples whose captions are scored.
const SAMPLES: usize = 500;

/// `retrieval@held-out`: the share of held-out pictures whose caption is the nearest of those of all combinations.
pub fn retrieval(subject: &Subject<'_>, clip: &Clip) -> Outcome<Score> {
    let data = subject.data;
    let captions = data.captions().ok_or_else(|| Failure::new("the data have no captions"))?;
    let own: Vec<Attributes> =
        (0..data.held_out().len()).filter_map(|row| data.attributes(data.held_out(), row)).collect();
    let candidates = captions.combinations();
    let texts: Vec<usize> = candidates.iter().map(|a| captions.wordings(a.statement()).start).collect();
    let texts = numbers(clip.texts(&encoded(subject, clip, &texts)?.iter().map(Vec::as_slice).collect::<Vec<_>>()))?;
    let pictures = numbers(clip.pictures(held_out(subject)?))?;
    let d = texts.len() / candidates.len().max(1);
    let nearest = |picture: &[f32]| {
        let cosines = texts.chunks_exact(d).map(|text| picture.iter().zip(text).map(|(a, b)| a * b).sum::<f32>());
        let best = cosines.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(at, _)| candidates[at])
    };
    let found: Vec<Option<Attributes>> = pictures.chunks_exact(d.max(1)).map(nearest).collect();
    let share = |right: &dyn Fn(&Attributes, &Attributes) -> bool| {
        let count = found.iter().zip(&own).filter(|(found, own)| found.is_some_and(|found| right(&found, own))).count();
        count as f64 / own.len().max(1) as f64
    };
    let value = share(&|found, own| found == own);
    let details = json!({
        "n": own.len(),
        "candidates": candidates.len(),
        "standard_error": (value * (1.0 - value) / own.len().max(1) as f64).sqrt(),
        "digit": share(&|found, own| found.digit == own.digit),
        "thickness": share(&|found, own| found.thickness == own.thickness),
        "slant": share(&|found, own| found.slant == own.slant),
    });
    let chance = 1.0 / candidates.len().max(1) as f64;
    Ok(score(Measure::Retrieval, value, Some(("chance", chance)), None, &details))
}

/// `clip-score@CLIP` of samples of combinations that were never shown, by the run that an expectation names, or by that of
/// `clip-DATA` if there is one among the runs.
pub fn score_samples(
    subject: &Subject<'_>,
    draw: &Draw<'_>,
    plan: &Plan<'_>,
    tell: &mut impl FnMut(String),
) -> Outcome<Option<Score>> {
    let Some(captions) = subject.data.captions().filter(|_| !draw.labels.is_empty()) else { return Ok(None) };
    let named = subject.recipe.expect.iter().find_map(|expect| match &expect.measure {
        Measure::ClipScore(name) => Some(name.clone()),
        _ => None,
    });
    let usual = || {
        let name = format!("clip-{}", subject.recipe.data.name);
        RunDir::is_run(&plan.runs.join(format!("{name}-0"))).then_some(name)
    };
    let Some(name) = named.or_else(usual) else { return Ok(None) };
    let clip = match open(&name, subject, plan) {
        Ok(clip) => clip,
        Err(Failure::Failed(message)) => {
            tell(format!("not measured with {name}: {message}"));
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    tell(format!("samples and their captions by {name}"));
    let n = subject.recipe.measure.samples.min(SAMPLES);
    let asked = in_turn(captions, &captions.held_out());
    let drawn = draw.telling(asked.clone()).rows(n, &Rng::new(plan.seed).fork("clip"))?;
    let features = subject.data.train().features();
    let asked: Vec<usize> = (0..n).map(|row| asked[row % asked.len()]).collect();
    let value = mean_cosine(subject, &clip, tensor(drawn.rows, features, subject.device), &asked)?;
    let held_out = subject.data.held_out();
    let own = (0..held_out.len()).filter_map(|row| subject.data.attributes(held_out, row));
    let own: Vec<usize> = own.map(|attributes| captions.wordings(attributes.statement()).start).collect();
    let beside = mean_cosine(subject, &clip, self::held_out(subject)?, &own)?;
    Ok(Some(score(Measure::ClipScore(name), value, Some(("held-out data", beside)), None, &json!({ "n": n }))))
}

fn open(name: &str, subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome<Clip> {
    let folder = plan.runs.join(format!("{name}-0"));
    let shown = folder.display();
    let run = RunDir::open(&folder).map_err(|_| {
        Failure::new(format!("{shown}: no run of it; train it with `genera train {name} --out {shown}`"))
    })?;
    let Family::Clip(config) = &run.recipe().model else {
        return Err(Failure::new(format!("{shown}: not the run of a model of pictures and captions")));
    };
    let checkpoint = run
        .checkpoints()
        .latest(|_| ())?
        .ok_or_else(|| Failure::new(format!("{shown}: no whole checkpoint yet; go on with --resume")))?;
    let group = ["ema", "model"].into_iter().find_map(|name| checkpoint.groups.iter().find(|(known, _)| known == name));
    let (_, weights) = group.ok_or_else(|| Failure::new(format!("{shown}: no weights")))?;
    let fresh = untaught(config, subject.data, &mut Rng::new(0), subject.device)?;
    Ok(genera::weights::apply(fresh, weights)?)
}

/// The held-out pictures: `[N, F]`.
fn held_out(subject: &Subject<'_>) -> Outcome<Rows> {
    let part = subject.data.held_out();
    Ok(tensor(subject.data.first_rows(part, usize::MAX)?, part.features(), subject.device))
}

/// The captions of these numbers, as `clip` reads them.
fn encoded(subject: &Subject<'_>, clip: &Clip, asked: &[usize]) -> Outcome<Vec<Vec<u8>>> {
    let all = subject.data.captions().map(|captions| captions.all()).unwrap_or_default();
    let texts = asked.iter().map(|caption| encode(&all[*caption].text, clip.length()));
    texts.collect::<Result<_, _>>().map_err(Failure::new)
}

fn mean_cosine(subject: &Subject<'_>, clip: &Clip, x: Rows, asked: &[usize]) -> Outcome<f64> {
    let texts = encoded(subject, clip, asked)?;
    let texts = clip.texts(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let cosines = numbers((clip.pictures(x) * texts).sum_dim(1))?;
    Ok(cosines.iter().map(|cosine| f64::from(*cosine)).sum::<f64>() / cosines.len().max(1) as f64)
}
