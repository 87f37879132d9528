//! Providers of embeddings: where they are, how calls are authorised, what they bear.
//!
//! Secrets come from variables of the environment and from files, never from here. What a file
//! holds is read when it is needed, and again when it changes.

mod raw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backends::ConfigSecret;
pub(super) use raw::{RawProvider, validate_providers};

/// Most entries of `providers`.
pub const PROVIDERS_MAX: usize = 64;

/// Whose API it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// `OpenAI` and what speaks like it: vLLM, Ollama, LM Studio, text-embeddings-inference.
    OpenAi,
    /// Azure `OpenAI`.
    Azure,
    /// Cohere.
    Cohere,
    /// Voyage.
    Voyage,
    /// Google Gemini.
    Gemini,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OAuthGrantType {
    /// With the client's own credential.
    ClientCredentials,
    /// With a refresh token, which the server may rotate.
    RefreshToken,
}

/// How a token request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OAuthRequestEncoding {
    /// As RFC 6749 has it.
    #[default]
    Form,
    /// As some servers want it.
    Json,
}

/// Where the client's credential stands in a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OAuthClientAuth {
    /// In the body.
    #[default]
    Body,
    /// In the header, as RFC 6749 prefers it.
    Basic,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// What pipelines call it.
    pub name: String,
    /// Whose API it has.
    pub kind: ProviderKind,
    /// Where it is, if not where its kind usually is.
    pub base_url: Option<String>,
    /// Azure's version of the API.
    pub api_version: Option<String>,
    /// What authorises calls.
    pub credential: CredentialSource,
    /// Sent with every call.
    pub headers: BTreeMap<String, String>,
    /// Calls per minute; none: as the provider says.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute; none: as the provider says.
    pub tokens_per_minute: Option<u32>,
    /// Calls at once, of all processes.
    pub calls_max: u32,
    /// Longest time of one call.
    pub call_max: Duration,
    /// Texts of one call; none: what its kind takes.
    pub texts_max: Option<usize>,
    /// Tokens of one call; none: what its kind takes.
    pub tokens_max: Option<usize>,
}

/// What authorises calls to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Nothing: the provider asks for nothing.
    None,
    /// A key.
    Key(ConfigSecret),
    /// A key in a file that may change.
    File(PathBuf),
    /// What a program prints.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Longest time it may take.
        time_max: Duration,
        /// How long its token is used if it says nothing.
        ttl: Duration,
    },
    /// Tokens of an OAuth 2 server.
    OAuth(OAuthClientConfig),
    /// Tokens of Microsoft Entra for a service principal.
    Azure {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: ConfigSecret,
        /// The server, if not the public cloud's.
        authority: Option<String>,
    },
    /// Tokens of Google for a service account.
    Google {
        /// Its key, as Google gives it.
        file: PathBuf,
        /// What the token is for.
        scope: String,
    },
}

/// An OAuth 2 client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClientConfig {
    /// How tokens are asked for.
    pub grant: OAuthGrantType,
    /// Where.
    pub token_url: String,
    /// As whom.
    pub client_id: String,
    /// With what, if anything.
    pub client_secret: Option<ConfigSecret>,
    /// The first refresh token, for its grant.
    pub refresh_token: Option<ConfigSecret>,
    /// What for; may be empty.
    pub scope: String,
    /// For whom; may be empty.
    pub audience: String,
    /// How a request is written.
    pub encoding: OAuthRequestEncoding,
    /// Where the client's credential stands.
    pub client_auth: OAuthClientAuth,
}
