//! `contexture lab extract`: one file after the other, so that what one costs is not another's.
//!
//! Processor time is that of this process and of the child, from its start to its answer; how a child ends is not in
//! it. Memory is the child's: files that this process reads itself have none of their own.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::extraction_report::ExtractionReport;
use super::extraction_set::{ExtractionFile, ExtractionSet, check_folder, text_of};
use crate::cli::console::ConsoleOutput;
use crate::cli::eval::files::OutputFile;
use crate::cli::exit::{CommandExitCode, CommandFailure};
use crate::cli::global_args::GlobalArgs;
use crate::cli::signals::shutdown_signal;
use crate::wiring::document_extraction::{MeasuringExtractor, open_measuring_extractor, processor_time};
use contexture_core::fault::{Fault, Refusal, reason};
use contexture_core::ingest::chunk::decode_document;
use contexture_lab::measure::text_agreement::{TextAgreement, words};

/// What `lab extract` takes.
#[derive(Debug, Args)]
pub(super) struct ExtractArgs {
    /// A folder of files. The known text of NAME.EXT is NAME.EXT.md or NAME.EXT.txt
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// The folder that has the known texts instead, at the same places
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Judge the texts in this folder, which another program has read from the files: NAME.EXT.md or NAME.EXT.txt
    #[arg(long, value_name = "DIR")]
    texts: Option<PathBuf>,
    /// Write one JSON object per file to this file
    #[arg(long, value_name = "FILE")]
    per_file: Option<PathBuf>,
}

/// How the reading of a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReadingOutcome {
    /// It has words.
    Text,
    /// It has none, or its reader says so.
    Empty,
    /// It was not read.
    Error,
}

/// The figures of one file. The field names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct FileFigures {
    pub(super) file: String,
    #[serde(rename = "type")]
    pub(super) ending: String,
    pub(super) outcome: ReadingOutcome,
    /// Why it has no text.
    pub(super) error: Option<String>,
    pub(super) words: usize,
    #[serde(flatten)]
    pub(super) judged: Option<FileJudgement>,
    pub(super) processor_seconds: Option<f64>,
    pub(super) wall_seconds: Option<f64>,
    pub(super) peak_resident_bytes: Option<u64>,
}

/// How the text of a file agrees with the known one.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct FileJudgement {
    pub(super) f1: f64,
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) order: Option<f64>,
}

/// What a reader made of a file.
struct FileReading {
    text: Result<String, String>,
    processor_seconds: Option<f64>,
    wall_seconds: Option<f64>,
    peak_resident_bytes: Option<u64>,
}

/// Who reads the files.
enum FileReader {
    Here {
        extractor: MeasuringExtractor,
        body_bytes_max: usize,
    },
    /// Another program did, and left its texts in this folder.
    Elsewhere(PathBuf),
}

/// Reads the files of the set and prints the figures.
pub(super) async fn run(
    arguments: ExtractArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let config = global.config()?;
    let set = Arc::new(ExtractionSet::find(&arguments.dataset, arguments.truth.as_deref())?);
    let reader = Arc::new(FileReader::open(arguments.texts, config.limits.body_bytes_max)?);
    let create = |path: PathBuf| OutputFile::create(&path, "per-file");
    let mut output = arguments.per_file.map(create).transpose()?;
    let stopped = shutdown_signal();
    tokio::pin!(stopped);
    let mut all = Vec::with_capacity(set.files.len());
    for number in 0..set.files.len() {
        let (set, reader) = (set.clone(), reader.clone());
        let measured = tokio::task::spawn_blocking(move || measure(&reader, &set, &set.files[number]));
        let figures = tokio::select! {
            measured = measured => measured.map_err(|error| {
                CommandFailure::failed("internal", format!("a file was not measured: {error}"))
            })??,
            () = &mut stopped => {
                return Err(CommandFailure::failed("interrupted", "interrupted before all files were read"));
            }
        };
        if let Some(output) = &mut output {
            output.line(&json_line(&figures)?)?;
        }
        all.push(figures);
    }
    output.map(OutputFile::finish).transpose()?;
    console.result(&ExtractionReport::new(&all), ExtractionReport::text)?;
    Ok(CommandExitCode::Done)
}

fn json_line(figures: &FileFigures) -> Result<String, CommandFailure> {
    serde_json::to_string(figures)
        .map_err(|error| CommandFailure::failed("output_failed", format!("cannot write JSON: {error}")))
}

