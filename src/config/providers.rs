//! Embedding providers: their endpoints, credentials and limits.
//!
//! Secrets come from environment variables and from files, never from the configuration itself. A
//! file is read when its secret is needed, and again after it changes.

mod raw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backends::ConfigSecret;
pub(super) use raw::{RawProvider, validate_providers};

/// Most entries of `providers`.
pub const PROVIDERS_MAX: usize = 64;

/// The API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// `OpenAI` and compatible servers: vLLM, Ollama, LM Studio, text-embeddings-inference.
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

/// The OAuth 2 grant by which a token is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
// The text keeps the message that users know: serde would name the Rust type.
#[serde(rename_all = "snake_case", expecting = "enum Grant")]
pub enum OAuthGrantType {
    /// With the client's own credential.
    ClientCredentials,
    /// With a refresh token, which the server may rotate.
    RefreshToken,
}

/// The encoding of a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "enum Encoding")]
pub enum OAuthRequestEncoding {
    /// Form encoded, as RFC 6749 demands.
    #[default]
    Form,
    /// JSON, which some servers demand.
    Json,
}

/// Where a token request carries the client's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "enum ClientAuth")]
pub enum OAuthClientAuth {
    /// In the body.
    #[default]
    Body,
    /// In the header, as RFC 6749 prefers it.
    Basic,
}

/// An embedding provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Its name in pipelines.
    pub name: String,
    /// Its API.
    pub kind: ProviderKind,
    /// Its base URL; none: the default of its kind.
    pub base_url: Option<String>,
    /// Azure's version of the API.
    pub api_version: Option<String>,
    /// What authorises calls.
    pub credential: CredentialSource,
    /// Sent with every call.
    pub headers: BTreeMap<String, String>,
    /// Calls per minute; none: the limits that the provider reports.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute; none: the limits that the provider reports.
    pub tokens_per_minute: Option<u32>,
    /// Concurrent calls of all processes.
    pub calls_max: u32,
    /// Longest time of one call.
    pub call_max: Duration,
    /// Texts of one call; none: the limit of its kind.
    pub texts_max: Option<usize>,
    /// Tokens of one call; none: the limit of its kind.
    pub tokens_max: Option<usize>,
}

/// What authorises calls to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Nothing: the provider needs no credential.
    None,
    /// A key.
    Key(ConfigSecret),
    /// A key in a file, which may be rotated.
    File(PathBuf),
    /// The token that a program prints.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Longest time it may take.
        time_max: Duration,
        /// Lifetime of its token if the program states none.
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
        /// The server; none: the public cloud's.
        authority: Option<String>,
    },
    /// Tokens of Google for a service account.
    Google {
        /// Its key file, as Google issues it.
        file: PathBuf,
        /// The scope of the token.
        scope: String,
    },
}

/// An OAuth 2 client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClientConfig {
    /// The grant.
    pub grant: OAuthGrantType,
    /// The token endpoint.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret, if it has one.
    pub client_secret: Option<ConfigSecret>,
    /// The first refresh token, for its grant.
    pub refresh_token: Option<ConfigSecret>,
    /// The scope; may be empty.
    pub scope: String,
    /// The audience; may be empty.
    pub audience: String,
    /// The encoding of requests.
    pub encoding: OAuthRequestEncoding,
    /// Where a request carries the client's credential.
    pub client_auth: OAuthClientAuth,
}
