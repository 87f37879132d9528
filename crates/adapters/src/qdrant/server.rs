//! A server: every call has a deadline, and only a completed change counts as applied.

use std::future::Future;
use std::time::Duration;

use qdrant_client::qdrant::{PointsOperationResponse, UpdateResult, UpdateStatus};
use qdrant_client::{Qdrant, QdrantError};

use super::config::QdrantConfig;
use super::faults::{self, transient_fault};
use contexture_core::fault::Fault;

/// Connections to one server.
const CONNECTION_POOL_SIZE: usize = 3;

pub(super) struct QdrantServer {
    pub(super) client: Qdrant,
    api_key: Option<String>,
    timeout: Duration,
}

impl QdrantServer {
    /// Creates the client. It connects with its first call.
    pub(super) fn new(config: &QdrantConfig) -> Result<Self, Fault> {
        config.check()?;
        let client = qdrant_client::config::QdrantConfig {
            uri: config.url.clone(),
            // Never fires, because `call` gives up earlier: the client would retry a call that is
            // merely slow.
            timeout: config.timeout.saturating_mul(2),
            connect_timeout: config.connect_timeout,
            keep_alive_while_idle: true,
            api_key: config.api_key.clone(),
            compression: None,
            // The client's check blocks and only prints a warning. `collection::check_version`
            // refuses instead.
            check_compatibility: false,
            check_connection: false,
            pool_size: CONNECTION_POOL_SIZE,
            custom_headers: Vec::new(),
        };
        let client =
            client.build().map_err(|error| faults::client_fault(&error, config.api_key.as_deref()))?;
        Ok(Self { client, api_key: config.api_key.clone(), timeout: config.timeout })
    }

    /// Awaits a call within its deadline, which includes the client's one retry.
    pub(super) async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, QdrantError>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer.map_err(|error| faults::client_fault(&error, self.api_key.as_deref())),
            Err(_) => Err(transient_fault(&format!("no answer from Qdrant within {:?}", self.timeout))),
        }
    }

    /// Deletes a collection if it exists.
    pub(super) async fn remove(&self, collection: &str) -> Result<(), Fault> {
        match self.call(self.client.delete_collection(collection)).await {
            Err(fault) if !faults::is_collection_missing(&fault) => Err(fault),
            _ => Ok(()),
        }
    }

    /// The deadline in whole seconds, as the protocol counts it: at least 1.
    pub(super) fn timeout_seconds(&self) -> u64 {
        self.timeout.as_secs().max(1)
    }
}

/// Accepts a change that was applied. Any other status is a transient fault, because the outcome is
/// unknown: this protocol reports a wait that timed out as a status, not as an error.
pub(super) fn check_completed(answer: &PointsOperationResponse) -> Result<(), Fault> {
    let status = answer.result.as_ref().map(UpdateResult::status);
    match status {
        Some(UpdateStatus::Completed) => Ok(()),
        other => Err(transient_fault(&format!("a change was not completed: {other:?}"))),
    }
}
