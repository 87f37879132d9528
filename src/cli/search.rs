//! `contexture search`: ranks chunks for a question, without assembling a context.

use clap::Args;

use super::answer_text::degraded_text;
use super::command_target::CommandTarget;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::query::{RetrievalArgs, roles_for_query};
use super::text_format;
use crate::config::ContextureConfig;
use crate::operations::messages::answer::SearchResponse;
use crate::wiring::ServiceStack;
use contexture_core::context::request::{ContextQuery, RawContextQuery};
use contexture_core::fault::Refusal;

/// Maximum characters of a chunk's text that are shown.
const SNIPPET_CHARS_MAX: usize = 200;

/// What `search` takes.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    retrieval: RetrievalArgs,
    /// Chunks to return
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    top_k: i64,
}

/// Searches and prints the chunks, best first.
pub(crate) async fn run(
    arguments: SearchArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let raw = RawContextQuery { top_k: Some(arguments.top_k), ..arguments.retrieval.into_raw() };
    let ranking = match global.open_for(roles_for_query(&raw), None).await? {
        CommandTarget::Server(server) => server.search(&raw).await?,
        CommandTarget::Here(stack, config) => {
            let ranking = search_here(&stack, &config, &raw).await;
            stack.shutdown().await;
            ranking?
        }
    };
    console.result(&ranking, ranking_text)?;
    console.note(&format!(
        "{}, snapshot {}{}",
        text_format::count_with_noun(ranking.results.len() as u64, "chunk"),
        ranking.snapshot,
        degraded_text(&ranking.degraded)
    ));
    Ok(CommandExitCode::Done)
}

async fn search_here(
    stack: &ServiceStack,
    config: &ContextureConfig,
    raw: &RawContextQuery,
) -> Result<SearchResponse, Refusal> {
    let query = ContextQuery::new(stack.principal.clone(), raw)?;
    let ranking = stack.operations(config)?.context.search(query).await?;
    Ok(SearchResponse::new(ranking, false))
}

fn ranking_text(ranking: &SearchResponse) -> String {
    let entries = ranking.results.iter().enumerate().map(|(index, ranked)| {
        format!(
            "{:>3}  {:.3}  {} version {}, bytes {}..{}  {}\n     {}\n",
            index + 1,
            ranked.score,
            ranked.document_id,
            ranked.version,
            ranked.start_byte,
            ranked.end_byte,
            text_format::snippet(&ranked.heading, SNIPPET_CHARS_MAX),
            text_format::snippet(&ranked.text, SNIPPET_CHARS_MAX)
        )
    });
    entries.collect()
}
