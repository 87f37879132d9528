//! Maps domain types to columns, and addresses a batch of versions.
//!
//! A batch goes to the server as one array per column. `known_keys!` opens a statement with the table
//! `keys`. It holds, for each version asked for, its place in the batch, the row number of its document
//! and the active generation of its collection. Unknown documents are left out. A writing call first
//! turns keys into [`VersionRef`]s by [`lock_documents`].
//!
//! `LATERAL … LIMIT 1` fixes the direction of a join: from the keys to the row, by the index. Without
//! statistics the planner may assume few documents and walk all of them.

use sqlx::postgres::{PgArguments, PgBindIterExt, PgRow};
use sqlx::query::Query;
use sqlx::{Decode, PgConnection, Postgres, Row, Type, query};

use super::PostgresError;
use crate::ledger_rows::{LedgerRow, corrupt_ledger};
use contexture_core::domain::ids::{Version, VersionKey};
use contexture_core::ports::ledger::VersionState;

/// The table `keys`, for the binds of [`bind_version_keys`].
macro_rules! known_keys {
    ($($rest:literal),+) => {
        concat!(
            "WITH keys AS MATERIALIZED (SELECT k.place, d.document_ref, k.version, c.active_generation \
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY \
               AS k (tenant, collection, document_id, version, place) \
             CROSS JOIN LATERAL (SELECT c.collection_ref, c.active_generation \
               FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
               WHERE t.name = k.tenant AND c.name = k.collection LIMIT 1) c \
             CROSS JOIN LATERAL (SELECT document_ref FROM documents \
               WHERE collection_ref = c.collection_ref AND document_id = k.document_id LIMIT 1) d) ",
            $($rest),+
        )
    };
}

/// Joins each row of versions `v` with its document `d` and its collection's `home`.
macro_rules! home_of_version {
    () => {
        "CROSS JOIN LATERAL (SELECT collection_ref, document_id FROM documents \
           WHERE document_ref = v.document_ref LIMIT 1) d \
         CROSS JOIN LATERAL (SELECT t.name AS tenant, c.name AS collection, c.active_generation, g.epoch \
           FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
           JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation \
           WHERE c.collection_ref = d.collection_ref LIMIT 1) home "
    };
}

/// Selects what [`read_task`](crate::ledger_rows::read_task) reads from versions `v`, for a given `FROM`.
macro_rules! select_tasks {
    ($from:literal, $rest:literal) => {
        concat!(
            "SELECT home.tenant, home.collection, d.document_id, v.version, v.content_hash, v.deletes, \
             v.accepted_ms, home.active_generation, home.epoch, v.state, v.body_bytes FROM ",
            $from,
            " ",
            $crate::postgres::rows::home_of_version!(),
            $rest
        )
    };
}

pub(super) use {home_of_version, known_keys, select_tasks};

/// A version by row number of its document and its own number.
pub(super) type VersionRef = (i64, i64);

/// Binds $1 to $4 of `known_keys!`.
pub(super) fn bind_version_keys<'k>(
    sql: &'static str,
    keys: impl Iterator<Item = &'k VersionKey> + Clone,
) -> Query<'static, Postgres, PgArguments> {
    query(sql)
        .bind(keys.clone().map(|key| key.tenant.as_str()).bind_iter())
        .bind(keys.clone().map(|key| key.collection.as_str()).bind_iter())
        .bind(keys.clone().map(|key| key.document_id.as_str()).bind_iter())
        .bind(keys.map(|key| sql_version(key.version)).bind_iter())
}

/// Locks the documents of these versions until the transaction ends, in order of `document_ref`.
/// Returns the versions by numbers, in order; none where a document is unknown.
pub(super) async fn lock_documents<'k>(
    connection: &mut PgConnection,
    keys: impl Iterator<Item = &'k VersionKey> + Clone,
) -> Result<Vec<Option<VersionRef>>, PostgresError> {
    // Counting `locked` makes the server run it: a SELECT in WITH that nothing reads is skipped.
    // It locks in one order: of two batches with common documents, neither can hold what the other waits for.
    let sql = known_keys!(
        ", locked AS MATERIALIZED (SELECT document_ref FROM documents \
           WHERE document_ref = ANY (ARRAY (SELECT document_ref FROM keys)) \
           ORDER BY document_ref FOR NO KEY UPDATE) \
         SELECT place, document_ref, version FROM keys WHERE (SELECT COUNT(*) FROM locked) > 0"
    );
    let mut numbers = vec![None; keys.clone().count()];
    for row in bind_version_keys(sql, keys).fetch_all(connection).await? {
        // By place: rows come in no order, and unknown documents have none.
        *batch_slot(&mut numbers, &row)? = Some((read_column(&row, 1)?, read_column(&row, 2)?));
    }
    Ok(numbers)
}

