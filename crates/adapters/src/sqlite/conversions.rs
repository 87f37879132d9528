//! What converters made of versions.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{DocumentRefLookup, sql_version};
use super::sql_fault;
use crate::ledger_rows;
use contexture_core::domain::ids::VersionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::converter::ConvertedText;

pub(super) fn keep_conversions(
    connection: &Connection,
    all: &[(VersionKey, ConvertedText)],
) -> Result<Vec<Option<ConvertedText>>, Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    let mut kept = Vec::with_capacity(all.len());
    for (key, ConvertedText { format, body }) in all {
        let Some(document_ref) = documents.document_ref(key)? else {
            kept.push(None);
            continue;
        };
        let version = sql_version(key.version);
        connection
            .prepare_cached(
                // From `versions`: a version that ended may be swept already, and its text would stay.
                "INSERT OR IGNORE INTO conversions (document_ref, version, format, body) \
                 SELECT document_ref, version, ?3, ?4 FROM versions \
                 WHERE document_ref = ?1 AND version = ?2 AND state < 3",
            )
            .and_then(|mut statement| statement.execute(params![document_ref, version, format.name(), body]))
            .map_err(sql_fault)?;
        let found: Option<(String, Vec<u8>)> = connection
            .prepare_cached(
                "SELECT t.format, t.body FROM conversions t \
                 JOIN versions v ON v.document_ref = t.document_ref AND v.version = t.version \
                 WHERE t.document_ref = ?1 AND t.version = ?2 AND v.state < 3",
            )
            .and_then(|mut statement| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                statement.query_row(params![document_ref, version], read).optional()
            })
            .map_err(sql_fault)?;
        kept.push(found.map(|(format, body)| ledger_rows::converted_text(&format, body)).transpose()?);
    }
    Ok(kept)
}
