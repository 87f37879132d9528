//! Whatever goes wrong, no secret is logged, however much is.

use std::io;
use std::sync::{Arc, Mutex};

use contexture_adapters::credentials::{ClientSecretPlacement, CredentialConfig, OAuthClient, SecretText};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::{CANARY, CredentialFixture, error, fault_of, oauth, text_of};
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};

#[derive(Clone, Default)]
struct CapturedLogLines(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLogLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_logged() {
    let lines = CapturedLogLines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let token = format!("token-{CANARY}");
    let reply = json!({ "access_token": token, "refresh_token": format!("next-{CANARY}"), "expires_in": 60 });
    let quoting = error(400, &json!({ "error": CANARY, "error_description": token }));
    for (reply, is_good) in
        [(ScriptedReply::json(&reply), true), (quoting, false), (ScriptedReply::new(500, CANARY), false)]
    {
        let server = ScriptedHttp::always(reply).await;
        let basic = OAuthClient { client_auth: ClientSecretPlacement::Basic, ..oauth(&server) };
        let refresh = CredentialConfig::RefreshToken(oauth(&server), SecretText::new(CANARY));
        for config in [CredentialConfig::ClientCredentials(basic), refresh] {
            let world = CredentialFixture::new();
            let credential = world.open(config);
            if is_good {
                assert_eq!(text_of(&credential).await, token);
                assert!(!format!("{:?}", credential.token().await).contains(CANARY));
            } else {
                fault_of(&credential).await;
            }
        }
    }
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(told.contains("a token was issued"), "nothing was heard: {told}");
    assert!(!told.contains(CANARY), "{told}");
}
