//! A client that asks in its own name: RFC 6749, section 4.4.

use std::sync::Arc;

use async_trait::async_trait;

use super::oauth::{OAuthClient, TokenEndpoint, TokenGrant, token_response};
use super::refreshing::{IssuedToken, TokenSource};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Tokens for a client.
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
