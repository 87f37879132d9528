//! `contexture demo`: the whole way once, with documents that are compiled in.
//!
//! Needs nothing but a temporary directory, which it removes; works from any folder.

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::feed::Feed;
use super::global::{Global, collection_key};
use super::interrupt::interrupted;
use super::scratch::Scratch;
use super::{query, settle, table};
use crate::context::answer::Answer;
use crate::context::request::{Assembly, Query, RawQuery};
use crate::domain::document::{Description, Submission};
use crate::domain::ids::{CollectionId, DocumentId};
use crate::wiring::{Roles, Stack};

const COLLECTION: &str = "demo";
const QUESTION: &str = "How do I keep one poison message from blocking a queue for everybody else?";
const BUDGET_TOKENS: i64 = 700;

macro_rules! documents {
    ($($path:literal),* $(,)?) => { [$(($path, include_str!(concat!("../../", $path)))),*] };
}

/// The documents, by their path in the project.
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
    "src/domain/filter.rs",
    "src/lib.rs",
];

/// What `demo` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Another question than the one the demo asks by itself
    #[arg(value_name = "QUESTION")]
    question: Option<String>,
    /// Tokens the context may have
    #[arg(long, value_name = "TOKENS", default_value_t = BUDGET_TOKENS, allow_negative_numbers = true)]
    budget: i64,
}

#[derive(Serialize)]
struct Report {
    documents: u64,
    bytes: u64,
    chunks: u64,
    seconds: f64,
    question: String,
    answer: Answer,
}

/// Ingests, asks, prints, and cleans up.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let raw = RawQuery {
        collection: COLLECTION.to_owned(),
        question: arguments.question.unwrap_or_else(|| QUESTION.to_owned()),
        budget: Some(arguments.budget),
        ..RawQuery::default()
    };
    let assembly = Assembly::new(&raw)?;
    let scratch = Scratch::new("demo")?;
    let config = global.config()?.embedded_in(scratch.path().to_owned());
    let bytes = DOCUMENTS.iter().map(|(_, text)| text.len() as u64).sum();
    console.say(&format!(
        "1. Opening an empty stack in {}.\n2. Ingesting {} that are compiled in, {} bytes: submit, chunk, embed, index.",
        scratch.path().display(),
        table::counted(DOCUMENTS.len() as u64, "document"),
        table::count(bytes)
    ))?;
    let stack = Stack::open(&config, Roles::Change).await?;
    let outcome = tokio::select! {
        report = show(&stack, &raw, assembly, bytes, config.limits.body_bytes_max, console) => report,
        () = interrupted() => Err(Failure::failed("interrupted", "interrupted; the demo left nothing behind")),
    };
    stack.shutdown().await;
    let report = outcome?;
    console.result(&report, |report| {
        format!("   {}\n\n{}", query::summary(&report.answer), citations(&report.answer))
    })?;
    Ok(Exit::Done)
}

async fn show(
    stack: &Stack,
    raw: &RawQuery,
    assembly: Assembly,
    bytes: u64,
    body_bytes_max: usize,
    console: Console,
) -> Result<Report, Failure> {
    let started = Instant::now();
    let counts = ingest(stack, body_bytes_max).await?;
    let chunks = settle::counted(stack, DOCUMENTS.len() as u64).await.chunks;
    let taken = started.elapsed();
    console.say(&format!(
        "   {} visible as {} after {}.\n3. Asking, with {} tokens to spend:\n\n   {}\n",
        table::counted(counts, "document"),
        table::counted(chunks, "chunk"),
        table::duration(taken),
        table::count(assembly.budget as u64),
        raw.question
    ))?;
    let asked = Instant::now();
    let query = Query::new(stack.principal.clone(), raw)?;
    let answer = stack.engine.assemble(query, assembly).await?;
    console.say(&format!(
        "4. The context, after {}:\n\n{}\n",
        table::duration(asked.elapsed()),
        answer.context.trim_end()
    ))?;
    Ok(Report {
        documents: counts,
        bytes,
        chunks,
        seconds: table::seconds(taken),
        question: raw.question.clone(),
        answer,
    })
}

/// Ingests the documents and returns how many are visible.
async fn ingest(stack: &Stack, body_bytes_max: usize) -> Result<u64, Failure> {
    let collection = CollectionId::new(COLLECTION)?;
    stack.ensure_collection(&collection, None).await?;
    let mut feed = Feed::new(stack);
    for (path, text) in DOCUMENTS {
        feed.push(Submission::new(
            &stack.principal,
            collection.clone(),
            DocumentId::new(path)?,
            None,
            Description::default(),
            Bytes::from_static(text.as_bytes()),
            body_bytes_max,
        )?)
        .await?;
    }
    feed.flush().await?;
    let counts = settle::wait(stack, &collection_key(stack, &collection), None, |_, _, _| {}).await?;
    if counts.dead > 0 {
        return Err(Failure::failed(
            "documents_died",
            format!("{} of the demo could not be indexed", table::counted(counts.dead, "document")),
        ));
    }
    Ok(counts.documents)
}

fn citations(answer: &Answer) -> String {
    let mut lines = table::Table::new(&[
        ("passage", table::Align::Right),
        ("score", table::Align::Right),
        ("document", table::Align::Left),
        ("version", table::Align::Right),
        ("bytes", table::Align::Left),
        ("heading", table::Align::Left),
    ]);
    for (index, passage) in answer.passages.iter().enumerate() {
        lines.row([
            (index + 1).to_string(),
            format!("{:.3}", passage.score),
            passage.document_id.to_string(),
            passage.version.to_string(),
            format!("{}..{}", passage.span.start, passage.span.end),
            table::snippet(&passage.heading, 60),
        ]);
    }
    lines.render()
}
