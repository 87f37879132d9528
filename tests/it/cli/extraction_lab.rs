//! `lab extract`: the figures of sets so small that they are known, and how much of the project's own set is read.

use std::fs;

use serde_json::{Value, json};

use super::CliSandbox;
use crate::support::document_set::write_documents;
use crate::support::office_files::{docx, pdf};

impl CliSandbox {
    fn write_set(&self, files: &[(&str, &[u8])]) {
        for (name, content) in files {
            let path = self.path("set").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
}

#[test]
fn files_are_judged_by_the_texts_beside_them() {
    let cli = CliSandbox::new();
    let word = docx(&["# Anchor", "The anchor is of iron.", "[Hidden.]"]);
    cli.write_set(&[
        ("a/word.docx", &word),
        ("a/word.docx.txt", b"Anchor\nThe anchor is of iron."),
        ("a/cut.docx", &word[..word.len() / 2]),
        ("a/cut.docx.md", b"# Anchor"),
        ("b/scan.pdf", &pdf(&[""])),
        ("b/scan.pdf.txt", b"A word that nobody can read"),
        ("b/page.PDF", &pdf(&["iron of is The anchor"])),
        ("b/page.PDF.txt", b"The anchor is of iron"),
        ("notes.txt", b"Without a known text.\n"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        (".hidden.pdf", b"not looked at"),
    ]);
    let arguments = ["lab", "extract", "--dataset", "set", "--per-file", "files.jsonl"];
    let report = cli.json(0, &arguments);
    let all = &report["all"];
    let counts: Vec<&Value> = ["files", "text", "empty", "error", "judged"].map(|name| &all[name]).to_vec();
    assert_eq!(counts, [6, 3, 1, 2, 4], "{report:#}");
    assert_eq!(all["errors"], json!({"corrupt_document": 1, "no_text_layer": 1, "unsupported_type": 1}));
    assert_eq!(report["types"]["docx"]["f1"]["mean"], 0.5, "what is not read counts as nothing: {report:#}");
    assert_eq!(report["types"]["pdf"]["f1"]["max"], 1.0);
    assert_eq!(report["types"]["pdf"]["order"]["mean"], 0.4, "two of five words are in order");
    assert_eq!(report["types"]["txt"]["f1"], Value::Null);
    let lines = fs::read_to_string(cli.path("files.jsonl")).unwrap();
    let files: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(files.len(), 6);
    let of = |name: &str| files.iter().find(|file| file["file"] == name).unwrap();
    assert_eq!((&of("a/word.docx")["f1"], &of("a/word.docx")["outcome"]), (&json!(1.0), &json!("text")));
    assert_eq!(of("a/cut.docx")["error"], "corrupt_document");
    if cfg!(target_os = "linux") {
        assert!(of("a/word.docx")["peak_resident_bytes"].as_u64().unwrap() > 1 << 20, "{files:?}");
        assert!(of("a/word.docx")["processor_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(of("notes.txt")["peak_resident_bytes"], Value::Null, "read by no child");
    }
    let text = cli.run(&arguments).stdout;
    assert!(text.lines().any(|line| line.starts_with("all ")), "{text}");
}

#[test]
fn texts_of_others_are_judged_by_the_same_measure() {
    let cli = CliSandbox::new();
    cli.write_set(&[("docs/one.rtf", b"{\\rtf1 x}"), ("docs/two.rtf", b"{\\rtf1 y}")]);
    cli.write_set(&[("truth/one.rtf.md", b"one two"), ("truth/two.rtf.md", b"three")]);
    cli.write_set(&[("others/one.rtf.txt", b"two one")]);
    let arguments =
        ["lab", "extract", "--dataset", "set/docs", "--truth", "set/truth", "--texts", "set/others"];
    let report = cli.json(0, &arguments);
    assert_eq!(report["all"]["f1"]["mean"], 0.5, "{report:#}");
    assert_eq!(report["all"]["order"]["mean"], 0.5);
    assert_eq!(report["all"]["errors"], json!({"missing": 1}));
    assert_eq!(report["all"]["processor_seconds"], Value::Null);
}

#[test]
fn sets_that_are_none_are_refused() {
    let cli = CliSandbox::new();
    cli.write_set(&[("alone.pdf", b"%PDF-1.4")]);
    for (arguments, field) in [
        (vec!["--dataset", "nowhere"], "dataset"),
        (vec!["--dataset", "set"], "dataset"),
        (vec!["--dataset", "set", "--truth", "nowhere"], "truth"),
    ] {
        let error = cli.error(2, &[&["lab", "extract"], arguments.as_slice()].concat());
        assert_eq!((&error["code"], &error["field"]), (&json!("invalid_dataset"), &json!(field)), "{error}");
    }
    cli.write_set(&[("alone.pdf.txt", b"\xff\xfe no text")]);
    let error = cli.error(2, &["lab", "extract", "--dataset", "set"]);
    assert_eq!(error["code"], "invalid_dataset", "{error}");
    let error = cli.error(2, &["lab"]);
    assert_eq!(error["code"], "usage");
}

#[test]
fn nearly_all_of_the_own_set_is_read() {
    let cli = CliSandbox::new();
    let made = write_documents(&cli.path("set")).unwrap();
    assert!(made >= 60);
    let report = cli.json(0, &["lab", "extract", "--dataset", "set", "--per-file", "files.jsonl"]);
    assert_eq!(
        (&report["all"]["text"], &report["all"]["judged"]),
        (&json!(made), &json!(made)),
        "{report:#}"
    );
    let worse = fs::read_to_string(cli.path("files.jsonl")).unwrap();
    for (kind, figures) in report["types"].as_object().unwrap() {
        let (f1, order) = (&figures["f1"]["mean"], &figures["order"]["mean"]);
        assert!(
            f1.as_f64().unwrap() > 0.97 && order.as_f64().unwrap() > 0.97,
            "{kind}: {figures:#}\n{worse}"
        );
    }
}
