//! How domain types stand in columns.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql_fault;
use crate::domain::document::Description;
use crate::domain::ids::{
    CollectionId, CollectionKey, ContentHash, DocumentId, Epoch, TenantId, Version, VersionKey,
};
use crate::domain::task::{Stage, Task};
use crate::fault::{Fault, Refusal};
use crate::ports::ledger::State;

/// Columns that [`task`] reads, for a query over `versions v` joined by [`TASK_JOINS`].
pub(super) const TASK_COLUMNS: &str = "t.name, c.name, d.document_id, v.version, v.content_hash, v.deletes, \
     v.accepted_ms, c.active_generation, g.epoch, v.state, v.body_bytes";
/// The joins that go with [`TASK_COLUMNS`].
pub(super) const TASK_JOINS: &str = "versions v \
     JOIN documents d ON d.document_ref = v.document_ref \
     JOIN collections c ON c.collection_ref = d.collection_ref \
     JOIN tenants t ON t.tenant_ref = c.tenant_ref \
     JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation";

pub(super) fn state(number: i64) -> Result<State, Fault> {
    Ok(match number {
        0 => State::Accepted,
        1 => State::Chunked,
        2 => State::Embedded,
        3 => State::Visible,
        4 => State::Superseded,
        5 => State::Dead,
        other => return Err(corrupt("versions.state", &other.to_string())),
    })
}

/// The stage a version in this state waits for.
pub(super) fn waiting_stage(state: State, deletes: bool) -> Stage {
    match state {
        State::Accepted if !deletes => Stage::Chunk,
        State::Chunked => Stage::Embed,
        _ => Stage::Index,
    }
}

pub(super) fn task(row: &Row<'_>) -> Result<(Task, State), Fault> {
    let state = state(get(row, 9)?)?;
    let task = Task {
        key: version_key(row)?,
        generation: get(row, 7)?,
        epoch: fingerprint(&get::<Vec<u8>>(row, 8)?, Epoch::from_slice, "generations.epoch")?,
        content_hash: fingerprint(
            &get::<Vec<u8>>(row, 4)?,
            ContentHash::from_slice,
            "versions.content_hash",
        )?,
        deletes: get(row, 5)?,
        body_bytes: get(row, 10)?,
        attempt: 0,
        accepted_ms: get(row, 6)?,
        origin: None,
    };
    Ok((task, state))
}

/// Reads tenant, collection, document and version from the first four columns.
pub(super) fn version_key(row: &Row<'_>) -> Result<VersionKey, Fault> {
    Ok(VersionKey {
        tenant: trusted(TenantId::new(&get::<String>(row, 0)?))?,
        collection: trusted(CollectionId::new(&get::<String>(row, 1)?))?,
        document_id: trusted(DocumentId::new(&get::<String>(row, 2)?))?,
        version: trusted(Version::new(get(row, 3)?))?,
    })
}

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, Fault> {
    row.get(index).map_err(sql_fault)
}

pub(super) fn fingerprint<T>(bytes: &[u8], from: fn(&[u8]) -> Option<T>, column: &str) -> Result<T, Fault> {
    from(bytes).ok_or_else(|| corrupt(column, "not 32 bytes"))
}

pub(super) fn trusted<T>(checked: Result<T, Refusal>) -> Result<T, Fault> {
    checked.map_err(|refusal| corrupt(refusal.code, &refusal.message))
}

pub(super) fn description(json: &str) -> Result<Description, Fault> {
    serde_json::from_str(json).map_err(|error| corrupt("versions.description", &error.to_string()))
}

pub(super) fn corrupt(column: &str, detail: &str) -> Fault {
    Fault::permanent("ledger_corrupt", format!("{column}: {detail}"))
}

/// The row number of a collection.
pub(super) fn collection_ref(connection: &Connection, key: &CollectionKey) -> Result<Option<i64>, Fault> {
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
pub(super) fn document_ref(
    connection: &Connection,
    collection: &CollectionKey,
    document_id: &DocumentId,
) -> Result<Option<i64>, Fault> {
    let Some(collection) = collection_ref(connection, collection)? else { return Ok(None) };
    document_in(connection, collection, document_id)
}

fn document_in(
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

/// Finds the documents of versions, which mostly stand in one collection.
pub(super) struct Documents<'a> {
    connection: &'a Connection,
    collection: Option<(CollectionKey, Option<i64>)>,
}

impl<'a> Documents<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, collection: None }
    }

    /// The row number of the document of a version.
    pub(super) fn of(&mut self, key: &VersionKey) -> Result<Option<i64>, Fault> {
        let Some(collection) = self.collection_of(key)? else { return Ok(None) };
        document_in(self.connection, collection, &key.document_id)
    }

    /// The row number of the collection of a version.
    pub(super) fn collection_of(&mut self, key: &VersionKey) -> Result<Option<i64>, Fault> {
        match &self.collection {
            Some((known, number)) if known.tenant == key.tenant && known.collection == key.collection => {
                Ok(*number)
            }
            _ => {
                let collection = key.collection_key();
                let number = collection_ref(self.connection, &collection)?;
                self.collection = Some((collection, number));
                Ok(number)
            }
        }
    }
}

/// A version as SQLite stores it; [`Version`] never exceeds the signed range.
#[expect(clippy::cast_possible_wrap, reason = "Version::new bounds it to i64::MAX")]
pub(super) fn sql_version(version: Version) -> i64 {
    version.get() as i64
}
