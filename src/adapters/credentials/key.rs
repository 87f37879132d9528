//! A key that never changes.

use async_trait::async_trait;

use super::secret::sendable;
use super::{Credential, Secret, Token, refuse, words};
use crate::fault::Fault;

/// One token for all time.
pub(super) struct Key {
    name: String,
    token: Token,
}

impl Key {
    pub(super) fn new(name: &str, key: &Secret) -> Result<Self, Fault> {
        let text = sendable(key.expose()).map_err(refuse)?;
        Ok(Self { name: name.to_owned(), token: Token::new(text, 1) })
    }
}

#[async_trait]
impl Credential for Key {
    async fn token(&self) -> Result<Token, Fault> {
        Ok(self.token.clone())
    }

    async fn renew(&self, _refused: &Token) -> Result<Token, Fault> {
        Err(words::named(&self.name, Fault::Unauthorized("the key was refused".to_owned())))
    }
}
