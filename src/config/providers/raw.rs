//! Entries of `providers` as written, and their validation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::{
    CredentialSource, OAuthClientAuth, OAuthClientConfig, OAuthGrantType, OAuthRequestEncoding,
    PROVIDERS_MAX, ProviderConfig, ProviderKind,
};
use crate::config::api_keys::{SECRET_MASK, serialize_path};
use crate::config::backends::{ConfigSecret, resolve_secret};
use crate::config::refuse_key;
use contexture_core::fault::Refusal;

/// Longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most headers of an entry.
const HEADERS_MAX: usize = 32;

/// An entry of `providers` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawProvider {
    name: String,
    kind: ProviderKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    base_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    api_key_file: Option<RelativePathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<RawCommand>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oauth: Option<RawOauth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    azure: Option<RawAzure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    google: Option<RawGoogle>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    requests_per_minute: u32,
    #[serde(default)]
    tokens_per_minute: u32,
    #[serde(default = "calls_max")]
    calls_max: u32,
    #[serde(default = "call_ms_max")]
    call_ms_max: u64,
    #[serde(default)]
    texts_max: usize,
    #[serde(default)]
    tokens_max: usize,
}

fn calls_max() -> u32 {
    16
}

fn call_ms_max() -> u64 {
    30_000
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommand {
    program: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default = "call_ms_max")]
    ms_max: u64,
    #[serde(default = "ttl_ms")]
    ttl_ms: u64,
}

fn ttl_ms() -> u64 {
    300_000
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOauth {
    grant: OAuthGrantType,
    token_url: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    client_secret_file: Option<RelativePathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    refresh_token_file: Option<RelativePathBuf>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    audience: String,
    #[serde(default)]
    encoding: OAuthRequestEncoding,
    #[serde(default)]
    client_auth: OAuthClientAuth,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAzure {
    tenant_id: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    client_secret_file: Option<RelativePathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGoogle {
    #[serde(serialize_with = "RelativePathBuf::serialize_relative")]
    service_account_file: RelativePathBuf,
    #[serde(default = "google_scope")]
    scope: String,
}

fn google_scope() -> String {
    "https://www.googleapis.com/auth/generative-language".to_owned()
}

/// What the validation of an entry needs: its place for messages, and the environment for its secrets.
struct ProviderEntryContext<'a> {
    field: String,
    environment: &'a [(String, String)],
}

impl ProviderEntryContext<'_> {
    fn refuse(&self, why: &str) -> Refusal {
        refuse_key(&self.field, why)
    }

    fn variable(&self, key: &str, name: &str) -> Result<ConfigSecret, Refusal> {
        let found = self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        match found {
            Some(value) if !value.is_empty() => Ok(ConfigSecret::new(value.to_owned())),
            _ => Err(self.refuse(&format!("{key} {name} is not set"))),
        }
    }

    /// Returns the secret from a variable or from a file; none if neither is named.
    fn secret(
        &self,
        key: &str,
        variable: Option<&String>,
        file: Option<&RelativePathBuf>,
    ) -> Result<Option<ConfigSecret>, Refusal> {
        match (variable, file) {
            (None, None) => Ok(None),
            (Some(name), None) => self.variable(&format!("{key}_env"), name).map(Some),
            (None, Some(file)) => {
                let text = resolve_secret(&format!("{}.{key}", self.field), "", Some(file))?;
                Ok(text.map(ConfigSecret::new))
            }
            (Some(_), Some(_)) => Err(self.refuse(&format!("has {key}_env and {key}_file; leave one out"))),
        }
    }
}

/// Validates all entries. Names must be unique.
pub(in crate::config) fn validate_providers(
    raw: &[RawProvider],
    environment: &[(String, String)],
) -> Result<Vec<ProviderConfig>, Refusal> {
    if raw.len() > PROVIDERS_MAX {
        let why = format!("has {} entries; at most {PROVIDERS_MAX} are kept", raw.len());
        return Err(refuse_key("providers", &why));
    }
    let mut names = BTreeSet::new();
    raw.iter()
        .enumerate()
        .map(|(index, provider)| {
            let entry = ProviderEntryContext { field: format!("providers[{index}]"), environment };
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            if !(1..=NAME_BYTES_MAX).contains(&provider.name.len()) || !provider.name.bytes().all(sound) {
                let why = format!("needs a name of 1 to {NAME_BYTES_MAX} letters, digits, '.', '-' and '_'");
                return Err(entry.refuse(&why));
            }
            // From here on messages name the entry: its name is known to be printable.
            let entry =
                ProviderEntryContext { field: format!("{} ({})", entry.field, provider.name), ..entry };
            if !names.insert(&provider.name) {
                return Err(entry.refuse("has the name of another entry"));
            }
            provider.validate(&entry)
        })
        .collect()
}

impl RawProvider {
    /// Masks the values of headers, which may be secrets.
    pub(in crate::config) fn mask(&mut self) {
        for value in self.headers.values_mut() {
            SECRET_MASK.clone_into(value);
        }
    }

    fn validate(&self, entry: &ProviderEntryContext) -> Result<ProviderConfig, Refusal> {
        if !self.base_url.is_empty()
            && !self.base_url.starts_with("http://")
            && !self.base_url.starts_with("https://")
        {
            return Err(entry.refuse("base_url must be empty or of the form http://… or https://…"));
        }
        // Every Azure resource has its own host; there is no default.
        if self.kind == ProviderKind::Azure && self.base_url.is_empty() {
            return Err(entry.refuse("needs a base_url, such as https://RESOURCE.openai.azure.com"));
        }
        if self.headers.len() > HEADERS_MAX {
            return Err(entry.refuse(&format!("has {} headers; at most {HEADERS_MAX}", self.headers.len())));
        }
        for (key, value, min, max) in [
            ("calls_max", u64::from(self.calls_max), 1, 256),
            ("call_ms_max", self.call_ms_max, 10, 600_000),
            ("texts_max", self.texts_max as u64, 0, 4096),
            ("tokens_max", self.tokens_max as u64, 0, 10_000_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(entry.refuse(&format!("has {key} = {value}; it must be between {min} and {max}")));
            }
        }
        // In the file 0 means "not given": TOML has no null.
        let given = |limit: u32| (limit > 0).then_some(limit);
        Ok(ProviderConfig {
            name: self.name.clone(),
            kind: self.kind,
            base_url: (!self.base_url.is_empty()).then(|| self.base_url.clone()),
            api_version: self.api_version.clone(),
            credential: self.credential(entry)?,
            headers: self.headers.clone(),
            requests_per_minute: given(self.requests_per_minute),
            tokens_per_minute: given(self.tokens_per_minute),
            calls_max: self.calls_max,
            call_max: Duration::from_millis(self.call_ms_max),
            texts_max: (self.texts_max > 0).then_some(self.texts_max),
            tokens_max: (self.tokens_max > 0).then_some(self.tokens_max),
        })
    }

    fn credential(&self, entry: &ProviderEntryContext) -> Result<CredentialSource, Refusal> {
        let given = [
            self.api_key_env.is_some(),
            self.api_key_file.is_some(),
            self.command.is_some(),
            self.oauth.is_some(),
            self.azure.is_some(),
            self.google.is_some(),
        ];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(entry.refuse(
                "has several of api_key_env, api_key_file, command, oauth, azure and google; leave one",
            ));
        }
        if let Some(name) = &self.api_key_env {
            return entry.variable("api_key_env", name).map(CredentialSource::Key);
        }
        if let Some(file) = &self.api_key_file {
            // The file is not read here: it may be rotated, and may appear later.
            return Ok(CredentialSource::File(file.relative()));
        }
        if let Some(command) = &self.command {
            return Ok(CredentialSource::Command {
                program: command.program.clone(),
                arguments: command.arguments.clone(),
                time_max: Duration::from_millis(command.ms_max),
                ttl: Duration::from_millis(command.ttl_ms),
            });
        }
        if let Some(oauth) = &self.oauth {
            return oauth.validate(entry).map(CredentialSource::OAuth);
        }
        if let Some(azure) = &self.azure {
            let secret = entry.secret(
                "client_secret",
                azure.client_secret_env.as_ref(),
                azure.client_secret_file.as_ref(),
            )?;
            return Ok(CredentialSource::Azure {
                tenant_id: azure.tenant_id.clone(),
                client_id: azure.client_id.clone(),
                client_secret: secret.ok_or_else(|| {
                    entry.refuse("needs azure.client_secret_env or azure.client_secret_file")
                })?,
                authority: azure.authority.clone(),
            });
        }
        if let Some(google) = &self.google {
            let file = google.service_account_file.relative();
            return Ok(CredentialSource::Google { file, scope: google.scope.clone() });
        }
        Ok(CredentialSource::None)
    }
}

