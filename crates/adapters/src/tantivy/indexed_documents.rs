//! Reads what a snapshot holds, document by document, for comparing it with the ledger.
//!
//! It reads the terms of the field `document`. Every head and chunk carries it, so chunks without
//! a head are found as well. Terms of deleted documents remain until their segments are merged, so
//! only terms with a live Tantivy document count.

use tantivy::index::SegmentReader;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED, TantivyDocument, Term};

use super::fields::IndexSchemaFields;
use super::index_fault;
use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::IndexedDocument;

/// Reads the head of a document and the ids of its chunks.
pub(super) fn read_indexed_document(
    searcher: &Searcher,
    fields: &IndexSchemaFields,
    document_id: &DocumentId,
) -> Result<IndexedDocument, Fault> {
    let term = Term::from_field_text(fields.document, document_id.as_str());
    let mut holding = IndexedDocument::default();
    for (ordinal, segment) in (0_u32..).zip(searcher.segment_readers()) {
        let inverted = segment.inverted_index(fields.document).map_err(index_fault)?;
        let Some(mut postings) =
            inverted.read_postings(&term, IndexRecordOption::Basic).map_err(read_fault)?
        else {
            continue;
        };
        let column = |name| segment.fast_fields().column_opt::<u64>(name).map_err(index_fault);
        let (high, low) = (column("id_high")?, column("id_low")?);
        let mut doc = postings.doc();
        while doc != TERMINATED {
            if is_alive(segment, doc) {
                // Only chunks have ids in fast fields: what has none is the head.
                let half = |column: &Option<tantivy::columnar::Column<u64>>| column.as_ref()?.first(doc);
                if let (Some(high), Some(low)) = (half(&high), half(&low)) {
                    holding.chunks.push(ChunkId::from_uuid(uuid::Uuid::from_u64_pair(high, low)));
                } else {
                    let head: TantivyDocument =
                        searcher.doc(DocAddress::new(ordinal, doc)).map_err(index_fault)?;
                    holding.head = Some(fields.read_head(&head).map_err(index_fault)?);
                }
            }
            doc = postings.advance();
        }
    }
    Ok(holding)
}

/// Lists up to `limit` documents after an id, in order of ids.
pub(super) fn list_indexed_documents(
    searcher: &Searcher,
    fields: &IndexSchemaFields,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<DocumentId>, Fault> {
    let readers = searcher
        .segment_readers()
        .iter()
        .map(|segment| Ok((segment, segment.inverted_index(fields.document).map_err(index_fault)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let mut streams = Vec::with_capacity(readers.len());
    for (segment, inverted) in &readers {
        let range = inverted.terms().range();
        let range = match after {
            Some(after) => range.gt(after.as_str()),
            None => range,
        };
        let mut stream = range.into_stream().map_err(read_fault)?;
        if stream.advance() {
            streams.push((*segment, inverted, stream));
        }
    }
    // A merge of the segments' sorted term streams: a document can have terms in several.
    let mut documents = Vec::new();
    while documents.len() < limit {
        let lowest = streams.iter().map(|(.., stream)| stream.key()).min().map(<[u8]>::to_vec);
        let Some(lowest) = lowest else { break };
        let mut is_live = false;
        let mut remaining = Vec::with_capacity(streams.len());
        for (segment, inverted, mut stream) in streams {
            if stream.key() == lowest {
                let postings = inverted.read_postings_from_terminfo(stream.value(), IndexRecordOption::Basic);
                is_live = is_live || has_live_document(segment, postings.map_err(read_fault)?);
                if !stream.advance() {
                    continue;
                }
            }
            remaining.push((segment, inverted, stream));
        }
        streams = remaining;
        if is_live {
            documents.push(parse_document_id(&lowest)?);
        }
    }
    Ok(documents)
}

fn has_live_document(segment: &SegmentReader, mut postings: impl DocSet) -> bool {
    let mut doc = postings.doc();
    while doc != TERMINATED {
        if is_alive(segment, doc) {
            return true;
        }
        doc = postings.advance();
    }
    false
}

fn is_alive(segment: &SegmentReader, doc: u32) -> bool {
    segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc))
}

fn parse_document_id(term: &[u8]) -> Result<DocumentId, Fault> {
    let id = std::str::from_utf8(term).ok().and_then(|text| DocumentId::new(text).ok());
    id.ok_or_else(|| Fault::permanent("index_corrupt", "a document whose id is not one"))
}

fn read_fault(error: std::io::Error) -> Fault {
    Fault::transient_error("lexical index", error)
}
