//! The sources of a server's collections.

use async_trait::async_trait;
use reqwest::Method;

use super::RemoteServer;
use crate::operations::SourcesApi;
use crate::operations::messages::source::{
    FinishSourceRunRequest, FinishedSourceRun, ListSourceDocumentsRequest, ReportSourceDocumentsRequest,
    SourceDocumentList, SourceList, SourceRunView, SourceSelection,
};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

#[async_trait]
impl SourcesApi for RemoteServer {
    async fn list_sources(&self, _caller: &Principal, collection: &str) -> Result<SourceList, Refusal> {
        self.collection_call(Method::GET, collection, &["sources"]).answer().await
    }

    async fn begin_source_run(
        &self,
        _caller: &Principal,
        collection: &str,
        source: &str,
    ) -> Result<SourceRunView, Refusal> {
        let selected = SourceSelection { source: source.to_owned() };
        self.collection_call(Method::POST, collection, &["sources", "runs"]).json(&selected).answer().await
    }

    async fn source_documents(
        &self,
        _caller: &Principal,
        collection: &str,
        request: ListSourceDocumentsRequest,
    ) -> Result<SourceDocumentList, Refusal> {
        self.collection_call(Method::GET, collection, &["sources", "documents"])
            .query(&request)
            .answer()
            .await
    }

    async fn report_source_documents(
        &self,
        _caller: &Principal,
        collection: &str,
        run: u64,
        request: ReportSourceDocumentsRequest,
    ) -> Result<(), Refusal> {
        let path = ["sources", "runs", &run.to_string(), "documents"];
        self.collection_call(Method::POST, collection, &path).json(&request).done().await
    }

    async fn finish_source_run(
        &self,
        _caller: &Principal,
        collection: &str,
        run: u64,
        request: FinishSourceRunRequest,
    ) -> Result<FinishedSourceRun, Refusal> {
        let path = ["sources", "runs", &run.to_string(), "finish"];
        self.collection_call(Method::POST, collection, &path).json(&request).answer().await
    }

    async fn forget_source(
        &self,
        _caller: &Principal,
        collection: &str,
        source: &str,
    ) -> Result<(), Refusal> {
        let selected = SourceSelection { source: source.to_owned() };
        self.collection_call(Method::DELETE, collection, &["sources"]).query(&selected).done().await
    }
}
