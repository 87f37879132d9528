//! Maps domain types to columns.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql_fault;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::{
    CollectionId, CollectionKey, ContentHash, DocumentId, Epoch, TenantId, Version, VersionKey,
};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::ledger::VersionState;

/// Columns that [`read_task`] reads, for a query over `versions v` joined by [`TASK_JOINS`].
pub(super) const TASK_COLUMNS: &str = "t.name, c.name, d.document_id, v.version, v.content_hash, v.deletes, \
     v.accepted_ms, c.active_generation, g.epoch, v.state, v.body_bytes";
/// The joins that go with [`TASK_COLUMNS`].
pub(super) const TASK_JOINS: &str = "versions v \
     JOIN documents d ON d.document_ref = v.document_ref \
     JOIN collections c ON c.collection_ref = d.collection_ref \
     JOIN tenants t ON t.tenant_ref = c.tenant_ref \
     JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation";

pub(super) fn state_from_number(number: i64) -> Result<VersionState, Fault> {
    Ok(match number {
        0 => VersionState::Accepted,
        1 => VersionState::Chunked,
        2 => VersionState::Embedded,
        3 => VersionState::Visible,
        4 => VersionState::Superseded,
        5 => VersionState::Dead,
        other => return Err(corrupt_ledger("versions.state", &other.to_string())),
    })
}

/// Returns the stage that a version in this state waits for.
pub(super) fn waiting_stage(state: VersionState, deletes: bool) -> IngestStage {
    match state {
        // A delete has no text, so it goes straight to the index stage.
        VersionState::Accepted if !deletes => IngestStage::Chunk,
        VersionState::Chunked => IngestStage::Embed,
        _ => IngestStage::Index,
    }
}

pub(super) fn read_task(row: &Row<'_>) -> Result<(IngestTask, VersionState), Fault> {
    let state = state_from_number(read_column(row, 9)?)?;
    let task = IngestTask {
        key: read_version_key(row)?,
        generation: read_column(row, 7)?,
        epoch: parse_fingerprint(&read_column::<Vec<u8>>(row, 8)?, Epoch::from_slice, "generations.epoch")?,
        content_hash: parse_fingerprint(
            &read_column::<Vec<u8>>(row, 4)?,
            ContentHash::from_slice,
            "versions.content_hash",
        )?,
        deletes: read_column(row, 5)?,
        body_bytes: read_column(row, 10)?,
        attempt: 0,
        accepted_ms: read_column(row, 6)?,
        origin: None,
    };
    Ok((task, state))
}

/// Reads tenant, collection, document and version from the first four columns.
pub(super) fn read_version_key(row: &Row<'_>) -> Result<VersionKey, Fault> {
    Ok(VersionKey {
        tenant: require_valid(TenantId::new(&read_column::<String>(row, 0)?))?,
        collection: require_valid(CollectionId::new(&read_column::<String>(row, 1)?))?,
        document_id: require_valid(DocumentId::new(&read_column::<String>(row, 2)?))?,
        version: require_valid(Version::new(read_column(row, 3)?))?,
    })
}

pub(super) fn read_column<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, Fault> {
    row.get(index).map_err(sql_fault)
}

pub(super) fn parse_fingerprint<T>(
    bytes: &[u8],
    from: fn(&[u8]) -> Option<T>,
    column: &str,
) -> Result<T, Fault> {
    from(bytes).ok_or_else(|| corrupt_ledger(column, "not 32 bytes"))
}

pub(super) fn require_valid<T>(checked: Result<T, Refusal>) -> Result<T, Fault> {
    checked.map_err(|refusal| corrupt_ledger(refusal.code, &refusal.message))
}

pub(super) fn parse_description(json: &str) -> Result<DocumentDescription, Fault> {
    serde_json::from_str(json).map_err(|error| corrupt_ledger("versions.description", &error.to_string()))
}

pub(super) fn corrupt_ledger(column: &str, detail: &str) -> Fault {
    Fault::permanent("ledger_corrupt", format!("{column}: {detail}"))
}

/// The row number of a collection.
pub(super) fn find_collection_ref(
    connection: &Connection,
    key: &CollectionKey,
) -> Result<Option<i64>, Fault> {
    connection
        .prepare_cached(
            "SELECT c.collection_ref FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             WHERE t.name = ?1 AND c.name = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![key.tenant.as_str(), key.collection.as_str()], |row| row.get(0))
                .optional()
        })
        .map_err(sql_fault)
}

/// The row number of a document.
pub(super) fn find_document_ref(
    connection: &Connection,
    collection: &CollectionKey,
    document_id: &DocumentId,
) -> Result<Option<i64>, Fault> {
    let Some(collection) = find_collection_ref(connection, collection)? else { return Ok(None) };
    find_document_in_collection(connection, collection, document_id)
}

fn find_document_in_collection(
    connection: &Connection,
    collection_ref: i64,
    document_id: &DocumentId,
) -> Result<Option<i64>, Fault> {
    connection
        .prepare_cached("SELECT document_ref FROM documents WHERE collection_ref = ?1 AND document_id = ?2")
        .and_then(|mut statement| {
            statement.query_row(params![collection_ref, document_id.as_str()], |row| row.get(0)).optional()
        })
        .map_err(sql_fault)
}

/// Finds the row numbers of documents. Versions of a batch mostly belong to one collection, so it
/// remembers the last one.
pub(super) struct DocumentRefLookup<'a> {
    connection: &'a Connection,
    collection: Option<(CollectionKey, Option<i64>)>,
}

impl<'a> DocumentRefLookup<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, collection: None }
    }

    /// The row number of the document of a version.
    pub(super) fn document_ref(&mut self, key: &VersionKey) -> Result<Option<i64>, Fault> {
        let Some(collection) = self.collection_ref(key)? else { return Ok(None) };
        find_document_in_collection(self.connection, collection, &key.document_id)
    }

    /// The row number of the collection of a version.
    pub(super) fn collection_ref(&mut self, key: &VersionKey) -> Result<Option<i64>, Fault> {
        match &self.collection {
            Some((known, number)) if known.tenant == key.tenant && known.collection == key.collection => {
                Ok(*number)
            }
            _ => {
                let collection = key.collection_key();
                let number = find_collection_ref(self.connection, &collection)?;
                self.collection = Some((collection, number));
                Ok(number)
            }
        }
    }
}

/// A version as SQLite stores it. It fits: [`Version`] never exceeds the signed range.
#[expect(clippy::cast_possible_wrap, reason = "Version::new bounds it to i64::MAX")]
pub(super) fn sql_version(version: Version) -> i64 {
    version.get() as i64
}
