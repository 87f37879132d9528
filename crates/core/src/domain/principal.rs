//! The caller. Every query and every submission is constructed from a [`Principal`].

use std::collections::BTreeSet;

use super::ids::TenantId;
use crate::fault::{Refusal, RefusalKind};

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

impl AccessScope {
    /// Every permission.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Metrics];

    /// Its name in configurations, tokens and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
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

    /// What the credential grants.
    pub fn scopes(&self) -> &BTreeSet<AccessScope> {
        &self.scopes
    }

    /// Refuses unless the credential grants `scope`.
    pub fn require(&self, scope: AccessScope) -> Result<(), Refusal> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        // It names the scope and nothing else: a caller without it learns nothing about what exists.
        let message = format!("this credential lacks the scope '{}'", scope.name());
        Err(Refusal::new(RefusalKind::PermissionDenied, "missing_scope", "", message))
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
