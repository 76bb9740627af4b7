//! Diffusions in the plane: the ways of the probability flow from noise to data, and beside them those of the reverse
//! stochastic equation from the same noise.

use genera::diffusion::{Level, Sampler, Solver};
use genera_rng::Rng;

use crate::failure::Outcome;
use crate::measure::{Draw, Way};
use crate::report::{Report, Ways};

/// Ways, how many of them are drawn where they wind, steps of each, and stations that are drawn.
const WAYS: usize = 48;
const FEW: usize = 8;
const STEPS: usize = 192;
const STATIONS: usize = 64;

pub fn show(report: &mut Report, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let (Way::Chain { denoise, levels, sampler }, Some(plane)) = (&draw.way, report.planes.first_mut()) else {
        return Ok(());
    };
    // What a consistency model gives is no expectation of clean data, and no slope of a flow.
    if draw.shape != [2] || sampler.solver == Solver::Consistency {
        return Ok(());
    }
    let steps = STEPS.min(levels.steps());
    let kinds = [
        (Solver::Heun, "Probability flow", WAYS, "steps of Heun's rule. Neighbours stay neighbours"),
        (Solver::Ancestral, "Reverse equation", FEW, "ancestral steps. Noise on the way mixes what began together"),
    ];
    for (solver, title, shown, rule) in kinds {
        let (clip, guidance) = (sampler.clip, sampler.guidance);
        let sampler = Sampler { solver, steps, clip, guidance, ..Sampler::default() };
        let way = Way::Chain { denoise: Box::new(move |labels| denoise(labels)), levels: levels.clone(), sampler };
        let stations = draw.by(way).trajectory(WAYS, STATIONS, &rng.fork("ways"))?;
        let lines = (0..WAYS).map(|way| {
            let place = |(time, rows): &(f64, crate::export::Drawn)| {
                let x = rows.row(way);
                let scale = scale(levels.level(*time));
                [f64::from(x[0]) / scale, f64::from(x[1]) / scale]
            };
            stations.iter().map(place).collect()
        });
        let far = levels.schedule().keeps_scale();
        let scaled = if far { " Points are over √(1 + σ²), or noise would fill the frame." } else { "" };
        let from = if shown < WAYS { format!("{shown} of {WAYS} ways") } else { format!("{WAYS} ways") };
        let note = format!(
            "{from} in {steps} {rule}. Dots are samples; a colour is the direction of the noise, the same in both.{scaled}"
        );
        plane.ways.push(Ways { title, note, lines: lines.collect(), shown });
    }
    Ok(())
}

/// What a point is drawn over: where noise grows beyond all data, its scale.
fn scale(level: Level) -> f64 {
    if level.alpha == 1.0 { level.scale() } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera::diffusion::Schedule;

    #[test]
    fn noise_is_as_wide_as_data_and_data_stay_where_they_are() {
        for schedule in
            [Schedule::karras(50), Schedule::variance_exploding(50), Schedule::cosine(50), Schedule::linear_flow(50)]
        {
            let levels = schedule.levels().unwrap();
            let (top, clean) = (levels.top(), levels.clean());
            assert!((top.scale() / scale(top) - 1.0).abs() < 1e-6, "{schedule:?}");
            assert_eq!(scale(clean), 1.0);
        }
    }
}
