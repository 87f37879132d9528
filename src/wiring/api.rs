//! The two ways through the house, as the server calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::context::ContextEngine;
use crate::context::answer::{Answer, Ranking};
use crate::context::request::{Assembly, Query};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, DocumentId};
use crate::domain::principal::Principal;
use crate::fault::Refusal;
use crate::ingest::submit::Submitter;
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

pub(super) struct Context(pub(super) Arc<ContextEngine>);

#[async_trait]
impl ContextApi for Context {
    async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal> {
        self.0.assemble(query, assembly).await
    }

    async fn search(&self, query: Query) -> Result<Ranking, Refusal> {
        self.0.search(query).await
    }
}
