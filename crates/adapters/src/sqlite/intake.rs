//! Collections, and the version fence at intake.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, sql_version};
use super::sql_fault;
use crate::ledger_rows::{
    corrupt_ledger, parse_content_hash, read_collection, read_content_hash, read_state, read_version,
    require_valid,
};
use crate::ledger_rules::{accepted_task, repeats_latest, unknown_collection};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionKey, ContentHash, Epoch, VERSION_MAX, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{CollectionRecord, IntakeDecision, SubmissionReceipt, VersionState};

const SELECT_COLLECTIONS: &str = "SELECT t.name, c.name, g.pipeline, c.active_generation, g.epoch \
     FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
     JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation";

pub(super) fn ensure_collection(
    connection: &Connection,
    key: &CollectionKey,
    pipeline: &str,
    epoch: Epoch,
    now_ms: u64,
) -> Result<CollectionRecord, Fault> {
    if let Some(record) = find_collection(connection, key)? {
        return Ok(record);
    }
    let insert = || {
        connection.execute("INSERT OR IGNORE INTO tenants (name) VALUES (?1)", [key.tenant.as_str()])?;
        connection.execute(
            "INSERT INTO collections (tenant_ref, name, active_generation) \
             SELECT tenant_ref, ?2, 1 + COALESCE((SELECT generation FROM used_generations \
               WHERE tenant = ?1 AND collection = ?2), 0) FROM tenants WHERE name = ?1",
            params![key.tenant.as_str(), key.collection.as_str()],
        )?;
        connection.execute(
            "INSERT INTO generations (collection_ref, generation, epoch, state, pipeline, created_ms, activated_ms) \
             SELECT collection_ref, active_generation, ?2, 'active', ?3, ?4, ?4 FROM collections \
             WHERE collection_ref = ?1",
            params![connection.last_insert_rowid(), epoch.as_bytes().as_slice(), pipeline, now_ms],
        )
    };
    insert().map_err(sql_fault)?;
    find_collection(connection, key)?
        .ok_or_else(|| corrupt_ledger("collections", "a row just written is missing"))
}

pub(super) fn find_collection(
    connection: &Connection,
    key: &CollectionKey,
) -> Result<Option<CollectionRecord>, Fault> {
    let sql = format!("{SELECT_COLLECTIONS} WHERE t.name = ?1 AND c.name = ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found =
        statement.query(params![key.tenant.as_str(), key.collection.as_str()]).map_err(sql_fault)?;
    found.next().map_err(sql_fault)?.map(read_collection).transpose()
}

pub(super) fn list_collections(connection: &Connection) -> Result<Vec<CollectionRecord>, Fault> {
    let sql = format!("{SELECT_COLLECTIONS} ORDER BY t.name, c.name");
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query([]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        records.push(read_collection(row)?);
    }
    Ok(records)
}

pub(super) fn accept_submissions(
    connection: &Connection,
    submissions: &[Submission],
    now_ms: u64,
) -> Result<Vec<SubmissionReceipt>, Fault> {
    // Batches mostly address one collection. Remembering the last one saves two queries per submission.
    let mut known: Option<(i64, CollectionRecord)> = None;
    let mut receipts = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let key = submission.collection();
        if known.as_ref().is_none_or(|(_, record)| record.key != *key) {
            let unknown = || unknown_collection(&key.collection);
            let number = rows::find_collection_ref(connection, key)?.ok_or_else(unknown)?;
            known = Some((number, find_collection(connection, key)?.ok_or_else(unknown)?));
        }
        let Some((number, record)) = &known else { continue };
        receipts.push(accept_submission(connection, *number, record, submission, now_ms)?);
    }
    Ok(receipts)
}

/// The stored version that a submission has to beat.
struct LatestVersion {
    document_ref: i64,
    version: Version,
    content_hash: ContentHash,
    state: VersionState,
}

fn accept_submission(
    connection: &Connection,
    collection_ref: i64,
    record: &CollectionRecord,
    submission: &Submission,
    now_ms: u64,
) -> Result<SubmissionReceipt, Fault> {
    let latest = find_latest_version(connection, collection_ref, submission)?;
    let (intake, version) = decide_intake(connection, latest.as_ref(), submission)?;
    if intake != IntakeDecision::Accepted {
        return Ok(SubmissionReceipt { version, intake, task: None });
    }
    store_version(connection, collection_ref, latest.as_ref(), submission, version, now_ms)?;
    let task = accepted_task(submission, version, record, now_ms);
    Ok(SubmissionReceipt { version, intake, task: Some(task) })
}

