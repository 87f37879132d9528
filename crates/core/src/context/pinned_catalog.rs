//! One generation of one collection, whatever serves.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ports::catalog::{CollectionCatalog, OpenCollection};

/// A catalog of one open generation.
pub(super) struct PinnedCatalog(pub(super) Arc<OpenCollection>);

#[async_trait]
impl CollectionCatalog for PinnedCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok((self.0.record.key == *key).then(|| self.0.clone()))
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        vec![self.0.clone()]
    }
}
