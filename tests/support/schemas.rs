//! The JSON Schemas of `schemas/`, compiled.

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;

/// The schema of a file in `schemas/`.
pub(crate) fn schema(name: &str) -> Validator {
    let path = super::workspace::workspace_file("schemas").join(name);
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Panics with everything a schema has against a document.
#[track_caller]
pub(crate) fn assert_valid(schema: &Validator, document: &Value) {
    let errors: Vec<String> =
        schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{document:#}\n{}", errors.join("\n"));
}
