//! Documents that were given up.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreOperations;
use crate::operations::api::{DeadLettersApi, caller_collection};
use crate::operations::messages::dead_letter::{
    DeadLetterPageView, DeadLetterReason, DeadLetterReasons, DeadLetterSelection, DeadLetterView,
    DropOutcome, ListDeadLettersRequest, ReplayOutcome,
};
use crate::operations::messages::page::{cursor_after, entry_of_cursor, page_limit};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Refusal;
use contexture_core::ingest::submit;
use contexture_core::ports::ledger::{DeadLetter, DeadLetterFilter};

/// Letters read, dropped or replayed at once.
const PAGE_LETTERS: usize = 1000;

#[async_trait]
impl DeadLettersApi for StoreOperations {
    async fn list_dead_letters(
        &self,
        caller: &Principal,
        request: ListDeadLettersRequest,
    ) -> Result<DeadLetterPageView, Refusal> {
        let ListDeadLettersRequest { collection, reason, stage, since_ms, limit, cursor } = request;
        let selection = DeadLetterSelection { ids: None, collection, reason, stage, since_ms };
        let limit = page_limit(limit)?;
        let mut filter = self.dead_letter_filter(caller, selection).await?;
        filter.after_id = cursor.as_deref().map(letter_of_cursor).transpose()?;
        // One more than asked for tells whether there are more.
        let mut letters = self.stages.ledger.dead(&filter, limit + 1).await?;
        let more = letters.len() > limit;
        letters.truncate(limit);
        let next_cursor = letters.last().filter(|_| more).map(|last| cursor_after(&last.id.to_string()));
        let dead_letters = letters.into_iter().map(DeadLetterView::from).collect();
        Ok(DeadLetterPageView { dead_letters, next_cursor })
    }

    async fn dead_letter_reasons(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
    ) -> Result<DeadLetterReasons, Refusal> {
        let mut by_reason: BTreeMap<(String, IngestStage), DeadLetterReason> = BTreeMap::new();
        let mut filter = self.dead_letter_filter(caller, selection).await?;
        while let Some(letters) = self.next_letters(&mut filter).await? {
            for letter in letters {
                let known = by_reason.entry((letter.reason.code.clone(), letter.stage));
                known.and_modify(|reason| reason.count += 1).or_insert_with(|| DeadLetterReason {
                    code: letter.reason.code.clone(),
                    stage: letter.stage.name().to_owned(),
                    count: 1,
                    example: letter.into(),
                });
            }
        }
        let mut reasons: Vec<DeadLetterReason> = by_reason.into_values().collect();
        // A stable sort: reasons of equal counts stay in the order of their names.
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        Ok(DeadLetterReasons { reasons })
    }

    async fn dead_letter(&self, caller: &Principal, id: u64) -> Result<DeadLetterView, Refusal> {
        let selection = DeadLetterSelection { ids: Some(vec![id]), ..DeadLetterSelection::default() };
        let filter = self.dead_letter_filter(caller, selection).await?;
        let letter = self.stages.ledger.dead(&filter, 1).await?.pop().map(DeadLetterView::from);
        letter.ok_or_else(|| {
            Refusal::not_found("dead_letter_not_found", format!("there is no dead letter {id}"))
        })
    }

    async fn replay_dead_letters(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<ReplayOutcome, Refusal> {
        let filter = self.dead_letter_filter(caller, selection).await?;
        let matched = self.count_letters(filter.clone()).await?;
        let replayed = if dry_run { 0 } else { submit::replay_dead_versions(&self.stages, &filter).await? };
        Ok(ReplayOutcome { matched, replayed, dry_run })
    }

    async fn drop_dead_letters(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<DropOutcome, Refusal> {
        let mut filter = self.dead_letter_filter(caller, selection).await?;
        let mut outcome = DropOutcome { matched: 0, dropped: 0, dry_run };
        while let Some(letters) = self.next_letters(&mut filter).await? {
            outcome.matched += letters.len() as u64;
            if !dry_run {
                let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
                outcome.dropped += self.stages.ledger.drop_dead_letters(&ids).await?;
            }
        }
        Ok(outcome)
    }
}

impl StoreOperations {
    /// The checked selection of the caller's dead letters.
    async fn dead_letter_filter(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
    ) -> Result<DeadLetterFilter, Refusal> {
        caller.require(AccessScope::Admin)?;
        let DeadLetterSelection { ids, collection, reason, stage, since_ms } = selection;
        if ids.as_ref().is_some_and(Vec::is_empty) {
            // An empty list could mean none or all, so it is neither.
            return Err(Refusal::invalid("empty_ids", "ids", "ids is empty; leave it out, or name some"));
        }
        let collection = match collection {
            Some(name) => Some(self.existing(&caller_collection(caller, &name)?).await?.key),
            None => None,
        };
        let stage = stage.as_deref().map(stage_from_name).transpose()?;
        Ok(DeadLetterFilter {
            ids: ids.unwrap_or_default(),
            tenant: Some(caller.tenant().clone()),
            collection,
            reason,
            stage,
            since_ms,
            after_id: None,
        })
    }

    /// The next page of a selection, whose filter moves on; none at the end.
    async fn next_letters(&self, filter: &mut DeadLetterFilter) -> Result<Option<Vec<DeadLetter>>, Refusal> {
        let letters = self.stages.ledger.dead(filter, PAGE_LETTERS).await?;
        let Some(last) = letters.last() else { return Ok(None) };
        filter.after_id = Some(last.id);
        Ok(Some(letters))
    }

    async fn count_letters(&self, mut filter: DeadLetterFilter) -> Result<u64, Refusal> {
        let mut count = 0;
        while let Some(letters) = self.next_letters(&mut filter).await? {
            count += letters.len() as u64;
        }
        Ok(count)
    }
}

fn stage_from_name(name: &str) -> Result<IngestStage, Refusal> {
    IngestStage::from_name(name).ok_or_else(|| {
        Refusal::invalid(
            "unknown_stage",
            "stage",
            format!("unknown stage '{name}'; known: chunk, embed, index"),
        )
    })
}

fn letter_of_cursor(cursor: &str) -> Result<u64, Refusal> {
    let entry = entry_of_cursor(cursor)?;
    entry.parse().map_err(|_| Refusal::invalid("invalid_cursor", "cursor", "cursor is not one of this list"))
}
