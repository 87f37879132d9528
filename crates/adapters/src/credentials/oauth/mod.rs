//! Calls to token endpoints, RFC 6749: what is sent, and what an answer means.
//!
//! 400, 401, 403, `invalid_client`, `invalid_grant` and errors that come with success are
//! `Unauthorized`, with the server's `error` and `error_description` but without any part of what
//! was sent as a secret. Other statuses are as [`crate::http::faults`] has them.

pub(super) mod token_response;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{CREDENTIAL_REJECTED, SecretText, TOKEN_SOURCE_BYTES_MAX, fault_messages, reject_config};
use crate::http::{
    FORM_CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, HttpEndpoint, HttpEndpointConfig, HttpResponse,
    JSON_CONTENT_TYPE, RemoteService,
};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Longest time of a call where nothing else is asked for.
pub const OAUTH_CALL_MAX_DEFAULT: Duration = Duration::from_secs(10);
const AZURE_AUTHORITY: &str = "https://login.microsoftonline.com";
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// What is sent for reasons of its own.
const RESERVED_PARAMETERS: [&str; 7] =
    ["grant_type", "client_id", "client_secret", "scope", "audience", "refresh_token", "assertion"];

/// How a request's parameters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRequestEncoding {
    /// `application/x-www-form-urlencoded`, as the RFC has it.
    Form,
    /// A JSON object, as some servers want it.
    Json,
}

/// Where the client's secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSecretPlacement {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` among the parameters.
    Body,
}

/// A token endpoint, and who asks there.
#[derive(Clone)]
pub struct OAuthClient {
    /// `http://…` or `https://…`.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// None for public clients; they send their `client_id` among the parameters.
    pub client_secret: Option<SecretText>,
    /// Sent where given.
    pub scope: Option<String>,
    /// Sent where given.
    pub audience: Option<String>,
    /// Other parameters; they may hold secrets.
    pub extra: BTreeMap<String, String>,
    /// How parameters are written.
    pub encoding: TokenRequestEncoding,
    /// Where the secret stands.
    pub client_auth: ClientSecretPlacement,
    /// Longest time of one call.
    pub call_max: Duration,
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuth")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("scope", &self.scope)
            .field("audience", &self.audience)
            .field("extra", &self.extra.keys())
            .field("encoding", &self.encoding)
            .field("client_auth", &self.client_auth)
            .field("call_max", &self.call_max)
            .finish_non_exhaustive()
    }
}

impl OAuthClient {
    /// A client as most servers know it: a form with everything in it, within ten seconds.
    pub fn new(token_url: &str, client_id: &str, client_secret: Option<SecretText>) -> Self {
        Self {
            token_url: token_url.to_owned(),
            client_id: client_id.to_owned(),
            client_secret,
            scope: None,
            audience: None,
            extra: BTreeMap::new(),
            encoding: TokenRequestEncoding::Form,
            client_auth: ClientSecretPlacement::Body,
            call_max: OAUTH_CALL_MAX_DEFAULT,
        }
    }

    /// A service principal of Azure, for Azure's AI services. `authority` is that of another cloud;
    /// refuses a tenant that is neither a GUID nor a domain.
    pub fn azure(
        tenant_id: &str,
        client_id: &str,
        client_secret: SecretText,
        authority: Option<&str>,
    ) -> Result<Self, Fault> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if tenant_id.is_empty() || tenant_id.starts_with('.') || !tenant_id.bytes().all(is_sound) {
            return Err(reject_config("the tenant must be a GUID or a domain"));
        }
        let authority = authority.unwrap_or(AZURE_AUTHORITY).trim_end_matches('/');
        let token_url = format!("{authority}/{tenant_id}/oauth2/v2.0/token");
        Ok(Self {
            scope: Some(AZURE_SCOPE.to_owned()),
            ..Self::new(&token_url, client_id, Some(client_secret))
        })
    }
}

/// What a token is asked for with.
pub(super) struct TokenGrant<'a> {
    pub(super) kind: &'static str,
    /// The parameter that proves it, and its value.
    pub(super) proof: Option<(&'static str, &'a str)>,
}

/// A token endpoint.
pub(super) struct TokenEndpoint {
    endpoint: HttpEndpoint,
    oauth: OAuthClient,
}

impl TokenEndpoint {
    /// For a client that says who it is.
    pub(super) fn for_client(oauth: OAuthClient, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        if oauth.client_id.is_empty() {
            return Err(reject_config("the client's id is missing"));
        }
        Self::new(oauth, clock)
    }

