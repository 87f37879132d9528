//! Files that requests ask for by name: tokenizers of reading models, templates of contexts, pipelines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::refuse_key;
use contexture_core::fault::Refusal;

/// Most entries of `tokenizers`, of `templates`, and of `pipelines`.
pub const NAMED_FILES_MAX: usize = 64;
/// Longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// An entry of `tokenizers`, `templates` or `pipelines`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNamedFile {
    name: String,
    #[serde(serialize_with = "RelativePathBuf::serialize_relative")]
    path: RelativePathBuf,
}

/// A file and the name by which requests ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFileConfig {
    /// The name in requests.
    pub name: String,
    /// Its path. The file is read on first use, or when the configuration is checked.
    pub path: PathBuf,
    /// What to blame if it cannot be read: a key of the configuration, or an option.
    pub field: String,
}

impl NamedFileConfig {
    /// Returns the file that a `--tokenizer` option names, if it names one: the text ends in `.json` or
    /// contains a path separator.
    pub fn from_tokenizer_option(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let is_file = text.contains(std::path::is_separator)
            || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        is_file.then(|| Self { name: text.to_owned(), path: path.to_owned(), field: "tokenizer".to_owned() })
    }
}

/// Validates all entries. Names must be unique, and none may look like a path.
pub(super) fn validate_named_files(key: &str, raw: &[RawNamedFile]) -> Result<Vec<NamedFileConfig>, Refusal> {
    if raw.len() > NAMED_FILES_MAX {
        let why = format!("has {} entries; at most {NAMED_FILES_MAX} are kept", raw.len());
        return Err(refuse_key(key, &why));
    }
    let mut names = BTreeSet::new();
    let mut files = Vec::with_capacity(raw.len());
    for (index, entry) in raw.iter().enumerate() {
        let field = format!("{key}[{index}]");
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&entry.name.len())
            || !entry.name.bytes().all(sound)
            // A name that looks like a path would be shadowed by the command line's option.
            || NamedFileConfig::from_tokenizer_option(&entry.name).is_some()
        {
            let why = format!(
                "needs a name of 1 to {NAME_BYTES_MAX} letters, digits, '.', '-' and '_', which does not end in .json"
            );
            return Err(refuse_key(&field, &why));
        }
        if !names.insert(&entry.name) {
            return Err(refuse_key(&field, &format!("({}) has the name of another entry", entry.name)));
        }
        let path = std::path::absolute(entry.path.relative())
            .map_err(|error| refuse_key(&field, &format!("({}) has no usable path: {error}", entry.name)))?;
        files.push(NamedFileConfig { name: entry.name.clone(), path, field });
    }
    Ok(files)
}
