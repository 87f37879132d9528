//! A client that asks in its own name: RFC 6749, section 4.4.

use std::sync::Arc;

use async_trait::async_trait;

use super::cycle::{Issued, Source};
use super::oauth::{Grant, OAuth, TokenEndpoint, reply};
use crate::fault::Fault;
use crate::ports::clock::Clock;

/// Tokens for a client.
pub(super) struct ClientCredentials {
    endpoint: TokenEndpoint,
    clock: Arc<dyn Clock>,
}

impl ClientCredentials {
    pub(super) fn new(oauth: OAuth, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        Ok(Self { endpoint: TokenEndpoint::for_client(oauth, clock.clone())?, clock })
    }
}

#[async_trait]
impl Source for ClientCredentials {
    async fn fetch(&self, _known: Option<&str>) -> Result<Issued, Fault> {
        let begins_ms = self.clock.now_ms();
        let grant = Grant { kind: "client_credentials", proof: None };
        let granted = self.endpoint.ask(&grant).await?;
        let expires_ms = granted.life.map(|life| reply::end_ms(begins_ms, life));
        Ok(Issued { text: granted.access, begins_ms, expires_ms })
    }
}
