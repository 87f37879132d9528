//! Sources, and the items that their runs saw.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{find_collection_ref, read_column, sql_bigint, sql_version};
use super::{SqliteLedger, sql_fault};
use crate::ledger_rows::{read_source_document, read_source_record, require_valid};
use crate::ledger_rules::unknown_collection;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::fault::Fault;
use contexture_core::ports::source_ledger::{
    SettledSource, SourceDocument, SourceLedger, SourceRecord, SourceSighting,
};

#[async_trait]
impl SourceLedger for SqliteLedger {
    async fn begin_source_run(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let (collection, source, now_ms) = (collection.clone(), source.clone(), self.now_ms());
        self.database().write("begin source run", move |db| begin_run(db, &collection, &source, now_ms)).await
    }

    async fn report_sightings(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        sightings: Vec<SourceSighting>,
    ) -> Result<(), Fault> {
        let (collection, source) = (collection.clone(), source.clone());
        self.database()
            .write("report sightings", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(()) };
                report_sightings(db, number, run, &sightings).map_err(sql_fault)
            })
            .await
    }

    async fn report_unchanged(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        let (collection, source) = (collection.clone(), source.clone());
        self.database()
            .write("report unchanged", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(()) };
                let sql = "UPDATE source_documents SET run = MAX(run, ?3) WHERE source_ref = ?1 AND document_id = ?2";
                for_each_document(db, sql, number, run, &documents)
            })
            .await
    }

    async fn source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        let (collection, source, after) = (collection.clone(), source.clone(), after.cloned());
        self.database()
            .read("source documents", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(Vec::new()) };
                read_documents(db, number, u64::MAX, after.as_ref(), limit)
            })
            .await
    }

    async fn unseen_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        let (collection, source, after) = (collection.clone(), source.clone(), after.cloned());
        self.database()
            .read("unseen source documents", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(Vec::new()) };
                read_documents(db, number, run, after.as_ref(), limit)
            })
            .await
    }

    async fn count_unsettled(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let (collection, source) = (collection.clone(), source.clone());
        self.database()
            .read("count unsettled", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(0) };
                count_unsettled(db, number)
            })
            .await
    }

    async fn forget_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        let (collection, source) = (collection.clone(), source.clone());
        self.database()
            .write("forget source documents", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(()) };
                let sql =
                    "DELETE FROM source_documents WHERE source_ref = ?1 AND document_id = ?2 AND run < ?3";
                for_each_document(db, sql, number, run, &documents)
            })
            .await
    }

    async fn finish_source_run(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        settled: Option<SettledSource>,
    ) -> Result<(), Fault> {
        let (collection, source, now_ms) = (collection.clone(), source.clone(), self.now_ms());
        self.database()
            .write("finish source run", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(()) };
                db.execute(
                    "UPDATE sources SET finished_run = MAX(finished_run, ?2), finished_ms = ?3, \
                     settled_fingerprint = ?4, settled_accepted = ?5 WHERE source_ref = ?1",
                    params![
                        number,
                        sql_bigint(run),
                        sql_bigint(now_ms),
                        settled.as_ref().map(|settled| settled.fingerprint.as_str()),
                        settled.as_ref().map(|settled| sql_bigint(settled.accepted)),
                    ],
                )
                .map_err(sql_fault)?;
                Ok(())
            })
            .await
    }

    async fn sources(&self, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault> {
        let collection = collection.clone();
        self.database().read("sources", move |db| read_sources(db, &collection)).await
    }

    async fn sources_of(
        &self,
        collection: &CollectionKey,
        documents: &[DocumentId],
    ) -> Result<Vec<Option<SourceName>>, Fault> {
        let (collection, documents) = (collection.clone(), documents.to_vec());
        self.database()
            .read("sources of documents", move |db| read_sources_of(db, &collection, &documents))
            .await
    }

    async fn forget_source(&self, collection: &CollectionKey, source: &SourceName) -> Result<bool, Fault> {
        let (collection, source) = (collection.clone(), source.clone());
        self.database()
            .write("forget source", move |db| {
                let Some(number) = find_source_ref(db, &collection, &source)? else { return Ok(false) };
                for table in ["source_documents", "sources"] {
                    db.execute(&format!("DELETE FROM {table} WHERE source_ref = ?1"), [number])
                        .map_err(sql_fault)?;
                }
                Ok(true)
            })
            .await
    }
}

fn find_source_ref(
    connection: &Connection,
    collection: &CollectionKey,
    source: &SourceName,
) -> Result<Option<i64>, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else { return Ok(None) };
    connection
        .prepare_cached("SELECT source_ref FROM sources WHERE collection_ref = ?1 AND name = ?2")
        .and_then(|mut found| found.query_row(params![number, source.as_str()], |row| row.get(0)).optional())
        .map_err(sql_fault)
}

fn begin_run(
    connection: &Connection,
    collection: &CollectionKey,
    source: &SourceName,
    now_ms: u64,
) -> Result<u64, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else {
        return Err(unknown_collection(&collection.collection));
    };
    connection
        .prepare_cached(
            "INSERT INTO sources (collection_ref, name, run, finished_run, begun_ms) VALUES (?1, ?2, 1, 0, ?3) \
             ON CONFLICT (collection_ref, name) DO UPDATE SET run = run + 1, begun_ms = excluded.begun_ms \
             RETURNING run",
        )
        .and_then(|mut begun| {
            begun.query_row(params![number, source.as_str(), sql_bigint(now_ms)], |row| row.get(0))
        })
        .map_err(sql_fault)
}

