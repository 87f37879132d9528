//! `search` and `fetch`, in the shape that `ChatGPT`'s connectors and deep research need: the same JSON as text
//! and as `structuredContent`.
//!
//! The id of a document is its collection, a slash and its own id; a collection's name has no slash.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::argument_reader::ToolArguments;
use super::text_cut::cut_text;
use super::tools::{McpTools, SEARCHED_COLLECTIONS_MAX, ToolAnswer};
use crate::operations::messages::context::{CollectionWeight, SearchRequest};
use crate::operations::messages::document::{DocumentDetails, DocumentView};
use contexture_core::context::answer::RankedChunk;
use contexture_core::context::request::ContextQuery;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};

/// Most documents that a search returns.
const RESULTS_MAX: usize = 10;
/// Chunks that are ranked, several of which may be of one document.
const RANKED_CHUNKS: i64 = 100;
/// Most tokens of a document's text.
const FETCHED_TOKENS_MAX: usize = 20_000;

impl McpTools {
    pub(super) async fn search(
        &self,
        caller: &Principal,
        mut arguments: ToolArguments,
    ) -> Result<ToolAnswer, Refusal> {
        let question = arguments.required_text("query")?;
        let listed = self.caller_collections(caller, SEARCHED_COLLECTIONS_MAX).await?;
        let names: Vec<String> = listed.collections.into_iter().map(|collection| collection.name).collect();
        let home = match names.as_slice() {
            [] => return Ok(ToolAnswer::json(json!({ "results": [] }))),
            [only] => only.clone(),
            _ => String::new(),
        };
        let several = if home.is_empty() { names } else { Vec::new() };
        let raw = SearchRequest {
            collections: several
                .into_iter()
                .map(|name| CollectionWeight { name, ..CollectionWeight::default() })
                .collect(),
            question,
            top_k: Some(RANKED_CHUNKS),
            ..SearchRequest::default()
        }
        .into_raw(&home);
        let ranking = self.services.context.search(ContextQuery::new(caller.clone(), &raw)?).await?;
        let mut answer = ToolAnswer::json(json!({ "results": best_documents(&ranking.results, &home) }));
        if listed.next_cursor.is_some() {
            let note = format!("only the first {SEARCHED_COLLECTIONS_MAX} collections were searched");
            answer.meta.insert("contexture/note".to_owned(), json!(note));
        }
        Ok(answer)
    }

    pub(super) async fn fetch(
        &self,
        caller: &Principal,
        mut arguments: ToolArguments,
    ) -> Result<ToolAnswer, Refusal> {
        let id = arguments.required_text("id")?;
        let (collection, document_id) = id.split_once('/').ok_or_else(|| {
            Refusal::invalid("invalid_id", "id", "id must be one that search returned, COLLECTION/DOCUMENT")
        })?;
        let details = DocumentDetails { text: true, ..DocumentDetails::default() };
        let view = self.services.documents.document_view(caller, collection, document_id, details).await?;
        // A caller with the scope `admin` also sees documents whose text it may not read.
        let Some(version) = view.visible_version.filter(|_| view.text.is_some()) else {
            let message = format!("'{id}' has no text that can be read now; search for another document");
            return Err(Refusal::new(RefusalKind::NotFound, "no_text", "id", message));
        };
        // Counting tokens of a large text takes milliseconds, which would hold up others on this thread.
        let tokenizer = self.tokenizer.clone();
        let counting = tokio::task::spawn_blocking(move || fetched_document(&id, view, version, &*tokenizer));
        let document = counting.await.map_err(|error| {
            Refusal::new(RefusalKind::Internal, "internal", "", format!("cutting a document: {error}"))
        })?;
        Ok(ToolAnswer::json(document))
    }
}

/// Returns the documents of ranked chunks, each once, at its best place.
fn best_documents(ranked: &[RankedChunk], home: &str) -> Vec<Value> {
    let mut seen = HashSet::new();
    let mut documents = Vec::new();
    for chunk in ranked {
        let collection = chunk.collection.as_ref().map_or(home, |collection| collection.as_str());
        let id = format!("{collection}/{}", chunk.document_id);
        if documents.len() < RESULTS_MAX && seen.insert(id.clone()) {
            let title = chunk.title.as_deref().unwrap_or(chunk.document_id.as_str());
            documents.push(json!({ "id": id, "title": title, "url": chunk.url.as_deref().unwrap_or("") }));
        }
    }
    documents
}

fn fetched_document(
    id: &str,
    view: DocumentView,
    version: u64,
    tokenizer: &dyn contexture_core::ports::tokenizer::Tokenizer,
) -> Value {
    let text = view.text.unwrap_or_default();
    let bytes = text.len();
    let mark = |kept: usize| {
        format!("\n\n[Cut: the first {kept} of {bytes} bytes. Ask get_context about the rest.]")
    };
    let cut = cut_text(&text, FETCHED_TOKENS_MAX, tokenizer, mark);
    let mut metadata = match serde_json::to_value(&view.metadata) {
        Ok(Value::Object(metadata)) => metadata,
        _ => serde_json::Map::new(),
    };
    metadata.insert("version".to_owned(), json!(version));
    metadata.insert("truncated".to_owned(), json!(cut.is_some()));
    json!({
        "id": id,
        "title": view.title.unwrap_or(view.document_id),
        "text": cut.unwrap_or(text),
        "url": view.url.unwrap_or_default(),
        "metadata": metadata,
    })
}
