//! Keys beside a `kind` that has no settings.
//!
//! Typing refuses unknown keys everywhere but there: where a variant has no fields, nothing looks at what stands beside
//! its name. What is typed is therefore written again and compared: a table of which only `kind` is left had no room for
//! more.

use toml::{Table, Value};

/// The first such key of `given`, where `typed` is what was made of it: its path and the kind beside it.
pub fn find(given: &Table, typed: &Table) -> Option<String> {
    given.iter().find_map(|(key, value)| {
        let Some(typed) = typed.get(key) else {
            let kind = typed.get("kind").filter(|_| typed.len() == 1 && given.contains_key("kind"))?;
            let kind = kind.as_str().unwrap_or_default();
            return Some(format!("{key}: the kind `{kind}` has no such setting, nor any other; remove it"));
        };
        inside(value, typed).map(|found| format!("{key}.{found}"))
    })
}

fn inside(given: &Value, typed: &Value) -> Option<String> {
    match (given, typed) {
        (Value::Table(given), Value::Table(typed)) => find(given, typed),
        (Value::Array(given), Value::Array(typed)) => {
            let mut pairs = given.iter().zip(typed).enumerate();
            pairs.find_map(|(place, (given, typed))| inside(given, typed).map(|found| format!("{place}.{found}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_beside_a_bare_kind_is_stray() {
        let found = |given: &str, typed: &str| find(&given.parse().unwrap(), &typed.parse().unwrap());
        let typed = "a = [{ kind = 'x', n = 1 }, { kind = 'y' }]\nb = { c = { kind = 'z' } }";
        assert_eq!(found(typed, typed), None);
        let line = found("a = [{ kind = 'x' }, { kind = 'y', n = 2 }]", typed).unwrap();
        assert!(line.starts_with("a.1.n: the kind `y`"), "{line}");
        let line = found("b = { c = { kind = 'z', d = { e = 1 } } }", typed).unwrap();
        assert!(line.starts_with("b.c.d: the kind `z`"), "{line}");
        // What is left out when it is written, because it is the default.
        assert_eq!(found("b = { skipped = false, c = { kind = 'z' } }", typed), None);
    }
}
