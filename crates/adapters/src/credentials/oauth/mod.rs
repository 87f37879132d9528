//! Calls to OAuth 2.0 token endpoints (RFC 6749), and the client credentials grant (section 4.4).
//!
//! 400, 401, 403, `invalid_client`, `invalid_grant` and errors with a status of success become
//! `Unauthorized`. The message holds the server's `error` and `error_description`, without any part of
//! what was sent as a secret. Other statuses are mapped by [`crate::http::faults`].

pub(super) mod token_response;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fault_messages::{self, CREDENTIAL_REJECTED, reject_config};
use super::refreshing::{IssuedToken, TokenSource};
use super::token::{SecretText, TOKEN_SOURCE_BYTES_MAX};
use crate::http::{
    FORM_CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, HttpEndpoint, HttpEndpointConfig, HttpResponse,
    JSON_CONTENT_TYPE, RemoteService,
};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Longest time of a call by default.
pub const OAUTH_CALL_MAX_DEFAULT: Duration = Duration::from_secs(10);
const AZURE_AUTHORITY: &str = "https://login.microsoftonline.com";
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Parameters that have fields of their own and cannot be extra ones.
const RESERVED_PARAMETERS: [&str; 7] =
    ["grant_type", "client_id", "client_secret", "scope", "audience", "refresh_token", "assertion"];

/// How a request's parameters are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRequestEncoding {
    /// `application/x-www-form-urlencoded`, as the RFC requires.
    Form,
    /// A JSON object, as some servers require.
    Json,
}

/// Where a request carries the client's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSecretPlacement {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` among the parameters.
    Body,
}

/// An OAuth client and its token endpoint.
#[derive(Clone)]
pub struct OAuthClient {
    /// `http://…` or `https://…`.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// `None` for public clients, which send their `client_id` among the parameters.
    pub client_secret: Option<SecretText>,
    /// Sent where given.
    pub scope: Option<String>,
    /// Sent where given.
    pub audience: Option<String>,
    /// Further parameters; may contain secrets.
    pub extra: BTreeMap<String, String>,
    /// How parameters are encoded.
    pub encoding: TokenRequestEncoding,
    /// Where the secret is sent.
    pub client_auth: ClientSecretPlacement,
    /// Longest time of one call.
    pub call_max: Duration,
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuthClient")
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
    /// A client with the usual settings: a form that contains the secret, and ten seconds for a call.
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

    /// A service principal for Azure's AI services. `authority` selects another cloud than the public
    /// one. Rejects a tenant that is neither a GUID nor a domain.
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

/// The grant that a token is requested with.
pub(super) struct TokenGrant<'a> {
    pub(super) kind: &'static str,
    /// The parameter that proves the grant, and its value.
    pub(super) proof: Option<(&'static str, &'a str)>,
}

/// A token endpoint, ready to be called.
pub(super) struct TokenEndpoint {
    endpoint: HttpEndpoint,
    oauth: OAuthClient,
}

impl TokenEndpoint {
    /// An endpoint for a client that must have an id.
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

