//! Models that read: what they draw for combinations that they were never shown.

use genera_rng::Rng;

use super::grid;
use crate::failure::Outcome;
use crate::measure::{Draw, Subject};
use crate::report::{Gallery, Report};

/// Samples of each caption.
const EACH: usize = 8;

pub fn show(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let Some(captions) = subject.data.captions().filter(|_| !draw.labels.is_empty()) else { return Ok(()) };
    let (mut pictures, rng) = (Vec::new(), rng.fork("captions"));
    for attributes in captions.held_out() {
        let wording = captions.wordings(attributes.statement()).start;
        let drawn = draw.telling(vec![wording]).rows(EACH, &rng.at(attributes.digit as u64))?;
        pictures.extend(grid(draw, drawn.rows, EACH, captions.all()[wording].text.clone())?);
    }
    let lead =
        "Samples beneath captions of combinations that the model was never shown: of each digit one corner of thin or \
                thick and left or right is left out of training."
            .to_owned();
    report.galleries.push(Gallery { id: "captions", title: "Captions", lead, pictures, ..Gallery::default() });
    Ok(())
}
