//! What scripts hold on to: the output of every command with `--json`, the protobuf descriptors and the page of
//! metrics, byte for byte. Only times, rates, sizes on disk and the home folder are blanked.
//!
//! `CONTEXTURE_UPDATE_GOLDEN=1` writes the files anew; a change in them is a change for users.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use super::serving::{ServeProcess, http};
use super::{CliSandbox, CommandOutput, bare};

/// Numbers under these names differ from run to run.
const VOLATILE_KEYS: [&str; 9] = [
    "seconds",
    "p50_ms",
    "p99_ms",
    "accepted_ms",
    "updated_ms",
    "died_ms",
    "documents_per_second",
    "disk_bytes",
    "took_ms",
];

const COMMANDS: [&str; 36] = [
    "ingest --collection c --pipeline hash.toml docs",
    "ingest --collection c --pipeline hash.toml docs",
    "ingest --collection c --pipeline hash.toml --dry-run docs",
    "ingest --collection c missing",
    "query --collection c --budget 300 herring",
    "query --collection c --budget 300 --explain --format xml sails",
    "query --collection c --budget 300 --format json pier",
    "query --collection nope --budget 300 sails",
    "search --collection c --top-k 3 sails",
    "status",
    "status --collection c",
    "status --collection c harbour-1.md",
    "status --collection c nothing.md",
    "dead list",
    "dead show 1",
    "dead replay --dry-run",
    "dead drop --dry-run",
    "delete --collection c harbour-5.md",
    "delete --collection c harbour-5.md",
    "reindex start --collection c --pipeline other.toml",
    "reindex status --collection c",
    "reindex pause --collection c",
    "reindex resume --collection c",
    "reindex activate --collection c",
    "reindex rollback --collection c",
    "reindex cancel --collection c",
    "audit",
    "audit --collection c",
    "repair",
    "eval --dataset beir --pipeline hash.toml",
    "eval --dataset beir --pipeline hash.toml --baselines",
    "eval --dataset excerpts --pipeline hash.toml",
    "eval --dataset excerpts --pipeline hash.toml --baselines --oracle",
    "check-config",
    "dead drop",
    "ingst",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn assert_golden(name: &str, found: &str) {
    if std::env::var_os("CONTEXTURE_UPDATE_GOLDEN").is_some() {
        fs::write(golden(name), found).unwrap();
        return;
    }
    let expected = fs::read_to_string(golden(name)).unwrap();
    let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(expected == found, "tests/golden/{name} differs, first in\n{differs:#?}");
}

/// The text with the numbers of volatile keys blanked.
fn scrubbed(text: &str) -> String {
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\":") {
        let (head, tail) = rest.split_at(at + 2);
        scrubbed.push_str(head);
        let key = head[..at].rsplit('"').next().unwrap_or_default();
        let number = tail.len() - tail.trim_start_matches(|one: char| "0123456789.e+-".contains(one)).len();
        let is_blanked = number > 0 && VOLATILE_KEYS.contains(&key);
        scrubbed.push_str(if is_blanked { "0" } else { &tail[..number] });
        rest = &tail[number..];
    }
    scrubbed + rest
}

fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    fs::write(cli.path("other.toml"), "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 256\n").unwrap();
    for number in 0..6 {
        let text = format!(
            "# Harbour {number}\n\nThe {number}th harbour lies behind a long pier of stone. Boats with red sails \
             wait there for the tide.\n\n## Fish\n\nHerring are landed on day {number}, and sold before noon in \
             the hall by the water.\n"
        );
        cli.write(&format!("harbour-{number}.md"), text);
    }
    cli.write("bad.txt", [0_u8, 159, 146, 150]);
    let lines = [
        (
            "beir/corpus.jsonl",
            "{\"_id\":\"anchor\",\"title\":\"\",\"text\":\"All about the anchor.\"}\n{\"_id\":\"compass\",\"title\":\"\",\"text\":\"All about the compass.\"}\n",
        ),
        (
            "beir/queries.jsonl",
            "{\"_id\":\"q1\",\"text\":\"the anchor\"}\n{\"_id\":\"q2\",\"text\":\"the compass\"}\n",
        ),
        ("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tanchor\t1\nq2\tcompass\t1\n"),
        (
            "excerpts/corpora/ships.md",
            "# Ships\n\nThe anchor is made of iron.\n\nThe sail is made of hemp.\n",
        ),
        (
            "excerpts/questions.jsonl",
            "{\"_id\":\"0\",\"text\":\"What is the anchor made of?\",\"document_id\":\"ships.md\",\"references\":[{\"start_byte\":9,\"end_byte\":36,\"text\":\"The anchor is made of iron.\"}]}\n",
        ),
    ];
    for (name, text) in lines {
        let path = cli.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    cli
}

#[test]
fn json_of_every_command_is_as_it_was() {
    let cli = filled();
    let home = cli.path("").canonicalize().unwrap();
    let home = home.to_str().unwrap().trim_end_matches('/').to_owned();
    let mut transcript = String::new();
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').chain(["--json"]).collect();
        let CommandOutput { code, stdout, stderr } = cli.run(&arguments);
        let shown = format!("{}{}", scrubbed(&stdout), scrubbed(&stderr)).replace(&home, "HOME");
        writeln!(transcript, "$ contexture {command} --json\n{shown}exit {code}\n").unwrap();
    }
    assert_golden("commands.txt", &transcript);
}

#[test]
fn help_of_every_command_is_as_it_was() {
    let mut transcript = String::new();
    for command in [
        "",
        "demo",
        "ingest",
        "query",
        "search",
        "delete",
        "status",
        "dead",
        "dead list",
        "dead replay",
        "reindex",
        "reindex start",
        "reindex compare",
        "audit",
        "repair",
        "eval",
        "lab",
        "lab extract",
        "serve",
        "work",
        "keys",
        "keys new",
        "check-config",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ran = CommandOutput::from(bare(Path::new("."), &arguments).output().unwrap());
        writeln!(transcript, "$ contexture {command} --help\n{}", ran.stdout).unwrap();
    }
    assert_golden("help.txt", &transcript);
}

/// Every family with its type and description, and every series without its value.
#[cfg(unix)]
#[test]
fn page_of_metrics_is_as_it_was() {
    let cli = filled();
    cli.ingest(1);
    let server = ServeProcess::start(&cli, &[("CONTEXTURE__METRICS__LISTEN", "127.0.0.1:0")]);
    let (code, _, page) =
        http(server.ready["metrics"].as_str().unwrap(), "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n");
    assert_eq!(code, 200);
    let without_value = |line: &str| {
        if line.starts_with('#') { line.to_owned() } else { line.rsplit_once(' ').unwrap().0.to_owned() }
    };
    let mut lines: Vec<String> = page.lines().map(without_value).collect();
    lines.sort();
    lines.dedup();
    assert_golden("metrics.txt", &(lines.join("\n") + "\n"));
    server.stop();
}

#[test]
fn protobuf_descriptors_are_as_they_were() {
    let digest = blake3::hash(contexture::server::grpc::DESCRIPTOR_SET).to_string();
    assert_golden("descriptor.blake3", &(digest + "\n"));
}

#[test]
fn only_volatile_numbers_are_blanked() {
    let text = r#"{"seconds":0.25,"tokens":12,"key":"seconds\":9","eta_seconds":null,"died_ms":17e3}"#;
    let blanked = r#"{"seconds":0,"tokens":12,"key":"seconds\":9","eta_seconds":null,"died_ms":0}"#;
    assert_eq!(scrubbed(text), blanked);
}
