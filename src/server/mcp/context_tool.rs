//! `get_context`: one text block that is the rendered context, and how it was made in `_meta`.

use rmcp::model::JsonObject;
use serde_json::json;

use super::argument_reader::ToolArguments;
use super::continuation_handles::KeptContinuation;
use super::tool_definitions::{CONTEXT_TOKENS_DEFAULT, CONTEXT_TOKENS_MAX, CONTEXT_TOKENS_MIN};
use super::tools::{McpTools, ToolAnswer};
use crate::operations::messages::context::ContextRequest;
use contexture_core::context::answer::{AnswerDegradation, ContextAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// The text where nothing was found. It has fewer bytes, so also fewer tokens, than the smallest budget.
const NOTHING_FOUND: &str =
    "No passage answers this question. Ask in other words, drop the filter, or look into another collection.";

impl McpTools {
    pub(super) async fn get_context(
        &self,
        caller: &Principal,
        mut arguments: ToolArguments,
    ) -> Result<ToolAnswer, Refusal> {
        let question = arguments.required_text("question")?;
        let collection = arguments.optional_text("collection")?;
        let budget = arguments.optional_integer("max_tokens", CONTEXT_TOKENS_MIN..=CONTEXT_TOKENS_MAX)?;
        let filter = arguments.optional_text("filter")?;
        let handle = arguments.optional_text("continuation")?;
        let previous = handle.map(|handle| self.handles.find(caller, &handle)).transpose()?;
        let (collection, continuation) = match (collection, previous) {
            (None, None) => (self.only_collection(caller).await?, None),
            (Some(named), None) => (named, None),
            (named, Some(previous)) => {
                let collection = same_collection(named, &previous)?;
                (collection, Some(previous.continuation))
            }
        };
        let raw = ContextRequest {
            question,
            budget: budget.unwrap_or(CONTEXT_TOKENS_DEFAULT),
            tokenizer: Some(self.tokenizer.name().to_owned()),
            filter,
            continuable: true,
            continuation,
            ..ContextRequest::default()
        }
        .into_raw(&collection);
        let query = ContextQuery::new(caller.clone(), &raw)?;
        let answer = self.services.context.assemble(query, AssemblyRequest::new(&raw)?).await?;
        Ok(self.context_answer(caller, collection, answer))
    }

    fn context_answer(&self, caller: &Principal, collection: String, answer: ContextAnswer) -> ToolAnswer {
        let (text, tokens) = if answer.context.is_empty() {
            (NOTHING_FOUND.to_owned(), self.tokenizer.count(NOTHING_FOUND))
        } else {
            (answer.context, answer.tokens)
        };
        let degraded: Vec<&str> = answer.degraded.iter().copied().map(AnswerDegradation::name).collect();
        let mut meta = JsonObject::new();
        meta.insert("contexture/tokens".to_owned(), json!(tokens));
        meta.insert("contexture/budget".to_owned(), json!(answer.budget));
        meta.insert("contexture/tokenizer".to_owned(), json!(answer.tokenizer));
        meta.insert("contexture/bound".to_owned(), json!(answer.bound));
        meta.insert("contexture/degraded".to_owned(), json!(degraded));
        meta.insert("contexture/snapshot".to_owned(), json!(answer.snapshot));
        if !answer.continuation.is_empty() {
            let kept = KeptContinuation { collection, continuation: answer.continuation };
            meta.insert("contexture/continuation".to_owned(), json!(self.handles.give(caller, kept)));
        }
        ToolAnswer { text, structured: None, meta }
    }
}

/// Returns the collection of a continuation. Refuses another one: none of its passages would be there.
fn same_collection(named: Option<String>, previous: &KeptContinuation) -> Result<String, Refusal> {
    match named {
        Some(named) if named != previous.collection => {
            let message =
                format!("the continuation is from collection '{}'; leave it out", previous.collection);
            Err(Refusal::invalid("continuation_elsewhere", "continuation", message))
        }
        _ => Ok(previous.collection.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_when_nothing_is_found_fits_every_budget() {
        assert!(i64::try_from(NOTHING_FOUND.len()).is_ok_and(|bytes| bytes <= CONTEXT_TOKENS_MIN));
    }
}
