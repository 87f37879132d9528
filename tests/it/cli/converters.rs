//! Converters through the real binary: a folder of pictures and scans becomes visible and can be asked about.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::CliSandbox;
use crate::support::office_files::pdf;

/// The beginning of a picture; what follows is what its "OCR" finds.
const PNG_START: [u8; 16] = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3];

const CONVERTERS: &str = r#"
[[converters]]
name = "pictures"
media_types = ["image/*"]
command = ["tail", "-c", "+17"]

[[converters]]
name = "scans"
media_types = ["application/pdf"]
command = ["printf", "First page, of anchors.\\fSecond page: the lighthouse keeper is Ada."]

[[converters]]
name = "fails"
extensions = ["fails"]
command = ["cat", "no-such-page"]

[[converters]]
name = "silent"
extensions = ["silent"]
command = ["true"]

[[converters]]
name = "late"
extensions = ["late"]
command = ["sleep", "600"]
call_ms_max = 50
"#;

fn picture(words: &str) -> Vec<u8> {
    [&PNG_START[..], words.as_bytes()].concat()
}

impl CliSandbox {
    fn with_converters(converters: &str) -> Self {
        let cli = Self::new();
        fs::write(cli.path("converters.toml"), converters).unwrap();
        cli
    }

    /// Ingests with the converters; returns the summary.
    fn convert(&self, code: i32, more: &[&str]) -> Value {
        let all =
            ["ingest", "--config", "converters.toml", "--collection", "c", "--pipeline", "hash.toml", "docs"];
        self.json(code, &[&all[..], more].concat())
    }

    fn place_of(&self, question: &str, document: &str) -> Value {
        let answer = self.json(0, &["query", "--collection", "c", "--budget", "200", question]);
        let passages = answer["passages"].as_array().unwrap().iter();
        let mut found = passages.filter(|passage| passage["document_id"] == document);
        found.next().unwrap_or_else(|| panic!("no passage of {document}: {answer:#}"))["place"].clone()
    }
}

#[test]
fn pictures_and_scans_are_read_and_asked_about() {
    let cli = CliSandbox::with_converters(CONVERTERS);
    cli.write("sign.png", picture("The harbour opens at seven in the morning."));
    cli.write("scan.pdf", pdf(&["", ""]));
    cli.write("letter.pdf", pdf(&["The annual report praises the compass."]));
    cli.write("backup.zip", b"PK\x03\x04 nobody reads this\0\0\0\0");
    let without = cli.json(1, &["ingest", "--collection", "other", "--pipeline", "hash.toml", "docs"]);
    assert_eq!((&without["accepted"], &without["skipped"]), (&json!(2), &json!(2)), "{without}");

    let dry = cli.convert(0, &["--dry-run"]);
    assert_eq!((&dry["documents"], &dry["dead"]), (&json!(3), &json!(0)), "a dry run converts, too: {dry}");
    let ran = cli.convert(0, &[]);
    assert_eq!(
        (&ran["accepted"], &ran["visible"], &ran["skipped"]),
        (&json!(3), &json!(3), &json!(1)),
        "{ran}"
    );
    assert!(cli.context("When does the harbour open?").contains("seven in the morning"));
    assert_eq!(cli.place_of("When does the harbour open?", "sign.png"), Value::Null);
    assert!(cli.context("Who is the lighthouse keeper?").contains("Ada"));
    let place = cli.place_of("Who is the lighthouse keeper?", "scan.pdf");
    assert_eq!((&place["unit"], &place["last"]), (&json!("page"), &json!(2)), "{place}");
    assert!(cli.context("What does the report praise?").contains("compass"), "what is read here stays so");
    assert_eq!(cli.convert(0, &[])["unchanged"], 3);

    // What was converted once is read from the ledger: no converter is configured from here on.
    assert_eq!(cli.json(0, &["audit", "--collection", "c"])["drift"], 0);
    fs::write(cli.path("smaller.toml"), "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 256\n")
        .unwrap();
    cli.json(0, &["reindex", "start", "--collection", "c", "--pipeline", "smaller.toml"]);
    cli.json(0, &["reindex", "activate", "--collection", "c"]);
    assert!(cli.context("When does the harbour open?").contains("seven in the morning"));
}

