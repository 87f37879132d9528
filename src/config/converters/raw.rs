//! Entries of `converters` as written, and their validation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::{
    CONVERTERS_MAX, ConversionMethod, ConversionOutput, ConversionTime, ConversionVia, ConverterConfig,
};
use crate::config::api_keys::{SECRET_MASK, serialize_path};
use crate::config::backends::{ConfigSecret, mask_url};
use crate::config::providers::CredentialSource;
use crate::config::refuse_key;
use crate::config::sections::limit_as_usize;
use contexture_core::fault::Refusal;

/// Longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most items of one list or table of an entry.
const ITEMS_MAX: usize = 64;
/// Longest media type, ending, argument or value, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// An entry of `converters` as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawConverter {
    name: String,
    #[serde(default)]
    media_types: Vec<String>,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    when: ConversionTime,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<ConversionMethod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    api_key_file: Option<RelativePathBuf>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    form_file: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    json_pointer: String,
    #[serde(default)]
    output: ConversionOutput,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page_break: String,
    #[serde(default = "call_ms_max")]
    call_ms_max: u64,
    #[serde(default = "output_bytes_max")]
    output_bytes_max: u64,
    #[serde(default = "memory_bytes_max")]
    memory_bytes_max: u64,
    #[serde(default = "calls_max")]
    calls_max: u64,
    // Tables come last: TOML puts what follows them into them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    form: BTreeMap<String, String>,
}

// A derived `Debug` would print what may be a secret: the URL's query, headers, variables, form fields.
impl fmt::Debug for RawConverter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawConverter").field("name", &self.name).finish_non_exhaustive()
    }
}

fn call_ms_max() -> u64 {
    120_000
}

fn output_bytes_max() -> u64 {
    16 << 20
}

fn memory_bytes_max() -> u64 {
    4 << 30
}

fn calls_max() -> u64 {
    2
}

/// Validates all entries. Names must be unique.
pub(in crate::config) fn validate_converters(
    raw: &[RawConverter],
    environment: &[(String, String)],
) -> Result<Vec<ConverterConfig>, Refusal> {
    if raw.len() > CONVERTERS_MAX {
        let why = format!("has {} entries; at most {CONVERTERS_MAX} are kept", raw.len());
        return Err(refuse_key("converters", &why));
    }
    let mut names = BTreeSet::new();
    let mut converters = Vec::with_capacity(raw.len());
    for (index, converter) in raw.iter().enumerate() {
        let field = format!("converters[{index}]");
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&converter.name.len()) || !converter.name.bytes().all(sound) {
            let why = format!("needs a name of 1 to {NAME_BYTES_MAX} letters, digits, '.', '-' and '_'");
            return Err(refuse_key(&field, &why));
        }
        // From here on messages name the entry: its name is known to be printable.
        let field = format!("{field} ({})", converter.name);
        if !names.insert(&converter.name) {
            return Err(refuse_key(&field, "has the name of another entry"));
        }
        converters.push(converter.validate(field, environment)?);
    }
    Ok(converters)
}

impl RawConverter {
    /// Masks what may be a secret: values of headers, of variables and of form fields, and the URL's query.
    pub(in crate::config) fn mask(&mut self) {
        self.url = mask_url(&self.url);
        let tables = [&mut self.headers, &mut self.environment, &mut self.form];
        tables.into_iter().flat_map(BTreeMap::values_mut).for_each(|value| SECRET_MASK.clone_into(value));
    }

