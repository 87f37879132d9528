//! Converts documents, their versions and their events to messages.

use super::metadata_convert::metadata_struct;
use super::proto;
use crate::operations::messages::document::{
    ChunkView, DeleteMatchingRequest, DocumentView, ListDocumentsRequest, ReasonView, VersionStateName,
    VersionView,
};
use crate::operations::messages::event::{DocumentEventKind, DocumentOutcomeEvent};
use contexture_core::fault::Refusal;

/// Returns the answer to `GetDocument`.
pub(super) fn document_response(mut view: DocumentView) -> proto::GetDocumentResponse {
    let versions = std::mem::take(&mut view.versions);
    let chunks = view.chunks.take().unwrap_or_default();
    proto::GetDocumentResponse {
        versions: versions.into_iter().map(version_message).collect(),
        chunks: chunks.into_iter().map(chunk_message).collect(),
        text: view.text.take(),
        document: Some(document_message(view)),
    }
}

pub(super) fn document_message(view: DocumentView) -> proto::Document {
    let (reason_code, reason) = reason_fields(view.reason);
    proto::Document {
        document_id: view.document_id,
        version: view.version,
        state: view.state.map_or(proto::State::Unspecified, state_message).into(),
        deleted: view.deleted,
        visible_version: view.visible_version,
        title: view.title,
        url: view.url,
        media_type: view.media_type,
        metadata: metadata_struct(&view.metadata),
        acl: view.groups.flatten().map(|groups| proto::Acl { groups }),
        body_bytes: view.body_bytes,
        chunk_count: view.chunk_count,
        accepted_ms: view.accepted_ms,
        updated_ms: view.updated_ms,
        reason_code,
        reason,
    }
}

pub(super) fn version_message(version: VersionView) -> proto::DocumentVersion {
    let (reason_code, reason) = reason_fields(version.reason);
    proto::DocumentVersion {
        version: version.version,
        state: state_message(version.state).into(),
        reason_code,
        reason,
        deletes: version.deletes,
        content_hash: version.content_hash,
        body_bytes: version.body_bytes,
        chunk_count: version.chunk_count,
        accepted_ms: version.accepted_ms,
        updated_ms: version.updated_ms,
    }
}

pub(super) fn event_message(event: DocumentOutcomeEvent) -> proto::DocumentEvent {
    let kind = match event.kind {
        DocumentEventKind::Visible => proto::DocumentEventKind::Visible,
        DocumentEventKind::Deleted => proto::DocumentEventKind::Deleted,
        DocumentEventKind::Dead => proto::DocumentEventKind::Dead,
    };
    let (reason_code, reason) = reason_fields(event.reason);
    proto::DocumentEvent {
        kind: kind.into(),
        cursor: event.cursor,
        document_id: event.document_id,
        version: event.version,
        reason_code,
        reason,
        at_ms: event.at_ms,
    }
}

fn chunk_message(chunk: ChunkView) -> proto::DocumentChunk {
    let ChunkView { chunk_id, ordinal, start_byte, end_byte, heading, text } = chunk;
    let span = Some(proto::ByteSpan { start_byte, end_byte });
    proto::DocumentChunk { chunk_id, ordinal, span, heading, text }
}

fn reason_fields(reason: Option<ReasonView>) -> (Option<String>, Option<String>) {
    reason.map(|ReasonView { code, detail }| (code, detail)).unzip()
}

pub(super) fn state_message(state: VersionStateName) -> proto::State {
    match state {
        VersionStateName::Accepted => proto::State::Accepted,
        VersionStateName::Chunked => proto::State::Chunked,
        VersionStateName::Embedded => proto::State::Embedded,
        VersionStateName::Visible => proto::State::Visible,
        VersionStateName::Superseded => proto::State::Superseded,
        VersionStateName::Dead => proto::State::Dead,
    }
}

fn state_from_message(state: i32) -> Result<Option<VersionStateName>, Refusal> {
    let known = proto::State::try_from(state).map_err(|_unknown| {
        Refusal::invalid("invalid_state", "state", format!("state {state} is not one of this version's"))
    })?;
    Ok(match known {
        proto::State::Unspecified => None,
        proto::State::Accepted => Some(VersionStateName::Accepted),
        proto::State::Chunked => Some(VersionStateName::Chunked),
        proto::State::Embedded => Some(VersionStateName::Embedded),
        proto::State::Visible => Some(VersionStateName::Visible),
        proto::State::Superseded => Some(VersionStateName::Superseded),
        proto::State::Dead => Some(VersionStateName::Dead),
    })
}

/// Splits a request to list into its collection and what to list.
pub(super) fn listing_from_request(
    request: proto::ListDocumentsRequest,
) -> Result<(String, ListDocumentsRequest), Refusal> {
    let proto::ListDocumentsRequest { collection, prefix, filter, state, limit, cursor } = request;
    let cursor = super::collections::cursor_from_message(cursor);
    let state = state_from_message(state)?;
    Ok((collection, ListDocumentsRequest { prefix, filter, state, limit, cursor }))
}

/// Splits a request to delete into its collection and what to delete.
pub(super) fn deletion_from_matching(
    request: proto::DeleteDocumentsRequest,
) -> (String, DeleteMatchingRequest) {
    let proto::DeleteDocumentsRequest { collection, ids, prefix, filter, dry_run } = request;
    (collection, DeleteMatchingRequest { ids: ids.map(|ids| ids.ids), prefix, filter, dry_run })
}
