//! `contexture query`: a context for a question, within a budget.
//!
//! The context alone goes to stdout, so that it can be piped; what it cost goes to stderr.

use std::time::Duration;

use clap::Args;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::explain;
use super::global::Global;
use super::table;
use crate::context::answer::{Answer, Degraded};
use crate::context::request::{Assembly, Query, RawQuery};
use crate::fault::Refusal;
use crate::wiring::Roles;

/// What asks for chunks: the part that `query` and `search` share.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// The collection to search
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Condition on metadata, such as 'lang = "en" and year >= 2020'
    #[arg(long, value_name = "EXPR")]
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
pub(crate) struct Arguments {
    #[command(flatten)]
    asking: Asking,
    /// Tokens the context may have, framing included
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    budget: Option<i64>,
    /// The tokenizer of the model that will read it: `cl100k_base`, `o200k_base`, an `OpenAI` model, a
    /// name of the configuration, or the path of a `tokenizer.json` [default: `cl100k_base`]
    #[arg(long, value_name = "NAME|FILE")]
    tokenizer: Option<String>,
    /// markdown, xml, json or plain [default: markdown]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Chunks to consider [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<i64>,
    /// Say what became of every candidate
    #[arg(long)]
    explain: bool,
}

impl Asking {
    /// The request, unchecked.
    pub(crate) fn into_raw(self) -> RawQuery {
        RawQuery {
            collection: self.collection,
            question: self.question.join(" "),
            filter: self.filter,
            fusion: self.fusion,
            rerank: self.no_rerank.then_some(false),
            min_versions: self.min_version,
            deadline: self.timeout.map(Duration::from_secs),
            ..RawQuery::default()
        }
    }
}

fn parse_min_version(text: &str) -> Result<(String, u64), String> {
    let (document, version) = text.rsplit_once('=').ok_or("expected DOCUMENT_ID=VERSION")?;
    let version = version.parse().map_err(|_| format!("'{version}' is not a version number"))?;
    Ok((document.to_owned(), version))
}

/// The stages run only where an answer may have to wait for them.
pub(crate) fn roles(raw: &RawQuery) -> Roles {
    Roles::Ask { awaits: !raw.min_versions.is_empty() }
}

/// Asks and prints the context.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let raw = RawQuery {
        budget: arguments.budget,
        tokenizer: arguments.tokenizer,
        format: arguments.format,
        top_k: arguments.top_k,
        explain: arguments.explain,
        ..arguments.asking.into_raw()
    };
    let assembly = Assembly::new(&raw)?;
    let (_, stack) = global.open_reading_for(roles(&raw), raw.tokenizer.as_deref()).await?;
    let answer: Result<Answer, Refusal> = async {
        let query = Query::new(stack.principal.clone(), &raw)?;
        stack.engine.assemble(query, assembly).await
    }
    .await;
    stack.shutdown().await;
    let answer = answer?;
    console.result(&answer, |answer| {
        let trace = if raw.explain { explain::trace(answer) } else { String::new() };
        if answer.context.is_empty() { trace } else { format!("{}\n{trace}", answer.context.trim_end()) }
    })?;
    console.note(&summary(&answer));
    Ok(Exit::Done)
}

/// One line about an answer: tokens, passages, what was missing.
pub(crate) fn summary(answer: &Answer) -> String {
    let mut documents: Vec<&str> =
        answer.passages.iter().map(|passage| passage.document_id.as_str()).collect();
    documents.sort_unstable();
    documents.dedup();
    let found = if answer.passages.is_empty() {
        "no passage".to_owned()
    } else {
        format!(
            "{} from {}",
            table::counted(answer.passages.len() as u64, "passage"),
            table::counted(documents.len() as u64, "document")
        )
    };
    format!(
        "{} of {} tokens ({}), {found}, snapshot {}{}",
        table::count(answer.tokens as u64),
        table::count(answer.budget as u64),
        answer.tokenizer,
        answer.snapshot,
        without(&answer.degraded)
    )
}

/// What an answer had to do without, in words.
pub(crate) fn without(degraded: &[Degraded]) -> String {
    let words: Vec<&str> = degraded
        .iter()
        .map(|degraded| match degraded {
            Degraded::Dense => "the dense leg",
            Degraded::Rerank => "reranking",
            Degraded::Refill => "some refills",
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("; without {}", words.join(" and ")) }
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
