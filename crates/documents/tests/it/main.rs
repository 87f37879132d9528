//! The pool, with children that misbehave: shells that crash, hang, or say what a child says that has no memory left.
//! The real child is tried by the tests of the command line.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use contexture_documents::extraction_frames::write_frame;
use contexture_documents::{
    DocumentFormat, ExtractedText, ExtractionAnswer, ExtractionErrorCode, ExtractionLimits, ExtractionPool,
    ExtractionSpending, ExtractionTask,
};

fn pool(script: &str, limits: ExtractionLimits) -> ExtractionPool {
    let arguments: Vec<OsString> = vec!["-c".into(), script.into()];
    ExtractionPool::new(PathBuf::from("/bin/sh"), arguments, limits)
}

fn short() -> ExtractionLimits {
    ExtractionLimits { wall_clock_max: Duration::from_millis(300), ..ExtractionLimits::default() }
}

fn code(script: &str, limits: ExtractionLimits) -> ExtractionErrorCode {
    let ended = pool(script, limits)
        .extract(b"%PDF-1.4", ExtractionTask::Text, DocumentFormat::Pdf, "a.pdf")
        .unwrap();
    let error = ended.unwrap_err();
    assert!(error.detail.contains("a.pdf"), "{error}");
    error.code
}

/// A script that reads its document and answers this.
fn answering(answer: &ExtractionAnswer) -> String {
    let mut frame = Cursor::new(Vec::new());
    write_frame(&mut frame, answer).unwrap();
    let mut octal = String::new();
    for byte in frame.into_inner() {
        write!(octal, "\\{byte:03o}").unwrap();
    }
    format!("cat > /dev/null; printf '{octal}'")
}

#[test]
fn ends_of_children_have_their_code() {
    let limits = ExtractionLimits::default();
    assert_eq!(code("kill -SEGV $$", limits), ExtractionErrorCode::Crashed);
    assert_eq!(code("cat > /dev/null; exit 3", limits), ExtractionErrorCode::Crashed);
    assert_eq!(code("printf 'no frame'", limits), ExtractionErrorCode::Crashed);
    let no_memory = "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$";
    assert_eq!(code(no_memory, limits), ExtractionErrorCode::OutOfMemory);
    assert_eq!(code("kill -XCPU $$", limits), ExtractionErrorCode::Timeout);
    assert_eq!(code("cat > /dev/null; exec sleep 60", short()), ExtractionErrorCode::Timeout);
    let small = ExtractionLimits { answer_bytes_max: 10, ..limits };
    assert_eq!(code("cat > /dev/null; printf '%40d' 7", small), ExtractionErrorCode::TooLarge);
}

#[test]
fn answers_come_back_whole_and_children_serve_one_after_another() {
    let read = ExtractedText { text: "The text — é.\n".to_owned(), ..ExtractedText::default() };
    let spent = ExtractionSpending { processor_us: 7, peak_resident_bytes: Some(1 << 20) };
    let told = ExtractionAnswer { read: Ok(read), spent: Some(spent) };
    let pool = pool(&answering(&told), ExtractionLimits::default());
    // Larger than a pipe holds.
    let body = vec![b' '; 1 << 20];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let answer = pool
                        .extract_measured(&body, ExtractionTask::Text, DocumentFormat::Docx, "a.docx")
                        .unwrap();
                    assert_eq!(answer, told);
                }
            });
        }
    });
}

#[test]
fn a_program_that_is_not_there_is_no_fault_of_the_document() {
    let pool = ExtractionPool::new(PathBuf::from("/nowhere/at/all"), Vec::new(), ExtractionLimits::default());
    assert!(pool.extract(b"%PDF-1.4", ExtractionTask::Text, DocumentFormat::Pdf, "a.pdf").is_err());
    assert!(
        pool.extract(b"%PDF-1.4", ExtractionTask::Text, DocumentFormat::Pdf, "a.pdf").is_err(),
        "its turn was given back"
    );
}
