//! Dropped collections: hidden at once, removed in steps.
//!
//! Making and hiding a collection hold an advisory lock on its name. A submission holds nothing: it may
//! have found the collection just before it was hidden, and store documents after their purge. So the row
//! of a hidden collection stays for [`HIDDEN_MIN`], which no call outlasts, and whatever arrives late is
//! purged as well.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};

use super::generations::lock_collection;
use super::rows::sql_bigint;
use super::{PostgresError, PostgresLedger};
use crate::ledger_rows::{LedgerRow, read_collection};
use contexture_core::domain::ids::{CollectionKey, FieldHasher};
use contexture_core::fault::Fault;
use contexture_core::ports::collection_drops::{CollectionDropLedger, DroppedGeneration};
use contexture_core::ports::ledger::CollectionRecord;

/// How long the row of a hidden collection stays.
const HIDDEN_MIN: Duration = Duration::from_hours(1);

#[async_trait]
impl CollectionDropLedger for PostgresLedger {
    async fn hide_collection(&self, key: &CollectionKey) -> Result<Option<Vec<CollectionRecord>>, Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write("hide collection", (key, now_ms), |(key, now_ms), db| {
                hide_collection(db, key, *now_ms).boxed()
            })
            .await
    }

    async fn purge_hidden(&self, limit: usize) -> Result<bool, Fault> {
        self.database().write("purge hidden", limit, |limit, db| purge_hidden(db, *limit).boxed()).await
    }

    async fn dropped_generations(&self) -> Result<Vec<DroppedGeneration>, Fault> {
        self.database().run("dropped generations", (), |(), db| read_dropped(db, None).boxed()).await
    }

    async fn forget_dropped(&self, homes: &[CollectionRecord]) -> Result<(), Fault> {
        self.database().run("forget dropped", homes, |homes, db| forget_dropped(db, homes).boxed()).await
    }
}

/// Locks the name of a collection until the transaction ends.
pub(super) async fn lock_collection_name(
    connection: &mut PgConnection,
    key: &CollectionKey,
) -> Result<(), PostgresError> {
    // Locks are of the whole database, so the schema is part of the name.
    let schema: String = query_scalar("SELECT current_schema()").fetch_one(&mut *connection).await?;
    let hash = FieldHasher::new("contexture postgres collection lock")
        .field(schema.as_bytes())
        .field(key.tenant.as_str().as_bytes())
        .field(key.collection.as_str().as_bytes())
        .finish();
    let mut number = [0_u8; 8];
    number.copy_from_slice(&hash[..8]);
    query("SELECT pg_advisory_xact_lock($1)").bind(i64::from_le_bytes(number)).execute(connection).await?;
    Ok(())
}

async fn hide_collection(
    connection: &mut PgConnection,
    key: &CollectionKey,
    now_ms: u64,
) -> Result<Option<Vec<CollectionRecord>>, PostgresError> {
    lock_collection_name(connection, key).await?;
    if let Some(collection) = lock_collection(connection, key).await? {
        query(
            "WITH gone AS (DELETE FROM generations WHERE collection_ref = $1 \
               RETURNING generation, epoch, pipeline), \
             listed AS (INSERT INTO dropped_generations (tenant, collection, generation, epoch, pipeline, dropped_ms) \
               SELECT $2, $3, generation, epoch, pipeline, $4 FROM gone ON CONFLICT DO NOTHING), \
             used AS (INSERT INTO used_generations AS u (tenant, collection, generation) \
               SELECT $2, $3, MAX(generation) FROM gone \
               ON CONFLICT (tenant, collection) DO UPDATE SET generation = GREATEST(u.generation, excluded.generation)) \
             UPDATE collections SET active_generation = 0, name = '~' || collection_ref, \
               hidden_at = clock_timestamp() WHERE collection_ref = $1",
        )
        .bind(collection)
        .bind(key.tenant.as_str())
        .bind(key.collection.as_str())
        .bind(sql_bigint(now_ms))
        .execute(&mut *connection)
        .await?;
    }
    let left: Vec<_> =
        read_dropped(connection, Some(key)).await?.into_iter().map(|dropped| dropped.home).collect();
    Ok((!left.is_empty()).then_some(left))
}

