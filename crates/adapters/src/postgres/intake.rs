//! Collections, and the intake of submissions.
//!
//! A batch is processed in this order:
//! * read the collections;
//! * insert rows of new documents, in order of their ids;
//! * lock the documents that existed already, in order of their rows;
//! * read their versions, decide in memory, and store what was accepted.
//!
//! All inserts come before all row locks, each in one global order, so batches cannot deadlock.

use std::collections::BTreeMap;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::intake_decision::DocumentHistory;
use super::rows::{self, read_column, sql_bigint, sql_version};
use super::{PostgresError, STATEMENT_BYTES_MAX, collection_drops};
use crate::ledger_rows::{corrupt_ledger, read_collection, read_content_hash, read_state, read_version};
use crate::ledger_rules::{accepted_task, unknown_collection};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionKey, Epoch, Version};
use contexture_core::ports::ledger::{CollectionRecord, IntakeDecision, SubmissionReceipt};

/// Starts a query whose rows [`read_collection`] reads.
macro_rules! select_collections {
    ($rest:literal) => {
        concat!(
            "SELECT t.name, c.name, g.pipeline, c.active_generation, g.epoch, c.collection_ref \
             FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation ",
            $rest
        )
    };
}

pub(super) async fn ensure_collection(
    connection: &mut PgConnection,
    key: &CollectionKey,
    pipeline: &str,
    epoch: Epoch,
    now_ms: u64,
) -> Result<CollectionRecord, PostgresError> {
    if let Some(record) = find_collection(connection, key).await? {
        return Ok(record);
    }
    // Whoever hides a collection of that name just now has noted its generations once this returns.
    collection_drops::lock_collection_name(connection, key).await?;
    query("INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(key.tenant.as_str())
        .execute(&mut *connection)
        .await?;
    query(
        "INSERT INTO collections (tenant_ref, name, active_generation) \
         SELECT tenant_ref, $2, 1 + COALESCE((SELECT generation FROM used_generations \
           WHERE tenant = $1 AND collection = $2), 0) FROM tenants WHERE name = $1 ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO generations (collection_ref, generation, epoch, state, pipeline, created_ms, activated_ms) \
         SELECT c.collection_ref, c.active_generation, $3, 'active', $4, $5, $5 FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE t.name = $1 AND c.name = $2 ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(epoch.as_bytes().as_slice())
    .bind(pipeline)
    .bind(sql_bigint(now_ms))
    .execute(&mut *connection)
    .await?;
    let record = find_collection(connection, key).await?;
    record.ok_or_else(|| corrupt_ledger("collections", "a row just written is missing").into())
}

pub(super) async fn find_collection(
    connection: &mut PgConnection,
    key: &CollectionKey,
) -> Result<Option<CollectionRecord>, PostgresError> {
    let found = query(select_collections!("WHERE t.name = $1 AND c.name = $2"))
        .bind(key.tenant.as_str())
        .bind(key.collection.as_str())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(read_collection).transpose()
}

pub(super) async fn list_collections(
    connection: &mut PgConnection,
) -> Result<Vec<CollectionRecord>, PostgresError> {
    let found = query(select_collections!("ORDER BY t.name, c.name")).fetch_all(connection).await?;
    found.iter().map(read_collection).collect()
}

/// A document of a batch: the row number of its collection, and its id. Sorts in the global order.
type BatchDocument<'s> = (i64, &'s str);
/// A version to store.
struct NewVersion<'s> {
    document_ref: i64,
    version: Version,
    submission: &'s Submission,
}