fn decide_intake(
    connection: &Connection,
    latest: Option<&LatestVersion>,
    submission: &Submission,
) -> Result<(IntakeDecision, Version), Fault> {
    let Some(latest) = latest else {
        let version = submission.version().map_or_else(|| require_valid(Version::new(1)), Ok)?;
        // Deleting an unknown document without a version is done already: nothing is stored.
        let nothing_to_delete = submission.deletes() && submission.version().is_none();
        return Ok((
            if nothing_to_delete { IntakeDecision::Duplicate } else { IntakeDecision::Accepted },
            version,
        ));
    };
    let same = |hash: ContentHash| {
        if hash == submission.content_hash() { IntakeDecision::Duplicate } else { IntakeDecision::Conflict }
    };
    match submission.version() {
        None if latest.content_hash == submission.content_hash()
            && repeats_latest(latest.state, submission.deletes()) =>
        {
            Ok((IntakeDecision::Duplicate, latest.version))
        }
        // No version follows the highest one, so other content conflicts with it.
        None if latest.version.get() == VERSION_MAX => Ok((IntakeDecision::Conflict, latest.version)),
        None => Ok((IntakeDecision::Accepted, require_valid(Version::new(latest.version.get() + 1))?)),
        Some(version) if version > latest.version => Ok((IntakeDecision::Accepted, version)),
        Some(version) if version == latest.version => Ok((same(latest.content_hash), version)),
        // Older than the latest: a repeat if this version is stored with the same content, and
        // superseded if it never was.
        Some(version) => match find_content_hash(connection, latest.document_ref, version)? {
            Some(hash) => Ok((same(hash), version)),
            None => Ok((IntakeDecision::Superseded, latest.version)),
        },
    }
}

fn find_latest_version(
    connection: &Connection,
    collection_ref: i64,
    submission: &Submission,
) -> Result<Option<LatestVersion>, Fault> {
    let mut statement = connection
        .prepare_cached(
            "SELECT d.document_ref, v.version, v.content_hash, v.state FROM documents d \
             JOIN versions v ON v.document_ref = d.document_ref AND v.version = d.latest_version \
             WHERE d.collection_ref = ?1 AND d.document_id = ?2",
        )
        .map_err(sql_fault)?;
    let mut found =
        statement.query(params![collection_ref, submission.document_id().as_str()]).map_err(sql_fault)?;
    let Some(row) = found.next().map_err(sql_fault)? else {
        return Ok(None);
    };
    Ok(Some(LatestVersion {
        document_ref: rows::read_column(row, 0)?,
        version: read_version(row, 1)?,
        content_hash: read_content_hash(row, 2)?,
        state: read_state(row, 3)?,
    }))
}

fn find_content_hash(
    connection: &Connection,
    document_ref: i64,
    version: Version,
) -> Result<Option<ContentHash>, Fault> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT content_hash FROM versions WHERE document_ref = ?1 AND version = ?2")
        .and_then(|mut statement| {
            statement.query_row(params![document_ref, sql_version(version)], |row| row.get(0)).optional()
        })
        .map_err(sql_fault)?;
    bytes.map(|bytes| parse_content_hash(&bytes)).transpose()
}

fn store_version(
    connection: &Connection,
    collection_ref: i64,
    latest: Option<&LatestVersion>,
    submission: &Submission,
    version: Version,
    now_ms: u64,
) -> Result<(), Fault> {
    let description = serde_json::to_string(submission.description())
        .map_err(|error| corrupt_ledger("description", &error.to_string()))?;
    let write = || -> rusqlite::Result<()> {
        // One writer, one transaction: nothing can change between the decision and these writes.
        let document_ref = if let Some(latest) = latest {
            connection
                .prepare_cached("UPDATE documents SET latest_version = ?2 WHERE document_ref = ?1")?
                .execute(params![latest.document_ref, sql_version(version)])?;
            latest.document_ref
        } else {
            connection
                .prepare_cached(
                    "INSERT INTO documents (collection_ref, document_id, latest_version) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![collection_ref, submission.document_id().as_str(), sql_version(version)])?;
            connection.last_insert_rowid()
        };
        connection
            .prepare_cached(
                "INSERT INTO versions (document_ref, version, content_hash, description, body_bytes, deletes, \
                 state, published, swept, accepted_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, ?7, ?7)",
            )?
            .execute(params![
                document_ref,
                sql_version(version),
                submission.content_hash().as_bytes().as_slice(),
                description,
                submission.body().len(),
                submission.deletes(),
                now_ms,
            ])?;
        if !submission.deletes() {
            connection
                .prepare_cached("INSERT INTO bodies (document_ref, version, body) VALUES (?1, ?2, ?3)")?
                .execute(params![document_ref, sql_version(version), submission.body().as_ref()])?;
        }
        Ok(())
    };
    write().map_err(sql_fault)
}
