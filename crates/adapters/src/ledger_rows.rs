//! Records from the rows of the SQL ledgers.
//!
//! Both ledgers select the columns of a record in the same order, so it is read here once. They differ in how
//! a column is read: that is [`LedgerRow`]. Checks of the domain run on everything that is read; what fails
//! them is a corrupt ledger, which no retry mends.

use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::{
    CollectionId, CollectionKey, ContentHash, DocumentId, Epoch, TenantId, Version, VersionKey,
};
use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::{FailureReason, Fault, Refusal};
use contexture_core::ports::converter::{ConvertedFormat, ConvertedText};
use contexture_core::ports::generations::{
    GenerationBuildFailure, GenerationBuildPace, GenerationRecord, GenerationState,
};
use contexture_core::ports::ledger::{
    CollectionRecord, DeadLetter, UnsweptVersion, VersionRecord, VersionState,
};
use contexture_core::ports::source_ledger::{
    SettledSource, SourceDocument, SourceDocumentVersion, SourceRecord, SourceSighting,
};

/// A row whose columns are read by their place, from 0.
pub(super) trait LedgerRow {
    type Error: From<Fault>;

    fn text(&self, index: usize) -> Result<impl AsRef<str> + Into<String>, Self::Error>;
    fn optional_text(&self, index: usize) -> Result<Option<String>, Self::Error>;
    fn bytes(&self, index: usize) -> Result<impl AsRef<[u8]>, Self::Error>;
    fn flag(&self, index: usize) -> Result<bool, Self::Error>;
    fn state_number(&self, index: usize) -> Result<i64, Self::Error>;
    fn small_number(&self, index: usize) -> Result<u32, Self::Error>;
    fn optional_small_number(&self, index: usize) -> Result<Option<u32>, Self::Error>;
    fn number(&self, index: usize) -> Result<u64, Self::Error>;
    fn optional_number(&self, index: usize) -> Result<Option<u64>, Self::Error>;
}

/// Reads tenant and collection from the first two columns.
pub(super) fn read_collection_key<R: LedgerRow>(row: &R) -> Result<CollectionKey, R::Error> {
    Ok(CollectionKey {
        tenant: require_valid(TenantId::new(row.text(0)?.as_ref()))?,
        collection: require_valid(CollectionId::new(row.text(1)?.as_ref()))?,
    })
}

/// Reads a document id from the third column.
pub(super) fn read_document_id<R: LedgerRow>(row: &R) -> Result<DocumentId, R::Error> {
    Ok(require_valid(DocumentId::new(row.text(2)?.as_ref()))?)
}

/// Reads tenant, collection, document and version from the first four columns.
pub(super) fn read_version_key<R: LedgerRow>(row: &R) -> Result<VersionKey, R::Error> {
    let CollectionKey { tenant, collection } = read_collection_key(row)?;
    Ok(VersionKey { tenant, collection, document_id: read_document_id(row)?, version: read_version(row, 3)? })
}

pub(super) fn read_version<R: LedgerRow>(row: &R, index: usize) -> Result<Version, R::Error> {
    Ok(require_valid(Version::new(row.number(index)?))?)
}

pub(super) fn read_content_hash<R: LedgerRow>(row: &R, index: usize) -> Result<ContentHash, R::Error> {
    Ok(parse_content_hash(row.bytes(index)?.as_ref())?)
}

pub(super) fn read_epoch<R: LedgerRow>(row: &R, index: usize) -> Result<Epoch, R::Error> {
    Ok(parse_epoch(row.bytes(index)?.as_ref())?)
}

pub(super) fn read_state<R: LedgerRow>(row: &R, index: usize) -> Result<VersionState, R::Error> {
    Ok(match row.state_number(index)? {
        0 => VersionState::Accepted,
        1 => VersionState::Chunked,
        2 => VersionState::Embedded,
        3 => VersionState::Visible,
        4 => VersionState::Superseded,
        5 => VersionState::Dead,
        other => return Err(corrupt_ledger("versions.state", &other.to_string()).into()),
    })
}