pub(super) async fn accept_submissions(
    connection: &mut PgConnection,
    submissions: &[Submission],
    now_ms: u64,
) -> Result<Vec<SubmissionReceipt>, PostgresError> {
    if submissions.is_empty() {
        return Ok(Vec::new());
    }
    let collections = find_batch_collections(connection, submissions).await?;
    let collection_of = |submission: &Submission| {
        let found = collections.get(submission.collection());
        found.ok_or_else(|| unknown_collection(&submission.collection().collection))
    };
    let mut wanted: Vec<(BatchDocument<'_>, &Submission)> = Vec::with_capacity(submissions.len());
    for submission in submissions {
        wanted.push(((collection_of(submission)?.0, submission.document_id().as_str()), submission));
    }
    let mut histories = insert_new_documents(connection, &wanted).await?;
    lock_known_documents(connection, &mut histories).await?;
    read_versions(connection, &wanted, &mut histories).await?;

    let mut receipts = Vec::with_capacity(submissions.len());
    let mut new_versions = Vec::with_capacity(submissions.len());
    for (document, submission) in wanted {
        let history = histories.entry(document).or_default();
        let (intake, version) = history.decide(submission)?;
        if intake != IntakeDecision::Accepted {
            receipts.push(SubmissionReceipt { version, intake, task: None });
            continue;
        }
        // The row was there a moment ago, so its collection was dropped meanwhile.
        let document_ref =
            history.document_ref.ok_or_else(|| unknown_collection(&submission.collection().collection))?;
        new_versions.push(NewVersion { document_ref, version, submission });
        let task = accepted_task(submission, version, &collection_of(submission)?.1, now_ms);
        receipts.push(SubmissionReceipt { version, intake, task: Some(task) });
    }
    store_versions(connection, &new_versions, &histories, now_ms).await?;
    Ok(receipts)
}

/// Reads the collections of a batch, with their row numbers.
async fn find_batch_collections(
    connection: &mut PgConnection,
    submissions: &[Submission],
) -> Result<BTreeMap<CollectionKey, (i64, CollectionRecord)>, PostgresError> {
    let mut keys: Vec<&CollectionKey> = submissions.iter().map(Submission::collection).collect();
    keys.sort_unstable();
    keys.dedup();
    let found = query(select_collections!(
        "JOIN UNNEST($1::text[], $2::text[]) AS k (tenant, collection) ON k.tenant = t.name AND k.collection = c.name"
    ))
    .bind(keys.iter().map(|key| key.tenant.as_str()).bind_iter())
    .bind(keys.iter().map(|key| key.collection.as_str()).bind_iter())
    .fetch_all(connection)
    .await?;
    let numbered = |row| {
        let record = read_collection(row)?;
        Ok((record.key.clone(), (read_column(row, 5)?, record)))
    };
    found.iter().map(numbered).collect()
}

/// Inserts rows for documents that have none and will get a version. Nothing is known of the others
/// yet.
async fn insert_new_documents<'s>(
    connection: &mut PgConnection,
    wanted: &[(BatchDocument<'s>, &'s Submission)],
) -> Result<BTreeMap<BatchDocument<'s>, DocumentHistory>, PostgresError> {
    let mut presumed: BTreeMap<BatchDocument<'s>, DocumentHistory> = BTreeMap::new();
    for (document, submission) in wanted {
        // Decided as if the document were unknown: only a submission that would then be accepted needs
        // a row.
        presumed.entry(*document).or_default().decide(submission)?;
    }
    let new = presumed.iter().filter_map(|(document, history)| Some((document, history.latest?)));
    let made = query(
        "INSERT INTO documents (collection_ref, document_id, latest_version) \
         SELECT k.collection_ref, k.document_id, k.version \
         FROM UNNEST($1::bigint[], $2::text[], $3::bigint[]) AS k (collection_ref, document_id, version) \
         WHERE NOT EXISTS (SELECT 1 FROM documents d \
           WHERE d.collection_ref = k.collection_ref AND d.document_id = k.document_id) \
         ORDER BY k.collection_ref, k.document_id COLLATE \"C\" \
         ON CONFLICT DO NOTHING RETURNING collection_ref, document_id, document_ref",
    )
    .bind(new.clone().map(|(document, _)| document.0).bind_iter())
    .bind(new.clone().map(|(document, _)| document.1).bind_iter())
    .bind(new.map(|(_, version)| sql_version(version)).bind_iter())
    .fetch_all(connection)
    .await?;
    let made =
        made.iter().map(|row| Ok(((read_column(row, 0)?, read_column(row, 1)?), read_column(row, 2)?)));
    let made: BTreeMap<BatchDocument<'_>, i64> = made.collect::<Result<_, PostgresError>>()?;
    let history = |(document, presumed): (BatchDocument<'s>, DocumentHistory)| {
        let document_ref = made.get(&document).copied();
        // `named` is what the inserted row says. It is compared later, to update only rows whose latest
        // version moved.
        let named = document_ref.and(presumed.latest);
        (document, DocumentHistory { document_ref, named, ..DocumentHistory::default() })
    };
    Ok(presumed.into_iter().map(history).collect())
}

