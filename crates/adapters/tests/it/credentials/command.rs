use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use contexture_adapters::credentials::{CredentialConfig, TokenCommand};
use contexture_core::fault::Fault;
use tokio::time::Instant;

use super::{CANARY, CredentialFixture, PATIENCE, eventually, fault_of, many, quiet, text_of};

fn command(program: &str, arguments: &[&str]) -> TokenCommand {
    TokenCommand {
        program: PathBuf::from(program),
        arguments: arguments.iter().map(Into::into).collect(),
        time_max: PATIENCE,
        ttl: None,
    }
}

fn script(text: &str) -> TokenCommand {
    command("sh", &["-c", text])
}

/// Prints `token-1`, `token-2` and so on, in this form.
fn counting(folder: &tempfile::TempDir, printed: &str) -> TokenCommand {
    let runs = folder.path().join("runs");
    script(&format!("echo >> {0}; N=$(($(wc -l < {0}))); echo \"{printed}\"", runs.display()))
}

async fn fault_after(command: TokenCommand) -> Fault {
    fault_of(&CredentialFixture::new().open(CredentialConfig::Command(command))).await
}

#[tokio::test]
async fn a_plain_token_is_kept_for_its_ttl() {
    let folder = tempfile::tempdir().unwrap();
    let world = CredentialFixture::new();
    let ttl = Some(Duration::from_mins(10));
    let command = TokenCommand { ttl, ..counting(&folder, " token-$N ") };
    let credential = world.open(CredentialConfig::Command(command));
    assert!(many(&credential).await.iter().all(|token| token.expose() == "token-1"));
    world.advance_ms(479_999);
    assert_eq!(text_of(&credential).await, "token-1");
    world.advance_ms(120_001);
    assert!(many(&credential).await.iter().all(|token| token.expose() == "token-2"));
}

#[tokio::test]
async fn a_plain_token_without_ttl_is_kept_until_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = CredentialFixture::new();
    let credential = world.open(CredentialConfig::Command(counting(&folder, "token-$N")));
    let first = credential.token().await.unwrap();
    world.advance_ms(u64::from(u32::MAX));
    assert_eq!(credential.token().await, Ok(first.clone()));
    assert_eq!(credential.renew(&first).await.unwrap().expose(), "token-2");
}

#[tokio::test]
async fn json_says_when_its_token_ends() {
    for name in ["access_token", "token"] {
        let folder = tempfile::tempdir().unwrap();
        let world = CredentialFixture::new();
        let printed = format!(r#"{{\"{name}\":\"token-$N\",\"expires_in\":\"30\"}}"#);
        let ttl = Some(Duration::from_hours(1));
        let command = TokenCommand { ttl, ..counting(&folder, &printed) };
        let credential = world.open(CredentialConfig::Command(command));
        assert_eq!(text_of(&credential).await, "token-1");
        world.advance_ms(23_999);
        assert_eq!(text_of(&credential).await, "token-1");
        world.advance_ms(6001);
        assert_eq!(text_of(&credential).await, "token-2", "{name}");
    }
}

#[tokio::test]
async fn arguments_are_seen_by_no_shell_and_by_nobody() {
    let command = command("printf", &["%s", "$HOME;`id`"]);
    assert_eq!(
        text_of(&CredentialFixture::new().open(CredentialConfig::Command(command))).await,
        "$HOME;`id`"
    );
    let config = CredentialConfig::Command(script(CANARY));
    assert!(!format!("{config:?}").contains(CANARY));
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let hangs = format!("echo $$ > {}; echo {CANARY}; exec sleep 600", pid.display());
    let time_max = Duration::from_millis(1500);
    let started = Instant::now();
    let fault = fault_after(TokenCommand { time_max, ..script(&hangs) }).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    assert!(started.elapsed() >= time_max && started.elapsed() < PATIENCE);
    let pid = fs::read_to_string(pid).unwrap();
    eventually("the program is gone", async || {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    })
    .await;
}

#[tokio::test]
async fn a_command_that_fails_says_its_status_and_nothing_else() {
    let fault = fault_after(script(&format!("echo {CANARY}; echo {CANARY} >&2; exit 3"))).await;
    assert!(matches!(&fault, Fault::Unauthorized(what) if what.as_str().contains('3')), "{fault:?}");
    let fault = fault_after(command("/nowhere/to-be-found", &[CANARY])).await;
    assert!(
        matches!(&fault, Fault::Unauthorized(what) if what.as_str().contains("cannot be started")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_flood_is_cut() {
    let fault = fault_after(command("yes", &[CANARY])).await;
    assert!(
        matches!(&fault, Fault::Unauthorized(what) if what.as_str().contains("65536 bytes")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn what_is_no_token_is_not_taken_for_one() {
    for printed in ["", "two words", "{}", r#"{"token":"#, r#"{"access_token":5}"#, r#"{"token":""}"#, "clé"]
    {
        let fault = fault_after(command("printf", &["%s", printed])).await;
        assert!(matches!(fault, Fault::Unauthorized(_)), "{printed}: {fault:?}");
    }
    let fault = fault_after(command("printf", &[r"\377\376"])).await;
    assert!(matches!(fault, Fault::Unauthorized(_)), "{fault:?}");
}

#[tokio::test]
async fn a_command_that_says_the_same_again_has_no_newer_token() {
    let world = CredentialFixture::new();
    let credential = world.open(CredentialConfig::Command(command("printf", &["%s", "same"])));
    let token = credential.token().await.unwrap();
    let fault = quiet(credential.renew(&token).await.unwrap_err());
    assert!(matches!(fault, Fault::Unauthorized(_)), "{fault:?}");
    assert_eq!(credential.token().await, Ok(token), "the refusal may be healed elsewhere");
}

#[tokio::test]
async fn a_command_needs_a_program_and_a_time() {
    let world = CredentialFixture::new();
    world.refused(CredentialConfig::Command(command("", &[])));
    world.refused(CredentialConfig::Command(TokenCommand { time_max: Duration::ZERO, ..script("") }));
}
