use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contexture_adapters::credentials::{CredentialConfig, SecretText, ServiceAccount, ServiceAccountKey};
use contexture_core::fault::Fault;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CredentialFixture, PATIENCE, counting, error, fault_of, form, text_of};
use crate::support::clock::ManualClock;
use crate::support::scripted_http::ScriptedHttp;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    output.status.success()
}

/// A key for this test only, in files of its name.
fn key(folder: &TempDir, name: &str) -> String {
    let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
    let bits = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &private];
    assert!(openssl(folder.path(), &[&["genpkey"], bits.as_slice()].concat()));
    assert!(openssl(folder.path(), &["pkey", "-in", &private, "-pubout", "-out", &public]));
    fs::read_to_string(folder.path().join(private)).unwrap()
}

fn is_signed(folder: &TempDir, name: &str, signed: &str, signature: &[u8]) -> bool {
    fs::write(folder.path().join("signed"), signed).unwrap();
    fs::write(folder.path().join("signature"), signature).unwrap();
    let public = format!("{name}.pub");
    openssl(folder.path(), &["dgst", "-sha256", "-verify", &public, "-signature", "signature", "signed"])
}

fn account_json(pem: &str, token_uri: &str) -> String {
    json!({ "type": "service_account", "project_id": "p", "private_key_id": "key-1", "private_key": pem,
            "client_email": "robot@p.iam.gserviceaccount.com", "token_uri": token_uri })
    .to_string()
}

fn config(key: ServiceAccountKey) -> CredentialConfig {
    let account = ServiceAccount { key, scope: SCOPE.to_owned(), call_max: PATIENCE };
    CredentialConfig::GoogleServiceAccount(account)
}

/// An assertion's header, claims, signed text and signature.
fn parts(assertion: &str) -> (Value, Value, &str, Vec<u8>) {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let read = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (read(header), read(claims), signed, decode(signature))
}

#[tokio::test]
async fn an_assertion_is_signed_for_the_endpoint_and_the_scope() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, _) = (key(&folder, "one"), key(&folder, "two"));
    let (world, server) = (CredentialFixture::new(), counting(3600).await);
    let url = server.url("/token");
    let config = config(ServiceAccountKey::Text(SecretText::new(account_json(&pem, &url))));
    assert!(!format!("{config:?}").contains("PRIVATE KEY"), "{config:?}");
    let credential = world.open(config);
    assert_eq!(text_of(&credential).await, "token-1");
    let request = &server.requests()[0];
    let sent = form(request);
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["assertion", "grant_type"]);
    assert_eq!(sent["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims, signed, signature) = parts(&sent["assertion"]);
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" }));
    let now_s = ManualClock::START_MS / 1000;
    let expected = json!({ "iss": "robot@p.iam.gserviceaccount.com", "scope": SCOPE, "aud": url,
                           "iat": now_s, "exp": now_s + 3600 });
    assert_eq!(claims, expected);
    assert!(is_signed(&folder, "one", signed, &signature));
    assert!(!is_signed(&folder, "two", signed, &signature), "the check is none");
    world.advance_ms(3_600_000);
    assert_eq!(text_of(&credential).await, "token-2");
    let (_, claims, ..) = parts(&form(&server.requests()[1])["assertion"]);
    assert_eq!(claims["iat"], now_s + 3600);
}

#[tokio::test]
async fn a_key_that_was_replaced_signs_the_next_assertion() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (key(&folder, "one"), key(&folder, "two"));
    let (world, server) = (CredentialFixture::new(), counting(60).await);
    let (path, url) = (folder.path().join("account.json"), server.url("/token"));
    fs::write(&path, account_json(&one, &url)).unwrap();
    let credential = world.open(config(ServiceAccountKey::File(path.clone())));
    assert_eq!(text_of(&credential).await, "token-1");
    fs::write(&path, account_json(&two, &url)).unwrap();
    world.advance_ms(60_000);
    assert_eq!(text_of(&credential).await, "token-2");
    let signers: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| {
            let assertion = form(request)["assertion"].clone();
            let (_, _, signed, signature) = parts(&assertion);
            is_signed(&folder, "two", signed, &signature)
        })
        .collect();
    assert_eq!(signers, [false, true]);
    fs::write(&path, "{}").unwrap();
    world.advance_ms(60_000);
    let fault = fault_of(&credential).await;
    assert!(matches!(fault, Fault::Unauthorized(_)), "no document dies of it: {fault:?}");
}

#[tokio::test]
async fn an_assertion_that_is_refused_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let pem = key(&folder, "one");
    let server = ScriptedHttp::start(|request| {
        let assertion = form(request)["assertion"].clone();
        let description = format!("Invalid JWT Signature: {}", &assertion[20..]);
        error(400, &json!({ "error": "invalid_grant", "error_description": description }))
    })
    .await;
    let text = account_json(&pem, &server.url("/token"));
    let credential = CredentialFixture::new().open(config(ServiceAccountKey::Text(SecretText::new(text))));
    let fault = fault_of(&credential).await;
    let Fault::Unauthorized(what) = &fault else { panic!("{fault:?}") };
    assert!(what.as_str().ends_with("invalid_grant Invalid JWT Signature: ***"), "{what}");
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_refused_at_once() {
    let world = CredentialFixture::new();
    let url = "https://oauth2.googleapis.com/token";
    let secret = "canary-secret-5d1e70aa";
    for text in [
        String::new(),
        secret.to_owned(),
        json!({ "private_key": secret }).to_string(),
        account_json(secret, url),
        account_json(&format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"), url),
        account_json("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", url),
    ] {
        world.refused(config(ServiceAccountKey::Text(SecretText::new(text))));
    }
    world.refused(config(ServiceAccountKey::File("/nowhere/account.json".into())));
}