/// Locks the documents that existed already, and reads their latest versions.
async fn lock_known_documents(
    connection: &mut PgConnection,
    histories: &mut BTreeMap<BatchDocument<'_>, DocumentHistory>,
) -> Result<(), PostgresError> {
    let others = histories.iter().filter(|(_, history)| history.document_ref.is_none());
    let others: Vec<BatchDocument<'_>> = others.map(|(document, _)| *document).collect();
    // All rows are our own inserts: nobody else can see or lock them before the commit.
    if others.is_empty() {
        return Ok(());
    }
    let locked = query(
        "SELECT collection_ref, document_id, document_ref, latest_version FROM documents \
         WHERE document_ref = ANY (ARRAY ( \
           SELECT d.document_ref FROM UNNEST($1::bigint[], $2::text[]) AS k (collection_ref, document_id) \
           CROSS JOIN LATERAL (SELECT document_ref FROM documents \
             WHERE collection_ref = k.collection_ref AND document_id = k.document_id LIMIT 1) d)) \
         ORDER BY document_ref FOR NO KEY UPDATE",
    )
    .bind(others.iter().map(|document| document.0).bind_iter())
    .bind(others.iter().map(|document| document.1).bind_iter())
    .fetch_all(connection)
    .await?;
    let locked = locked.iter().map(|row| {
        Ok(((read_column(row, 0)?, read_column(row, 1)?), (read_column(row, 2)?, read_version(row, 3)?)))
    });
    let locked: BTreeMap<BatchDocument<'_>, (i64, Version)> = locked.collect::<Result<_, PostgresError>>()?;
    for (document, history) in histories {
        if let Some((document_ref, latest)) = locked.get(document) {
            history.document_ref = Some(*document_ref);
            (history.named, history.latest) = (Some(*latest), Some(*latest));
        }
    }
    Ok(())
}

/// Reads the versions that the decisions need. A statement of its own: its snapshot is taken after the
/// locks, so it sees all earlier commits.
async fn read_versions<'s>(
    connection: &mut PgConnection,
    wanted: &[(BatchDocument<'s>, &'s Submission)],
    histories: &mut BTreeMap<BatchDocument<'s>, DocumentHistory>,
) -> Result<(), PostgresError> {
    let mut documents: BTreeMap<i64, BatchDocument<'s>> = BTreeMap::new();
    let mut asked: Vec<(i64, i64)> = Vec::new();
    for (document, submission) in wanted {
        let Some(history) = histories.get(document) else { continue };
        let (Some(document_ref), Some(latest)) = (history.document_ref, history.latest) else { continue };
        // The latest version once per document, and every version that was asked for by number.
        if documents.insert(document_ref, *document).is_none() {
            asked.push((document_ref, sql_version(latest)));
        }
        asked.extend(submission.version().map(|version| (document_ref, sql_version(version))));
    }
    if asked.is_empty() {
        return Ok(());
    }
    let found = query(
        "SELECT v.document_ref, v.version, v.content_hash, v.state \
         FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version",
    )
    .bind(asked.iter().map(|(document_ref, _)| *document_ref).bind_iter())
    .bind(asked.iter().map(|(_, version)| *version).bind_iter())
    .fetch_all(connection)
    .await?;
    for row in &found {
        let document = documents.get(&read_column(row, 0)?);
        if let Some(history) = document.and_then(|document| histories.get_mut(document)) {
            let stored = (read_content_hash(row, 2)?, read_state(row, 3)?);
            history.versions.insert(read_version(row, 1)?, stored);
        }
    }
    Ok(())
}

