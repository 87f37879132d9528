use contexture_adapters::credentials::{CredentialConfig, SecretText, open_credential};
use contexture_core::fault::Fault;

use super::{CANARY, CredentialFixture, quiet};

#[tokio::test]
async fn a_key_stays_the_same_and_there_is_no_other() {
    let world = CredentialFixture::new();
    let key = world.open(CredentialConfig::Key(SecretText::new(CANARY)));
    let token = key.token().await.unwrap();
    assert_eq!(token.expose(), CANARY);
    let fault = quiet(key.renew(&token).await.unwrap_err());
    assert!(matches!(fault, Fault::Unauthorized(_)), "{fault:?}");
    assert_eq!(key.token().await.unwrap(), token);
}

#[tokio::test]
async fn what_cannot_be_sent_or_named_is_refused_at_once() {
    let world = CredentialFixture::new();
    for key in ["", "two words", "line\nbreak", "clé"] {
        world.refused(CredentialConfig::Key(SecretText::new(key)));
    }
    for name in ["", "line\nbreak", "n".repeat(129).as_str()] {
        let config = CredentialConfig::Key(SecretText::new("key"));
        let fault = open_credential(name, config, world.states.clone(), world.clock.clone()).err().unwrap();
        assert!(matches!(fault, Fault::Permanent(_)), "{fault:?}");
    }
}
