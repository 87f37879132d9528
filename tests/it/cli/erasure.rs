//! What was deleted is on the disk no more.

use std::fs;
use std::path::{Path, PathBuf};

use super::CliSandbox;

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn no_file_holds_the_text_of_a_deleted_document() {
    let cli = CliSandbox::new();
    let canaries = ["zebrafinch-4711", "Quokkahead", "Wombattitle"];
    let secret = format!(
        "---\ntitle: {}\n---\n\n# {}\n\nThe password of the vault is {}.\n",
        canaries[2], canaries[1], canaries[0]
    );
    cli.write("secret.md", &secret);
    for number in 0..50 {
        cli.write(&format!("other-{number}.md"), format!("# Other\n\nThe rope number {number} is blue.\n"));
    }
    cli.ingest(0);
    let held = |canary: &str| files_with(&cli.data(), canary.as_bytes());
    assert!(!held(canaries[0]).is_empty(), "the search finds what is there");
    cli.json(0, &["delete", "--collection", "c", "secret.md"]);
    for canary in canaries {
        // Title and metadata stand beside a vector until its engine gives the room back.
        let vectors = cli.data().join("collections/local/c/1/vectors");
        let left =
            held(canary).into_iter().filter(|file| canary != canaries[2] || !file.starts_with(&vectors));
        assert_eq!(left.collect::<Vec<PathBuf>>(), Vec::<PathBuf>::new(), "{canary}");
    }
    assert!(cli.context("Which colour has the rope number 7?").contains("rope number 7 is blue"));
    assert_eq!(cli.json(0, &["audit", "--collection", "c"])["drift"], 0);
}
