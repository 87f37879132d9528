//! The answer to a search: the best chunks, each text once.

use std::collections::HashMap;

use super::answer::{Citation, RankedChunk};
use super::assemble::{ContextCandidate, chunk_heading};
use crate::domain::chunk::Chunk;

/// The best candidates. A text that occurs again under the same headings is listed once, with all its places.
pub(super) fn ranked_chunks<'c>(
    candidates: impl Iterator<Item = &'c ContextCandidate>,
    top_k: usize,
) -> Vec<RankedChunk> {
    let mut results: Vec<RankedChunk> = Vec::new();
    let mut known: HashMap<(&str, &[String]), usize> = HashMap::new();
    for candidate in candidates {
        let chunk: &Chunk = &candidate.chunk;
        let text = (chunk.text.trim(), chunk.heading.as_slice());
        if let Some(first) = known.get(&text) {
            results[*first].also.push(citation_of(candidate));
        } else if results.len() < top_k {
            known.insert(text, results.len());
            results.push(ranked_chunk(candidate));
        } else {
            // Later candidates score less than all of these, and need not be compared with them.
            break;
        }
    }
    results
}

fn citation_of(candidate: &ContextCandidate) -> Citation {
    let chunk: &Chunk = &candidate.chunk;
    Citation {
        collection: candidate.collection().cloned(),
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        span: chunk.span,
    }
}

fn ranked_chunk(candidate: &ContextCandidate) -> RankedChunk {
    let chunk: &Chunk = &candidate.chunk;
    RankedChunk {
        chunk_id: chunk.id,
        collection: candidate.collection().cloned(),
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        span: chunk.span,
        heading: chunk_heading(chunk),
        score: candidate.score,
        text: chunk.text.clone(),
        source: chunk.source_place(chunk.span),
        also: Vec::new(),
        title: chunk.description.title.clone(),
        url: None,
        metadata: chunk.description.metadata.clone(),
        acl: chunk.description.acl.clone(),
    }
}
