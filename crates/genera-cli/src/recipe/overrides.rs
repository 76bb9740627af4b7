//! `--set a.b.c=value`: changes to a recipe, made on its TOML before it is typed, so that one place refuses what is wrong.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Recipe, suggest};
use crate::failure::{Failure, Outcome, one_line};

/// `recipe` with `overrides` applied in order.
pub fn apply(recipe: &Recipe, overrides: &[String]) -> Outcome<Recipe> {
    let plain = Table::try_from(recipe).map_err(|error| Failure::new(one_line(&error.to_string())))?;
    let mut table = plain.clone();
    for text in overrides {
        let (path, value) = parse(text)?;
        set(&mut table, &path, value).map_err(|what| Failure::new(format!("--set {text}: {what}")))?;
    }
    typed(table).map_err(|all| {
        // Which of them is to blame? The first that is wrong by itself; else it is their sum.
        let blamed = overrides.iter().find_map(|text| {
            let (path, value) = parse(text).ok()?;
            let mut table = plain.clone();
            set(&mut table, &path, value).ok()?;
            typed(table).err().map(|what| format!("--set {text}: {what}"))
        });
        Failure::new(blamed.unwrap_or_else(|| format!("--set {}: {all}", overrides.join(" --set "))))
    })
}

fn typed(table: Table) -> Result<Recipe, String> {
    let recipe =
        Recipe::deserialize(table.clone()).map_err(|error| suggest::with_suggestion(&one_line(error.message())))?;
    recipe.refuse_stray(&table).and_then(|()| recipe.check()).map_err(|failure| match failure {
        Failure::Failed(message) => message,
        other => format!("{other:?}"),
    })?;
    Ok(recipe)
}

/// A value that is not TOML is taken for a plain string: `--set data.name=moons`.
fn parse(text: &str) -> Outcome<(Vec<&str>, Value)> {
    let parts = text.split_once('=').filter(|(path, _)| path.split('.').all(|key| !key.trim().is_empty()));
    let (path, value) = parts.ok_or_else(|| {
        Failure::Usage(format!("--set {text}: not of the form a.b.c=value, as in --set train.steps=200"))
    })?;
    let value = match format!("value = {value}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or(Value::Boolean(false)),
        _ => Value::String(value.trim().to_owned()),
    };
    Ok((path.split('.').map(str::trim).collect(), value))
}

/// Sets the value at `path`; a number is a place in a list.
fn set(table: &mut Table, path: &[&str], value: Value) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let (first, rest) = match parents.split_first() {
        None => {
            table.insert((*last).to_owned(), value);
            return Ok(());
        }
        Some((first, rest)) => (first, rest),
    };
    let mut node = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
    for (depth, key) in rest.iter().enumerate() {
        let here = || path[..=depth].join(".");
        node = match node {
            Value::Table(table) => table.entry(*key).or_insert_with(|| Value::Table(Table::new())),
            Value::Array(list) => element(list, key, &here())?,
            other => return Err(format!("{} is a {}, with nothing inside", here(), other.type_str())),
        };
    }
    let here = parents.join(".");
    match node {
        Value::Table(table) => {
            table.insert((*last).to_owned(), value);
        }
        Value::Array(list) => *element(list, last, &here)? = value,
        other => return Err(format!("{here} is a {}, with nothing inside", other.type_str())),
    }
    Ok(())
}

fn element<'a>(list: &'a mut [Value], key: &str, list_name: &str) -> Result<&'a mut Value, String> {
    let length = list.len();
    let found = key.parse::<usize>().ok().and_then(|index| list.get_mut(index));
    found.ok_or_else(|| format!("{list_name} is a list of {length}; `{key}` is not a place in it (counted from 0)"))
}
