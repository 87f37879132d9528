//! Collections as JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use contexture_core::domain::document_url::DocumentUrlSettings;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::fault::Refusal;
use contexture_core::jobs::audit::schedule::LastAuditResult;
use contexture_core::ports::ledger::VersionCounts;

/// A collection to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCollectionRequest {
    /// Its name: 1 to 64 bytes of a-z, 0-9, '_' and '-'.
    #[schema(example = "handbook", min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9_-]*$")]
    pub name: String,
    /// The name of a configured pipeline, or the text of a pipeline file (TOML), which needs the scope `admin`.
    /// Absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<CollectionSettings>,
}

/// Settings of a collection, which can change at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionSettings {
    /// Address of a document where its metadata has none: `{document_id}`, `{collection}`, `{title}` and
    /// `{metadata.KEY}` are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://wiki.example/{document_id}")]
    pub url_template: Option<String>,
    /// The metadata key that holds a document's address. Absent: `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_metadata_key: Option<String>,
}

impl CollectionSettings {
    /// Refuses a template or a key that cannot be one.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.url_settings().map(|_| ())
    }

    /// The address of a document; none where neither its metadata nor the template gives one.
    pub fn document_url(
        &self,
        collection: &CollectionId,
        document_id: &DocumentId,
        title: Option<&str>,
        metadata: &DocumentMetadata,
    ) -> Option<String> {
        // Settings are checked before they are stored.
        self.url_settings().ok()?.url(collection, document_id, title, metadata)
    }

    /// The checked settings of addresses.
    pub fn url_settings(&self) -> Result<DocumentUrlSettings, Refusal> {
        DocumentUrlSettings::new(self.url_template.clone(), self.url_metadata_key.clone())
    }
}

/// A change of a collection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionSettingsChange {
    /// What changes: a value replaces, null removes, what is absent stays.
    pub settings: SettingsPatch,
}

/// A change of settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// See [`CollectionSettings::url_template`].
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub url_template: Option<Option<String>>,
    /// See [`CollectionSettings::url_metadata_key`].
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub url_metadata_key: Option<Option<String>>,
}

/// Tells null from absent: what is there, null or not, is `Some`.
#[expect(clippy::option_option, reason = "null and absent differ")]
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<CollectionSettings> for SettingsPatch {
    fn from(settings: CollectionSettings) -> Self {
        let CollectionSettings { url_template, url_metadata_key } = settings;
        Self { url_template: Some(url_template), url_metadata_key: Some(url_metadata_key) }
    }
}

impl SettingsPatch {
    /// Refuses a template or a key that cannot be one.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.clone().applied_to(CollectionSettings::default()).validate()
    }

    /// The settings after the change.
    #[must_use]
    pub fn applied_to(self, settings: CollectionSettings) -> CollectionSettings {
        CollectionSettings {
            url_template: self.url_template.unwrap_or(settings.url_template),
            url_metadata_key: self.url_metadata_key.unwrap_or(settings.url_metadata_key),
        }
    }
}

/// A collection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CollectionView {
    /// Its name.
    pub name: String,
    /// The pipeline of the generation that serves, as TOML.
    pub pipeline: String,
    /// The generation that serves.
    pub generation: u32,
    /// Its settings.
    pub settings: CollectionSettings,
    /// Document versions by state.
    pub counts: VersionCountsView,
    /// The result of the last audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditResultView>,
}

/// Document versions of a collection by state. At all times
/// `accepted = in_flight + visible + superseded + dead`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionCountsView {
    /// Every version ever accepted.
    pub accepted: u64,
    /// Not ended yet.
    pub in_flight: u64,
    /// Found by queries; at most one of each document.
    pub visible: u64,
    /// Lost to a newer version.
    pub superseded: u64,
    /// Given up.
    pub dead: u64,
    /// Documents that queries find.
    pub documents: u64,
}

impl From<VersionCounts> for VersionCountsView {
    fn from(counts: VersionCounts) -> Self {
        let VersionCounts { accepted, in_flight, visible, superseded, dead, documents } = counts;
        Self { accepted, in_flight, visible, superseded, dead, documents }
    }
}

/// What an audit found last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditResultView {
    /// When it ended.
    pub at_ms: u64,
    /// What it found.
    #[serde(flatten)]
    pub report: super::job::AuditReportView,
}

impl From<LastAuditResult> for AuditResultView {
    fn from(last: LastAuditResult) -> Self {
        Self { at_ms: last.at_ms, report: last.report.into() }
    }
}

/// Which collections to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListCollectionsRequest {
    /// Only names that start with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Most entries, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// Where the page before ended: its `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Collections by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CollectionList {
    /// The collections.
    pub collections: Vec<CollectionView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}