/// Binds versions by numbers as two arrays.
pub(super) fn bind_version_refs<'n>(
    sql: &'static str,
    numbers: impl Iterator<Item = &'n VersionRef> + Clone,
) -> Query<'static, Postgres, PgArguments> {
    query(sql)
        .bind(numbers.clone().map(|(document_ref, _)| *document_ref).bind_iter())
        .bind(numbers.map(|(_, version)| *version).bind_iter())
}

/// The slot of the batch for a row that has its place in column 0.
pub(super) fn batch_slot<'s, T>(slots: &'s mut [T], row: &PgRow) -> Result<&'s mut T, PostgresError> {
    let place: i64 = read_column(row, 0)?;
    // ORDINALITY counts from 1.
    let slot = usize::try_from(place - 1).ok().and_then(|place| slots.get_mut(place));
    slot.ok_or_else(|| corrupt_ledger("place", "not of this batch").into())
}

/// Splits items into runs of at most `bytes_max` bytes; a larger item goes alone.
pub(super) fn split_by_bytes<T>(
    mut items: &[T],
    bytes_max: usize,
    bytes_of: impl Fn(&T) -> usize,
) -> Vec<&[T]> {
    let mut runs = Vec::new();
    while !items.is_empty() {
        let mut bytes = 0;
        let within = items.iter().take_while(|item| {
            bytes += bytes_of(item);
            bytes <= bytes_max
        });
        let (run, rest) = items.split_at(within.count().max(1));
        debug_assert!(!run.is_empty(), "every run takes at least one item, so the loop ends");
        runs.push(run);
        items = rest;
    }
    runs
}

pub(super) fn state_to_number(state: VersionState) -> i16 {
    match state {
        VersionState::Accepted => 0,
        VersionState::Chunked => 1,
        VersionState::Embedded => 2,
        VersionState::Visible => 3,
        VersionState::Superseded => 4,
        VersionState::Dead => 5,
    }
}

impl LedgerRow for PgRow {
    type Error = PostgresError;

    fn text(&self, index: usize) -> Result<impl AsRef<str> + Into<String>, PostgresError> {
        read_column::<&str>(self, index)
    }

    fn optional_text(&self, index: usize) -> Result<Option<String>, PostgresError> {
        read_column(self, index)
    }

    fn bytes(&self, index: usize) -> Result<impl AsRef<[u8]>, PostgresError> {
        read_column::<&[u8]>(self, index)
    }

    fn flag(&self, index: usize) -> Result<bool, PostgresError> {
        read_column(self, index)
    }

    fn state_number(&self, index: usize) -> Result<i64, PostgresError> {
        // The column is a smallint, and sqlx does not decode one as a wider type.
        read_column::<i16>(self, index).map(i64::from)
    }

    fn small_number(&self, index: usize) -> Result<u32, PostgresError> {
        never_negative(read_column::<i32>(self, index)?)
    }

    fn optional_small_number(&self, index: usize) -> Result<Option<u32>, PostgresError> {
        read_column::<Option<i32>>(self, index)?.map(never_negative).transpose()
    }

    fn number(&self, index: usize) -> Result<u64, PostgresError> {
        never_negative(read_column::<i64>(self, index)?)
    }

    fn optional_number(&self, index: usize) -> Result<Option<u64>, PostgresError> {
        read_column::<Option<i64>>(self, index)?.map(never_negative).transpose()
    }
}

/// The server has only signed numbers; the ledger stores none below zero.
fn never_negative<S, U: TryFrom<S>>(number: S) -> Result<U, PostgresError> {
    U::try_from(number).map_err(|_| corrupt_ledger("a number", "negative").into())
}

pub(super) fn read_column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    index: usize,
) -> Result<T, PostgresError> {
    row.try_get(index).map_err(PostgresError::Sql)
}

/// A version as the server stores it. It fits: [`Version`] never exceeds the signed range.
pub(super) fn sql_version(version: Version) -> i64 {
    sql_bigint(version.get())
}

/// A number as the server stores it. Times and limits beyond its range are clamped.
pub(super) fn sql_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Replaces NUL, which the server cannot store in text.
pub(super) fn sql_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A small number, such as that of a generation, as the server stores it. Larger ones are clamped.
pub(super) fn sql_integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