    /// Requests a token, once.
    pub(super) async fn ask(&self, grant: &TokenGrant<'_>) -> Result<token_response::GrantedTokens, Fault> {
        let basic = self.basic()?;
        let pairs = self.pairs(grant, basic.is_some());
        let (content_type, body) = match self.oauth.encoding {
            TokenRequestEncoding::Form => (FORM_CONTENT_TYPE, encode_form(&pairs).into_bytes()),
            TokenRequestEncoding::Json => (
                JSON_CONTENT_TYPE,
                serde_json::to_vec(&pairs)
                    .map_err(|error| Fault::transient_error("encoding the token request", error))?,
            ),
        };
        let mut headers = HeaderMap::new();
        if let Some(basic) = &basic {
            headers.insert(HeaderName::from_static("authorization"), basic.clone());
        }
        let response = self.endpoint.call(headers, content_type, body).await?;
        // Some servers report errors with status 200; those fall through to the fault.
        if response.is_success()
            && let Some(granted) =
                token_response::parse_token_response(response_content_type(&response), &response.body)
        {
            return granted.map_err(|why| self.endpoint.malformed(why));
        }
        Err(self.fault(&response, &self.secrets(grant, basic.as_ref())))
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

    /// The `Authorization: Basic` header of RFC 6749, section 2.3.1, if the client uses it.
    fn basic(&self) -> Result<Option<HeaderValue>, Fault> {
        let Some(secret) = self
            .oauth
            .client_secret
            .as_ref()
            .filter(|_| self.oauth.client_auth == ClientSecretPlacement::Basic)
        else {
            return Ok(None);
        };
        // The RFC has both parts form-encoded before they are joined, so a colon in one is no separator.
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.oauth.client_id), encode(secret.expose()));
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|error| Fault::transient_error("encoding the client's credential", error))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn fault(&self, response: &HttpResponse, secrets: &[SecretText]) -> Fault {
        let reported = token_response::parse_error_response(response_content_type(response), &response.body);
        let is_final = reported.as_ref().is_some_and(|(error, _)| {
            matches!(error.as_str(), "invalid_client" | "invalid_grant") || response.is_success()
        });
        if !is_final && !matches!(response.status, 400 | 401 | 403) {
            return if response.is_success() {
                self.endpoint.malformed("is no token")
            } else {
                self.endpoint.fault(response)
            };
        }
        let reported =
            reported.map(|(error, description)| format!("{error} {description}")).unwrap_or_default();
        let excerpt = fault_messages::redacted_excerpt(&reported, secrets);
        let status = response.status;
        Fault::unauthorized(if excerpt.is_empty() {
            format!("token endpoint: answered {status}")
        } else {
            format!("token endpoint: answered {status}: {excerpt}")
        })
    }

    /// Every secret that was sent, both plain and as the form encodes it.
    fn secrets(&self, grant: &TokenGrant<'_>, basic: Option<&HeaderValue>) -> Vec<SecretText> {
        // The part after `Basic `, which a server may quote alone.
        let basic = basic.and_then(|value| value.to_str().ok()).and_then(|value| value.split(' ').nth(1));
        let client = self.oauth.client_secret.as_ref().map(SecretText::expose);
        let extra = self.oauth.extra.values().map(String::as_str);
        let plain: Vec<&str> =
            extra.chain(grant.proof.map(|(_, value)| value)).chain(client).chain(basic).collect();
        let encoded = plain.iter().map(|text| form_urlencoded::byte_serialize(text.as_bytes()).collect());
        let encoded: Vec<String> = encoded.collect();
        plain.into_iter().map(SecretText::new).chain(encoded.into_iter().map(SecretText::new)).collect()
    }
}

/// Requests tokens in the client's own name.
pub(super) struct ClientCredentialsSource {
    endpoint: TokenEndpoint,
    clock: Arc<dyn WallClock>,
}

impl ClientCredentialsSource {
    pub(super) fn new(oauth: OAuthClient, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        Ok(Self { endpoint: TokenEndpoint::for_client(oauth, clock.clone())?, clock })
    }
}

#[async_trait]
impl TokenSource for ClientCredentialsSource {
    async fn fetch(&self, _known: Option<&str>) -> Result<IssuedToken, Fault> {
        let begins_ms = self.clock.now_ms();
        let grant = TokenGrant { kind: "client_credentials", proof: None };
        let granted = self.endpoint.ask(&grant).await?;
        let expires_ms = granted.life.map(|life| token_response::expiry_ms(begins_ms, life));
        Ok(IssuedToken { text: granted.access, begins_ms, expires_ms })
    }
}

fn encode_form(pairs: &BTreeMap<&str, &str>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn response_content_type(response: &HttpResponse) -> &str {
    response.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}
