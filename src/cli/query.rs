//! `contexture query`: assembles a context for a question, within a token budget.
//!
//! Only the context goes to stdout, so that it can be piped. Its cost goes to stderr.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::answer_text::answer_summary;
use super::command_target::CommandTarget;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::explain;
use super::global_args::GlobalArgs;
use super::server_choice::not_on_a_server;
use crate::config::{ContextureConfig, NamedFileConfig};
use crate::operations::messages::answer::ContextResponse;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::context::answer::ContextAnswer;
use contexture_core::context::render::{ContextStyle, ContextTemplate};
use contexture_core::context::request::{AssemblyRequest, ContextQuery, RawContextQuery, RawContextSection};
use contexture_core::fault::Refusal;

/// What asks for chunks: the part that `query` and `search` share.
#[derive(Debug, Args)]
pub(crate) struct RetrievalArgs {
    /// The collection to search
    #[arg(long, value_name = "NAME")]
    collection: String,
    #[arg(
        long,
        value_name = "EXPR",
        help = r#"Condition, such as 'lang = "en" and document starts_with "guides/" and page >= 10'"#
    )]
    filter: Option<String>,
    /// How the two rankings become one: `relative`, `rrf` or `weighted_rrf` [default: relative]
    #[arg(long, value_name = "NAME")]
    fusion: Option<String>,
    /// Leave the fused order as it is, although a reranker is configured
    #[arg(long)]
    no_rerank: bool,
    /// Wait until this version of a document is visible; may be repeated
    #[arg(long, value_name = "DOCUMENT_ID=VERSION", value_parser = parse_min_version)]
    min_version: Vec<(String, u64)>,
    /// Give up after this long [default: 10]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// The question
    #[arg(required = true, value_name = "QUESTION")]
    question: Vec<String>,
}

/// What `query` takes.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    retrieval: RetrievalArgs,
    /// Tokens the context may have, framing included
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    budget: Option<i64>,
    /// The tokenizer of the model that will read it: `cl100k_base`, `o200k_base`, an `OpenAI` model, a
    /// name of the configuration, or the path of a `tokenizer.json` [default: `cl100k_base`]
    #[arg(long, value_name = "NAME|FILE")]
    tokenizer: Option<String>,
    /// markdown, xml, json, plain or a template of the configuration [default: markdown]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Write it with the template in this file
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    template: Option<PathBuf>,
    #[command(flatten)]
    packing: PackingArgs,
    /// Chunks to consider [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<i64>,
    /// Say what became of every candidate
    #[arg(long)]
    explain: bool,
}

/// How a context is packed.
#[derive(Debug, Args)]
struct PackingArgs {
    /// `document`: the best document first, its passages in document order; `edges`: the best passages
    /// first and last; `score`: the best passage first [default: document]
    #[arg(long, value_name = "NAME")]
    order: Option<String>,
    /// Leave out what is less relevant than this share of the best, 0 to 1, even if there is room
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    cutoff: Option<f64>,
    /// Most passages of one document
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    passages_per_document: Option<i64>,
    /// Tokens of the budget that are left for the answer
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    reserve_answer: Option<i64>,
    /// Leave the question's tokens, too
    #[arg(long)]
    reserve_question: bool,
    /// A part of the context with its share of the budget and its own question; may be repeated
    #[arg(long, value_name = "NAME[=SHARE][:QUESTION]", value_parser = parse_section)]
    section: Vec<RawContextSection>,
    /// Return a continuation, for a context that starts with this one
    #[arg(long)]
    continuable: bool,
    /// Start with the context of an earlier answer: a file with what `query --json --continuable` printed
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

impl PackingArgs {
    fn into_raw(self, raw: RawContextQuery) -> Result<RawContextQuery, Refusal> {
        Ok(RawContextQuery {
            order: self.order,
            cutoff: self.cutoff,
            passages_per_document_max: self.passages_per_document,
            reserve_answer: self.reserve_answer,
            reserve_question: self.reserve_question,
            sections: self.section,
            continuable: self.continuable,
            previous: self.previous.as_deref().map(read_continuation).transpose()?,
            ..raw
        })
    }
}

/// Reads the continuation out of the file of an earlier answer.
fn read_continuation(path: &Path) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct PreviousAnswer {
        continuation: String,
    }
    let refuse = |why: &dyn std::fmt::Display| {
        let message = format!("--previous {}: {why}", path.display());
        Refusal::invalid("invalid_continuation", "previous", message)
    };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
    let before: Result<PreviousAnswer, _> = serde_json::from_str(&text);
    // The parser's own message would tell about JSON, not about what to do.
    let no_answer = "it is not what `query --json --continuable` printed";
    before.map(|before| before.continuation).map_err(|_| refuse(&no_answer))
}

