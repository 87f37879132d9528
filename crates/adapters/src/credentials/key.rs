//! A key that never changes.

use async_trait::async_trait;

use super::secret::check_sendable;
use super::{AccessToken, Credential, SecretText, fault_messages, reject_config};
use contexture_core::fault::Fault;

/// One token for all time.
pub(super) struct StaticKeyCredential {
    name: String,
    token: AccessToken,
}

impl StaticKeyCredential {
    pub(super) fn new(name: &str, key: &SecretText) -> Result<Self, Fault> {
        let text = check_sendable(key.expose()).map_err(reject_config)?;
        Ok(Self { name: name.to_owned(), token: AccessToken::new(text, 1) })
    }
}

#[async_trait]
impl Credential for StaticKeyCredential {
    async fn token(&self) -> Result<AccessToken, Fault> {
        Ok(self.token.clone())
    }

    async fn renew(&self, _refused: &AccessToken) -> Result<AccessToken, Fault> {
        Err(fault_messages::prefix_credential_name(
            &self.name,
            Fault::Unauthorized("the key was refused".to_owned()),
        ))
    }
}
