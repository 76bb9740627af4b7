//! Recipes that draw by Markov chains say whether the chains have arrived.

mod common;

use common::{fail, succeed, tempdir};
use serde_json::Value;

fn measures(run: &std::path::Path) -> impl Fn(&str) -> Option<f64> + use<> {
    let scores: Value = serde_json::from_slice(&std::fs::read(run.join("scores.json")).unwrap()).unwrap();
    move |name| scores["measures"].as_array()?.iter().find(|one| one["measure"] == name)?["value"].as_f64()
}

#[test]
fn chains_between_far_modes_have_not_arrived_and_refused_steps_settle() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    succeed(here, &["train", "langevin-gmm", "--set", "measure.samples=200", "--out", "far"]);
    let far = measures(&here.join("far"));
    // Means at 5 and -5, of unit variance: about the square root of 1 + 25.
    assert!(far("r-hat@chains").unwrap() > 3.0 && far("effective-share@chains").unwrap() < 0.01);
    assert_eq!(far("acceptance@chains"), None);
    let page = std::fs::read_to_string(here.join("far/report.html")).unwrap();
    assert!(page.contains("How the density flows"));

    succeed(here, &["train", "mala-banana", "--set", "measure.samples=200", "--out", "near"]);
    let near = measures(&here.join("near"));
    assert!(near("r-hat@chains").unwrap() < 1.2, "{:?}", near("r-hat@chains"));
    let share = near("effective-share@chains").unwrap();
    assert!(share > 0.0 && share < 1.0);
    let taken = near("acceptance@chains").unwrap();
    assert!(taken > 0.3 && taken < 1.0, "{taken}");
    let page = std::fs::read_to_string(here.join("near/report.html")).unwrap();
    assert!(page.contains("The first coordinate of a few chains"));

    let wrong = ["train", "langevin-gmm", "--set", "model.adjust=\"gibbs\"", "--out", "x"];
    fail(here, &wrong, 1, "metropolis");
}
