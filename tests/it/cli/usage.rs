//! Wrong usage, configuration, and the rules every command keeps.

use std::fs;
use std::process::Stdio;

#[cfg(unix)]
use super::serving::ServeProcess;
use super::{CliSandbox, CommandOutput, bare};

#[test]
fn help_and_version_are_not_errors() {
    let cli = CliSandbox::new();
    for arguments in [&["--help"][..], &["--version"], &["ingest", "--help"], &["dead", "list", "--help"]] {
        let ran = CommandOutput::from(bare(cli.home.path(), arguments).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains("contexture"), "{}", ran.stdout);
    }
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    let cli = CliSandbox::new();
    let wrong: [&[&str]; 8] = [
        &[],
        &["frobnicate"],
        &["ingest", "docs"],
        &["ingest", "--collection", "c"],
        &["query", "--collection", "c", "--budget", "many", "why"],
        &["query", "--collection", "c", "--budget", "99999999999999999999", "why"],
        &["dead", "list", "--since", "yesterday"],
        &["status", "document-without-collection"],
    ];
    for arguments in wrong {
        let ran = CommandOutput::from(bare(cli.home.path(), arguments).output().unwrap());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
        assert_eq!(cli.error(2, arguments)["code"], "usage", "{arguments:?}");
    }
}

#[test]
fn a_question_that_begins_with_a_dash_is_told_where_to_stand() {
    let cli = CliSandbox::new();
    let told = |question: &str| {
        let error = cli.error(2, &["search", "--collection", "c", question]);
        error["message"].as_str().unwrap().contains(" -- ")
    };
    assert!(told("-Xmx flag"));
    assert!(!told("--tiemout"), "a misspelt flag is no question");
}

#[test]
fn what_does_not_exist_is_not_found_and_creates_nothing() {
    let cli = CliSandbox::new();
    let asks: [&[&str]; 6] = [
        &["query", "--collection", "c", "--budget", "100", "why"],
        &["search", "--collection", "c", "why"],
        &["status", "--collection", "c"],
        &["status", "--collection", "c", "a.md"],
        &["delete", "--collection", "c", "a.md"],
        &["dead", "list", "--collection", "c"],
    ];
    for arguments in asks {
        assert_eq!(cli.error(3, arguments)["code"], "data_dir_not_found", "{arguments:?}");
    }
    assert!(!cli.data().exists());
    std::fs::create_dir(cli.data()).unwrap();
    for arguments in asks {
        assert_eq!(cli.error(3, arguments)["code"], "data_dir_not_found", "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(cli.data()).unwrap().count(), 0);
    cli.write("a.md", "# One\n\ntext\n");
    cli.json(0, &["ingest", "--collection", "other", "--pipeline", "hash.toml", "docs"]);
    for arguments in asks {
        assert_eq!(cli.error(3, arguments)["code"], "unknown_collection", "{arguments:?}");
    }
    assert_eq!(cli.error(3, &["dead", "show", "7"])["code"], "dead_letter_not_found");
}

#[test]
fn a_missing_path_is_wrong_input_and_touches_nothing() {
    let cli = CliSandbox::new();
    let error = cli.error(2, &["ingest", "--collection", "c", "docs", "no-such-folder"]);
    assert_eq!(error["code"], "path_not_found");
    assert!(error["message"].as_str().unwrap().contains("no-such-folder"));
    assert!(!cli.data().exists());
}

#[test]
fn names_and_files_are_checked_before_anything_opens() {
    let cli = CliSandbox::new();
    let error = cli.error(2, &["ingest", "--collection", "../c", "docs"]);
    assert_eq!((&error["code"], &error["field"]), (&"invalid_collection".into(), &"collection".into()));
    let error = cli.error(2, &["ingest", "--collection", "c", "--pipeline", "missing.toml", "docs"]);
    assert_eq!(error["code"], "invalid_pipeline_file");
    let error = cli.error(2, &["eval", "--dataset", "docs"]);
    assert_eq!(error["code"], "unknown_dataset");
    assert!(!cli.data().exists());
}

#[test]
fn the_configuration_can_be_checked() {
    let cli = CliSandbox::new();
    let checked = cli.json(0, &["check-config"]);
    assert_eq!(checked["config"]["data_dir"], cli.data().to_str().unwrap());
    let shown = cli.run(&["check-config"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert!(shown.stdout.contains("[server]"), "{}", shown.stdout);
    assert!(!cli.data().exists());
}

#[test]
fn a_wrong_configuration_is_wrong_input() {
    let cli = CliSandbox::new();
    cli.error(2, &["check-config", "--config", "missing.toml"]);
    fs::write(cli.path("wrong.toml"), "[server]\nlisten_adress = \"127.0.0.1:1\"\n").unwrap();
    let error = cli.error(2, &["check-config", "--config", "wrong.toml"]);
    assert!(error["message"].as_str().unwrap().contains("listen_adress"), "{error}");
}

#[test]
fn a_reader_that_leaves_is_not_an_error() {
    let cli = CliSandbox::new();
    let mut child =
        cli.command(&["check-config"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[cfg(unix)]
#[test]
fn a_data_directory_has_one_process_and_a_server_ends_when_asked() {
    let cli = CliSandbox::new();
    let server = ServeProcess::start(&cli, &[]);
    let listening = &server.ready;
    assert_eq!(listening["workers"], true);
    assert!(!listening["listening"].as_str().unwrap().ends_with(":0"));

    cli.write("a.md", "text");
    // Without its address the server is only whoever holds the directory.
    std::fs::remove_file(cli.data().join("server.json")).unwrap();
    assert_eq!(cli.error(1, &["ingest", "--collection", "c", "docs"])["code"], "data_dir_in_use");
    assert_eq!(cli.json(0, &["status"])["collections"], serde_json::json!([]), "to look is no harm");

    server.stop();
    assert_eq!(cli.json(0, &["status"])["collections"], serde_json::json!([]));
}

#[test]
fn a_server_without_credentials_stays_on_loopback() {
    let cli = CliSandbox::new();
    let error = cli.error(2, &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((&error["code"], &error["field"]), (&"invalid_config".into(), &"server.listen".into()));
    assert!(!cli.data().exists());
}

#[test]
fn a_new_key_is_shown_once_with_its_hash() {
    let cli = CliSandbox::new();
    let made = [cli.json(0, &["keys", "new"]), cli.json(0, &["keys", "new"])];
    for one in &made {
        let key = one["key"].as_str().unwrap();
        assert!(key.starts_with("ctx_") && key.len() == 4 + 43, "{key}");
        assert_eq!(one["hash"], blake3::hash(key.as_bytes()).to_hex().as_str());
    }
    assert_ne!(made[0]["key"], made[1]["key"]);
    // The printed block is a configuration.
    let text = cli.run(&["keys", "new", "--name", "the \"first\""]).stdout;
    let (shown, block) = text.split_once("[[auth.keys]]").unwrap();
    let key = shown.lines().next().unwrap();
    assert!(!block.contains(key));
    fs::write(cli.path("keys.toml"), format!("[[auth.keys]]{block}")).unwrap();
    let checked = cli.json(0, &["check-config", "--config", "keys.toml"]);
    assert_eq!(checked["config"]["auth"]["keys"][0]["name"], "the \"first\"");
    assert!(!cli.data().exists(), "nothing is stored");
    assert_eq!(cli.error(2, &["keys", "new", "--name", ""])["code"], "invalid_key_name");
}
