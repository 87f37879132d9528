//! Audits and repairs on a server.

use reqwest::Method;

use super::RemoteServer;
use crate::operations::messages::job::{AuditOutcomeView, AuditProgressView};
use contexture_core::fault::Refusal;

impl RemoteServer {
    /// Compares the stores of a collection with the ledger. `show` receives the progress.
    pub(crate) async fn audit(
        &self,
        collection: &str,
        show: impl FnMut(AuditProgressView),
    ) -> Result<AuditOutcomeView, Refusal> {
        self.audit_job(collection, "audit", show).await
    }

    /// Repairs the stores of a collection. `show` receives the progress.
    pub(crate) async fn repair(
        &self,
        collection: &str,
        show: impl FnMut(AuditProgressView),
    ) -> Result<AuditOutcomeView, Refusal> {
        self.audit_job(collection, "repair", show).await
    }

    async fn audit_job(
        &self,
        collection: &str,
        job: &str,
        mut show: impl FnMut(AuditProgressView),
    ) -> Result<AuditOutcomeView, Refusal> {
        let events = self.collection_call(Method::POST, collection, &[job]).events().await?;
        events
            .report(|event| {
                // Progress that cannot be read is not shown; the report is what counts.
                if let Ok(progress) = event.message() {
                    show(progress);
                }
            })
            .await
    }
}
