use std::fs;
use std::path::Path;
use std::sync::Arc;

use contexture_adapters::credentials::{Credential, CredentialConfig};
use contexture_core::fault::Fault;
use tempfile::TempDir;

use super::{CredentialFixture, fault_of, many, many_renewed, quiet, text_of};

fn with_file(text: &str) -> (CredentialFixture, TempDir, Arc<dyn Credential>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, text).unwrap();
    let world = CredentialFixture::new();
    let credential = world.open(CredentialConfig::File(path));
    (world, folder, credential)
}

fn write(folder: &TempDir, text: impl AsRef<[u8]>) {
    fs::write(folder.path().join("token"), text).unwrap();
}

/// Other text of the same length, at the same time.
fn forge(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), text.len() as u64);
    fs::write(path, text).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[tokio::test]
async fn a_file_that_changed_is_read_again_a_second_later() {
    let (world, folder, credential) = with_file(" first\n");
    let first = credential.token().await.unwrap();
    assert_eq!(first.expose(), "first");
    write(&folder, "the-second\n");
    world.advance_ms(999);
    assert_eq!(text_of(&credential).await, "first", "it is not looked at more often");
    world.advance_ms(1);
    let second = many(&credential).await;
    assert!(second.iter().all(|token| token.expose() == "the-second" && token.number() == 2), "{second:?}");
}

#[tokio::test]
async fn a_file_of_the_same_stamp_is_not_read_until_its_token_is_refused() {
    let (world, folder, credential) = with_file("first");
    let first = credential.token().await.unwrap();
    forge(&folder.path().join("token"), "other");
    world.advance_ms(5000);
    assert_eq!(text_of(&credential).await, "first");
    for renewed in many_renewed(&credential, &first).await {
        assert_eq!(renewed.unwrap().expose(), "other");
    }
    assert_eq!(text_of(&credential).await, "other");
}

#[tokio::test]
async fn a_refused_token_that_is_still_there_is_nobodys_newer_one() {
    let (_world, folder, credential) = with_file("first");
    let first = credential.token().await.unwrap();
    for renewed in many_renewed(&credential, &first).await {
        assert!(matches!(quiet(renewed.unwrap_err()), Fault::Unauthorized(_)));
    }
    write(&folder, "second");
    let second = credential.renew(&first).await.unwrap();
    assert_eq!(second.expose(), "second");
    fs::remove_file(folder.path().join("token")).unwrap();
    assert_eq!(credential.renew(&first).await, Ok(second), "a newer one is known, whatever is in the file");
}

#[tokio::test]
async fn a_file_in_the_middle_of_being_replaced_harms_nobody() {
    let (world, folder, credential) = with_file("first");
    assert_eq!(text_of(&credential).await, "first");
    for broken in ["", "  \n", "two words", &"a".repeat(70_000)] {
        write(&folder, broken);
        world.advance_ms(1000);
        assert_eq!(text_of(&credential).await, "first");
    }
    write(&folder, [0xff, 0xfe]);
    world.advance_ms(1000);
    assert_eq!(text_of(&credential).await, "first");
    fs::remove_file(folder.path().join("token")).unwrap();
    world.advance_ms(1000);
    assert_eq!(text_of(&credential).await, "first");
    write(&folder, "second");
    world.advance_ms(1000);
    assert_eq!(text_of(&credential).await, "second");
}

#[tokio::test]
async fn no_file_is_no_credential_until_there_is_one() {
    let (_world, folder, credential) = with_file("");
    assert!(matches!(fault_of(&credential).await, Fault::Unauthorized(_)));
    fs::remove_file(folder.path().join("token")).unwrap();
    assert!(matches!(fault_of(&credential).await, Fault::Unauthorized(_)));
    write(&folder, "late");
    assert_eq!(text_of(&credential).await, "late");
}
