//! `contexture demo`: ingests compiled-in documents, asks one question and prints the context.
//!
//! It needs only a temporary directory, which it removes. It works from any folder.

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::batch_submitter::BatchSubmitter;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, collection_key};
use super::scratch::ScratchDirectory;
use super::signals::shutdown_signal;
use super::{answer_text, drain, text_format};
use crate::operations::messages::answer::ContextResponse;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::context::request::{AssemblyRequest, ContextQuery, RawContextQuery};
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, DocumentId};

const COLLECTION: &str = "demo";
const QUESTION: &str = "How do I keep one poison message from blocking a queue for everybody else?";
const BUDGET_TOKENS: i64 = 700;

macro_rules! documents {
    ($($path:literal),* $(,)?) => { [$(($path, include_str!(concat!("../../", $path)))),*] };
}

/// The documents: path in the project and text.
const DOCUMENTS: [(&str, &str); 14] = documents![
    "README.md",
    "demo/backups.md",
    "demo/blameless-reviews.html",
    "demo/bm25.md",
    "demo/capacity.md",
    "demo/chunking.md",
    "demo/idempotency.md",
    "demo/incident-handling.md",
    "demo/message-queues.md",
    "demo/retries.md",
    "demo/token_bucket.py",
    "demo/vector-search.md",
    "crates/core/src/domain/filter.rs",
    "src/lib.rs",
];

/// What `demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Another question than the one the demo asks by itself
    #[arg(value_name = "QUESTION")]
    question: Option<String>,
    /// Tokens the context may have
    #[arg(long, value_name = "TOKENS", default_value_t = BUDGET_TOKENS, allow_negative_numbers = true)]
    budget: i64,
}

#[derive(Serialize)]
struct DemoReport {
    documents: u64,
    bytes: u64,
    chunks: u64,
    seconds: f64,
    question: String,
    answer: ContextResponse,
}

/// Ingests, asks, prints, and removes the temporary directory.
pub(crate) async fn run(
    arguments: DemoArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let raw = RawContextQuery {
        collection: COLLECTION.to_owned(),
        question: arguments.question.unwrap_or_else(|| QUESTION.to_owned()),
        budget: Some(arguments.budget),
        ..RawContextQuery::default()
    };
    let assembly = AssemblyRequest::new(&raw)?;
    let scratch = ScratchDirectory::new("demo")?;
    let config = global.config()?.embedded_in(scratch.path().to_owned());
    let bytes = DOCUMENTS.iter().map(|(_, text)| text.len() as u64).sum();
    console.say(&format!(
        "1. Opening an empty stack in {}.\n2. Ingesting {} that are compiled in, {} bytes: submit, chunk, embed, index.",
        scratch.path().display(),
        text_format::count_with_noun(DOCUMENTS.len() as u64, "document"),
        text_format::count(bytes)
    ))?;
    let stack = ServiceStack::open(&config, ProcessRole::Change).await?;
    // When interrupted, the stack is still shut down and the directory removed.
    let outcome = tokio::select! {
        report = ingest_and_ask(&stack, &raw, assembly, bytes, config.limits.body_bytes_max, console) => report,
        () = shutdown_signal() => Err(CommandFailure::failed("interrupted", "interrupted; the demo left nothing behind")),
    };
    stack.shutdown().await;
    let report = outcome?;
    console.result(&report, |report| {
        format!("   {}\n\n{}", answer_text::answer_summary(&report.answer), citation_table(&report.answer))
    })?;
    Ok(CommandExitCode::Done)
}

async fn ingest_and_ask(
    stack: &ServiceStack,
    raw: &RawContextQuery,
    assembly: AssemblyRequest,
    bytes: u64,
    body_bytes_max: usize,
    console: ConsoleOutput,
) -> Result<DemoReport, CommandFailure> {
    let started = Instant::now();
    let counts = ingest_demo_documents(stack, body_bytes_max).await?;
    // Chunks are counted in this process only, a moment after the ledger knows.
    let chunks = drain::counters_after(stack, DOCUMENTS.len() as u64).await.chunks;
    let taken = started.elapsed();
    console.say(&format!(
        "   {} visible as {} after {}.\n3. Asking, with {} tokens to spend:\n\n   {}\n",
        text_format::count_with_noun(counts, "document"),
        text_format::count_with_noun(chunks, "chunk"),
        text_format::duration(taken),
        text_format::count(assembly.budget as u64),
        raw.question
    ))?;
    let asked = Instant::now();
    let query = ContextQuery::new(stack.principal.clone(), raw)?;
    let answer = ContextResponse::new(stack.engine.assemble(query, assembly).await?, false)?;
    console.say(&format!(
        "4. The context, after {}:\n\n{}\n",
        text_format::duration(asked.elapsed()),
        answer.context.trim_end()
    ))?;
    Ok(DemoReport {
        documents: counts,
        bytes,
        chunks,
        seconds: text_format::rounded_seconds(taken),
        question: raw.question.clone(),
        answer,
    })
}

/// Ingests the documents and returns how many are visible. Fails if one is dead.
async fn ingest_demo_documents(stack: &ServiceStack, body_bytes_max: usize) -> Result<u64, CommandFailure> {
    let collection = CollectionId::new(COLLECTION)?;
    stack.ensure_collection(&collection, None).await?;
    let mut submitter = BatchSubmitter::new(stack);
    for (path, text) in DOCUMENTS {
        submitter
            .push(Submission::new(
                &stack.principal,
                collection.clone(),
                DocumentId::new(path)?,
                None,
                DocumentDescription::default(),
                Bytes::from_static(text.as_bytes()),
                body_bytes_max,
            )?)
            .await?;
    }
    submitter.flush().await?;
    let counts =
        drain::wait_until_drained(stack, &collection_key(stack, &collection), None, |_, _, _| {}).await?;
    if counts.dead > 0 {
        return Err(CommandFailure::failed(
            "documents_died",
            format!(
                "{} of the demo could not be indexed",
                text_format::count_with_noun(counts.dead, "document")
            ),
        ));
    }
    Ok(counts.documents)
}

fn citation_table(answer: &ContextResponse) -> String {
    let mut lines = text_format::TextTable::new(&[
        ("passage", text_format::ColumnAlignment::Right),
        ("score", text_format::ColumnAlignment::Right),
        ("document", text_format::ColumnAlignment::Left),
        ("version", text_format::ColumnAlignment::Right),
        ("bytes", text_format::ColumnAlignment::Left),
        ("heading", text_format::ColumnAlignment::Left),
    ]);
    for (index, passage) in answer.passages.iter().enumerate() {
        lines.row([
            (index + 1).to_string(),
            format!("{:.3}", passage.score),
            passage.document_id.clone(),
            passage.version.to_string(),
            format!("{}..{}", passage.start_byte, passage.end_byte),
            text_format::snippet(&passage.heading, 60),
        ]);
    }
    lines.render()
}
