//! "Did you mean …?"

/// The candidate that `word` is most likely a slip of, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (candidate, score(candidate)))
        .filter(|(_, score)| *score > 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(candidate, _)| candidate)
}

/// `message`, where it is serde's "unknown field `x`, expected one of `a`, `b`" (or variant), with the nearest name.
pub fn with_suggestion(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((word, candidates)) if message.contains("unknown") => match nearest(word, candidates.iter().copied()) {
            Some(name) => format!("{message}; did you mean `{name}`?"),
            None => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest("stpes", ["seed", "steps", "sample"]), Some("steps"));
        assert_eq!(nearest("quux", ["seed", "steps"]), None);
        let message = "unknown field `ema_dcay`, expected one of `ema_decay`, `steps`";
        assert_eq!(with_suggestion(message), format!("{message}; did you mean `ema_decay`?"));
        assert_eq!(with_suggestion("invalid type `a`"), "invalid type `a`");
    }
}
