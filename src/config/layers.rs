//! The layers of the configuration and the origin of each value.
//!
//! Layers are added one at a time, and all are read after each addition. So an error belongs to the
//! layer that was just added and is reported with its name. Messages never quote values: a secret
//! may have been written under the wrong key.

use std::path::Path;

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::raw::RawConfig;
use contexture_core::fault::Refusal;

const VARIABLE_PREFIX: &str = "CONTEXTURE__";
/// What a variable that misses an underscore begins with.
const NEAR_PREFIX: &str = "CONTEXTURE_";
/// Variables of that form that docker-compose.yml reads, and hands over under their right names.
const COMPOSE_VARIABLES: [&str; 1] = ["CONTEXTURE_VECTORS_API_KEY"];
const DATA_DIR_VARIABLE: &str = "CONTEXTURE_DATA_DIR";

pub(super) struct ConfigLayers {
    figment: Figment,
}

impl ConfigLayers {
    pub(super) fn new(defaults: &str) -> Result<Self, Refusal> {
        let mut layers = Self { figment: Figment::new() };
        layers.add(Toml::string(defaults), "the compiled-in defaults")?;
        Ok(layers)
    }

    pub(super) fn add_data_dir(&mut self, environment: &[(String, String)]) -> Result<(), Refusal> {
        let found = environment.iter().find(|(name, value)| name == DATA_DIR_VARIABLE && !value.is_empty());
        let Some((name, value)) = found else { return Ok(()) };
        self.add(EnvVariableLayer::new(name, "data_dir", Value::from(value.as_str())), name)
    }

    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), Refusal> {
        let shown = path.display().to_string();
        // figment treats a missing file as an empty one.
        std::fs::File::open(path).map_err(|error| {
            Refusal::invalid("config_unreadable", "", format!("{shown}: cannot be read: {error}"))
        })?;
        self.add(Toml::file_exact(path), &shown)
    }

    pub(super) fn add_variables(&mut self, environment: &[(String, String)]) -> Result<(), Refusal> {
        let mut ours: Vec<(&str, String, &str)> = environment
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(VARIABLE_PREFIX)?.to_lowercase().replace("__", ".");
                Some((name.as_str(), key, value.as_str()))
            })
            .collect();
        // The order of an environment is arbitrary; sorted, the first error is always the same.
        ours.sort_unstable();
        for (name, key, text) in ours {
            // Like figment's own `Env`: numbers, booleans, lists and tables in TOML's manner,
            // everything else is text.
            let value = text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
            self.add(EnvVariableLayer::new(name, &key, value), name)?;
        }
        Ok(())
    }

    /// Refuses variables that were meant for the configuration and are not read: `CONTEXTURE_SERVER__LISTEN` with
    /// one underscore too few, or `CONTEXTURE_SERVER_LISTEN`. Others that begin like ours are left alone: an
    /// orchestrator sets some for every service, such as `CONTEXTURE_PORT`.
    pub(super) fn refuse_near_misses(&self, environment: &[(String, String)]) -> Result<(), Refusal> {
        let keys = self.known_keys()?;
        let meant = |name: &str| {
            let rest = name.strip_prefix(NEAR_PREFIX).filter(|rest| !rest.starts_with('_'))?;
            if name == DATA_DIR_VARIABLE || COMPOSE_VARIABLES.contains(&name) {
                return None;
            }
            if rest.contains("__") {
                return Some(rest.to_owned());
            }
            let key = keys.iter().find(|key| key.replace("__", "_").eq_ignore_ascii_case(rest))?;
            Some(key.to_uppercase())
        };
        // The order of an environment is arbitrary; the first by name is always the same.
        let first = environment.iter().filter_map(|(name, _)| Some((name, meant(name)?))).min();
        let Some((name, meant)) = first else { return Ok(()) };
        let key = meant.to_lowercase().replace("__", ".");
        Err(Refusal::invalid(
            "unknown_config_variable",
            &key,
            format!(
                "{name} is not read: variables begin with two underscores; write {VARIABLE_PREFIX}{meant}"
            ),
        ))
    }

    /// The keys of the defaults that stand in a section, as variables have them: `server__listen`.
    fn known_keys(&self) -> Result<Vec<String>, Refusal> {
        let all: Dict = self.figment.extract().map_err(|error| refuse_layer("the configuration", &error))?;
        let sections = all.iter().filter_map(|(section, value)| Some((section, value.as_dict()?)));
        Ok(sections
            .flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}__{key}")))
            .collect())
    }

    /// All layers merged.
    pub(super) fn merged(&self) -> Result<RawConfig, Refusal> {
        self.read("the configuration")
    }

    /// Adds the layer that the key's value came from to a refusal.
    pub(super) fn name_origin(&self, refusal: Refusal) -> Refusal {
        // figment's paths have no brackets: the list stands for its entries.
        let key = refusal.field.split('[').next().unwrap_or_default();
        let Some(metadata) = self.figment.find_metadata(key) else { return refusal };
        let origin = match &metadata.source {
            Some(Source::File(path)) => path.display().to_string(),
            Some(Source::Custom(variable)) => variable.clone(),
            _ => return refusal,
        };
        Refusal { message: format!("{origin}: {}", refusal.message), ..refusal }
    }

    fn add(&mut self, layer: impl Provider, name: &str) -> Result<(), Refusal> {
        self.figment = std::mem::take(&mut self.figment).merge(layer);
        self.read(name).map(|_| ())
    }

    fn read(&self, layer: &str) -> Result<RawConfig, Refusal> {
        self.figment.extract().map_err(|error| refuse_layer(layer, &error))
    }
}

fn refuse_layer(layer: &str, error: &figment::Error) -> Refusal {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    let key = path.join(".");
    let (code, why) = match &error.kind {
        Kind::UnknownField(_, known) => ("unknown_config_key", describe_unknown_key(known)),
        Kind::MissingField(field) => ("invalid_config", format!("misses '{field}'")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            ("invalid_config", format!("must be {expected}"))
        }
        Kind::InvalidLength(_, expected) => ("invalid_config", format!("must have {expected}")),
        Kind::UnknownVariant(_, known) => ("invalid_config", format!("must be one of: {}", known.join(", "))),
        // The parser's message starts with the place and ends with the reason. Between, it quotes the line,
        // which may hold a secret.
        Kind::Message(message) => ("invalid_config", first_and_last_line(message)),
        _ => ("invalid_config", "cannot be read".to_owned()),
    };
    let place = if key.is_empty() { String::new() } else { format!("{key} ") };
    Refusal::invalid(code, &key, format!("{layer}: {place}{why}"))
}

/// Says which keys are known in place of an unknown one.
fn describe_unknown_key(known: &[&str]) -> String {
    if known.is_empty() {
        return "is not a configuration key".to_owned();
    }
    format!("is not a configuration key; known here: {}", known.join(", "))
}

fn first_and_last_line(message: &str) -> String {
    let mut lines = message.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first}: {last}"))
}

/// One environment variable as a layer of its own.
struct EnvVariableLayer {
    name: String,
    nested: Dict,
}

impl EnvVariableLayer {
    fn new(name: &str, key: &str, value: Value) -> Self {
        let nested = figment::util::nest(key, value).into_dict().unwrap_or_default();
        Self { name: name.to_owned(), nested }
    }
}

impl Provider for EnvVariableLayer {
    fn metadata(&self) -> Metadata {
        Metadata::from("environment variable", Source::Custom(self.name.clone()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.nested.clone())]))
    }
}
