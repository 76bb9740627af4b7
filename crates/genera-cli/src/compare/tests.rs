use serde_json::json;

use super::*;

fn score(measure: &str, value: f64, record: Value) -> Score {
    let Value::Object(record) = record else { panic!("a record is an object") };
    Score { measure: measure.to_owned(), value, baseline: None, record }
}

fn line(recipe: &str, data: &str, seed: u64, measures: Vec<Score>) -> Line {
    Line {
        run: PathBuf::from(format!("runs/{recipe}-{seed}")),
        recipe: recipe.to_owned(),
        title: recipe.to_owned(),
        family: "flow".to_owned(),
        data: data.to_owned(),
        seed,
        steps: 10,
        parameters: Some(12_345),
        minutes: Some(1.5),
        measures,
    }
}

fn nats(value: f64, kind: &str) -> Score {
    score("nats@held-out", value, json!({ "standard_error": 0.01, "protocol": { "kind": { "name": kind } } }))
}

fn some() -> Vec<Table> {
    all(Kinds::Apart)
}

fn all(kinds: Kinds) -> Vec<Table> {
    let speed = |value| score("samples-per-second", value, json!({}));
    let lines = vec![
        line("a|b", "moons", 0, vec![nats(-1.5, "exact"), speed(100.0)]),
        line("c", "moons", 0, vec![nats(-1.75, "exact"), speed(10.0)]),
        line("d", "digits", 0, vec![nats(-20.0, "lower_bound"), score("frechet@digits-classifier", 3.0, json!({}))]),
        line("d", "digits", 1, vec![nats(-19.0, "exact"), score("frechet@other", 1.0, json!({}))]),
    ];
    tables(lines, kinds)
}

#[test]
fn numbers_stand_together_only_where_they_compare() {
    let tables = some();
    assert_eq!(tables.iter().map(|table| table.data.as_str()).collect::<Vec<_>>(), ["moons", "digits"]);
    let best = |table: &Table, measure: &str| -> Vec<bool> {
        let column = table.columns.iter().find(|column| column.measure == measure).unwrap();
        column.cells.iter().map(|cell| cell.as_ref().is_some_and(|cell| cell.best)).collect()
    };
    assert_eq!(best(&tables[0], "nats@held-out"), [true, false]);
    assert_eq!(best(&tables[0], "samples-per-second"), [true, false]);
    // An exact likelihood and a bound have columns of their own, as have distances on different features.
    let digits = &tables[1];
    let likelihoods = |table: &Table| -> Vec<(Option<String>, Vec<Option<f64>>)> {
        let of = |column: &Column| (column.on.clone(), column.cells.iter().map(|c| Some(c.as_ref()?.value)).collect());
        table.columns.iter().filter(|column| column.measure == "nats@held-out").map(of).collect()
    };
    let apart = [("lower bound", vec![Some(-20.0), None]), ("exact", vec![None, Some(-19.0)])];
    assert_eq!(likelihoods(digits), apart.map(|(kind, values)| (Some(kind.to_owned()), values)));
    assert_eq!(best(digits, "nats@held-out"), [false, false]);
    // Asked for, they stand side by side and say what they are.
    let together = &all(Kinds::Together)[1];
    assert_eq!(likelihoods(together), [(None, vec![Some(-20.0), Some(-19.0)])]);
    assert!(together.columns[0].mixed && best(together, "nats@held-out") == [false, true]);
    assert_eq!(together.columns[0].cells[0].as_ref().unwrap().kind.as_deref(), Some("lower bound"));
    assert_eq!(digits.columns.iter().filter(|column| column.title == "Fréchet distance").count(), 2);
    assert_eq!(best(digits, "frechet@other"), [false, false]);
    assert_eq!(digits.lines[1].name(&digits.lines), "d (seed 1)");
}

#[test]
fn estimates_below_zero_are_no_better_than_zero() {
    let mmd = |value| vec![score("mmd@held-out", value, json!({}))];
    let best = |values: [f64; 3]| -> Vec<bool> {
        let lines = ["a", "b", "c"].into_iter().zip(values).map(|(name, value)| line(name, "moons", 0, mmd(value)));
        let tables = tables(lines.collect(), Kinds::Apart);
        tables[0].columns[0].cells.iter().map(|cell| cell.as_ref().unwrap().best).collect()
    };
    assert_eq!(best([0.1, -0.2, -0.001]), [false, true, true]);
    assert_eq!(best([0.1, 0.05, 0.2]), [false, true, false]);
    assert_eq!(best([-0.1, -0.2, -0.001]), [false; 3]);
}

#[test]
fn likelihoods_of_other_levels_never_share_a_column() {
    let of = |levels: u64| {
        let protocol = json!({ "kind": { "name": "exact" }, "dequantisation": { "name": "none", "levels": levels } });
        vec![score("nats@held-out", -1.0, json!({ "protocol": protocol }))]
    };
    for kinds in [Kinds::Apart, Kinds::Together] {
        let tables = tables(vec![line("a", "digits", 0, of(2)), line("b", "digits", 0, of(17))], kinds);
        let heads: Vec<_> = tables[0].columns.iter().map(|column| column.on.clone().unwrap()).collect();
        assert!(heads[0].ends_with("2 levels") && heads[1].ends_with("17 levels"), "{heads:?}");
    }
}

#[test]
fn what_a_likelihood_is_stands_beside_it() {
    let record = json!({
        "given": "the class of each row",
        "protocol": { "kind": { "name": "k_sample_bound", "k": 100 }, "dequantisation": { "name": "uniform_k", "k": 8 } },
    });
    let found = score("nats@held-out", 0.0, record).kind().unwrap();
    assert_eq!(found, "100-sample bound, 8 draws of uniform noise, given the class of each row");
    assert_eq!(score("frechet@x", 0.0, json!({})).kind(), None);
}

#[test]
fn markdown_has_a_cell_for_every_head() {
    let text = markdown(&some());
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    assert_eq!(rows.len(), 8);
    assert!(rows[..4].iter().all(|row| cells(row) == cells(rows[0])), "{text}");
    assert!(text.contains("a\\|b") && text.contains("**−1.500") && text.contains("(lower bound)"), "{text}");
    assert!(text.contains("--across-kinds"));
    assert!(markdown(&all(Kinds::Together)).contains("as was asked for"));
}

#[test]
fn the_page_is_well_formed_and_names_every_run() {
    let html = page(&some());
    for part in ["a|b", "d (seed 1)", "lower bound", "Quality against speed", "frechet"] {
        assert!(html.contains(part) || part == "frechet", "{part}");
    }
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("default-src 'none'"));
    let injected =
        page(&tables(vec![line("<script>alert(1)</script>", "moons", 0, vec![nats(0.0, "exact")])], Kinds::Apart));
    assert!(!injected.contains("<script>alert"));
}
