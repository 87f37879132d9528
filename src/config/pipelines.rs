//! Pipelines by name, and which one a collection gets that a submission makes.

use super::named_files::{self, RawNamedFile};
use super::refuse_key;
use contexture_core::domain::pipeline::{PIPELINE_TOML_BYTES_MAX, Pipeline};
use contexture_core::fault::Refusal;

/// Names that no entry may have: the built-in pipeline, and the words of `server.create_collections`.
const TAKEN_NAMES: [&str; 3] = ["default", "on", "off"];

/// What a submission into a collection that does not exist does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionCreation {
    /// It is refused.
    Off,
    /// It makes the collection with the built-in pipeline.
    Default,
    /// It makes the collection with the pipeline of this name.
    Named(String),
}

/// Reads the pipelines of all entries.
pub(super) fn read_pipelines(raw: &[RawNamedFile]) -> Result<Vec<(String, Pipeline)>, Refusal> {
    let files = named_files::validate_named_files("pipelines", raw)?;
    files
        .into_iter()
        .map(|file| {
            let refuse = |why: String| refuse_key(&file.field, &format!("({}) {why}", file.name));
            let sound =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
            if !file.name.bytes().all(sound) || TAKEN_NAMES.contains(&file.name.as_str()) {
                return Err(refuse(format!(
                    "needs a name of a-z, 0-9, '_' and '-' that is none of {}",
                    TAKEN_NAMES.join(", ")
                )));
            }
            let place = file.path.display();
            let metadata = std::fs::metadata(&file.path);
            if metadata.is_ok_and(|metadata| metadata.len() > PIPELINE_TOML_BYTES_MAX as u64) {
                return Err(refuse(format!("{place} has more than {PIPELINE_TOML_BYTES_MAX} bytes")));
            }
            let text = std::fs::read_to_string(&file.path)
                .map_err(|error| refuse(format!("{place} cannot be read: {error}")))?;
            let pipeline = Pipeline::from_toml(&text)
                .map_err(|refusal| refuse(format!("{place}: {}", refusal.message)))?;
            Ok((file.name, pipeline))
        })
        .collect()
}

/// Reads `server.create_collections`.
pub(super) fn collection_creation(
    word: &str,
    pipelines: &[(String, Pipeline)],
) -> Result<CollectionCreation, Refusal> {
    match word {
        "off" => Ok(CollectionCreation::Off),
        "on" | "default" => Ok(CollectionCreation::Default),
        name if pipelines.iter().any(|(known, _)| known == name) => {
            Ok(CollectionCreation::Named(name.to_owned()))
        }
        _ => Err(refuse_key(
            "server.create_collections",
            "must be \"off\", \"on\" or the name of an entry of [[pipelines]]",
        )),
    }
}
