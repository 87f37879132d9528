//! A disk with less room than the floor: nothing is taken in, and everything else goes on.

use serde_json::{Value, json};

use super::serving::ServeProcess;
use super::{CliSandbox, CommandOutput};

/// A floor that no disk has free.
const FLOOR: (&str, &str) = ("CONTEXTURE__LIMITS__DISK_FREE_BYTES_MIN", "1152921504606846976");

impl CliSandbox {
    fn short_of_room(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = self.command(&[arguments, &["--json"]].concat());
        CommandOutput::from(command.envs([FLOOR]).output().unwrap())
    }
}

#[test]
fn a_full_disk_takes_nothing_in_and_answers() {
    let cli = CliSandbox::new();
    cli.write("lamp.md", "The lamp in the hall is green.\n");
    cli.write("rope.md", "The rope in the cellar is blue.\n");
    cli.ingest(0);
    cli.write("lamp.md", "The lamp in the hall is red now.\n");
    let ingest = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs"];
    let refused = cli.short_of_room(&ingest);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let error = refused.error();
    assert_eq!(error["code"], "disk_full", "{error}");
    assert!(error["message"].as_str().unwrap().contains("limits.disk_free_bytes_min"), "{error}");
    let found = cli.short_of_room(&["search", "--collection", "c", "lamp"]);
    assert_eq!((found.code, found.json()["results"][0]["document_id"].clone()), (0, json!("lamp.md")));
    let other = cli.short_of_room(&["ingest", "--collection", "other", "--pipeline", "hash.toml", "docs"]);
    assert_eq!((other.code, other.error()["code"].clone()), (1, json!("disk_full")));
    assert_eq!(cli.short_of_room(&["delete", "--collection", "c", "rope.md"]).code, 0);
    let left: Value = cli.json(0, &["documents", "list", "--collection", "c"]);
    assert_eq!(left["documents"].as_array().unwrap().len(), 1, "{left}");
    // With room again it goes on.
    assert_eq!(cli.ingest(0)["visible"], 2);
    assert!(cli.context("lamp").contains("red now"));
}

#[cfg(unix)]
#[test]
fn a_server_on_a_full_disk_refuses_documents_and_answers_questions() {
    let cli = CliSandbox::new();
    cli.write("lamp.md", "The lamp in the hall is green.\n");
    cli.ingest(0);
    let server = ServeProcess::start(&cli, &[FLOOR]);
    let url = server.url();
    cli.write("rope.md", "The rope in the cellar is blue.\n");
    let arguments = ["ingest", "--server", &url, "--collection", "c", "docs"];
    let mut command = super::bare(cli.home.path(), &[&arguments[..], &["--json"]].concat());
    let refused = CommandOutput::from(command.output().unwrap());
    let error = refused.error();
    assert_eq!((refused.code, &error["code"]), (1, &json!("documents_refused")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("limits.disk_free_bytes_min"), "{error}");
    let arguments = ["search", "--server", &url, "--collection", "c", "lamp", "--json"];
    let found = CommandOutput::from(super::bare(cli.home.path(), &arguments).output().unwrap());
    assert_eq!((found.code, found.json()["results"][0]["document_id"].clone()), (0, json!("lamp.md")));
}