async fn store_versions(
    connection: &mut PgConnection,
    new_versions: &[NewVersion<'_>],
    histories: &BTreeMap<BatchDocument<'_>, DocumentHistory>,
    now_ms: u64,
) -> Result<(), PostgresError> {
    if new_versions.is_empty() {
        return Ok(());
    }
    // A row inserted in this call may name its latest version already.
    let moved = histories.values().filter(|history| history.latest != history.named);
    let moved = moved.filter_map(|history| Some((history.document_ref?, history.latest?)));
    query(
        "WITH news AS MATERIALIZED (SELECT * \
           FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::boolean[]) \
           AS news (document_ref, version, content_hash, body_bytes, deletes)), \
         moved AS (UPDATE documents d SET latest_version = m.version \
           FROM UNNEST($6::bigint[], $7::bigint[]) AS m (document_ref, version) \
           WHERE d.document_ref = m.document_ref), \
         waiting AS (INSERT INTO in_flight (document_ref, version, accepted_ms, published) \
           SELECT document_ref, version, $8, false FROM news) \
         INSERT INTO versions \
           (document_ref, version, content_hash, body_bytes, deletes, state, accepted_ms, updated_ms) \
         SELECT document_ref, version, content_hash, body_bytes, deletes, 0, $8, $8 FROM news",
    )
    .bind(new_versions.iter().map(|new| new.document_ref).bind_iter())
    .bind(new_versions.iter().map(|new| sql_version(new.version)).bind_iter())
    .bind(new_versions.iter().map(|new| *new.submission.content_hash().as_bytes()).bind_iter())
    .bind(new_versions.iter().map(|new| sql_bigint(new.submission.body().len() as u64)).bind_iter())
    .bind(new_versions.iter().map(|new| new.submission.deletes()).bind_iter())
    .bind(moved.clone().map(|(document_ref, _)| document_ref).bind_iter())
    .bind(moved.map(|(_, version)| sql_version(version)).bind_iter())
    .bind(sql_bigint(now_ms))
    .execute(&mut *connection)
    .await?;
    store_bodies(connection, new_versions).await
}

async fn store_bodies(
    connection: &mut PgConnection,
    new_versions: &[NewVersion<'_>],
) -> Result<(), PostgresError> {
    let mut bodies = Vec::with_capacity(new_versions.len());
    for one in new_versions.iter().filter(|new| !new.submission.deletes()) {
        let description = serde_json::to_string(one.submission.description())
            .map_err(|error| corrupt_ledger("description", &error.to_string()))?;
        bodies.push((one, description));
    }
    let weight =
        |(one, description): &(&NewVersion<'_>, String)| one.submission.body().len() + description.len();
    for run in rows::split_by_bytes(&bodies, STATEMENT_BYTES_MAX, weight) {
        // In the target list, set-returning functions go row by row; in FROM they would be materialized
        // first.
        query(
            "INSERT INTO bodies (document_ref, version, description, body) \
             SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::bytea[])",
        )
        .bind(run.iter().map(|(one, _)| one.document_ref).bind_iter())
        .bind(run.iter().map(|(one, _)| sql_version(one.version)).bind_iter())
        .bind(run.iter().map(|(_, description)| description.as_str()).bind_iter())
        .bind(run.iter().map(|(one, _)| one.submission.body().as_ref()).bind_iter())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
