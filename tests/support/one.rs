//! A catalog of one collection, for tests and benches that bring their own stores.

use std::sync::Arc;

use async_trait::async_trait;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::ledger::CollectionRecord;

/// The collection, whatever key is asked for.
pub(crate) struct SingleCollectionCatalog(pub(crate) Arc<OpenCollection>);

#[async_trait]
impl CollectionCatalog for SingleCollectionCatalog {
    async fn open(&self, _: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok(Some(self.0.clone()))
    }

    async fn open_generation(&self, _: &CollectionRecord) -> Result<Arc<OpenCollection>, Fault> {
        Ok(self.0.clone())
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        vec![self.0.clone()]
    }
}