/// Reads a task of a version and the version's state: its key, content hash, deletion flag, time of
/// acceptance, generation, epoch, state and bytes.
pub(super) fn read_task<R: LedgerRow>(row: &R) -> Result<(IngestTask, VersionState), R::Error> {
    let state = read_state(row, 9)?;
    let task = IngestTask {
        key: read_version_key(row)?,
        generation: row.small_number(7)?,
        epoch: read_epoch(row, 8)?,
        content_hash: read_content_hash(row, 4)?,
        deletes: row.flag(5)?,
        body_bytes: row.number(10)?,
        // Failures are not stored: a task that is read back gets all its attempts again.
        attempt: 0,
        accepted_ms: row.number(6)?,
        origin: None,
    };
    Ok((task, state))
}

/// Reads a collection: its key, then pipeline, number and epoch of a generation.
pub(super) fn read_collection<R: LedgerRow>(row: &R) -> Result<CollectionRecord, R::Error> {
    Ok(CollectionRecord {
        key: read_collection_key(row)?,
        pipeline: row.text(2)?.into(),
        generation: row.small_number(3)?,
        epoch: read_epoch(row, 4)?,
    })
}

/// Reads a row of `select_generations!`.
pub(super) fn read_generation<R: LedgerRow>(row: &R) -> Result<GenerationRecord, R::Error> {
    Ok(GenerationRecord {
        home: read_collection(row)?,
        state: read_name(row, 5, "generations.state", GenerationState::from_name)?,
        is_paused: row.flag(6)?,
        pace: GenerationBuildPace {
            documents_per_second: row.optional_small_number(7)?,
            provider_percent: row.small_number(8)?,
        },
        cursor: row.number(9)?,
        prepared: row.number(10)?,
        failed: row.number(11)?,
        created_ms: row.number(12)?,
        activated_ms: row.optional_number(13)?,
        activated_at: row.number(14)?,
        drop_ms: row.optional_number(15)?,
        is_cleared: row.flag(16)?,
        log_end: row.number(17)?,
    })
}

/// Reads an item of a source: run, fingerprint, document, version; then the newest version of its document
/// with state and deletion flag, and why it is dead, all of which may be missing.
pub(super) fn read_source_document<R: LedgerRow>(row: &R) -> Result<SourceDocument, R::Error> {
    let fingerprint = row.optional_text(1)?.map(|text| require_valid(SourceFingerprint::new(&text)));
    let version = row.optional_number(3)?.map(|number| require_valid(Version::new(number)));
    let sighting = SourceSighting {
        document_id: read_document_id(row)?,
        fingerprint: fingerprint.transpose()?,
        version: version.transpose()?,
    };
    let newest = match row.optional_number(4)? {
        None => None,
        Some(number) => Some(SourceDocumentVersion {
            version: require_valid(Version::new(number))?,
            state: read_state(row, 5)?,
            deletes: row.flag(6)?,
            reason: match (row.optional_text(7)?, row.optional_text(8)?) {
                (Some(code), Some(detail)) => Some(FailureReason::new(code, detail)),
                _ => None,
            },
        }),
    };
    Ok(SourceDocument { sighting, run: row.number(0)?, newest })
}

/// Reads a source: name, run, finished run, documents, begun, finished; then what it was settled with, of which both
/// may be missing.
pub(super) fn read_source_record<R: LedgerRow>(row: &R) -> Result<SourceRecord, R::Error> {
    Ok(SourceRecord {
        name: require_valid(SourceName::new(row.text(0)?.as_ref()))?,
        run: row.number(1)?,
        finished_run: row.number(2)?,
        documents: row.number(3)?,
        begun_ms: row.number(4)?,
        finished_ms: row.optional_number(5)?,
        settled: match (row.optional_text(6)?, row.optional_number(7)?) {
            (Some(fingerprint), Some(accepted)) => {
                let fingerprint = require_valid(SourceFingerprint::new(&fingerprint))?;
                Some(SettledSource { fingerprint, accepted })
            }
            _ => None,
        },
    })
}

/// Reads a build failure: its key, then code and detail.
pub(super) fn read_build_failure<R: LedgerRow>(row: &R) -> Result<GenerationBuildFailure, R::Error> {
    let reason = FailureReason::new(row.text(4)?, row.text(5)?);
    Ok(GenerationBuildFailure { key: read_version_key(row)?, reason })
}

