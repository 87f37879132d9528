//! `DeadLetterService`: documents that were given up.

use std::sync::Arc;

use tonic::Request;

use super::call_frame::{CallResult, OpenedCall, answer};
use super::collections::cursor_from_message;
use super::proto::{self, dead_letter_service_server::DeadLetterService};
use crate::operations::DeadLettersApi;
use crate::operations::messages::dead_letter::{
    DeadLetterReason, DeadLetterSelection, DeadLetterView, DropOutcome, ListDeadLettersRequest, ReplayOutcome,
};

/// Serves administrators of dead letters.
pub struct DeadLetterHandler {
    api: Arc<dyn DeadLettersApi>,
}

impl DeadLetterHandler {
    pub(super) fn new(api: Arc<dyn DeadLettersApi>) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl DeadLetterService for DeadLetterHandler {
    async fn list_dead_letters(
        &self,
        request: Request<proto::ListDeadLettersRequest>,
    ) -> CallResult<proto::ListDeadLettersResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let proto::ListDeadLettersRequest { collection, reason, stage, since_ms, limit, cursor } =
                message;
            let cursor = cursor_from_message(cursor);
            let asked = ListDeadLettersRequest { collection, reason, stage, since_ms, limit, cursor };
            let page = self.api.list_dead_letters(&principal, asked).await?;
            Ok(proto::ListDeadLettersResponse {
                dead_letters: page.dead_letters.into_iter().map(dead_letter_message).collect(),
                next_cursor: page.next_cursor.unwrap_or_default(),
            })
        })
        .await
    }

    async fn get_dead_letter(
        &self,
        request: Request<proto::GetDeadLetterRequest>,
    ) -> CallResult<proto::DeadLetter> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            self.api.dead_letter(&principal, message.id).await.map(dead_letter_message)
        })
        .await
    }

    async fn list_dead_letter_reasons(
        &self,
        request: Request<proto::ListDeadLetterReasonsRequest>,
    ) -> CallResult<proto::ListDeadLetterReasonsResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let selection = selection_from_message(message.selection);
            let counted = self.api.dead_letter_reasons(&principal, selection).await?;
            let reasons = counted.reasons.into_iter().map(reason_message).collect();
            Ok(proto::ListDeadLetterReasonsResponse { reasons })
        })
        .await
    }

    async fn replay_dead_letters(
        &self,
        request: Request<proto::ReplayDeadLettersRequest>,
    ) -> CallResult<proto::ReplayDeadLettersResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let selection = selection_from_message(message.selection);
            let ReplayOutcome { matched, replayed, dry_run } =
                self.api.replay_dead_letters(&principal, selection, message.dry_run).await?;
            Ok(proto::ReplayDeadLettersResponse { matched, replayed, dry_run })
        })
        .await
    }

    async fn drop_dead_letters(
        &self,
        request: Request<proto::DropDeadLettersRequest>,
    ) -> CallResult<proto::DropDeadLettersResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let selection = selection_from_message(message.selection);
            let DropOutcome { matched, dropped, dry_run } =
                self.api.drop_dead_letters(&principal, selection, message.dry_run).await?;
            Ok(proto::DropDeadLettersResponse { matched, dropped, dry_run })
        })
        .await
    }
}

fn selection_from_message(selection: Option<proto::DeadLetterSelection>) -> DeadLetterSelection {
    let proto::DeadLetterSelection { ids, collection, reason, stage, since_ms } =
        selection.unwrap_or_default();
    DeadLetterSelection { ids: ids.map(|ids| ids.ids), collection, reason, stage, since_ms }
}

fn dead_letter_message(letter: DeadLetterView) -> proto::DeadLetter {
    proto::DeadLetter {
        id: letter.id,
        collection: letter.collection,
        document_id: letter.document_id,
        version: letter.version,
        stage: letter.stage,
        reason_code: letter.reason.code,
        reason: letter.reason.detail,
        died_ms: letter.died_ms,
    }
}

fn reason_message(counted: DeadLetterReason) -> proto::DeadLetterReason {
    let DeadLetterReason { code, stage, count, example } = counted;
    proto::DeadLetterReason { code, stage, count, example: Some(dead_letter_message(example)) }
}