async fn purge_hidden(connection: &mut PgConnection, limit: usize) -> Result<bool, PostgresError> {
    // Locked in order of `document_ref`, as everywhere. A statement of its own, so that the deletions see
    // everything that holders of these locks committed.
    let documents: Vec<i64> = query_scalar(
        "SELECT document_ref FROM documents WHERE document_ref = ANY (ARRAY ( \
           SELECT d.document_ref FROM collections c \
           CROSS JOIN LATERAL (SELECT document_ref FROM documents \
             WHERE collection_ref = c.collection_ref LIMIT $1) d WHERE c.active_generation = 0 LIMIT $1)) \
         ORDER BY document_ref FOR UPDATE",
    )
    .bind(sql_bigint(limit as u64))
    .fetch_all(&mut *connection)
    .await?;
    if !documents.is_empty() {
        query(
            "WITH moving AS (DELETE FROM in_flight WHERE document_ref = ANY ($1)), \
             lost AS (DELETE FROM unswept WHERE document_ref = ANY ($1)), \
             letters AS (DELETE FROM dead_letters WHERE document_ref = ANY ($1)), \
             cut AS (DELETE FROM spans WHERE document_ref = ANY ($1)), \
             converted AS (DELETE FROM conversions WHERE document_ref = ANY ($1)), \
             stored AS (DELETE FROM bodies WHERE document_ref = ANY ($1)), \
             known AS (DELETE FROM versions WHERE document_ref = ANY ($1)) \
             DELETE FROM documents WHERE document_ref = ANY ($1)",
        )
        .bind(documents)
        .execute(connection)
        .await?;
        return Ok(true);
    }
    let failures = query(
        "DELETE FROM build_failures b USING (SELECT f.ctid AS place FROM collections c \
           JOIN build_failures f ON f.collection_ref = c.collection_ref \
           WHERE c.active_generation = 0 LIMIT $1) gone WHERE b.ctid = gone.place",
    )
    .bind(sql_bigint(limit as u64))
    .execute(&mut *connection)
    .await?;
    if failures.rows_affected() > 0 {
        return Ok(true);
    }
    let items = query(
        "DELETE FROM source_documents i USING (SELECT o.ctid AS place FROM collections c \
           JOIN sources s ON s.collection_ref = c.collection_ref \
           JOIN source_documents o ON o.source_ref = s.source_ref \
           WHERE c.active_generation = 0 LIMIT $1) gone WHERE i.ctid = gone.place",
    )
    .bind(sql_bigint(limit as u64))
    .execute(&mut *connection)
    .await?;
    if items.rows_affected() > 0 {
        return Ok(true);
    }
    query(
        "DELETE FROM sources s USING collections c \
         WHERE c.collection_ref = s.collection_ref AND c.active_generation = 0",
    )
    .execute(&mut *connection)
    .await?;
    query(
        "DELETE FROM collections c WHERE c.active_generation = 0 \
         AND c.hidden_at < clock_timestamp() - $1 * interval '1 second' \
         AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.collection_ref = c.collection_ref)",
    )
    .bind(sql_bigint(HIDDEN_MIN.as_secs()))
    .execute(connection)
    .await?;
    Ok(false)
}

async fn read_dropped(
    connection: &mut PgConnection,
    key: Option<&CollectionKey>,
) -> Result<Vec<DroppedGeneration>, PostgresError> {
    let found = query(
        "SELECT tenant, collection, pipeline, generation, epoch, dropped_ms FROM dropped_generations \
         WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR collection = $2) \
         ORDER BY tenant, collection, generation",
    )
    .bind(key.map(|key| key.tenant.as_str()))
    .bind(key.map(|key| key.collection.as_str()))
    .fetch_all(connection)
    .await?;
    let dropped =
        |row| Ok(DroppedGeneration { home: read_collection(row)?, dropped_ms: LedgerRow::number(row, 5)? });
    found.iter().map(dropped).collect()
}

async fn forget_dropped(
    connection: &mut PgConnection,
    homes: &[CollectionRecord],
) -> Result<(), PostgresError> {
    query(
        "DELETE FROM dropped_generations d \
         USING UNNEST($1::text[], $2::text[], $3::bigint[]) AS k (tenant, collection, generation) \
         WHERE d.tenant = k.tenant AND d.collection = k.collection AND d.generation = k.generation",
    )
    .bind(homes.iter().map(|home| home.key.tenant.as_str()).bind_iter())
    .bind(homes.iter().map(|home| home.key.collection.as_str()).bind_iter())
    .bind(homes.iter().map(|home| i64::from(home.generation)).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}
