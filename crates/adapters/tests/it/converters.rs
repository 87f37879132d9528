//! Converters over real sockets and processes: what they are sent, and what their answers mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::converters::{
    CommandConverter, CommandConverterConfig, ConverterAnswer, ConverterLimits, HttpConverter,
    HttpConverterConfig, MultipartForm,
};
use contexture_adapters::http::{HeaderMap, HttpEndpointConfig, Method};
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::converter::{
    ConvertedFormat, ConvertedText, DocumentConverter, DocumentToConvert,
};
use serde_json::json;

use crate::support::clock::ManualClock;
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};

const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Long enough for what ends by itself.
const PATIENCE: Duration = Duration::from_mins(2);

fn answer() -> ConverterAnswer {
    ConverterAnswer { format: ConvertedFormat::Markdown, page_break: String::new() }
}

fn config(url: String) -> HttpConverterConfig {
    HttpConverterConfig {
        name: "ocr".to_owned(),
        endpoint: HttpEndpointConfig {
            url,
            api_key: None,
            call_max: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        },
        method: Method::PUT,
        headers: HeaderMap::new(),
        credential: None,
        form: None,
        json_pointer: None,
        answer: answer(),
        documents_at_once: 2,
    }
}

fn client(config: HttpConverterConfig) -> HttpConverter {
    HttpConverter::new(config, Arc::new(ManualClock::new())).unwrap()
}

fn scan() -> DocumentToConvert {
    DocumentToConvert {
        body: b"\x89PNG bytes".to_vec(),
        media_type: "image/png".to_owned(),
        name: "inbox/Scan 7.png".to_owned(),
    }
}

async fn convert(service: &ScriptedHttp) -> Result<ConvertedText, Fault> {
    client(config(service.url("/tika"))).convert(scan()).await
}

fn permanent(converted: Result<ConvertedText, Fault>) -> (String, String) {
    match converted {
        Err(Fault::Permanent(reason)) => (reason.code, reason.detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_document_is_the_body_and_the_answer_the_text() {
    let service = ScriptedHttp::always(ScriptedReply::new(200, "# Words")).await;
    let converted = convert(&service).await.unwrap();
    assert_eq!(converted, ConvertedText { format: ConvertedFormat::Markdown, body: b"# Words".to_vec() });
    let sent = service.requests().remove(0);
    assert_eq!((sent.method.as_str(), sent.path.as_str(), &sent.body), ("PUT", "/tika", &scan().body));
    assert_eq!(
        (sent.header("content-type"), sent.header("accept")),
        (Some("image/png"), Some("text/markdown"))
    );
}

#[tokio::test]
async fn forms_carry_the_document_and_json_has_the_text_at_a_place() {
    let reply = json!({"document": {"md_content": "one<!-- page -->two"}, "status": "success"});
    let service = ScriptedHttp::always(ScriptedReply::json(&reply)).await;
    let form = MultipartForm {
        file_field: "files".to_owned(),
        values: BTreeMap::from([("to_formats".to_owned(), "md".to_owned())]),
    };
    let with = |pointer: &str| HttpConverterConfig {
        method: Method::POST,
        form: Some(form.clone()),
        json_pointer: Some(pointer.to_owned()),
        answer: ConverterAnswer { page_break: "<!-- page -->".to_owned(), ..answer() },
        ..config(service.url("/v1/convert/file"))
    };
    let converted = client(with("/document/md_content")).convert(scan()).await.unwrap();
    assert_eq!(converted.body, b"one\x0Ctwo");
    let sent = service.requests().remove(0);
    let body = String::from_utf8_lossy(&sent.body).into_owned();
    let content_type = sent.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(body.matches(&format!("--{boundary}\r\n")).count(), 2, "{body}");
    assert!(body.ends_with(&format!("\r\n--{boundary}--\r\n")), "{body}");
    assert!(body.contains("name=\"to_formats\"\r\n\r\nmd\r\n"), "{body}");
    assert!(
        body.contains("name=\"files\"; filename=\"Scan_7.png\"\r\nContent-Type: image/png\r\n\r\n"),
        "{body}"
    );
    let (code, detail) = permanent(client(with("/document/text")).convert(scan()).await);
    assert_eq!(code, reason::CONVERTER_FAILED);
    assert!(detail.contains("/document/text"), "{detail}");
}

#[tokio::test]
async fn refusals_are_of_the_document_and_have_the_servers_words() {
    for status in [400, 404, 415, 422] {
        let service =
            ScriptedHttp::always(ScriptedReply::new(status, "\n encrypted document\nat line 7")).await;
        let (code, detail) = permanent(convert(&service).await);
        assert_eq!(code, reason::CONVERTER_FAILED);
        assert_eq!(detail, format!("converter ocr: answered {status}: encrypted document"));
    }
    let elsewhere = ScriptedHttp::always(ScriptedReply::new(200, "never asked")).await;
    let redirect = ScriptedReply::new(307, "").header("location", &elsewhere.url("/tika"));
    let (_, detail) = permanent(convert(&ScriptedHttp::always(redirect).await).await);
    assert!(detail.contains("redirects are not followed"), "{detail}");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn servers_that_fail_get_another_attempt_and_those_that_are_away_cost_none() {
    for status in [408, 500, 507] {
        let service = ScriptedHttp::always(ScriptedReply::new(status, "")).await;
        let fault = convert(&service).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)), "{status}: {fault}");
    }
    for status in [429, 502, 503, 504] {
        let service = ScriptedHttp::always(ScriptedReply::new(status, "")).await;
        let fault = convert(&service).await.unwrap_err();
        assert!(matches!(fault, Fault::Throttled { .. }), "{status}: {fault}");
    }
    for status in [401, 403] {
        let service = ScriptedHttp::always(ScriptedReply::new(status, "")).await;
        let fault = convert(&service).await.unwrap_err();
        assert!(matches!(fault, Fault::Unauthorized(_)), "{status}: {fault}");
    }
    let gone = ScriptedHttp::always(ScriptedReply::new(200, "")).await.url("/tika");
    let away = client(config(gone));
    let mut waits = Vec::new();
    for _ in 0..3 {
        match away.convert(scan()).await {
            Err(Fault::Throttled { retry_after, .. }) => waits.push(retry_after),
            other => panic!("{other:?}"),
        }
    }
    assert!(waits.is_sorted() && waits[0] < waits[2], "it is asked less and less: {waits:?}");
}

#[tokio::test]
async fn answers_have_bounds() {
    let service = ScriptedHttp::always(ScriptedReply::new(200, "words ".repeat(100)).endless()).await;
    let (code, detail) = permanent(convert(&service).await);
    assert_eq!(code, reason::DOCUMENT_TOO_LARGE, "{detail}");
    let service = ScriptedHttp::always(ScriptedReply::never()).await;
    let mut impatient = config(service.url("/tika"));
    impatient.endpoint.call_max = Duration::from_millis(20);
    let fault = client(impatient).convert(scan()).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)), "{fault}");
}

