use std::time::Duration;

use contexture_adapters::credentials::{
    ClientSecretPlacement, CredentialConfig, OAuthClient, SecretText, TokenRequestEncoding,
};
use contexture_core::fault::Fault;
use serde_json::json;

use super::{CANARY, CredentialFixture, error, fault_of, fields, form, granted, oauth, quiet, text_of};
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};

/// What is sent by a client like this.
async fn sent(change: impl FnOnce(OAuthClient) -> OAuthClient) -> RecordedRequest {
    let server = ScriptedHttp::always(granted("token-1", 60)).await;
    let config = CredentialConfig::ClientCredentials(change(oauth(&server)));
    assert!(!format!("{config:?}").contains(CANARY), "{config:?}");
    assert_eq!(text_of(&CredentialFixture::new().open(config)).await, "token-1");
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

/// What comes of an answer.
async fn after(reply: ScriptedReply) -> Result<String, Fault> {
    let server = ScriptedHttp::always(reply).await;
    let credential = CredentialFixture::new().open(CredentialConfig::ClientCredentials(oauth(&server)));
    let token = credential.token().await;
    assert_eq!(server.requests().len(), 1, "nothing is tried twice");
    token.map(|token| token.expose().to_owned()).map_err(quiet)
}

async fn unauthorized(reply: ScriptedReply) -> String {
    match after(reply).await {
        Err(Fault::Unauthorized(what)) => what.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_form_with_everything_in_it() {
    let request = sent(|oauth| oauth).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/oauth/token"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("authorization"), None);
    let expected =
        [("grant_type", "client_credentials"), ("client_id", "client-7"), ("client_secret", CANARY)];
    assert_eq!(form(&request), fields(&expected));
}

#[tokio::test]
async fn scope_audience_and_other_parameters_are_sent_as_they_are() {
    let request = sent(|oauth| OAuthClient {
        scope: Some("read write".to_owned()),
        audience: Some("https://api.example/?a=b&c".to_owned()),
        extra: fields(&[("resource", "ä & ö")]),
        ..oauth
    })
    .await;
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "client-7"),
        ("client_secret", CANARY),
        ("scope", "read write"),
        ("audience", "https://api.example/?a=b&c"),
        ("resource", "ä & ö"),
    ];
    assert_eq!(form(&request), fields(&expected));
}

#[tokio::test]
async fn json_has_the_same_parameters() {
    let request = sent(|oauth| OAuthClient {
        encoding: TokenRequestEncoding::Json,
        scope: Some("read".to_owned()),
        ..oauth
    })
    .await;
    assert_eq!(request.header("content-type"), Some("application/json"));
    let expected = json!({ "grant_type": "client_credentials", "client_id": "client-7",
                           "client_secret": CANARY, "scope": "read" });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn basic_has_the_secret_in_the_header_only() {
    let request = sent(|oauth| OAuthClient {
        client_id: "a b:c".to_owned(),
        client_secret: Some(SecretText::new("p+w/d=:%")),
        client_auth: ClientSecretPlacement::Basic,
        ..oauth
    })
    .await;
    // base64 of a+b%3Ac:p%2Bw%2Fd%3D%3A%25
    assert_eq!(request.header("authorization"), Some("Basic YStiJTNBYzpwJTJCdyUyRmQlM0QlM0ElMjU="));
    assert_eq!(form(&request), fields(&[("grant_type", "client_credentials")]));
    let public =
        sent(|oauth| OAuthClient { client_secret: None, client_auth: ClientSecretPlacement::Basic, ..oauth })
            .await;
    assert_eq!(public.header("authorization"), None);
    assert_eq!(form(&public), fields(&[("grant_type", "client_credentials"), ("client_id", "client-7")]));
}

#[tokio::test]
async fn azure_is_a_client_like_others() {
    let azure = |server: &ScriptedHttp, tenant: &str| {
        OAuthClient::azure(tenant, "client-7", SecretText::new(CANARY), Some(&server.url("/")))
    };
    let server = ScriptedHttp::always(granted("token-1", 3599)).await;
    let oauth = azure(&server, "c0ffee00-1111-4222-8333-444455556666").unwrap();
    assert_eq!(
        text_of(&CredentialFixture::new().open(CredentialConfig::ClientCredentials(oauth))).await,
        "token-1"
    );
    let request = server.requests().remove(0);
    assert_eq!(request.path, "/c0ffee00-1111-4222-8333-444455556666/oauth2/v2.0/token");
    assert_eq!(form(&request)["scope"], "https://cognitiveservices.azure.com/.default");
    let public = OAuthClient::azure("contoso.example", "c", SecretText::new("s"), None).unwrap();
    assert_eq!(public.token_url, "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token");
    for tenant in ["", "..", "a/b", "a?b", "a b"] {
        assert!(matches!(azure(&server, tenant), Err(Fault::Permanent(_))), "{tenant}");
    }
}

#[tokio::test]
async fn answers_are_read_as_json_and_as_forms() {
    let as_form = |text: &str| {
        ScriptedReply::new(200, text).header("content-type", "application/x-www-form-urlencoded")
    };
    let form = as_form("access_token=a%2Fb&token_type=bearer&expires_in=60&scope=x+y");
    assert_eq!(after(form).await, Ok("a/b".to_owned()));
    for body in [
        json!({ "access_token": "a/b" }),
        json!({ "access_token": "a/b", "token_type": "bEARER", "expires_in": "60", "id_token": {} }),
        json!({ "access_token": "a/b", "token_type": null, "expires_in": null, "error": null }),
    ] {
        assert_eq!(after(ScriptedReply::json(&body)).await, Ok("a/b".to_owned()), "{body}");
        assert_eq!(after(ScriptedReply::new(200, body.to_string())).await, Ok("a/b".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn what_is_no_bearer_token_is_not_taken_for_one() {
    let echo = json!({ "message": CANARY }).to_string();
    for body in [
        r#"{"access_token":""}"#,
        r#"{"access_token":"a\nb"}"#,
        r#"{"access_token":"a","token_type":"DPoP"}"#,
        r#"{"access_token":"#,
        "{}",
        "[]",
        "",
        "<html>Sign in</html>",
        echo.as_str(),
    ] {
        unauthorized(ScriptedReply::new(200, body)).await;
    }
    unauthorized(ScriptedReply::new(200, vec![b' '; 4096]).endless()).await;
}

#[tokio::test]
async fn a_refused_client_is_told_why_without_its_secret() {
    let refusal =
        |error: &str, description: &str| json!({ "error": error, "error_description": description });
    let plain = refusal("invalid_client", "AADSTS7000215: Invalid\r\nclient secret");
    for status in [400, 401, 403, 500] {
        let what = unauthorized(error(status, &plain)).await;
        assert!(what.contains("invalid_client AADSTS7000215: Invalid  client secret"), "{what}");
        assert!(what.contains(&status.to_string()), "{what}");
    }
    let quoted = format!("no client has {CANARY}, nor {}", &CANARY[4..]);
    let what = unauthorized(error(400, &refusal("invalid_grant", &quoted))).await;
    assert!(what.ends_with("invalid_grant no client has ***, nor ***"), "{what}");
    let long = unauthorized(error(401, &refusal("invalid_client", &"ä".repeat(5000)))).await;
    assert!(long.chars().count() < 300, "{long}");
    let inner = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "not you" } });
    assert!(unauthorized(error(403, &inner)).await.ends_with("PERMISSION_DENIED not you"));
    let with_success = ScriptedReply::new(200, "error=bad_verification_code&error_description=old");
    assert!(unauthorized(with_success).await.ends_with("bad_verification_code old"));
    let scope = error(400, &refusal("invalid_scope", "no such scope"));
    assert!(unauthorized(scope).await.ends_with("invalid_scope no such scope"));
    for status in [400, 401] {
        assert!(unauthorized(ScriptedReply::new(status, CANARY)).await.ends_with(&status.to_string()));
    }
}

#[tokio::test]
async fn basic_credentials_are_not_repeated_either() {
    let quote = |request: &RecordedRequest| {
        let header = request.header("authorization").unwrap_or_default();
        error(401, &json!({ "error": "invalid_client", "error_description": header }))
    };
    let server = ScriptedHttp::start(quote).await;
    let oauth = OAuthClient { client_auth: ClientSecretPlacement::Basic, ..oauth(&server) };
    let fault = fault_of(&CredentialFixture::new().open(CredentialConfig::ClientCredentials(oauth))).await;
    assert!(
        matches!(&fault, Fault::Unauthorized(what) if what.as_str().ends_with("invalid_client Basic ***")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn other_statuses_are_the_networks_and_kill_no_document() {
    let body = json!({ "error": CANARY });
    for status in [408, 500, 502, 504] {
        let fault = after(error(status, &body)).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)), "{status}: {fault:?}");
    }
    for status in [301, 302, 307, 404, 405, 413] {
        let reply = error(status, &body).header("location", "http://127.0.0.1:1/");
        unauthorized(reply).await;
    }
    for status in [429, 503] {
        let fault = after(error(status, &body).header("retry-after", "7")).await.unwrap_err();
        assert!(
            matches!(fault, Fault::Throttled { retry_after, .. } if retry_after.as_secs() == 7),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_silent_endpoint_is_left_at_the_deadline() {
    let server = ScriptedHttp::always(ScriptedReply::never()).await;
    let oauth = OAuthClient { call_max: Duration::from_millis(200), ..oauth(&server) };
    let fault = fault_of(&CredentialFixture::new().open(CredentialConfig::ClientCredentials(oauth))).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
}

#[tokio::test]
async fn what_can_never_work_is_refused_at_once() {
    let server = ScriptedHttp::always(granted("token-1", 60)).await;
    let world = CredentialFixture::new();
    let refuse = |oauth: OAuthClient| world.refused(CredentialConfig::ClientCredentials(oauth));
    for url in ["", "token", "ftp://host/", &format!("http://user:{CANARY}@host/")] {
        refuse(OAuthClient { token_url: url.to_owned(), ..oauth(&server) });
    }
    refuse(OAuthClient { client_id: String::new(), ..oauth(&server) });
    refuse(OAuthClient { client_secret: Some(SecretText::new("")), ..oauth(&server) });
    for name in ["grant_type", "client_secret", "scope", "assertion"] {
        refuse(OAuthClient { extra: fields(&[(name, CANARY)]), ..oauth(&server) });
    }
    world.refused(CredentialConfig::RefreshToken(oauth(&server), SecretText::new("")));
    world.refused(CredentialConfig::RefreshToken(oauth(&server), SecretText::new("a\nb")));
    assert!(server.requests().is_empty());
}
