//! JSON configurations in and out.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::InteropError;

/// The version of diffusers whose files these are.
const VERSION: &str = "0.42.1";

/// Reads a JSON object.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, InteropError> {
    let text = fs::read(path).map_err(InteropError::file(path))?;
    serde_json::from_slice(&text).map_err(|error| InteropError::Json { path: path.into(), problem: error.to_string() })
}

/// The class that wrote the object, if it says so.
pub(super) fn class_name<'a>(path: &Path, object: &'a Map<String, Value>) -> Result<Option<&'a str>, InteropError> {
    match object.get("_class_name") {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(other) => Err(InteropError::value(path, "_class_name", other, "use the name of a class")),
    }
}

/// The configuration that the object holds. Every key has a default; keys with an underscore are ignored.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, object: Map<String, Value>) -> Result<T, InteropError> {
    let object: Map<_, _> = object.into_iter().filter(|(key, _)| !key.starts_with('_')).collect();
    T::deserialize(Value::Object(object.clone())).map_err(|error| {
        // Which key it was, the parser does not say: the one that alone is refused too.
        for (key, value) in object {
            let alone = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
            if let Err(error) = T::deserialize(alone) {
                let problem = error.to_string();
                return match problem.starts_with("unknown field") {
                    true => InteropError::UnknownKey { path: path.into(), key },
                    false => InteropError::value(path, key, value, problem),
                };
            }
        }
        InteropError::Json { path: path.into(), problem: error.to_string() }
    })
}

/// The object that `class` would write for `config`.
pub(super) fn object(class: &str, config: &impl Serialize) -> Map<String, Value> {
    let mut object = match serde_json::to_value(config) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("a configuration is a struct of plain values, not {other:?}"),
    };
    object.insert("_class_name".into(), json!(class));
    object.insert("_diffusers_version".into(), json!(VERSION));
    object
}

/// Writes a JSON object as diffusers does: keys in order, indented by two.
pub(super) fn write_object(path: &Path, object: Map<String, Value>) -> Result<(), InteropError> {
    fs::write(path, format!("{:#}\n", Value::Object(object))).map_err(InteropError::file(path))
}