impl RawOauth {
    fn validate(&self, entry: &ProviderEntryContext) -> Result<OAuthClientConfig, Refusal> {
        if !self.token_url.starts_with("http://") && !self.token_url.starts_with("https://") {
            return Err(entry.refuse("oauth.token_url must be of the form http://… or https://…"));
        }
        let client_secret = entry.secret(
            "client_secret",
            self.client_secret_env.as_ref(),
            self.client_secret_file.as_ref(),
        )?;
        let refresh_token = entry.secret(
            "refresh_token",
            self.refresh_token_env.as_ref(),
            self.refresh_token_file.as_ref(),
        )?;
        // What the grant needs has to be there; what it does not need may be, for servers that want both.
        match (self.grant, &client_secret, &refresh_token) {
            (OAuthGrantType::ClientCredentials, None, _) => Err(entry
                .refuse("needs oauth.client_secret_env or oauth.client_secret_file for client_credentials")),
            (OAuthGrantType::RefreshToken, _, None) => {
                Err(entry
                    .refuse("needs oauth.refresh_token_env or oauth.refresh_token_file for refresh_token"))
            }
            _ => Ok(OAuthClientConfig {
                grant: self.grant,
                token_url: self.token_url.clone(),
                client_id: self.client_id.clone(),
                client_secret,
                refresh_token,
                scope: self.scope.clone(),
                audience: self.audience.clone(),
                encoding: self.encoding,
                client_auth: self.client_auth,
            }),
        }
    }
}
