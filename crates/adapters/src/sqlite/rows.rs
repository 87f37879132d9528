//! Maps domain types to columns.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql_fault;
use crate::ledger_rows::LedgerRow;
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version, VersionKey};
use contexture_core::fault::Fault;

/// Columns that [`read_task`](crate::ledger_rows::read_task) reads, for a query over `versions v` joined by [`TASK_JOINS`].
pub(super) const TASK_COLUMNS: &str = "t.name, c.name, d.document_id, v.version, v.content_hash, v.deletes, \
     v.accepted_ms, c.active_generation, g.epoch, v.state, v.body_bytes";
/// The joins that go with [`TASK_COLUMNS`].
pub(super) const TASK_JOINS: &str = "versions v \
     JOIN documents d ON d.document_ref = v.document_ref \
     JOIN collections c ON c.collection_ref = d.collection_ref \
     JOIN tenants t ON t.tenant_ref = c.tenant_ref \
     JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation";

impl LedgerRow for Row<'_> {
    type Error = Fault;

    fn text(&self, index: usize) -> Result<impl AsRef<str> + Into<String>, Fault> {
        // A copy: what rusqlite's FromSql returns cannot borrow from the row.
        read_column::<String>(self, index)
    }

    fn optional_text(&self, index: usize) -> Result<Option<String>, Fault> {
        read_column(self, index)
    }

    fn bytes(&self, index: usize) -> Result<impl AsRef<[u8]>, Fault> {
        read_column::<Vec<u8>>(self, index)
    }

    fn flag(&self, index: usize) -> Result<bool, Fault> {
        read_column(self, index)
    }

    fn state_number(&self, index: usize) -> Result<i64, Fault> {
        read_column(self, index)
    }

    fn small_number(&self, index: usize) -> Result<u32, Fault> {
        read_column(self, index)
    }

    fn optional_small_number(&self, index: usize) -> Result<Option<u32>, Fault> {
        read_column(self, index)
    }

    fn number(&self, index: usize) -> Result<u64, Fault> {
        // rusqlite checks the range, so a negative number is an error and does not wrap around.
        read_column(self, index)
    }

    fn optional_number(&self, index: usize) -> Result<Option<u64>, Fault> {
        read_column(self, index)
    }
}

/// A statement of [`ledger_sql`](crate::ledger_sql) with placeholders that SQLite binds by number.
pub(super) fn number_placeholders(sql: &str) -> String {
    sql.replace('$', "?")
}

pub(super) fn read_column<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, Fault> {
    row.get(index).map_err(sql_fault)
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
            // By fields: a key to compare with would copy both names for every version.
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
pub(super) fn sql_version(version: Version) -> i64 {
    sql_bigint(version.get())
}

/// A number as SQLite stores it. Times, positions and limits beyond its range are clamped: rusqlite refuses to
/// bind them.
pub(super) fn sql_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