/// Reads a version from columns 0 to 10: its key, state, deletion flag, content hash, bytes, chunks and times.
pub(super) fn read_version_record<R: LedgerRow>(
    row: &R,
    reason: Option<FailureReason>,
) -> Result<VersionRecord, R::Error> {
    Ok(VersionRecord {
        key: read_version_key(row)?,
        state: read_state(row, 4)?,
        reason,
        deletes: row.flag(5)?,
        content_hash: read_content_hash(row, 6)?,
        body_bytes: row.number(7)?,
        chunk_count: row.optional_small_number(8)?,
        accepted_ms: row.number(9)?,
        updated_ms: row.number(10)?,
    })
}

/// Reads a version of a history, which has the code and the detail of its dead letter in columns 11 and 12.
pub(super) fn read_history_entry<R: LedgerRow>(row: &R) -> Result<VersionRecord, R::Error> {
    // Only a dead version has a letter, and an operator may have dropped it. So both may be NULL.
    let (code, detail) = (row.optional_text(11)?, row.optional_text(12)?);
    read_version_record(row, code.zip(detail).map(|(code, detail)| FailureReason::new(code, detail)))
}

/// Reads a version of a listed document: as in a history, and in column 13 its description, if it is kept.
pub(super) fn read_described_version<R: LedgerRow>(
    row: &R,
) -> Result<(VersionRecord, Option<DocumentDescription>), R::Error> {
    let description = row.optional_text(13)?.map(|json| parse_description(&json)).transpose()?;
    Ok((read_history_entry(row)?, description))
}

/// Reads a version to sweep: its key, content hash, then epoch, chunks and number of a generation.
pub(super) fn read_unswept_version<R: LedgerRow>(row: &R) -> Result<UnsweptVersion, R::Error> {
    Ok(UnsweptVersion {
        key: read_version_key(row)?,
        content_hash: read_content_hash(row, 4)?,
        epoch: read_epoch(row, 5)?,
        chunk_count: row.small_number(6)?,
        generation: row.small_number(7)?,
    })
}

/// Reads a dead letter: the version's key, then id, stage, code, detail and time.
pub(super) fn read_dead_letter<R: LedgerRow>(row: &R) -> Result<DeadLetter, R::Error> {
    Ok(DeadLetter {
        id: row.number(4)?,
        key: read_version_key(row)?,
        stage: read_name(row, 5, "dead_letters.stage", IngestStage::from_name)?,
        reason: FailureReason::new(row.text(6)?, row.text(7)?),
        died_ms: row.number(8)?,
    })
}

fn read_name<R: LedgerRow, T>(
    row: &R,
    index: usize,
    column: &str,
    from_name: fn(&str) -> Option<T>,
) -> Result<T, R::Error> {
    let name = row.text(index)?;
    Ok(from_name(name.as_ref()).ok_or_else(|| corrupt_ledger(column, name.as_ref()))?)
}

pub(super) fn parse_description(json: &str) -> Result<DocumentDescription, Fault> {
    serde_json::from_str(json).map_err(|error| corrupt_ledger("description", &error.to_string()))
}

pub(super) fn parse_content_hash(bytes: &[u8]) -> Result<ContentHash, Fault> {
    ContentHash::from_slice(bytes).ok_or_else(|| corrupt_ledger("versions.content_hash", "not 32 bytes"))
}

pub(super) fn parse_epoch(bytes: &[u8]) -> Result<Epoch, Fault> {
    Epoch::from_slice(bytes).ok_or_else(|| corrupt_ledger("generations.epoch", "not 32 bytes"))
}

/// Spans as both ledgers store them.
pub(super) fn spans_to_json(spans: &[ChunkSpan]) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(spans).map_err(|error| corrupt_ledger("spans", &error.to_string()))
}

pub(super) fn spans_from_json(json: &[u8]) -> Result<Vec<ChunkSpan>, Fault> {
    serde_json::from_slice(json).map_err(|error| corrupt_ledger("spans", &error.to_string()))
}

/// What a converter made of a version, from its row.
pub(super) fn converted_text(format: &str, body: Vec<u8>) -> Result<ConvertedText, Fault> {
    let format = ConvertedFormat::from_name(format)
        .ok_or_else(|| corrupt_ledger("conversions.format", "is of no known format"))?;
    Ok(ConvertedText { format, body })
}

pub(super) fn require_valid<T>(checked: Result<T, Refusal>) -> Result<T, Fault> {
    checked.map_err(|refusal| corrupt_ledger(refusal.code, &refusal.message))
}

pub(super) fn corrupt_ledger(column: &str, detail: &str) -> Fault {
    Fault::permanent("ledger_corrupt", format!("{column}: {detail}"))
}
