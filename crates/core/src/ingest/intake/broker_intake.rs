//! The dependencies of the intake, and which producer may write for which tenant.
//!
//! A tenant in a routing key is only as trustworthy as the broker's statement of who published the
//! message. With configured producers, the message's `user_id`, which RabbitMQ checks, must be listed for
//! the tenant. Without any, only the local tenant is written to, as at the API without keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::domain::ids::{CollectionKey, TenantId};
use crate::domain::principal::{AccessScope, Principal};
use crate::domain::submit_message::MessageRejection;
use crate::fault::Refusal;
use crate::ingest::submit::DocumentSubmitter;
use crate::ports::ledger::Ledger;
use crate::ports::producers::{BodyReferenceFetcher, ProducerEventSink, ProducerQueue};

/// Creates a collection with the default pipeline.
pub type CreateCollectionFn =
    Box<dyn Fn(CollectionKey) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// Dependencies of the intake.
pub struct BrokerIntake {
    /// Stores submissions and publishes their first messages.
    pub submitter: Arc<DocumentSubmitter>,
    /// The record of all versions.
    pub ledger: Arc<dyn Ledger>,
    /// The queue in which producers publish.
    pub producers: Arc<dyn ProducerQueue>,
    /// Receives the events for producers.
    pub events: Arc<dyn ProducerEventSink>,
    /// Which producer may write for which tenant.
    pub access: ProducerAccess,
    /// Fetches bodies by reference; `None` when that is off.
    pub references: Option<Arc<dyn BodyReferenceFetcher>>,
    /// Creates missing collections; `None` when that is off.
    pub create_collection: Option<CreateCollectionFn>,
}

/// Access rights of the configured producers.
#[derive(Debug, Clone)]
pub struct ProducerAccess {
    local: TenantId,
    users: BTreeMap<String, BTreeSet<TenantId>>,
}

impl ProducerAccess {
    /// Creates access rights from the tenants of each broker user. Without users, only `local` is allowed.
    pub fn new(local: TenantId, users: BTreeMap<String, BTreeSet<TenantId>>) -> Self {
        Self { local, users }
    }

    /// Returns the principal of a message. Unknown and forbidden tenants get the same rejection.
    pub(super) fn admit(
        &self,
        user_id: Option<&str>,
        tenant: &TenantId,
    ) -> Result<Principal, MessageRejection> {
        let refuse = |message: &str| Err(MessageRejection::for_field("tenant_forbidden", "user_id", message));
        if self.users.is_empty() {
            if *tenant != self.local {
                return refuse("no producer is configured, so only the tenant 'local' is written to");
            }
        } else {
            let Some(user_id) = user_id else {
                return refuse("set the property user_id to the broker user of the connection");
            };
            let listed = self.users.get(user_id).is_some_and(|tenants| tenants.contains(tenant));
            if !listed {
                return refuse("this broker user is not configured to write for this tenant");
            }
        }
        Ok(Principal::new(tenant.clone(), BTreeSet::new(), BTreeSet::from([AccessScope::Write]))?)
    }
}