    pub(super) fn new(oauth: OAuthClient, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        if let Some(name) = RESERVED_PARAMETERS.into_iter().find(|&name| oauth.extra.contains_key(name)) {
            return Err(reject_config(&format!("the parameter {name} is no extra one")));
        }
        if oauth.client_secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err(reject_config("the client's secret is empty"));
        }
        let service = RemoteService { name: "token endpoint", rejected: CREDENTIAL_REJECTED };
        let config = HttpEndpointConfig {
            url: oauth.token_url.clone(),
            api_key: None,
            call_max: oauth.call_max,
            answer_bytes_max: TOKEN_SOURCE_BYTES_MAX,
        };
        Ok(Self { endpoint: HttpEndpoint::new(service, &config, clock)?, oauth })
    }

    pub(super) fn call_max(&self) -> Duration {
        self.oauth.call_max
    }

    /// Asks once.
    pub(super) async fn ask(&self, grant: &TokenGrant<'_>) -> Result<token_response::GrantedTokens, Fault> {
        let basic = self.basic()?;
        let pairs = self.pairs(grant, basic.is_some());
        let (content_type, body) = match self.oauth.encoding {
            TokenRequestEncoding::Form => (FORM_CONTENT_TYPE, encode_form(&pairs).into_bytes()),
            TokenRequestEncoding::Json => {
                (JSON_CONTENT_TYPE, serde_json::to_vec(&pairs).map_err(Fault::transient)?)
            }
        };
        let mut headers = HeaderMap::new();
        if let Some(basic) = &basic {
            headers.insert(HeaderName::from_static("authorization"), basic.clone());
        }
        let answer = self.endpoint.call(headers, content_type, body).await?;
        if answer.is_success()
            && let Some(granted) =
                token_response::parse_token_response(response_content_type(&answer), &answer.body)
        {
            return granted.map_err(|why| self.endpoint.malformed(why));
        }
        Err(self.fault(&answer, &self.secrets(grant, basic.as_ref())))
    }

    fn pairs<'a>(&'a self, grant: &'a TokenGrant<'a>, has_basic: bool) -> BTreeMap<&'a str, &'a str> {
        let oauth = &self.oauth;
        let mut pairs: BTreeMap<&str, &str> =
            oauth.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        pairs.insert("grant_type", grant.kind);
        pairs.extend(grant.proof);
        pairs.extend(oauth.scope.as_deref().map(|scope| ("scope", scope)));
        pairs.extend(oauth.audience.as_deref().map(|audience| ("audience", audience)));
        if !has_basic && !oauth.client_id.is_empty() {
            pairs.insert("client_id", &oauth.client_id);
            pairs.extend(oauth.client_secret.as_ref().map(|secret| ("client_secret", secret.expose())));
        }
        pairs
    }

    /// RFC 6749, section 2.3.1.
    fn basic(&self) -> Result<Option<HeaderValue>, Fault> {
        let Some(secret) = self
            .oauth
            .client_secret
            .as_ref()
            .filter(|_| self.oauth.client_auth == ClientSecretPlacement::Basic)
        else {
            return Ok(None);
        };
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.oauth.client_id), encode(secret.expose()));
        let mut value =
            HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).map_err(Fault::transient)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn fault(&self, answer: &HttpResponse, secrets: &[SecretText]) -> Fault {
        let told = token_response::parse_error_response(response_content_type(answer), &answer.body);
        let is_final = told.as_ref().is_some_and(|(error, _)| {
            matches!(error.as_str(), "invalid_client" | "invalid_grant") || answer.is_success()
        });
        if !is_final && !matches!(answer.status, 400 | 401 | 403) {
            return if answer.is_success() {
                self.endpoint.malformed("is no token")
            } else {
                self.endpoint.fault(answer)
            };
        }
        let told = told.map(|(error, description)| format!("{error} {description}")).unwrap_or_default();
        let said = fault_messages::redacted_excerpt(&told, secrets);
        let status = answer.status;
        Fault::Unauthorized(if said.is_empty() {
            format!("token endpoint: answered {status}")
        } else {
            format!("token endpoint: answered {status}: {said}")
        })
    }

    /// Everything that was sent and is nobody else's to know, also as it was written.
    fn secrets(&self, grant: &TokenGrant<'_>, basic: Option<&HeaderValue>) -> Vec<SecretText> {
        let basic = basic.and_then(|value| value.to_str().ok()).and_then(|value| value.split(' ').nth(1));
        let client = self.oauth.client_secret.as_ref().map(SecretText::expose);
        let extra = self.oauth.extra.values().map(String::as_str);
        let plain: Vec<&str> =
            extra.chain(grant.proof.map(|(_, value)| value)).chain(client).chain(basic).collect();
        let written = plain.iter().map(|text| form_urlencoded::byte_serialize(text.as_bytes()).collect());
        let written: Vec<String> = written.collect();
        plain.into_iter().map(SecretText::new).chain(written.into_iter().map(SecretText::new)).collect()
    }
}

fn encode_form(pairs: &BTreeMap<&str, &str>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn response_content_type(answer: &HttpResponse) -> &str {
    answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}
