//! Dead letters as JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::document::ReasonView;
use contexture_core::ports::ledger::DeadLetter;

/// A document version that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterView {
    /// Its number.
    pub id: u64,
    /// The collection.
    pub collection: String,
    /// The document.
    pub document_id: String,
    /// The version.
    pub version: u64,
    /// The stage that gave up: `chunk`, `embed` or `index`.
    pub stage: String,
    /// Why.
    pub reason: ReasonView,
    /// When.
    pub died_ms: u64,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.id,
            collection: letter.key.collection.to_string(),
            document_id: letter.key.document_id.to_string(),
            version: letter.key.version.get(),
            stage: letter.stage.name().to_owned(),
            reason: letter.reason.into(),
            died_ms: letter.died_ms,
        }
    }
}

/// Which dead letters; without any condition, all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterSelection {
    /// Only these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<u64>>,
    /// Only this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Only this reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only this stage: `chunk`, `embed` or `index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only those that died at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
}

/// Which dead letters to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListDeadLettersRequest {
    /// Only this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Only this reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only this stage: `chunk`, `embed` or `index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only those that died at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Most entries, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// Where the page before ended: its `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Dead letters, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPageView {
    /// The letters.
    pub dead_letters: Vec<DeadLetterView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Dead letters of one reason and stage.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterReason {
    /// The reason's code.
    pub code: String,
    /// The stage that gave up.
    pub stage: String,
    /// How many.
    pub count: u64,
    /// The oldest of them.
    pub example: DeadLetterView,
}

/// Dead letters by reason and stage, most first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterReasons {
    /// The reasons.
    pub reasons: Vec<DeadLetterReason>,
}

/// Dead letters to replay or to drop.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterActionRequest {
    /// Only these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<u64>>,
    /// Only this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Only this reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only this stage: `chunk`, `embed` or `index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only those that died at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Say how many there are, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl DeadLetterActionRequest {
    /// The selection, and whether it is only counted.
    pub fn into_selection(self) -> (DeadLetterSelection, bool) {
        let Self { ids, collection, reason, stage, since_ms, dry_run } = self;
        (DeadLetterSelection { ids, collection, reason, stage, since_ms }, dry_run)
    }
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayOutcome {
    /// Letters that the request selects.
    pub matched: u64,
    /// Versions that are processed again.
    pub replayed: u64,
    /// Whether they were only counted.
    pub dry_run: bool,
}

/// What a drop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropOutcome {
    /// Letters that the request selects.
    pub matched: u64,
    /// Letters that are gone.
    pub dropped: u64,
    /// Whether they were only counted.
    pub dry_run: bool,
}