    fn validate(&self, field: String, environment: &[(String, String)]) -> Result<ConverterConfig, Refusal> {
        let refuse = |why: &str| Err(refuse_key(&field, why));
        if self.media_types.is_empty() && self.extensions.is_empty() {
            return refuse("needs media_types or extensions: what it converts");
        }
        for (key, items) in [
            ("media_types", self.media_types.len()),
            ("extensions", self.extensions.len()),
            ("command", self.command.len()),
            ("environment", self.environment.len()),
            ("headers", self.headers.len()),
            ("form", self.form.len()),
        ] {
            if items > ITEMS_MAX {
                return refuse(&format!("has {items} {key}; at most {ITEMS_MAX}"));
            }
        }
        if let Some(wrong) = self.media_types.iter().position(|pattern| !is_pattern(pattern)) {
            return refuse(&format!(
                "media_types[{wrong}] must be of the form type/subtype or type/*, without parameters"
            ));
        }
        let ending = |text: &String| {
            !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if let Some(wrong) = self.extensions.iter().position(|extension| !ending(extension)) {
            return refuse(&format!("extensions[{wrong}] must be 1 to 32 letters and digits, without a dot"));
        }
        for (key, value, min, max) in [
            ("call_ms_max", self.call_ms_max, 10, 3_600_000),
            ("output_bytes_max", self.output_bytes_max, 1024, 256 << 20),
            ("memory_bytes_max", self.memory_bytes_max, 64 << 20, 1 << 40),
            ("calls_max", self.calls_max, 1, 64),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("has {key} = {value}; it must be between {min} and {max}"));
            }
        }
        if self.page_break.len() > TEXT_BYTES_MAX {
            return refuse(&format!("page_break has more than {TEXT_BYTES_MAX} bytes"));
        }
        let via = match (self.command.as_slice(), self.url.as_str()) {
            ([], "") => return refuse("needs a command or a url"),
            ([_, ..], url) if !url.is_empty() => return refuse("has a command and a url; leave one out"),
            ([program, arguments @ ..], _) => self.command(&field, program, arguments)?,
            ([], url) => self.http(&field, url, environment)?,
        };
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        Ok(ConverterConfig {
            name: self.name.clone(),
            media_types: lower(&self.media_types),
            extensions: lower(&self.extensions),
            when: self.when,
            via,
            output: self.output,
            page_break: self.page_break.clone(),
            call_max: Duration::from_millis(self.call_ms_max),
            output_bytes_max: limit_as_usize(self.output_bytes_max),
            calls_max: limit_as_usize(self.calls_max),
            field,
        })
    }

    fn command(&self, field: &str, program: &str, arguments: &[String]) -> Result<ConversionVia, Refusal> {
        let refuse = |why: &str| Err(refuse_key(field, why));
        let of_urls = [
            ("method", self.method.is_some()),
            ("headers", !self.headers.is_empty()),
            ("api_key_env", self.api_key_env.is_some()),
            ("api_key_file", self.api_key_file.is_some()),
            ("form_file", !self.form_file.is_empty()),
            ("form", !self.form.is_empty()),
            ("json_pointer", !self.json_pointer.is_empty()),
        ];
        if let Some((key, _)) = of_urls.iter().find(|(_, given)| *given) {
            return refuse(&format!("has a command and {key}, which is for a url"));
        }
        let has_nul = |text: &String| text.contains('\0') || text.len() > TEXT_BYTES_MAX;
        if program.trim().is_empty() || self.command.iter().any(has_nul) {
            return refuse("command[0] is a program, behind it are its arguments; none has a NUL");
        }
        let is_variable = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        if !self.environment.keys().all(is_variable) || self.environment.values().any(has_nul) {
            return refuse("environment has names without '=', and values without a NUL");
        }
        Ok(ConversionVia::Command {
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            environment: self.environment.clone(),
            memory_bytes_max: self.memory_bytes_max,
        })
    }

    fn http(
        &self,
        field: &str,
        url: &str,
        environment: &[(String, String)],
    ) -> Result<ConversionVia, Refusal> {
        let refuse = |why: &str| Err(refuse_key(field, why));
        if !self.environment.is_empty() {
            return refuse("has a url and environment, which is for a command");
        }
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return refuse("url must be of the form http://… or https://…");
        };
        if rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@') {
            return refuse("url must not hold a user or a password; give api_key_env or api_key_file");
        }
        if self.form_file.is_empty() && !self.form.is_empty() {
            return refuse("has form, and no form_file: the field that is the document");
        }
        // They stand in quotes, each on a line of its own.
        let unquotable = |text: &str| text.contains(['"', '\r', '\n']);
        if self.form.keys().chain([&self.form_file]).any(|name| unquotable(name)) {
            return refuse("names of form fields have no quotes and no line ends");
        }
        if !self.json_pointer.is_empty() && !self.json_pointer.starts_with('/') {
            return refuse("json_pointer begins with '/', such as /document/md_content");
        }
        let credential = match (&self.api_key_env, &self.api_key_file) {
            (None, None) => CredentialSource::None,
            (Some(_), Some(_)) => return refuse("has api_key_env and api_key_file; leave one out"),
            // The file is not read here: it may be rotated, and may appear later.
            (None, Some(file)) => CredentialSource::File(file.relative()),
            (Some(name), None) => {
                let found = environment.iter().find(|(known, _)| known == name);
                match found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty()) {
                    Some(value) => CredentialSource::Key(ConfigSecret::new(value.to_owned())),
                    None => return refuse(&format!("api_key_env {name} is not set")),
                }
            }
        };
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        // Forms are posted; a file as a body is put, as Tika has it.
        let usual = if self.form_file.is_empty() { ConversionMethod::Put } else { ConversionMethod::Post };
        Ok(ConversionVia::Http {
            url: ConfigSecret::new(url.to_owned()),
            method: self.method.unwrap_or(usual),
            headers: self.headers.clone(),
            credential,
            form_file: given(&self.form_file),
            form: self.form.clone(),
            json_pointer: given(&self.json_pointer),
        })
    }
}

/// Whether a text is a media type without parameters, or a family of them.
fn is_pattern(text: &str) -> bool {
    let sound = |part: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        !part.is_empty() && part.len() <= 127 && part.bytes().all(token)
    };
    let Some((family, subtype)) = text.split_once('/') else { return false };
    sound(family) && (subtype == "*" || sound(subtype))
}
