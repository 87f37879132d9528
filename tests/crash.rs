//! Kill the program in mid-ingest, again and again: what was accepted survives, nothing doubles.
//!
//! The real binary ingests a folder of 500 documents and is killed (SIGKILL) at ten random
//! moments; then it runs to its end. The ledger adds up, every document is there once, and answers
//! equal those of a run that nobody disturbed, to the last digit. The seed is printed.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const DOCUMENTS: usize = 500;
const KILLS: usize = 10;
/// The longest life of a run that is killed; an undisturbed one takes a few seconds.
const LIFE_MS_MAX: u64 = 900;
const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 128\n";

struct KillSchedule(u64);

impl KillSchedule {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn write_documents(folder: &Path) {
    const WORDS: [&str; 16] = [
        "queue",
        "worker",
        "index",
        "commit",
        "snapshot",
        "retry",
        "budget",
        "token",
        "vector",
        "segment",
        "ledger",
        "delivery",
        "version",
        "passage",
        "citation",
        "tombstone",
    ];
    let mut random = KillSchedule(7);
    for number in 0..DOCUMENTS {
        let mut text = format!("# Note {number}\n\n");
        for _ in 0..12 {
            for _ in 0..12 {
                let word = WORDS[usize::try_from(random.below(16)).unwrap()];
                text.push_str(word);
                text.push(' ');
            }
            text += "case";
            text += &number.to_string();
            text += ".\n\n";
        }
        std::fs::write(folder.join(format!("note-{number:03}.md")), text).unwrap();
    }
}

fn contexture(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contexture"));
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

fn ingest(data: &Path, folder: &Path, pipeline: &Path) -> Command {
    let mut command = contexture(data);
    command.args(["--json", "ingest", "--collection", "notes", "--pipeline"]).arg(pipeline).arg(folder);
    command
}

fn json(mut command: Command) -> serde_json::Value {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    serde_json::from_str(&text).unwrap()
}

fn status(data: &Path) -> serde_json::Value {
    let mut command = contexture(data);
    command.args(["--json", "status", "--collection", "notes"]);
    json(command)
}

/// Contexts and long rankings for a few questions, scores included. The snapshot's number counts
/// commits, and differs.
fn answers(data: &Path) -> Vec<serde_json::Value> {
    let questions = [
        "case17 queue worker",
        "snapshot of case250",
        "tombstone delivery case499",
        "ledger vector",
        "retry budget segment",
    ];
    let forms: [&[&str]; 2] = [&["query", "--budget", "400"], &["search", "--top-k", "100"]];
    let mut answers = Vec::new();
    for question in questions {
        for form in forms {
            let mut command = contexture(data);
            command.arg("--json").args(form).args(["--collection", "notes", question]);
            let mut answer = json(command);
            answer.as_object_mut().unwrap().remove("snapshot");
            answers.push(answer);
        }
    }
    answers
}

/// Lets a process live for so long, or until it ends by itself, then kills it.
fn live_and_kill(mut command: Command, life: Duration) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (ended, end) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let _ = std::io::copy(&mut output, &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.recv_timeout(life);
    let _ = child.kill();
    child.wait().unwrap();
    reader.join().unwrap();
}

#[test]
fn killed_ten_times_it_ends_as_if_undisturbed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("documents");
    std::fs::create_dir(&folder).unwrap();
    write_documents(&folder);
    let pipeline = place.path().join("pipeline.toml");
    std::fs::write(&pipeline, PIPELINE).unwrap();

    let calm = place.path().join("calm");
    json(ingest(&calm, &folder, &pipeline));

    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = KillSchedule(seed);
    let stormy = place.path().join("stormy");
    for _ in 0..KILLS {
        let life = Duration::from_millis(random.below(LIFE_MS_MAX));
        live_and_kill(ingest(&stormy, &folder, &pipeline), life);
    }
    let summary = json(ingest(&stormy, &folder, &pipeline));
    assert_eq!(summary["dead"], 0, "{summary}");

    let counts = status(&stormy);
    let of = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(of("accepted"), of("in_flight") + of("visible") + of("superseded") + of("dead"), "{counts}");
    assert_eq!(of("accepted"), DOCUMENTS as u64, "a rerun makes no second version: {counts}");
    assert_eq!(of("visible"), DOCUMENTS as u64, "{counts}");
    for (after_the_storm, in_the_calm) in answers(&stormy).iter().zip(answers(&calm)) {
        assert_eq!(*after_the_storm, in_the_calm);
    }
}
