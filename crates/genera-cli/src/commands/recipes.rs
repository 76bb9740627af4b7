//! `genera recipes [NAME]`: the recipes that come with the program, or one of them in full.

use crate::args::Recipes;
use crate::console::{Console, table};
use crate::failure::Outcome;
use crate::recipe::{self, Recipe};

pub fn run(console: Console, args: &Recipes) -> Outcome {
    match &args.name {
        Some(name) => {
            let recipe = Recipe::find(name, &[])?;
            if console.json { console.json(&recipe) } else { console.say(recipe.to_toml()?.trim_end()) }
        }
        None => {
            let recipes = recipe::names().map(|name| Recipe::find(name, &[])).collect::<Outcome<Vec<_>>>()?;
            if console.json {
                return console.json(&recipes);
            }
            let rows: Vec<Vec<String>> = recipes.iter().map(row).collect();
            table(&rows).iter().try_for_each(|line| console.say(line))?;
            console.note("`genera train NAME` trains one; `genera recipes NAME` prints it.");
            Ok(())
        }
    }
}

fn row(recipe: &Recipe) -> Vec<String> {
    let mark = if recipe.name == recipe::DEFAULT { " (default)" } else { "" };
    let expects = recipe.expect.iter().map(|expect| format!("{} {}", expect.measure, expect.bound()));
    vec![
        format!("{}{mark}", recipe.name),
        recipe.title.clone(),
        recipe.paper.clone().unwrap_or_default(),
        expects.collect::<Vec<_>>().join("; "),
    ]
}