fn measure(
    reader: &FileReader,
    set: &ExtractionSet,
    file: &ExtractionFile,
) -> Result<FileFigures, CommandFailure> {
    let truth = file.truth()?;
    let reading = reader.read(set, file)?;
    let text = reading.text.as_deref().unwrap_or_default();
    let words = words(text).len();
    let error = reading.text.as_ref().err().cloned();
    let outcome = match error.as_deref() {
        None if words > 0 => ReadingOutcome::Text,
        None | Some(reason::EMPTY_DOCUMENT | reason::NO_TEXT_LAYER) => ReadingOutcome::Empty,
        Some(_) => ReadingOutcome::Error,
    };
    let judged = truth.map(|truth| {
        let TextAgreement { precision, recall, f1, order } = TextAgreement::between(text, &truth);
        // A file that was refused is no success, even where there was nothing to read.
        let f1 = if outcome == ReadingOutcome::Error { 0.0 } else { f1 };
        FileJudgement { f1, precision, recall, order }
    });
    Ok(FileFigures {
        file: file.name.clone(),
        ending: file.ending(),
        outcome,
        error,
        words,
        judged,
        processor_seconds: reading.processor_seconds,
        wall_seconds: reading.wall_seconds,
        peak_resident_bytes: reading.peak_resident_bytes,
    })
}

impl FileReader {
    fn open(texts: Option<PathBuf>, body_bytes_max: usize) -> Result<Self, CommandFailure> {
        if let Some(texts) = texts {
            check_folder(&texts, "texts")?;
            return Ok(Self::Elsewhere(texts));
        }
        let extractor = open_measuring_extractor().ok_or_else(|| {
            CommandFailure::failed("internal", "this program cannot be started once more to read documents")
        })?;
        Ok(Self::Here { extractor, body_bytes_max })
    }

    fn read(&self, set: &ExtractionSet, file: &ExtractionFile) -> Result<FileReading, CommandFailure> {
        match self {
            Self::Here { extractor, body_bytes_max } => {
                let body = set.read(file)?;
                Ok(read_here(extractor, *body_bytes_max, &body, &file.name)?)
            }
            Self::Elsewhere(texts) => {
                let Some(path) = text_of(texts, &file.name) else {
                    return Ok(FileReading::without_costs(Err("missing".to_owned())));
                };
                let bytes = std::fs::read(&path).map_err(|error| {
                    let message = format!("{}: {error}", path.display());
                    Refusal::invalid("invalid_dataset", "texts", message)
                })?;
                // Bytes that are no UTF-8 are as wrong as other words.
                Ok(FileReading::without_costs(Ok(String::from_utf8_lossy(&bytes).into_owned())))
            }
        }
    }
}

impl FileReading {
    fn without_costs(text: Result<String, String>) -> Self {
        Self { text, processor_seconds: None, wall_seconds: None, peak_resident_bytes: None }
    }
}

/// Reads a file as the pipeline does.
fn read_here(
    extractor: &MeasuringExtractor,
    body_bytes_max: usize,
    body: &[u8],
    name: &str,
) -> Result<FileReading, Fault> {
    // As at intake.
    let refused = match body.len() {
        0 => Some(reason::EMPTY_DOCUMENT),
        length if length > body_bytes_max => Some("body_too_large"),
        _ => None,
    };
    if let Some(code) = refused {
        return Ok(FileReading::without_costs(Err(code.to_owned())));
    }
    let (start, before) = (Instant::now(), processor_time());
    let read = decode_document(body, None, name, extractor);
    let (wall, after) = (start.elapsed(), processor_time());
    let spent = extractor.take_spending();
    let here = after.zip(before).map(|(after, before)| after.saturating_sub(before).as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes at most")]
    let in_child = spent.map_or(0.0, |spent| spent.processor_us as f64 / 1e6);
    let text = match read {
        Ok(read) => Ok(read.text),
        Err(Fault::Permanent(reason)) => Err(reason.code),
        // It is this machine's: figures that leave it out would be wrong.
        Err(fault) => return Err(fault),
    };
    Ok(FileReading {
        text,
        processor_seconds: here.map(|here| here + in_child),
        wall_seconds: Some(wall.as_secs_f64()),
        peak_resident_bytes: spent.and_then(|spent| spent.peak_resident_bytes),
    })
}
