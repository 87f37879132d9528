//! What converters made of versions.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;

use super::PostgresError;
use super::rows::{
    self, VersionRef, batch_slot, bind_version_keys, bind_version_refs, known_keys, read_column,
};
use crate::ledger_rows;
use contexture_core::domain::ids::VersionKey;
use contexture_core::ports::converter::ConvertedText;

pub(super) async fn keep_conversions(
    connection: &mut PgConnection,
    all: &[(VersionKey, ConvertedText)],
) -> Result<Vec<Option<ConvertedText>>, PostgresError> {
    let numbers = rows::lock_documents(connection, all.iter().map(|(key, _)| key)).await?;
    // A statement may write a row once: of repeated versions the first stays.
    let mut first: BTreeMap<VersionRef, &ConvertedText> = BTreeMap::new();
    for ((_, converted), number) in all.iter().zip(numbers) {
        if let Some(number) = number {
            first.entry(number).or_insert(converted);
        }
    }
    let sql = "INSERT INTO conversions (document_ref, version, format, body) \
         SELECT k.document_ref, k.version, k.format, k.body \
         FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) \
           AS k (document_ref, version, format, body) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state < 3 \
         ON CONFLICT (document_ref, version) DO NOTHING";
    bind_version_refs(sql, first.keys())
        .bind(first.values().map(|converted| converted.format.name()).bind_iter())
        .bind(first.values().map(|converted| converted.body.as_slice()).bind_iter())
        .execute(&mut *connection)
        .await?;
    let sql = known_keys!(
        "SELECT k.place, t.format, t.body FROM keys k \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state < 3 \
         JOIN conversions t ON t.document_ref = v.document_ref AND t.version = v.version"
    );
    let mut kept = vec![None; all.len()];
    for row in bind_version_keys(sql, all.iter().map(|(key, _)| key)).fetch_all(connection).await? {
        let format: &str = read_column(&row, 1)?;
        *batch_slot(&mut kept, &row)? = Some(ledger_rows::converted_text(format, read_column(&row, 2)?)?);
    }
    Ok(kept)
}
