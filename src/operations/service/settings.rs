//! Settings of collections, in the shared states under `collection-settings/TENANT/COLLECTION/`.
//!
//! Queries read them for the addresses of documents, so they are kept in memory for [`KEPT_MAX`]: a change
//! that another process made shows after that at the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::messages::collection::{CollectionSettings, SettingsPatch};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::shared_states::SharedStateStore;

/// How long settings are used before they are read again.
const KEPT_MAX: Duration = Duration::from_secs(2);
/// Most collections whose settings are kept.
const COLLECTIONS_KEPT_MAX: usize = 10_000;

/// Reads and writes settings of collections.
pub struct CollectionSettingsStore {
    states: Arc<dyn SharedStateStore>,
    kept: Mutex<HashMap<CollectionKey, (Instant, Arc<CollectionSettings>)>>,
}

impl CollectionSettingsStore {
    /// Settings in these states.
    pub fn new(states: Arc<dyn SharedStateStore>) -> Self {
        Self { states, kept: Mutex::default() }
    }

    /// The settings of a collection; none set where nobody set any.
    pub async fn settings(&self, key: &CollectionKey) -> Result<Arc<CollectionSettings>, Fault> {
        if let Some(kept) = self.kept(key) {
            return Ok(kept);
        }
        let name = state_name(key);
        let found = self.states.named(&name).await?.into_iter().find(|(found, _)| *found == name);
        let settings = Arc::new(found.map(|(_, state)| parsed(&state)).transpose()?.unwrap_or_default());
        self.keep(key, settings.clone());
        Ok(settings)
    }

    /// Changes settings and returns them as they are then. Concurrent changes of different keys both hold.
    pub async fn change(
        &self,
        key: &CollectionKey,
        patch: SettingsPatch,
    ) -> Result<Arc<CollectionSettings>, Refusal> {
        patch.validate()?;
        let written: Arc<Mutex<CollectionSettings>> = Arc::default();
        let seen = written.clone();
        let change = move |known: Option<&str>, _| {
            let before = known.and_then(|known| serde_json::from_str(known).ok()).unwrap_or_default();
            let after = patch.clone().applied_to(before);
            let state = serde_json::to_string(&after).ok();
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = after;
            state
        };
        self.states.change(&state_name(key), Box::new(change)).await?;
        let settings = Arc::new(written.lock().unwrap_or_else(PoisonError::into_inner).clone());
        self.keep(key, settings.clone());
        Ok(settings)
    }

    /// Forgets the settings of a collection that is gone.
    pub async fn forget(&self, key: &CollectionKey) -> Result<(), Fault> {
        self.states.change(&state_name(key), Box::new(|_, _| Some("{}".to_owned()))).await?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }

    fn kept(&self, key: &CollectionKey) -> Option<Arc<CollectionSettings>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(read, _)| read.elapsed() < KEPT_MAX).map(|(_, settings)| settings.clone())
    }

    fn keep(&self, key: &CollectionKey, settings: Arc<CollectionSettings>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Callers can name any collection, so what is kept must not grow for ever.
        if kept.len() >= COLLECTIONS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(key.clone(), (Instant::now(), settings));
    }
}

fn state_name(key: &CollectionKey) -> String {
    // The last slash keeps the name of one collection from being the prefix of another's.
    format!("collection-settings/{}/{}/", key.tenant, key.collection)
}

fn parsed(state: &str) -> Result<CollectionSettings, Fault> {
    serde_json::from_str(state).map_err(|error| Fault::permanent_error("settings_corrupt", error))
}
