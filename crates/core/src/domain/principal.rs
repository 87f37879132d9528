//! The caller. Every query and every submission is constructed from a [`Principal`].

use std::collections::BTreeSet;

use super::ids::TenantId;
use crate::fault::Refusal;

/// Most groups a principal or a document may name.
pub const GROUPS_MAX: usize = 256;
/// Longest group name, in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

/// A permission of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessScope {
    /// Query for context.
    Read,
    /// Submit and delete documents.
    Write,
    /// Administer whole collections.
    Admin,
    /// Read the metrics.
    Metrics,
}

/// An authenticated caller: its tenant, groups and permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    tenant: TenantId,
    groups: BTreeSet<String>,
    scopes: BTreeSet<AccessScope>,
}

impl Principal {
    /// The caller that a credential describes.
    pub fn new(
        tenant: TenantId,
        groups: BTreeSet<String>,
        scopes: BTreeSet<AccessScope>,
    ) -> Result<Self, Refusal> {
        check_groups(&groups, "groups")?;
        Ok(Self { tenant, groups, scopes })
    }

    /// The tenant whose documents this caller sees.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The groups this caller belongs to.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// Refuses unless the credential grants `scope`.
    pub fn require(&self, scope: AccessScope) -> Result<(), Refusal> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        // Not "forbidden": a caller without the scope must not learn what exists.
        Err(Refusal::not_found("not_found", "not found, or not yours to see"))
    }
}

/// Refuses group lists that are too long or hold an empty, overlong or unprintable name.
pub fn check_groups(groups: &BTreeSet<String>, field: &str) -> Result<(), Refusal> {
    if groups.len() > GROUPS_MAX {
        return Err(Refusal::invalid(
            "too_many_groups",
            field,
            format!("{field} lists more than {GROUPS_MAX} groups"),
        ));
    }
    let bad = groups.iter().any(|group| {
        group.is_empty() || group.len() > GROUP_BYTES_MAX || group.chars().any(char::is_control)
    });
    if bad {
        return Err(Refusal::invalid(
            "invalid_group",
            field,
            format!(
                "{field} holds a group that is empty, longer than {GROUP_BYTES_MAX} bytes, or has a control character"
            ),
        ));
    }
    Ok(())
}
