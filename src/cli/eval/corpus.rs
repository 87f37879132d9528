//! Ingests the documents of an evaluation set into a collection of their own.
//!
//! The collection's name has a fingerprint of pipeline and documents. So a kept data directory is reused
//! if, and only if, both are the same.

use bytes::Bytes;

use crate::cli::batch_submitter::BatchSubmitter;
use crate::cli::console::ConsoleOutput;
use crate::cli::exit::CommandFailure;
use crate::cli::global_args::collection_key;
use crate::cli::progress_meter::ProgressMeter;
use crate::cli::{drain, text_format};
use crate::wiring::ServiceStack;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, ContentHash, DocumentId, FieldHasher, NAME_BYTES_MAX};
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Refusal;
use contexture_core::ports::ledger::DeadLetterFilter;

/// Hex digits of the fingerprint in a collection's name.
const FINGERPRINT_CHARS: usize = 16;

/// One document of an evaluation set.
pub(crate) struct EvaluationDocument {
    pub(crate) id: DocumentId,
    pub(crate) title: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) body: Bytes,
}

/// Documents, read one at a time.
pub(crate) type DocumentIterator = Box<dyn Iterator<Item = Result<EvaluationDocument, Refusal>> + Send>;

/// The collection of a corpus, and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CorpusIdentity {
    /// Its collection.
    pub(crate) collection: CollectionId,
    /// Its documents.
    pub(crate) documents: u64,
}

impl CorpusIdentity {
    /// Computes the fingerprint. Reads all documents once.
    pub(crate) fn compute(name: &str, pipeline: &str, documents: DocumentIterator) -> Result<Self, Refusal> {
        let mut fields = FieldHasher::new("contexture evaluation corpus v1").field(pipeline.as_bytes());
        let mut number = 0;
        for document in documents {
            let document = document?;
            fields = fields
                .field(document.id.as_str().as_bytes())
                .field(document.title.as_deref().unwrap_or_default().as_bytes())
                .field(&document.body);
            number += 1;
        }
        let fingerprint = ContentHash::from_bytes(fields.finish()).to_string();
        let name = collection_slug(name);
        let collection = CollectionId::new(&format!("eval-{name}-{}", &fingerprint[..FINGERPRINT_CHARS]))?;
        Ok(Self { collection, documents: number })
    }
}

/// A folder's name with only the characters that a collection's name may have.
fn collection_slug(name: &str) -> String {
    // One byte a character, because everything else becomes `-`.
    let room = NAME_BYTES_MAX - "eval--".len() - FINGERPRINT_CHARS;
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(letter).take(room).collect()
}

/// Ingests the documents unless they are there already, and waits until all are visible.
pub(crate) async fn fill_collection(
    stack: &ServiceStack,
    identity: &CorpusIdentity,
    pipeline: &Pipeline,
    body_bytes_max: usize,
    documents: DocumentIterator,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    stack.ensure_collection(&identity.collection, Some(pipeline)).await?;
    let key = collection_key(stack, &identity.collection);
    // An interrupted earlier run may have left versions in flight.
    let before = drain::wait_until_drained(stack, &key, None, |_, _, _| {}).await?;
    // The name proves the content already, so the number alone tells whether the earlier run was complete.
    if before.documents == identity.documents && before.dead == 0 {
        console.note(&format!("collection '{}' is there already", identity.collection));
        return Ok(());
    }
    // The counters belong to the process, so what ended before is taken off.
    let earlier = stack.progress().borrow().settled;
    let mut meter = ProgressMeter::new("ingest", "documents", identity.documents, console);
    let mut submitter = BatchSubmitter::new(stack);
    for document in documents {
        let EvaluationDocument { id, title, media_type, body } = document?;
        let description = DocumentDescription {
            media_type,
            title,
            metadata: DocumentMetadata::default(),
            ..DocumentDescription::default()
        };
        let collection = identity.collection.clone();
        let principal = &stack.principal;
        let submission = Submission::new(principal, collection, id, None, description, body, body_bytes_max)?;
        submitter.push(submission).await?;
        let settled = stack.progress().borrow().settled - earlier;
        meter.update(submitter.tally().unchanged + settled, "");
    }
    submitter.flush().await?;
    let unchanged = submitter.tally().unchanged;
    let after = drain::wait_until_drained(stack, &key, None, |progress, _, _| {
        meter.update(
            unchanged + progress.settled - earlier,
            &format!("; {}", text_format::count_with_noun(progress.chunks, "chunk")),
        );
    })
    .await?;
    if after.dead > 0 {
        let filter = DeadLetterFilter { collection: Some(key), ..DeadLetterFilter::default() };
        let named = stack.ledger.dead(&filter, 1).await?.into_iter().next();
        let example = named.map(|letter| format!(", such as {} ({})", letter.key.document_id, letter.reason));
        return Err(CommandFailure::failed(
            "documents_died",
            format!(
                "{} of the evaluation set could not be indexed{}; figures without them would be wrong",
                text_format::count_with_noun(after.dead, "document"),
                example.unwrap_or_default()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{CorpusIdentity, EvaluationDocument};
    use contexture_core::domain::ids::DocumentId;

    fn identity(name: &str, pipeline: &str, body: &'static str) -> CorpusIdentity {
        let document = EvaluationDocument {
            id: DocumentId::new("1").expect("an id"),
            title: None,
            media_type: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        CorpusIdentity::compute(name, pipeline, Box::new(std::iter::once(Ok(document)))).expect("an identity")
    }

    #[test]
    fn a_collection_is_named_after_folder_pipeline_and_documents() {
        let name = |folder: &str, pipeline: &str, body: &'static str| {
            identity(folder, pipeline, body).collection.as_str().to_owned()
        };
        let one = name("Chroma dev", "p", "body");
        assert!(one.starts_with("eval-chroma-dev-"), "{one}");
        assert_eq!(one, name("Chroma dev", "p", "body"));
        assert_ne!(one, name("Chroma dev", "q", "body"));
        assert_ne!(one, name("Chroma dev", "p", "another body"));
        assert_eq!(name(&"x".repeat(500), "p", "body").len(), 64);
    }
}