#[cfg(unix)]
fn program(words: &[&str]) -> CommandConverter {
    program_within(words, PATIENCE)
}

#[cfg(unix)]
fn program_within(words: &[&str], time_max: Duration) -> CommandConverter {
    CommandConverter::new(CommandConverterConfig {
        name: "ocr".to_owned(),
        program: words[0].into(),
        arguments: words[1..].iter().map(|&word| word.to_owned()).collect(),
        environment: BTreeMap::from([("OCR_LANGUAGE".to_owned(), "deu".to_owned())]),
        answer: answer(),
        limits: ConverterLimits { time_max, output_bytes_max: ANSWER_BYTES_MAX, documents_at_once: 1 },
        memory_bytes_max: 1 << 30,
    })
}

#[cfg(unix)]
#[tokio::test]
async fn programs_get_the_document_and_nothing_of_ours() {
    let through = program(&["cat"]).convert(scan()).await.unwrap();
    assert_eq!(through.body, scan().body);
    let copied = program(&["cp", "{file}", "{output}"]).convert(scan()).await.unwrap();
    assert_eq!(copied.body, scan().body);
    let large = DocumentToConvert { body: vec![b'a'; ANSWER_BYTES_MAX], ..scan() };
    assert_eq!(program(&["cat"]).convert(large.clone()).await.unwrap().body, large.body, "no pipe blocks");
    let listed = String::from_utf8(program(&["env"]).convert(scan()).await.unwrap().body).unwrap();
    let mut names: Vec<&str> = listed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["OCR_LANGUAGE", "PATH", "TMPDIR"], "{listed}");
    // The folder is gone with the run.
    let folder = listed.lines().find_map(|line| line.strip_prefix("TMPDIR=")).unwrap();
    assert!(!std::path::Path::new(folder).exists());
}

#[cfg(unix)]
#[tokio::test]
async fn programs_that_fail_end_their_document_with_a_reason() {
    let (code, detail) = permanent(program(&["cat", "no-such-page"]).convert(scan()).await);
    assert_eq!(code, reason::CONVERTER_FAILED);
    assert!(detail.starts_with("converter ocr: exited with 1: cat: "), "{detail}");
    let (code, _) = permanent(program(&["yes"]).convert(scan()).await);
    assert_eq!(code, reason::DOCUMENT_TOO_LARGE);
    let late = program_within(&["sleep", "600"], Duration::from_millis(50)).convert(scan()).await;
    assert_eq!(permanent(late).0, reason::EXTRACTION_TIMEOUT);
    // EX_TEMPFAIL: the program says that it may pass.
    let passing = program(&["sh", "-c", "exit 75"]).convert(scan()).await.unwrap_err();
    assert!(matches!(passing, Fault::Transient(_)), "{passing}");
    let missing = program(&["no-such-program-of-contexture"]).convert(scan()).await.unwrap_err();
    assert!(matches!(missing, Fault::Throttled { .. }), "{missing}");
}

/// A process that a late program has started dies with it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_late_program_dies_with_its_whole_group() {
    // A number that nobody else sleeps for.
    let seconds = format!("{}.5", 100_000 + std::process::id());
    let inner = format!("sleep {seconds}");
    // `timeout` starts the program as its child.
    let late =
        program_within(&["timeout", "--foreground", "3000", "sleep", &seconds], Duration::from_millis(300));
    assert_eq!(permanent(late.convert(scan()).await).0, reason::EXTRACTION_TIMEOUT);
    let runs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(&inner))
    };
    // The signal is sent; the system needs a moment to act on it.
    tokio::time::timeout(PATIENCE, async {
        while runs() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
