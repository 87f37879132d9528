//! `contexture search`: ranked chunks, without packing them.

use clap::Args;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;
use super::query::{Asking, roles, without};
use super::table;
use crate::context::answer::Ranking;
use crate::context::request::{Query, RawQuery};
use crate::fault::Refusal;

/// Characters of a chunk's text that are shown.
const SNIPPET_CHARS_MAX: usize = 200;

/// What `search` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    asking: Asking,
    /// Chunks to return
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    top_k: i64,
}

/// Searches and prints the chunks, best first.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let raw = RawQuery { top_k: Some(arguments.top_k), ..arguments.asking.into_raw() };
    let (_, stack) = global.open_existing(roles(&raw)).await?;
    let ranking: Result<Ranking, Refusal> = async {
        let query = Query::new(stack.principal.clone(), &raw)?;
        stack.engine.search(query).await
    }
    .await;
    stack.shutdown().await;
    let ranking = ranking?;
    console.result(&ranking, text)?;
    console.note(&format!(
        "{}, snapshot {}{}",
        table::counted(ranking.results.len() as u64, "chunk"),
        ranking.snapshot,
        without(&ranking.degraded)
    ));
    Ok(Exit::Done)
}

fn text(ranking: &Ranking) -> String {
    let entries = ranking.results.iter().enumerate().map(|(index, ranked)| {
        format!(
            "{:>3}  {:.3}  {} version {}, bytes {}..{}  {}\n     {}\n",
            index + 1,
            ranked.score,
            ranked.document_id,
            ranked.version,
            ranked.span.start,
            ranked.span.end,
            table::snippet(&ranked.heading, SNIPPET_CHARS_MAX),
            table::snippet(&ranked.text, SNIPPET_CHARS_MAX)
        )
    });
    entries.collect()
}
