//! What the program says and where: results on stdout, remarks and progress on stderr.
//!
//! `--quiet` keeps stderr to errors. Where stderr is not a terminal there is no bar and no colour, only a few plain lines.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use crate::failure::{Failure, Outcome};

/// Where words go.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Nothing but errors on stderr.
    pub quiet: bool,
    /// Results as JSON.
    pub json: bool,
}

impl Console {
    /// A remark for a human being: a line on stderr, unless quiet.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            // Nobody listening is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Something that the user should know even when quiet: a line on stderr.
    pub fn warn(&self, text: impl Display) {
        let _ = writeln!(
            std::io::stderr(),
            "{} {text}",
            paint("warning:", Colour::Yellow, std::io::stderr().is_terminal())
        );
    }

    /// A line of the result, on stdout.
    pub fn say(&self, text: impl Display) -> Outcome {
        written(writeln!(std::io::stdout(), "{text}"))
    }

    /// The result as JSON, on stdout.
    pub fn json(&self, value: &impl serde::Serialize) -> Outcome {
        let text = serde_json::to_string_pretty(value).map_err(Failure::new)?;
        self.say(text)
    }

    /// Whether a progress bar makes sense.
    pub fn draws_bars(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// `text` in `colour` for stdout, where colours are seen and wanted.
    pub fn coloured(&self, text: &str, colour: Colour) -> String {
        paint(text, colour, std::io::stdout().is_terminal())
    }
}

/// The colours in use.
#[derive(Clone, Copy, Debug)]
pub enum Colour {
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Beware.
    Yellow,
}

/// Prints the one line of an error.
pub fn error(line: &str) {
    let text = match line.strip_prefix("error:") {
        Some(rest) => format!("{}{rest}", paint("error:", Colour::Red, std::io::stderr().is_terminal())),
        None => line.to_owned(),
    };
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Honours NO_COLOR (no-color.org): any value that is not empty turns colours off.
fn paint(text: &str, colour: Colour, terminal: bool) -> String {
    if !terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Green => 32,
        Colour::Red => 31,
        Colour::Yellow => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Turns a closed pipe into a silent end.
pub fn written(result: std::io::Result<()>) -> Outcome {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::new(format!("standard output: {error}")),
    })
}

/// Rows of cells as aligned columns, two spaces between them.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "bc".to_owned()], vec!["déf".to_owned(), "g".to_owned()]];
        assert_eq!(super::table(&rows), ["a    bc", "déf  g"]);
    }
}
