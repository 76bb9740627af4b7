//! How near a posterior without a density comes to the true one, where that is known: on a grid.

use genera::gan::{Bend, ImplicitAutoencoder};
use genera_metrics::PlaneGrid;
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::{numbers, tensor};
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// Points whose posterior is looked at, and draws of it.
const AT: [f64; 3] = [0.5, 1.0, 1.5];
const DRAWS: usize = 40_000;
/// Cells a side, and their width.
const SIDE: usize = 60;
const CELL: f64 = 0.12;

/// `posterior-gain@grid`: the divergence of the best Gaussians from the posteriors over that of the draws.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, model: &ImplicitAutoencoder<Bend>) -> Outcome<Score> {
    let rng = Rng::new(plan.seed).fork("posterior");
    let mut divergences = Vec::new();
    for (x, at) in AT.into_iter().zip(0..) {
        let rows = tensor(vec![x as f32; DRAWS], 1, subject.device);
        let draws = numbers(model.encoder.draw(rows, &mut rng.at(at)))?;
        let posterior = PlaneGrid::of(|z| model.decoder.log_joint(z, x), SIDE, CELL);
        divergences.push([posterior.kl_of_draws(&draws), posterior.kl_of_best_gaussian()]);
    }
    let [implicit, gaussian] = [0, 1].map(|which| divergences.iter().map(|pair| pair[which]).sum::<f64>());
    Ok(Score {
        measure: Measure::PosteriorGain.to_string(),
        value: gaussian / implicit,
        baseline: Some(Baseline { of: "a Gaussian for each point".to_owned(), value: 1.0 }),
        record: record(&json!({
            "n": DRAWS, "seed": plan.seed, "x": AT, "cells": SIDE * SIDE, "cell": CELL,
            "implicit_and_best_gaussian": divergences,
        })),
    })
}
