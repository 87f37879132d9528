//! What is said about a file beside it: `guide.md.meta.json` describes `guide.md`.
//!
//! A sidecar is a JSON object. `title`, `media_type` and `groups` are the document's; every other member is
//! metadata, as are the members of `metadata`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use contexture_core::domain::document::{DocumentAcl, DocumentDescription};
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::fault::Refusal;

/// What follows the name of the file.
pub(super) const SIDECAR_ENDING: &str = ".meta.json";
/// Largest sidecar, in bytes.
const SIDECAR_BYTES_MAX: u64 = 1 << 20;

/// What the command line says about every file of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct CommonDescription {
    /// Metadata of all; a sidecar's wins.
    pub(super) metadata: Map<String, Value>,
    /// Who may read them; absent: everyone of the tenant, or whom a sidecar names.
    pub(super) groups: Option<BTreeSet<String>>,
}

impl CommonDescription {
    /// Reads `KEY=VALUE` arguments. A value that is a JSON scalar or list is one; everything else is text.
    pub(super) fn new(metadata: &[String], groups: Option<BTreeSet<String>>) -> Result<Self, Refusal> {
        let mut members = Map::new();
        for argument in metadata {
            let Some((key, value)) = argument.split_once('=') else {
                let message = format!("'{argument}' is not KEY=VALUE");
                return Err(Refusal::invalid("invalid_metadata_argument", "metadata", message));
            };
            let parsed = serde_json::from_str(value)
                .ok()
                .filter(|value: &Value| !value.is_object() && !value.is_null());
            members.insert(key.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
        }
        // Checked here, so that a wrong argument fails before any file is read.
        DocumentMetadata::from_json(&Value::Object(members.clone()))?;
        DocumentAcl::new(groups.clone())?;
        Ok(Self { metadata: members, groups })
    }

    /// What changes the description of every file, as text; part of fingerprints.
    pub(super) fn fingerprint_text(&self) -> String {
        if self.metadata.is_empty() && self.groups.is_none() {
            return String::new();
        }
        let groups: Option<Vec<&String>> = self.groups.as_ref().map(|groups| groups.iter().collect());
        serde_json::json!([self.metadata, groups]).to_string()
    }

    /// The description of a file, with what its sidecar says.
    pub(super) fn describe(&self, file: &Path) -> Result<DocumentDescription, Refusal> {
        let mut path = file.as_os_str().to_owned();
        path.push(SIDECAR_ENDING);
        let path = Path::new(&path);
        let mut description = DocumentDescription::default();
        let mut metadata = self.metadata.clone();
        let mut groups = self.groups.clone();
        match std::fs::metadata(path) {
            Err(_) => {}
            Ok(found) if found.len() > SIDECAR_BYTES_MAX => {
                return Err(sidecar_refusal(path, &format!("is larger than {SIDECAR_BYTES_MAX} bytes")));
            }
            Ok(_) => {
                let text = std::fs::read(path).map_err(|error| sidecar_refusal(path, &error.to_string()))?;
                let said: Value = serde_json::from_slice(&text)
                    .map_err(|error| sidecar_refusal(path, &error.to_string()))?;
                let Value::Object(mut said) = said else {
                    return Err(sidecar_refusal(path, "is not a JSON object"));
                };
                description.title = text_member(path, &mut said, "title")?;
                description.media_type = text_member(path, &mut said, "media_type")?;
                if let Some(named) = said.remove("groups") {
                    let named = serde_json::from_value(named)
                        .map_err(|_| sidecar_refusal(path, "groups is not a list of texts"))?;
                    groups = Some(named);
                }
                if let Some(Value::Object(members)) = said.remove("metadata") {
                    metadata.extend(members);
                }
                metadata.extend(said);
            }
        }
        description.metadata = DocumentMetadata::from_json(&Value::Object(metadata))
            .map_err(|refusal| sidecar_refusal(path, &refusal.message))?;
        description.acl =
            DocumentAcl::new(groups).map_err(|refusal| sidecar_refusal(path, &refusal.message))?;
        Ok(description)
    }
}

fn text_member(path: &Path, said: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match said.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(sidecar_refusal(path, &format!("{name} is not a text"))),
    }
}

fn sidecar_refusal(path: &Path, why: &str) -> Refusal {
    Refusal::invalid("invalid_sidecar", "sidecar", format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::CommonDescription;
    use crate::cli::scratch::ScratchDirectory;
    use contexture_core::domain::document::DocumentAcl;

    fn metadata_json(described: &contexture_core::domain::document::DocumentDescription) -> String {
        serde_json::to_string(&described.metadata).expect("JSON")
    }

    #[test]
    fn sidecar_wins_over_the_command_line() {
        let scratch = ScratchDirectory::new("sidecar").expect("scratch");
        let file = scratch.path().join("a.md");
        let common = CommonDescription::new(
            &[
                "lang=en".to_owned(),
                "year=2024".to_owned(),
                "tags=[\"a\",\"b\"]".to_owned(),
                "n=a=b".to_owned(),
            ],
            Some(["staff".to_owned()].into()),
        );
        let common = common.expect("a description");
        let plain = common.describe(&file).expect("a description");
        assert_eq!(metadata_json(&plain), r#"{"lang":"en","n":"a=b","tags":["a","b"],"year":2024}"#);
        assert_eq!(plain.acl, DocumentAcl::Groups(["staff".to_owned()].into()));
        let said = r#"{"title": "A", "lang": "de", "groups": ["hr"], "metadata": {"team": "x"}}"#;
        fs::write(scratch.path().join("a.md.meta.json"), said).expect("a file");
        let described = common.describe(&file).expect("a description");
        assert_eq!(described.title.as_deref(), Some("A"));
        assert_eq!(described.acl, DocumentAcl::Groups(["hr".to_owned()].into()));
        assert_eq!(
            metadata_json(&described),
            r#"{"lang":"de","n":"a=b","tags":["a","b"],"team":"x","year":2024}"#
        );
    }

    #[test]
    fn wrong_sidecars_and_arguments_are_named() {
        let scratch = ScratchDirectory::new("sidecar").expect("scratch");
        let file = scratch.path().join("a.md");
        let common = CommonDescription::default();
        for said in ["[]", "{", r#"{"title": 1}"#, r#"{"groups": "hr"}"#, r#"{"a": {"b": 1}}"#] {
            fs::write(scratch.path().join("a.md.meta.json"), said).expect("a file");
            let refusal = common.describe(&file).expect_err("a refusal");
            assert!(
                refusal.code == "invalid_sidecar" && refusal.message.contains("a.md.meta.json"),
                "{said}"
            );
        }
        let refusal = CommonDescription::new(&["lang".to_owned()], None).expect_err("a refusal");
        assert_eq!(refusal.code, "invalid_metadata_argument");
    }
}
