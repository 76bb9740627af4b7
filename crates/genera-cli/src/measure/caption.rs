//! Whether samples follow captions: the digit by a classifier, thickness and slant by measuring them.

use genera_data::Stroke;
use genera_data::caption::{Attributes, Captions, Thickness};
use genera_rng::Rng;
use serde_json::json;

use super::beholder::score;
use super::{Draw, Judge, Plan, Subject};
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;

/// What samples were asked for, and how many of them follow it.
struct Shares {
    digit: f64,
    thickness: f64,
    slant: f64,
    all: f64,
}

/// `caption-match`, `digit-match`, `thickness-match` and `slant-match` of captions that speak of every attribute of the
/// combinations that were never shown, all wordings in turn, beside those of combinations that were; nothing of models that
/// read none.
pub fn measure(
    subject: &Subject<'_>,
    draw: &Draw<'_>,
    judge: &Judge,
    plan: &Plan<'_>,
    tell: &mut impl FnMut(String),
) -> Outcome<Vec<Score>> {
    let Some(captions) = subject.data.captions().filter(|_| !draw.labels.is_empty()) else { return Ok(Vec::new()) };
    let n = subject.recipe.measure.samples;
    tell(format!("drawing {n} samples of combinations that were never shown, and of ones that were"));
    let asked = in_turn(captions, &captions.held_out());
    let drawn = draw.telling(asked.clone()).rows(n, &Rng::new(plan.seed).fork("captions"))?;
    let own = shares(captions, &asked, &drawn, &judge.named(&drawn)?);
    let mut shown = captions.combinations();
    shown.retain(|attributes| attributes.thickness != Thickness::Medium && !attributes.is_held_out());
    let asked = in_turn(captions, &shown);
    let drawn = draw.telling(asked.clone()).rows(n, &Rng::new(plan.seed).fork("shown captions"))?;
    let beside = shares(captions, &asked, &drawn, &judge.named(&drawn)?);
    let name = || judge.name().to_owned();
    let each = [
        (Measure::CaptionMatch(name()), own.all, beside.all),
        (Measure::DigitMatch(name()), own.digit, beside.digit),
        (Measure::ThicknessMatch, own.thickness, beside.thickness),
        (Measure::SlantMatch, own.slant, beside.slant),
    ];
    let scored = |(measure, value, beside): (Measure, f64, f64)| {
        let standard_error = (value * (1.0 - value) / n as f64).sqrt();
        let details = json!({ "n": n, "classifier": judge.name(), "standard_error": standard_error });
        score(measure, value, Some(("combinations that were shown", beside)), None, &details)
    };
    Ok(each.into_iter().map(scored).collect())
}

/// The numbers of captions that say all of each of `combinations`: the first wording of each, then the second, ...
pub fn in_turn(captions: &Captions, combinations: &[Attributes]) -> Vec<usize> {
    let wordings: Vec<_> = combinations.iter().map(|attributes| captions.wordings(attributes.statement())).collect();
    let most = wordings.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    // Those with fewer wordings begin anew, so that each combination is drawn equally often.
    (0..most).flat_map(|k| wordings.iter().map(move |range| range.start + k % range.len().max(1))).collect()
}

fn shares(captions: &Captions, asked: &[usize], drawn: &Drawn, named: &[usize]) -> Shares {
    let width = drawn.shape.last().copied().unwrap_or(1);
    let mut counts = [0_usize; 4];
    for (row, name) in named.iter().enumerate() {
        let says = captions.all()[asked[row % asked.len()]].says;
        let grey: Vec<u8> = drawn.row(row).iter().map(|&y| drawn.view.level(y, drawn.levels)).collect();
        let followed = captions.followed(says, Stroke::of(&grey, width, drawn.levels));
        let each = [*name == says.digit, followed.thickness, followed.slant];
        let all = each.iter().all(|follows| *follows);
        each.into_iter().chain([all]).zip(&mut counts).for_each(|(follows, count)| *count += usize::from(follows));
    }
    let [digit, thickness, slant, all] = counts.map(|count| count as f64 / named.len().max(1) as f64);
    Shares { digit, thickness, slant, all }
}