/// Reads `NAME[=SHARE][:QUESTION]`.
fn parse_section(text: &str) -> Result<RawContextSection, String> {
    // The colon is looked for first, so that a question may contain `=`.
    let (head, question) = match text.split_once(':') {
        Some((head, question)) => (head, Some(question.to_owned())),
        None => (text, None),
    };
    let (name, share) = match head.split_once('=') {
        Some((name, share)) => {
            let number = share.trim().parse::<f64>();
            (name, Some(number.map_err(|_| format!("'{share}' is not a share between 0 and 1"))?))
        }
        None => (head, None),
    };
    Ok(RawContextSection { name: name.to_owned(), question, filter: None, share })
}

impl RetrievalArgs {
    /// The unchecked request.
    pub(crate) fn into_raw(self) -> RawContextQuery {
        RawContextQuery {
            collection: self.collection,
            question: self.question.join(" "),
            filter: self.filter,
            fusion: self.fusion,
            // Without the flag the request leaves it open, and the configuration decides.
            rerank: self.no_rerank.then_some(false),
            min_versions: self.min_version,
            deadline: self.timeout.map(Duration::from_secs),
            ..RawContextQuery::default()
        }
    }
}

fn parse_min_version(text: &str) -> Result<(String, u64), String> {
    // From the right: a document id may contain `=`, a number may not.
    let (document, version) = text.rsplit_once('=').ok_or("expected DOCUMENT_ID=VERSION")?;
    let version = version.parse().map_err(|_| format!("'{version}' is not a version number"))?;
    Ok((document.to_owned(), version))
}

/// The role for a query. Stages run only if the answer may have to wait for a version.
pub(crate) fn roles_for_query(raw: &RawContextQuery) -> ProcessRole {
    ProcessRole::Ask { awaits: !raw.min_versions.is_empty() }
}

/// Assembles and prints the context.
pub(crate) async fn run(
    arguments: QueryArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let raw = RawContextQuery {
        budget: arguments.budget,
        tokenizer: arguments.tokenizer,
        format: arguments.format,
        top_k: arguments.top_k,
        explain: arguments.explain,
        ..arguments.retrieval.into_raw()
    };
    let raw = arguments.packing.into_raw(raw)?;
    // Checked before the stack is opened, so that a bad option fails fast.
    let mut assembly = AssemblyRequest::new(&raw)?;
    if let Some(path) = &arguments.template {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        assembly.style = ContextStyle::Template(Arc::new(ContextTemplate::read(&name, path)?));
    }
    let (answer, timings) = match global.open_for(roles_for_query(&raw), raw.tokenizer.as_deref()).await? {
        CommandTarget::Server(server) => {
            refuse_local_files(&raw, arguments.template.is_some())?;
            (server.context(&raw).await?, None)
        }
        CommandTarget::Here(stack, config) => {
            let answer = assemble_here(&stack, &config, &raw, assembly).await;
            stack.shutdown().await;
            let answer = answer?;
            let timings = answer.timings;
            (ContextResponse::new(answer, false)?, Some(timings))
        }
    };
    console.result(&answer, |answer| {
        let trace = if raw.explain { explain::trace_text(answer, timings) } else { String::new() };
        if answer.context.is_empty() { trace } else { format!("{}\n{trace}", answer.context.trim_end()) }
    })?;
    console.note(&answer_summary(&answer));
    Ok(CommandExitCode::Done)
}

async fn assemble_here(
    stack: &ServiceStack,
    config: &ContextureConfig,
    raw: &RawContextQuery,
    assembly: AssemblyRequest,
) -> Result<ContextAnswer, Refusal> {
    let query = ContextQuery::new(stack.principal.clone(), raw)?;
    stack.operations(config)?.context.assemble(query, assembly).await
}

/// Refuses files of this machine, which a server does not see.
fn refuse_local_files(raw: &RawContextQuery, has_template: bool) -> Result<(), Refusal> {
    if has_template {
        let advice = "name it in the server's configuration ([[templates]]) and give --format NAME";
        return Err(not_on_a_server("--template FILE", advice));
    }
    let tokenizer = raw.tokenizer.as_deref().and_then(NamedFileConfig::from_tokenizer_option);
    if tokenizer.is_some() {
        let advice = "name it in the server's configuration ([[tokenizers]]) and give its name";
        return Err(not_on_a_server("--tokenizer FILE", advice));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_min_version;

    #[test]
    fn a_document_id_may_hold_an_equals_sign() {
        assert_eq!(parse_min_version("a=b.md=3"), Ok(("a=b.md".to_owned(), 3)));
        assert!(parse_min_version("a.md").is_err());
        assert!(parse_min_version("a.md=new").is_err());
    }
}
