//! How much of its books of codes a model uses.

use genera::traits::Books;
use genera::vae::vq::Usage;
use serde_json::json;

use super::{Subject, record};
use crate::data::tensor;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;

/// Rows at a time.
const CHUNK: usize = 500;

/// `usage@BOOK` and `perplexity@BOOK` of the codes of all held-out rows.
pub fn measure(subject: &Subject<'_>, model: &dyn Books) -> Outcome<Vec<Score>> {
    let held_out = subject.data.held_out();
    let (features, rows) = (held_out.features(), subject.data.first_rows(held_out, usize::MAX)?);
    let mut books: Vec<(&str, usize, Vec<usize>)> = Vec::new();
    for chunk in rows.chunks(CHUNK * features) {
        let found = model.entries(tensor(chunk.to_vec(), features, subject.device));
        if books.is_empty() {
            books = found;
        } else {
            books.iter_mut().zip(found).for_each(|(book, found)| book.2.extend(found.2));
        }
    }
    let of_book = |(name, entries, named): (&str, usize, Vec<usize>)| {
        let details = record(&json!({ "rows": held_out.len(), "codes": named.len(), "entries": entries }));
        let usage = Usage::of(named.into_iter(), entries);
        let score = |measure: Measure, value: f64| Score {
            measure: measure.to_string(),
            value,
            baseline: None,
            record: details.clone(),
        };
        [
            score(Measure::Usage(name.to_owned()), usage.used),
            score(Measure::Perplexity(name.to_owned()), usage.perplexity),
        ]
    };
    Ok(books.into_iter().flat_map(of_book).collect())
}
