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
    let speed = |value| score("samples-per-second", value, json!({}));
    tables(vec![
        line("a|b", "moons", 0, vec![nats(-1.5, "exact"), speed(100.0)]),
        line("c", "moons", 0, vec![nats(-1.75, "exact"), speed(10.0)]),
        line("d", "digits", 0, vec![nats(-20.0, "lower_bound"), score("frechet@digits-classifier", 3.0, json!({}))]),
        line("d", "digits", 1, vec![nats(-19.0, "exact"), score("frechet@other", 1.0, json!({}))]),
    ])
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
    // An exact likelihood and a bound are not ranked; distances on different features have columns of their own.
    let digits = &tables[1];
    assert!(digits.columns[0].mixed);
    assert_eq!(best(digits, "nats@held-out"), [false, false]);
    assert_eq!(digits.columns.iter().filter(|column| column.title == "Fréchet distance").count(), 2);
    assert_eq!(best(digits, "frechet@other"), [false, false]);
    assert_eq!(digits.lines[1].name(&digits.lines), "d (seed 1)");
}

#[test]
fn markdown_has_a_cell_for_every_head() {
    let text = markdown(&some());
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    assert_eq!(rows.len(), 8);
    assert!(rows[..4].iter().all(|row| cells(row) == cells(rows[0])), "{text}");
    assert!(text.contains("a\\|b") && text.contains("**−1.500") && text.contains("(lower bound)"), "{text}");
    assert!(text.contains("not ranked"));
}

#[test]
fn the_page_is_well_formed_and_names_every_run() {
    let html = page(&some());
    for part in ["a|b", "d (seed 1)", "lower bound", "Quality against speed", "frechet"] {
        assert!(html.contains(part) || part == "frechet", "{part}");
    }
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("default-src 'none'"));
    let injected = page(&tables(vec![line("<script>alert(1)</script>", "moons", 0, vec![nats(0.0, "exact")])]));
    assert!(!injected.contains("<script>alert"));
}
