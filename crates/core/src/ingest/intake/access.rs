//! Who may write for which tenant.
//!
//! A tenant in a routing key is only as good as the broker's word for who published the
//! message. With producers configured, the message's `user_id`, which RabbitMQ checks, must be
//! one that is listed for the tenant. Without any, everything is the local tenant's, as at the
//! API without keys, and messages for others are refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::TenantId;
use crate::domain::principal::{AccessScope, Principal};
use crate::domain::submit_message::MessageRejection;

/// The producers a configuration names.
#[derive(Debug, Clone)]
pub struct ProducerAccess {
    local: TenantId,
    users: BTreeMap<String, BTreeSet<TenantId>>,
}

impl ProducerAccess {
    /// Tenants by broker user; `local` is the tenant when no user is listed.
    pub fn new(local: TenantId, users: BTreeMap<String, BTreeSet<TenantId>>) -> Self {
        Self { local, users }
    }

    /// The caller that a message stands for. Unknown and forbidden tenants are answered alike.
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
