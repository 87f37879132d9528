//! Documents to text, in children: how many a second of processor, what the pool adds to a file, and how much memory
//! 2,000 PDFs take that come at once.
//!
//! `cargo bench --bench extract` reads the project's own set; `-- DIR` the files of a folder; `-- --write DIR` writes the
//! set there, each file with its known text beside it; `-- --rate DIR` prints the first figure and nothing else.
//! `scripts/bench-extract.sh` puts other readers beside it. Linux only: it reads `/proc`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/support/document_set/mod.rs"]
mod document_set;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/support/office_files.rs"]
mod office_files;
mod support;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use contexture::adapters::extraction::{CHILD_MEMORY_BYTES_MAX, ChildExtractor};
use contexture::ingest::chunk::decode_document;
use contexture_documents::{DocumentFormat, ExtractionLimits, ExtractionPool, ExtractionTask, read_document};
use support::median;

const ROUNDS: usize = 5;
/// Passes over the set in a round: the system counts processor time in hundredths of a second.
const PASSES: usize = 3;
/// PDFs that come at once.
const PDFS_AT_ONCE: usize = 2000;
/// Ticks of a second, as Linux shows them.
const TICKS: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let named: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match named.as_slice() {
        ["--write", folder] => {
            println!("{} documents", document_set::write_documents(Path::new(folder)).unwrap());
        }
        ["--rate", folder] => println!("{:.2}", rate(&files_in(Path::new(folder)))),
        [folder] => measure(&files_in(Path::new(folder))),
        [] => {
            let made = document_set::made_documents();
            measure(&made.into_iter().map(|document| (document.name, document.bytes)).collect::<Vec<_>>());
        }
        _ => panic!("see the head of benches/extract.rs"),
    }
}

type NamedFile = (String, Vec<u8>);

/// The files of a folder, without the known texts beside them.
fn files_in(folder: &Path) -> Vec<NamedFile> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let is_text = |name: &String| {
        let stem = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".md"));
        stem.is_some_and(|stem| names.iter().any(|other| other == stem))
    };
    let files = names.iter().filter(|name| !is_text(name));
    files.map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

fn measure(files: &[NamedFile]) {
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(files)).collect();
    println!("{} files; documents a second of processor: {:.1}", files.len(), median(&mut rates));
    overhead(files);
    many_at_once(files);
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_contexture"))
}

fn pool() -> ExtractionPool {
    ExtractionPool::new(program(), vec!["extract".into()], ExtractionLimits::default())
}

/// Documents a second of processor, of this process and its children from their start to their end.
fn rate(files: &[NamedFile]) -> f64 {
    let extractor = ChildExtractor::new(program(), vec!["extract".into()]);
    let before = ticks();
    for _ in 0..PASSES {
        for (name, body) in files {
            black_box(decode_document(body, None, name, &extractor).ok());
        }
    }
    (PASSES * files.len()) as f64 / ((ticks() - before) as f64 / TICKS)
}

/// Time of this process and of its children that have ended, on all cores, in ticks.
fn ticks() -> u64 {
    let line = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = &line[line.rfind(')').unwrap() + 2..];
    after_name.split(' ').skip(11).take(4).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// What a file takes on the clock through the pool, beyond what reading it here takes.
fn overhead(files: &[NamedFile]) {
    let pool = pool();
    let mut added = Vec::new();
    for round in 0..=ROUNDS {
        for (name, body) in files {
            let Some(format) = DocumentFormat::sniff(body) else { continue };
            let start = Instant::now();
            black_box(read_document(body, format, name).ok());
            let here = start.elapsed();
            let start = Instant::now();
            black_box(pool.extract(body, ExtractionTask::Text, format, name).unwrap().ok());
            let through = start.elapsed();
            if round > 0 {
                added.push((through.as_secs_f64() - here.as_secs_f64()) * 1e3);
            }
        }
    }
    let middle = median(&mut added);
    println!("the pool adds to a file: {middle:.1} ms (p95 {:.1} ms)", added[added.len() * 95 / 100]);
}

/// All PDFs of the set, over and over, at once: the most that the children have resident together.
fn many_at_once(files: &[NamedFile]) {
    let pdfs: Vec<&NamedFile> =
        files.iter().filter(|(_, body)| DocumentFormat::sniff(body) == Some(DocumentFormat::Pdf)).collect();
    if pdfs.is_empty() {
        return;
    }
    let pool = pool();
    let (done, sampled, largest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                sampled.fetch_max(children_resident_bytes(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let readers: Vec<_> = (0..PDFS_AT_ONCE)
            .map(|number| {
                let (name, body) = pdfs[number % pdfs.len()];
                let (pool, largest) = (&pool, &largest);
                let read = move || {
                    let answer =
                        pool.extract_measured(body, ExtractionTask::Text, DocumentFormat::Pdf, name).unwrap();
                    assert!(answer.read.is_ok(), "{name}");
                    let peak = answer.spent.and_then(|spent| spent.peak_resident_bytes);
                    largest.fetch_max(peak.unwrap_or(0), Ordering::Relaxed);
                };
                thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, read).unwrap()
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let mib = |bytes: u64| bytes >> 20;
    let limit = ExtractionLimits::default().children_max as u64 * CHILD_MEMORY_BYTES_MAX;
    println!(
        "{PDFS_AT_ONCE} PDFs at once, read in {:.1} s: children had at most {} MiB resident together, the largest {} MiB; \
         the limits allow {} MiB",
        start.elapsed().as_secs_f64(),
        mib(sampled.into_inner()),
        mib(largest.into_inner()),
        mib(limit)
    );
}

/// What the children of this process have resident now.
fn children_resident_bytes() -> u64 {
    let own = format!("PPid:\t{}", std::process::id());
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let resident = |process: String| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let is_child = status.lines().any(|line| line == own);
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        is_child.then(|| line.trim().strip_suffix(" kB")?.parse::<u64>().ok())?
    };
    let numbers = processes.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.filter_map(resident).sum::<u64>() * 1024
}
