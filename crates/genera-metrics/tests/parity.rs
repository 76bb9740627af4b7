//! Agreement with SciPy and scikit-learn, by the golden file that `parity/metrics.py` writes.

use genera_metrics::*;
use genera_rng::Rng;
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

struct Table {
    values: Vec<f64>,
    n: usize,
    d: usize,
}

impl Table {
    fn of(value: &Value) -> Self {
        let size = |name: &str| value[name].as_u64().unwrap() as usize;
        Self { values: numbers(&value["values"]), n: size("n"), d: size("d") }
    }

    fn points(&self) -> Points<'_> {
        Points::new(&self.values, self.n, self.d).unwrap()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-3), "{found} against {expected}");
}

#[test]
fn frechet_distance() {
    for case in golden()["frechet"].as_array().unwrap() {
        let (x, y) = (Table::of(&case["x"]), Table::of(&case["y"]));
        let found = frechet(&x.points(), &y.points(), "raw").unwrap();
        println!("frechet: relative error {:e}", found.value / case["value"].as_f64().unwrap() - 1.0);
        close(found.value, &case["value"], 1e-6);
        // The same numbers in single precision are the same points.
        let single: Vec<f32> = x.values.iter().map(|v| *v as f32).collect();
        let again = frechet(&Points::new(&single, x.n, x.d).unwrap(), &y.points(), "raw").unwrap();
        assert_eq!(again, found);
    }
}

#[test]
fn maximum_mean_discrepancy() {
    for case in golden()["mmd"].as_array().unwrap() {
        let (x, y) = (Table::of(&case["x"]), Table::of(&case["y"]));
        let gaussian = Kernel::gaussian(case["bandwidth"].as_f64().unwrap());
        for (kernel, expected) in [(gaussian, &case["gaussian"]), (Kernel::cubic(), &case["cubic"])] {
            close(mmd2_biased(&x.points(), &y.points(), &kernel).unwrap(), &expected["biased"], 1e-10);
            close(mmd2_unbiased(&x.points(), &y.points(), &kernel).unwrap(), &expected["unbiased"], 1e-10);
        }
        let test = permutation_test(&x.points(), &y.points(), &Kernel::cubic(), 20, &mut Rng::new(1)).unwrap();
        close(test.statistic, &case["cubic"]["unbiased"], 1e-9);
    }
}

#[test]
fn precision_recall_density_coverage() {
    for case in golden()["manifold"].as_array().unwrap() {
        let (x, y) = (Table::of(&case["x"]), Table::of(&case["y"]));
        let found = manifold(&x.points(), &y.points(), case["k"].as_u64().unwrap() as usize, "raw").unwrap();
        close(found.precision, &case["precision"], 1e-14);
        close(found.recall, &case["recall"], 1e-14);
        close(found.density, &case["density"], 1e-14);
        close(found.coverage, &case["coverage"], 1e-14);
    }
}

#[test]
fn scores_of_classes() {
    for case in golden()["inception_score"].as_array().unwrap() {
        let p = Table::of(&case["p"]);
        let found = inception_score(&p.points(), case["splits"].as_u64().unwrap() as usize, "any").unwrap();
        close(found.mean, &case["mean"], 1e-13);
        close(found.std, &case["std"], 1e-11);
    }
}

#[test]
fn transport_distances() {
    let golden = golden();
    let line = &golden["wasserstein_1d"];
    let (x, y) = (numbers(&line["x"]), numbers(&line["y"]));
    let (x, y) = (Points::new(&x, x.len(), 1).unwrap(), Points::new(&y, y.len(), 1).unwrap());
    close(wasserstein_1d(&x, &y, 1.0).unwrap(), &line["value"], 1e-13);
    for case in golden["wasserstein"].as_array().unwrap() {
        let (x, y) = (Table::of(&case["x"]), Table::of(&case["y"]));
        let found = wasserstein(&x.points(), &y.points(), case["p"].as_f64().unwrap()).unwrap();
        close(found, &case["value"], 1e-9);
    }
}

#[test]
fn rank_statistic_of_memorisation() {
    let case = &golden()["closer"];
    let (held_out, generated) = (numbers(&case["held_out"]), numbers(&case["generated"]));
    let points = |values| Points::new(values, <[f64]>::len(values), 1).unwrap();
    // Distances to a training row at zero are the values themselves.
    let found = memorisation(&points(&[0.0]), &points(&held_out), &points(&generated)).unwrap();
    close(found.closer, &case["value"], 1e-14);
}
