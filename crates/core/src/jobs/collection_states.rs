//! The shared states of a collection: its sampled questions and its last audit.

use super::audit::schedule;
use super::question_sampler;
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ports::shared_states::SharedStateStore;

/// Deletes what the shared states hold of a collection. For one that is dropped: what is kept of it must
/// not show in another that is made under its name.
pub async fn forget_collection_states(
    states: &dyn SharedStateStore,
    collection: &CollectionKey,
) -> Result<(), Fault> {
    question_sampler::forget_collection_questions(states, collection).await?;
    schedule::forget_audit_result(states, collection).await
}