fn report_sightings(
    connection: &Connection,
    source_ref: i64,
    run: u64,
    sightings: &[SourceSighting],
) -> rusqlite::Result<()> {
    let mut report = connection.prepare_cached(
        "INSERT INTO source_documents (source_ref, document_id, run, fingerprint, version) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (source_ref, document_id) DO UPDATE \
         SET run = MAX(run, excluded.run), fingerprint = excluded.fingerprint, version = excluded.version",
    )?;
    for sighting in sightings {
        report.execute(params![
            source_ref,
            sighting.document_id.as_str(),
            sql_bigint(run),
            sighting.fingerprint.as_ref().map(SourceFingerprint::as_str),
            sighting.version.map(sql_version),
        ])?;
    }
    Ok(())
}

/// Runs a statement with the source, each document and the run.
fn for_each_document(
    connection: &Connection,
    sql: &str,
    source_ref: i64,
    run: u64,
    documents: &[DocumentId],
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(sql).map_err(sql_fault)?;
    for document_id in documents {
        statement.execute(params![source_ref, document_id.as_str(), sql_bigint(run)]).map_err(sql_fault)?;
    }
    Ok(())
}

fn read_documents(
    connection: &Connection,
    source_ref: i64,
    before_run: u64,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<SourceDocument>, Fault> {
    let mut statement = connection
        .prepare_cached(
            // The page is cut by the key of source_documents, before anything else is read.
            "SELECT s.run, s.fingerprint, s.document_id, s.version, v.version, v.state, v.deletes, \
             l.code, l.detail \
             FROM (SELECT o.collection_ref, i.document_id, i.run, i.fingerprint, i.version \
               FROM source_documents i JOIN sources o ON o.source_ref = i.source_ref \
               WHERE i.source_ref = ?1 AND i.document_id > ?2 AND i.run < ?4 \
               ORDER BY i.document_id LIMIT ?3) s \
             LEFT JOIN documents d ON d.collection_ref = s.collection_ref AND d.document_id = s.document_id \
             LEFT JOIN versions v ON v.document_ref = d.document_ref AND v.version = d.latest_version \
             LEFT JOIN dead_letters l ON l.document_ref = v.document_ref AND l.version = v.version \
             ORDER BY s.document_id",
        )
        .map_err(sql_fault)?;
    let after = after.map_or("", DocumentId::as_str);
    let found = statement.query(params![source_ref, after, sql_bigint(limit as u64), sql_bigint(before_run)]);
    let mut found = found.map_err(sql_fault)?;
    let mut documents = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        documents.push(read_source_document(row)?);
    }
    Ok(documents)
}

fn count_unsettled(connection: &Connection, source_ref: i64) -> Result<u64, Fault> {
    connection
        .prepare_cached(
            // The state is that of visible versions.
            "SELECT COUNT(*) FROM source_documents i JOIN sources o ON o.source_ref = i.source_ref \
             LEFT JOIN documents d ON d.collection_ref = o.collection_ref AND d.document_id = i.document_id \
             LEFT JOIN versions v ON v.document_ref = d.document_ref AND v.version = d.latest_version \
             WHERE i.source_ref = ?1 AND NOT COALESCE(i.fingerprint IS NOT NULL AND v.version = i.version \
               AND v.deletes = 0 AND v.state = 3, 0)",
        )
        .and_then(|mut counted| counted.query_row([source_ref], |row| row.get(0)))
        .map_err(sql_fault)
}

fn read_sources(connection: &Connection, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached(
            "SELECT name, run, finished_run, \
             (SELECT COUNT(*) FROM source_documents i WHERE i.source_ref = s.source_ref), begun_ms, finished_ms, \
             settled_fingerprint, settled_accepted FROM sources s WHERE collection_ref = ?1 ORDER BY name",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query([number]).map_err(sql_fault)?;
    let mut sources = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        sources.push(read_source_record(row)?);
    }
    Ok(sources)
}

fn read_sources_of(
    connection: &Connection,
    collection: &CollectionKey,
    documents: &[DocumentId],
) -> Result<Vec<Option<SourceName>>, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else {
        return Ok(vec![None; documents.len()]);
    };
    // A collection has few sources, so each is asked for each document.
    let mut statement = connection
        .prepare_cached(
            "SELECT MIN(s.name) FROM sources s WHERE s.collection_ref = ?1 AND EXISTS (SELECT 1 \
             FROM source_documents i WHERE i.source_ref = s.source_ref AND i.document_id = ?2)",
        )
        .map_err(sql_fault)?;
    let mut read = |document_id: &DocumentId| {
        let mut found = statement.query(params![number, document_id.as_str()]).map_err(sql_fault)?;
        let Some(row) = found.next().map_err(sql_fault)? else { return Ok(None) };
        let name: Option<String> = read_column(row, 0)?;
        name.map(|name| require_valid(SourceName::new(&name))).transpose()
    };
    documents.iter().map(&mut read).collect()
}
