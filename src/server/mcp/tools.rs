//! What the tools share: the operations, the caller's collections, and answers.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject};
use serde_json::Value;

use super::argument_reader::ToolArguments;
use super::continuation_handles::ContinuationHandles;
use super::tool_definitions::McpToolName;
use crate::operations::ApiServices;
use crate::operations::messages::collection::{CollectionList, ListCollectionsRequest};
use crate::server::status::public_message;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::tokenizer::Tokenizer;

/// Longest time of a call.
const CALL_TIME_MAX: Duration = Duration::from_mins(1);
/// Most collections that are searched at once.
pub(super) const SEARCHED_COLLECTIONS_MAX: usize = 16;
/// Most collections that a refusal names.
const NAMED_COLLECTIONS_MAX: usize = 20;
/// Most collections that a list shows.
const LISTED_COLLECTIONS_MAX: usize = 500;

/// The four tools over the operations.
pub struct McpTools {
    pub(super) services: ApiServices,
    pub(super) tokenizer: Arc<dyn Tokenizer>,
    pub(super) handles: ContinuationHandles,
}

/// What a tool answers.
#[derive(Debug, Default)]
pub(super) struct ToolAnswer {
    /// The one text block.
    pub(super) text: String,
    /// The same as JSON, for tools with an output schema.
    pub(super) structured: Option<Value>,
    /// What is beside the text.
    pub(super) meta: JsonObject,
}

impl McpTools {
    /// Creates the tools. `tokenizer` is the one that contexts are counted with.
    pub fn new(services: ApiServices, tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { services, tokenizer, handles: ContinuationHandles::default() }
    }

    /// Calls a tool. A refusal is a result, too.
    pub(super) async fn call(
        &self,
        caller: &Principal,
        tool: McpToolName,
        arguments: JsonObject,
    ) -> CallToolResult {
        let answering = tokio::time::timeout(CALL_TIME_MAX, self.answer(caller, tool, arguments));
        let answer = answering.await.unwrap_or_else(|_| {
            let message = format!("the answer took longer than {} seconds", CALL_TIME_MAX.as_secs());
            Err(Refusal::new(RefusalKind::Deadline, "deadline_passed", "", message))
        });
        answer.map_or_else(|refusal| refused_result(&refusal), ToolAnswer::into_result)
    }

    async fn answer(
        &self,
        caller: &Principal,
        tool: McpToolName,
        arguments: JsonObject,
    ) -> Result<ToolAnswer, Refusal> {
        // First, so that a caller without the scope learns nothing from other refusals.
        caller.require(AccessScope::Read)?;
        let arguments = ToolArguments::new(tool, arguments)?;
        match tool {
            McpToolName::GetContext => self.get_context(caller, arguments).await,
            McpToolName::Search => self.search(caller, arguments).await,
            McpToolName::Fetch => self.fetch(caller, arguments).await,
            McpToolName::ListCollections => self.list_collections(caller).await,
        }
    }

    async fn list_collections(&self, caller: &Principal) -> Result<ToolAnswer, Refusal> {
        let listed = self.caller_collections(caller, LISTED_COLLECTIONS_MAX).await?;
        let mut lines: Vec<String> = listed
            .collections
            .iter()
            .map(|collection| {
                let documents = collection.counts.documents;
                let noun = if documents == 1 { "document" } else { "documents" };
                format!("{}: {documents} {noun}", collection.name)
            })
            .collect();
        if lines.is_empty() {
            lines.push("There are no collections.".to_owned());
        }
        if listed.next_cursor.is_some() {
            lines.push("There are more, which get_context and fetch take by name.".to_owned());
        }
        Ok(ToolAnswer { text: lines.join("\n"), ..ToolAnswer::default() })
    }

    /// Returns the first of the caller's collections, by name.
    pub(super) async fn caller_collections(
        &self,
        caller: &Principal,
        collections_max: usize,
    ) -> Result<CollectionList, Refusal> {
        let limit = i64::try_from(collections_max).ok();
        let request = ListCollectionsRequest { limit, ..ListCollectionsRequest::default() };
        self.services.collections.list_collections(caller, request).await
    }

    /// Returns the name of the caller's collection if there is exactly one.
    pub(super) async fn only_collection(&self, caller: &Principal) -> Result<String, Refusal> {
        let mut listed = self.caller_collections(caller, NAMED_COLLECTIONS_MAX).await?;
        match listed.collections.len() {
            0 => {
                let message = "there is no collection yet; somebody has to store documents first";
                Err(Refusal::not_found("no_collection", message))
            }
            1 => Ok(listed.collections.remove(0).name),
            _ => {
                let names: Vec<_> = listed.collections.into_iter().map(|one| one.name).collect();
                let more = if listed.next_cursor.is_some() { ", …" } else { "" };
                let message = format!("which collection? give one of: {}{more}", names.join(", "));
                Err(Refusal::invalid("missing_field", "collection", message))
            }
        }
    }
}

impl ToolAnswer {
    /// An answer that is the same as text and as JSON.
    pub(super) fn json(value: Value) -> Self {
        Self { text: value.to_string(), structured: Some(value), meta: JsonObject::new() }
    }

    fn into_result(self) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.text)]);
        result.structured_content = self.structured;
        result.meta = (!self.meta.is_empty()).then_some(MetaObject(self.meta));
        result
    }
}

fn refused_result(refusal: &Refusal) -> CallToolResult {
    let text = format!("{}: {}", refusal.code, public_message(refusal));
    CallToolResult::error(vec![ContentBlock::text(text)])
}
