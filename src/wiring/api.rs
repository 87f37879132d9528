//! The two ways through the house, as the server calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::context::ContextEngine;
use crate::context::answer::{Answer, Ranking};
use crate::context::request::{Assembly, Query};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::principal::Principal;
use crate::fault::Refusal;
use crate::ingest::submit::Submitter;
use crate::jobs::sample::Sampler;
use crate::ports::ledger::{Receipt, VersionRecord};
use crate::server::{ContextApi, IngestApi};

pub(super) struct Ingest(pub(super) Arc<Submitter>);

#[async_trait]
impl IngestApi for Ingest {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Receipt>, Refusal> {
        self.0.submit(submissions).await
    }

    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        self.0.document(principal, collection, id).await
    }

    fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max()
    }
}

pub(super) struct Context {
    pub(super) engine: Arc<ContextEngine>,
    pub(super) sampler: Option<Arc<Sampler>>,
}

#[async_trait]
impl ContextApi for Context {
    async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal> {
        let asked = self.asked(&query);
        let answer = self.engine.assemble(query, assembly).await?;
        self.note(asked);
        Ok(answer)
    }

    async fn search(&self, query: Query) -> Result<Ranking, Refusal> {
        let asked = self.asked(&query);
        let ranking = self.engine.search(query).await?;
        self.note(asked);
        Ok(ranking)
    }
}

impl Context {
    /// What is to be noted of a query, if anything is.
    fn asked(&self, query: &Query) -> Option<(CollectionKey, String)> {
        self.sampler.as_ref().map(|_| (query.collection.clone(), query.question.clone()))
    }

    /// Notes a question that was answered: of one that was not, the collection may not exist.
    fn note(&self, asked: Option<(CollectionKey, String)>) {
        if let (Some(sampler), Some((collection, question))) = (&self.sampler, asked) {
            sampler.note(&collection, &question);
        }
    }
}
