//! `genera compare RUN...`: one table of runs of all families.

use std::path::Path;

use super::Context;
use crate::args::Compare;
use crate::compare::{Kinds, Line, markdown, page, tables};
use crate::failure::{Failure, Outcome};
use crate::run::write_atomically;

pub fn run(context: &Context, args: &Compare) -> Outcome {
    let console = context.console;
    let line = |path: &std::path::PathBuf| Line::of(path, |complaint| console.warn(complaint));
    let kinds = if args.across_kinds { Kinds::Together } else { Kinds::Apart };
    let tables = tables(args.runs.iter().map(line).collect::<Outcome<_>>()?, kinds);
    let json = || serde_json::to_string_pretty(&tables).map_err(Failure::new);
    let Some(out) = &args.out else {
        return console.say(if console.json { json()? } else { markdown(&tables) });
    };
    let text = match extension(out) {
        "html" => page(&tables),
        "md" => markdown(&tables),
        "json" => json()?,
        _ => {
            let out = out.display();
            return Err(Failure::Usage(format!("--out {out}: a comparison is written as .html, .md or .json")));
        }
    };
    write_atomically(out, text.as_bytes())?;
    console.say(out.display())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or("")
}
