//! Dropped collections: hidden at once, removed in steps.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::rows::{find_collection_ref, read_column, sql_bigint};
use super::{SqliteLedger, sql_fault};
use crate::ledger_rows::read_collection;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::collection_drops::{CollectionDropLedger, DroppedGeneration};
use contexture_core::ports::ledger::CollectionRecord;

#[async_trait]
impl CollectionDropLedger for SqliteLedger {
    async fn hide_collection(&self, key: &CollectionKey) -> Result<Option<Vec<CollectionRecord>>, Fault> {
        let (key, now_ms) = (key.clone(), self.now_ms());
        self.database().write("hide collection", move |db| hide_collection(db, &key, now_ms)).await
    }

    async fn purge_hidden(&self, limit: usize) -> Result<bool, Fault> {
        // A read first: most calls find nothing, and a write would cost an fsync.
        if !self.database().read("purge hidden", has_hidden_collections).await? {
            return Ok(false);
        }
        self.database().write("purge hidden", move |db| purge_hidden(db, limit).map_err(sql_fault)).await
    }

    async fn dropped_generations(&self) -> Result<Vec<DroppedGeneration>, Fault> {
        self.database().read("dropped generations", |db| read_dropped(db, None)).await
    }

    async fn forget_dropped(&self, homes: &[CollectionRecord]) -> Result<(), Fault> {
        let homes = homes.to_vec();
        self.database()
            .write("forget dropped", move |db| homes.iter().try_for_each(|home| forget_dropped(db, home)))
            .await
    }
}

fn hide_collection(
    connection: &Connection,
    key: &CollectionKey,
    now_ms: u64,
) -> Result<Option<Vec<CollectionRecord>>, Fault> {
    if let Some(number) = find_collection_ref(connection, key)? {
        hide_rows(connection, number, key, now_ms).map_err(sql_fault)?;
    }
    let left: Vec<_> = read_dropped(connection, Some(key))?.into_iter().map(|dropped| dropped.home).collect();
    Ok((!left.is_empty()).then_some(left))
}

fn hide_rows(
    connection: &Connection,
    collection_ref: i64,
    key: &CollectionKey,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let names = (key.tenant.as_str(), key.collection.as_str());
    connection.execute(
        "INSERT INTO used_generations (tenant, collection, generation) \
         SELECT ?2, ?3, MAX(generation) FROM generations WHERE collection_ref = ?1 \
         ON CONFLICT (tenant, collection) DO UPDATE SET generation = MAX(generation, excluded.generation)",
        params![collection_ref, names.0, names.1],
    )?;
    connection.execute(
        "INSERT INTO dropped_generations (tenant, collection, generation, epoch, pipeline, dropped_ms) \
         SELECT ?2, ?3, generation, epoch, pipeline, ?4 FROM generations WHERE collection_ref = ?1",
        params![collection_ref, names.0, names.1, now_ms],
    )?;
    // Lists of tasks and of generations join the generations, so without them nothing is listed.
    connection.execute("DELETE FROM generations WHERE collection_ref = ?1", [collection_ref])?;
    // No collection can have such a name, so the old one is free at once.
    connection.execute(
        "UPDATE collections SET active_generation = 0, name = '~' || collection_ref WHERE collection_ref = ?1",
        [collection_ref],
    )?;
    Ok(())
}

fn has_hidden_collections(connection: &Connection) -> Result<bool, Fault> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM collections WHERE active_generation = 0)")
        .and_then(|mut found| found.query_row([], |row| row.get(0)))
        .map_err(sql_fault)
}

fn purge_hidden(connection: &Connection, limit: usize) -> rusqlite::Result<bool> {
    let documents: Vec<i64> = connection
        .prepare_cached(
            "SELECT d.document_ref FROM collections c JOIN documents d ON d.collection_ref = c.collection_ref \
             WHERE c.active_generation = 0 LIMIT ?1",
        )?
        .query_map([sql_bigint(limit as u64)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for document_ref in &documents {
        // The documents come last: what is left of one is found through its row.
        for table in ["dead_letters", "spans", "conversions", "bodies", "versions", "documents"] {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE document_ref = ?1"))?
                .execute([document_ref])?;
        }
    }
    if !documents.is_empty() {
        return Ok(true);
    }
    let failures = connection.execute(
        "DELETE FROM build_failures WHERE (collection_ref, generation, document_ref, version) IN \
         (SELECT f.collection_ref, f.generation, f.document_ref, f.version FROM collections c \
          JOIN build_failures f ON f.collection_ref = c.collection_ref WHERE c.active_generation = 0 LIMIT ?1)",
        [sql_bigint(limit as u64)],
    )?;
    if failures > 0 {
        return Ok(true);
    }
    let items = connection.execute(
        "DELETE FROM source_documents WHERE (source_ref, document_id) IN \
         (SELECT i.source_ref, i.document_id FROM collections c JOIN sources s ON s.collection_ref = c.collection_ref \
          JOIN source_documents i ON i.source_ref = s.source_ref WHERE c.active_generation = 0 LIMIT ?1)",
        [sql_bigint(limit as u64)],
    )?;
    if items > 0 {
        return Ok(true);
    }
    connection.execute(
        "DELETE FROM sources WHERE collection_ref IN \
         (SELECT collection_ref FROM collections WHERE active_generation = 0)",
        [],
    )?;
    connection.execute("DELETE FROM collections WHERE active_generation = 0", [])?;
    Ok(false)
}

fn read_dropped(
    connection: &Connection,
    key: Option<&CollectionKey>,
) -> Result<Vec<DroppedGeneration>, Fault> {
    let mut statement = connection
        .prepare_cached(
            "SELECT tenant, collection, pipeline, generation, epoch, dropped_ms FROM dropped_generations \
             WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR collection = ?2) \
             ORDER BY tenant, collection, generation",
        )
        .map_err(sql_fault)?;
    let names = (key.map(|key| key.tenant.as_str()), key.map(|key| key.collection.as_str()));
    let mut found = statement.query(params![names.0, names.1]).map_err(sql_fault)?;
    let mut dropped = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        dropped.push(DroppedGeneration { home: read_collection(row)?, dropped_ms: read_column(row, 5)? });
    }
    Ok(dropped)
}

fn forget_dropped(connection: &Connection, home: &CollectionRecord) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "DELETE FROM dropped_generations WHERE tenant = ?1 AND collection = ?2 AND generation = ?3",
        )
        .and_then(|mut forget| {
            forget.execute(params![home.key.tenant.as_str(), home.key.collection.as_str(), home.generation])
        })
        .map_err(sql_fault)?;
    Ok(())
}