#[test]
fn documents_that_converters_refuse_die_with_a_reason() {
    let cli = CliSandbox::with_converters(CONVERTERS);
    let binary: Vec<u8> = (0..64).collect();
    for name in ["a.fails", "b.silent", "c.late"] {
        cli.write(name, &binary);
    }
    cli.write("sign.png", picture("The harbour opens at seven."));
    let ran = cli.convert(1, &[]);
    assert_eq!((&ran["accepted"], &ran["visible"], &ran["dead"]), (&json!(4), &json!(1), &json!(3)), "{ran}");
    let letters = cli.json(0, &["dead", "list", "--collection", "c"]);
    let mut reasons: Vec<(&str, &str, &str)> = letters["dead"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| {
            let reason = &letter["reason"];
            let text = |value: &'_ Value| value.as_str().unwrap().to_owned().leak() as &str;
            (text(&letter["document_id"]), text(&reason["code"]), text(&reason["detail"]))
        })
        .collect();
    reasons.sort_unstable();
    let codes: Vec<(&str, &str)> = reasons.iter().map(|(id, code, _)| (*id, *code)).collect();
    assert_eq!(
        codes,
        [("a.fails", "converter_failed"), ("b.silent", "no_text_layer"), ("c.late", "extraction_timeout")]
    );
    assert!(reasons[0].2.starts_with("converter fails: exited with 1: cat: "), "{reasons:?}");
}

/// Answers one request with this status line and body.
fn answer(mut stream: TcpStream, status: &str, text: &str) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(7).any(|window| window == b"harbour") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the document is the body");
        head.extend_from_slice(&buffer[..read]);
    }
    let length = text.len();
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
    stream.write_all(reply.as_bytes()).unwrap();
}

#[test]
fn a_server_that_was_away_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tika", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        for (status, text) in [
            ("503 Away", ""),
            ("502 Away", ""),
            ("200 OK", "<h1>Harbour</h1><p>It opens at <b>seven</b>.</p>"),
        ] {
            answer(listener.accept().unwrap().0, status, text);
        }
    });
    let converter = format!(
        "[[converters]]\nname = \"tika\"\nmedia_types = [\"image/png\"]\nurl = \"{url}\"\noutput = \"html\"\n"
    );
    let cli = CliSandbox::with_converters(&converter);
    cli.write("sign.png", picture("harbour"));
    let ran = cli.convert(0, &[]);
    assert_eq!((&ran["visible"], &ran["dead"]), (&json!(1), &json!(0)), "{ran}");
    served.join().unwrap();
    let context = cli.context("When does the harbour open?");
    assert!(context.contains("seven") && !context.contains("<p>"), "the page is read as one: {context}");
}

#[test]
fn check_config_tests_the_converters() {
    let cli = CliSandbox::with_converters(
        "[[converters]]\nname = \"a\"\nextensions = [\"x\"]\nurl = \"http://\"\n",
    );
    let refused = cli.error(2, &["check-config", "--config", "converters.toml"]);
    assert_eq!(refused["code"], "invalid_config");
    let bad = "[[converters]]\nname = \"a\"\nextensions = [\"x\"]\nurl = \"http://h/\"\nheaders = { \"a b\" = \"c\" }\n";
    fs::write(cli.path("converters.toml"), bad).unwrap();
    let refused = cli.error(2, &["check-config", "--config", "converters.toml"]);
    assert_eq!(
        (refused["code"].as_str(), refused["field"].as_str()),
        (Some("converter_unusable"), Some("converters[0] (a)"))
    );
}
