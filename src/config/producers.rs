//! Producers: who may publish documents to the broker, and the folders that bodies may be read from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize, Serializer};

use super::refuse_key;
use contexture_core::domain::ids::TenantId;
use contexture_core::fault::Refusal;

/// Most entries of `broker.producers`.
const PRODUCERS_MAX: usize = 1000;
/// Longest name of a broker user, in bytes: an AMQP short string.
const USER_BYTES_MAX: usize = 255;

/// An entry of `broker.producers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProducer {
    user: String,
    tenants: BTreeSet<String>,
}

/// Validates all entries and returns the tenants of each user. A user occurs once.
pub(super) fn tenants_by_user(raw: &[RawProducer]) -> Result<BTreeMap<String, BTreeSet<TenantId>>, Refusal> {
    if raw.len() > PRODUCERS_MAX {
        let why = format!("has {} entries; at most {PRODUCERS_MAX} are kept", raw.len());
        return Err(refuse_key("broker.producers", &why));
    }
    let mut users = BTreeMap::new();
    for (index, entry) in raw.iter().enumerate() {
        let field = format!("broker.producers[{index}]");
        if entry.user.is_empty() || entry.user.len() > USER_BYTES_MAX {
            return Err(refuse_key(&field, &format!("needs a user of 1 to {USER_BYTES_MAX} bytes")));
        }
        if entry.tenants.is_empty() {
            return Err(refuse_key(&field, &format!("({}) needs at least one tenant", entry.user)));
        }
        let tenants: Result<_, Refusal> = entry.tenants.iter().map(|name| TenantId::new(name)).collect();
        let tenants = tenants
            .map_err(|refusal| refuse_key(&field, &format!("({}): {}", entry.user, refusal.message)))?;
        if users.insert(entry.user.clone(), tenants).is_some() {
            return Err(refuse_key(&field, &format!("({}) names the user of another entry", entry.user)));
        }
    }
    Ok(users)
}

/// Makes the folders absolute. Whether they exist is found out when they are opened.
pub(super) fn absolute_body_roots(raw: &[RelativePathBuf]) -> Result<Vec<PathBuf>, Refusal> {
    // Relative to the file that names them, as figment resolved them.
    let absolute = |path: &RelativePathBuf| {
        let path = path.relative();
        std::path::absolute(&path)
            .map_err(|error| refuse_key("broker.body_roots", &format!("{}: {error}", path.display())))
    };
    raw.iter().map(absolute).collect()
}

pub(super) fn serialize_roots<S: Serializer>(
    roots: &[RelativePathBuf],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    roots.iter().map(RelativePathBuf::relative).collect::<Vec<_>>().serialize(serializer)
}
