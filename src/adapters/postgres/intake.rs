//! Collections, and the intake of submissions.
//!
//! A batch is taken in this order: collections; rows of documents that are new, in order of
//! their ids; locks of those that were there; what they hold; the decisions, in memory; what
//! was accepted. Nobody waits for a lock while he still makes rows, so batches cannot deadlock.

use std::collections::BTreeMap;

use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::{PgConnection, query};

use super::fence::History;
use super::rows::{self, corrupt, get, signed, sql_version};
use super::{STATEMENT_BYTES_MAX, Trouble};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionKey, Epoch, Version};
use crate::domain::task::Task;
use crate::fault::Fault;
use crate::ports::ledger::{CollectionRecord, Intake, Receipt};

/// Starts a query whose rows [`collection_record`] reads.
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
) -> Result<CollectionRecord, Trouble> {
    if let Some(record) = collection(connection, key).await? {
        return Ok(record);
    }
    query("INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(key.tenant.as_str())
        .execute(&mut *connection)
        .await?;
    query(
        "INSERT INTO collections (tenant_ref, name, active_generation) \
         SELECT tenant_ref, $2, 1 FROM tenants WHERE name = $1 ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO generations (collection_ref, generation, epoch, state, pipeline, created_ms, activated_ms) \
         SELECT c.collection_ref, 1, $3, 'active', $4, $5, $5 FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE t.name = $1 AND c.name = $2 ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(epoch.as_bytes().as_slice())
    .bind(pipeline)
    .bind(signed(now_ms))
    .execute(&mut *connection)
    .await?;
    let record = collection(connection, key).await?;
    record.ok_or_else(|| corrupt("collections", "a row just written is missing").into())
}

pub(super) async fn collection(
    connection: &mut PgConnection,
    key: &CollectionKey,
) -> Result<Option<CollectionRecord>, Trouble> {
    let found = query(select_collections!("WHERE t.name = $1 AND c.name = $2"))
        .bind(key.tenant.as_str())
        .bind(key.collection.as_str())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(collection_record).transpose()
}

pub(super) async fn collections(connection: &mut PgConnection) -> Result<Vec<CollectionRecord>, Trouble> {
    let found = query(select_collections!("ORDER BY t.name, c.name")).fetch_all(connection).await?;
    found.iter().map(collection_record).collect()
}

fn collection_record(row: &PgRow) -> Result<CollectionRecord, Trouble> {
    Ok(CollectionRecord {
        key: rows::collection_key(row)?,
        pipeline: get(row, 2)?,
        generation: rows::number(row, 3)?,
        epoch: rows::epoch(row, 4)?,
    })
}

/// A document of a batch: its collection's number, and its id. Sorts in the order of all.
type Place<'s> = (i64, &'s str);
/// A version to store.
struct News<'s> {
    document_ref: i64,
    version: Version,
    submission: &'s Submission,
}

pub(super) async fn accept(
    connection: &mut PgConnection,
    submissions: &[Submission],
    now_ms: u64,
) -> Result<Vec<Receipt>, Trouble> {
    if submissions.is_empty() {
        return Ok(Vec::new());
    }
    let homes = homes(connection, submissions).await?;
    let home = |submission: &Submission| {
        let found = homes.get(submission.collection());
        found.ok_or_else(|| Trouble::Fault(unknown_collection(submission)))
    };
    let mut wanted: Vec<(Place<'_>, &Submission)> = Vec::with_capacity(submissions.len());
    for submission in submissions {
        wanted.push(((home(submission)?.0, submission.document_id().as_str()), submission));
    }
    let mut histories = create(connection, &wanted).await?;
    lock(connection, &mut histories).await?;
    read(connection, &wanted, &mut histories).await?;

    let mut receipts = Vec::with_capacity(submissions.len());
    let mut news = Vec::with_capacity(submissions.len());
    for (place, submission) in wanted {
        let history = histories.entry(place).or_default();
        let (intake, version) = history.take(submission)?;
        if intake != Intake::Accepted {
            receipts.push(Receipt { version, intake, task: None });
            continue;
        }
        let document_ref =
            history.document_ref.ok_or_else(|| corrupt("documents", "a row just written is missing"))?;
        news.push(News { document_ref, version, submission });
        let task = task(submission, version, &home(submission)?.1, now_ms);
        receipts.push(Receipt { version, intake, task: Some(task) });
    }
    store(connection, &news, &histories, now_ms).await?;
    Ok(receipts)
}

fn task(submission: &Submission, version: Version, home: &CollectionRecord, now_ms: u64) -> Task {
    Task {
        key: submission.key(version),
        generation: home.generation,
        epoch: home.epoch,
        content_hash: submission.content_hash(),
        deletes: submission.deletes(),
        body_bytes: submission.body().len() as u64,
        attempt: 0,
        accepted_ms: now_ms,
        origin: None,
    }
}

fn unknown_collection(submission: &Submission) -> Fault {
    let name = &submission.collection().collection;
    Fault::permanent("unknown_collection", format!("collection '{name}' does not exist"))
}

/// The collections of a batch, with their numbers.
async fn homes(
    connection: &mut PgConnection,
    submissions: &[Submission],
) -> Result<BTreeMap<CollectionKey, (i64, CollectionRecord)>, Trouble> {
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
    let home = |row| {
        let record = collection_record(row)?;
        Ok((record.key.clone(), (get(row, 5)?, record)))
    };
    found.iter().map(home).collect()
}

/// Makes the rows of documents that have none and will get a version. Of the others nothing is
/// known yet.
async fn create<'s>(
    connection: &mut PgConnection,
    wanted: &[(Place<'s>, &'s Submission)],
) -> Result<BTreeMap<Place<'s>, History>, Trouble> {
    let mut presumed: BTreeMap<Place<'s>, History> = BTreeMap::new();
    for (place, submission) in wanted {
        presumed.entry(*place).or_default().take(submission)?;
    }
    let new = presumed.iter().filter_map(|(place, history)| Some((place, history.latest?)));
    let made = query(
        "INSERT INTO documents (collection_ref, document_id, latest_version) \
         SELECT k.collection_ref, k.document_id, k.version \
         FROM UNNEST($1::bigint[], $2::text[], $3::bigint[]) AS k (collection_ref, document_id, version) \
         WHERE NOT EXISTS (SELECT 1 FROM documents d \
           WHERE d.collection_ref = k.collection_ref AND d.document_id = k.document_id) \
         ORDER BY k.collection_ref, k.document_id COLLATE \"C\" \
         ON CONFLICT DO NOTHING RETURNING collection_ref, document_id, document_ref",
    )
    .bind(new.clone().map(|(place, _)| place.0).bind_iter())
    .bind(new.clone().map(|(place, _)| place.1).bind_iter())
    .bind(new.map(|(_, version)| sql_version(version)).bind_iter())
    .fetch_all(connection)
    .await?;
    let made = made.iter().map(|row| Ok(((get(row, 0)?, get(row, 1)?), get(row, 2)?)));
    let made: BTreeMap<Place<'_>, i64> = made.collect::<Result<_, Trouble>>()?;
    let history = |(place, presumed): (Place<'s>, History)| {
        let document_ref = made.get(&place).copied();
        let named = document_ref.and(presumed.latest);
        (place, History { document_ref, named, ..History::default() })
    };
    Ok(presumed.into_iter().map(history).collect())
}

/// Locks the documents that were there, and reads their latest versions.
async fn lock(
    connection: &mut PgConnection,
    histories: &mut BTreeMap<Place<'_>, History>,
) -> Result<(), Trouble> {
    let others = histories.iter().filter(|(_, history)| history.document_ref.is_none());
    let others: Vec<Place<'_>> = others.map(|(place, _)| *place).collect();
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
    .bind(others.iter().map(|place| place.0).bind_iter())
    .bind(others.iter().map(|place| place.1).bind_iter())
    .fetch_all(connection)
    .await?;
    let locked =
        locked.iter().map(|row| Ok(((get(row, 0)?, get(row, 1)?), (get(row, 2)?, rows::version(row, 3)?))));
    let locked: BTreeMap<Place<'_>, (i64, Version)> = locked.collect::<Result<_, Trouble>>()?;
    for (place, history) in histories {
        if let Some((document_ref, latest)) = locked.get(place) {
            history.document_ref = Some(*document_ref);
            (history.named, history.latest) = (Some(*latest), Some(*latest));
        }
    }
    Ok(())
}

/// Reads of the locked documents what the decisions need: a statement of its own, so that it
/// sees what was committed before the locks were had.
async fn read<'s>(
    connection: &mut PgConnection,
    wanted: &[(Place<'s>, &'s Submission)],
    histories: &mut BTreeMap<Place<'s>, History>,
) -> Result<(), Trouble> {
    let mut documents: BTreeMap<i64, Place<'s>> = BTreeMap::new();
    let mut asked: Vec<(i64, i64)> = Vec::new();
    for (place, submission) in wanted {
        let Some(history) = histories.get(place) else { continue };
        let (Some(document_ref), Some(latest)) = (history.document_ref, history.latest) else { continue };
        if documents.insert(document_ref, *place).is_none() {
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
        let place = documents.get(&get(row, 0)?);
        if let Some(history) = place.and_then(|place| histories.get_mut(place)) {
            let stored = (rows::content_hash(row, 2)?, rows::state(row, 3)?);
            history.versions.insert(rows::version(row, 1)?, stored);
        }
    }
    Ok(())
}

async fn store(
    connection: &mut PgConnection,
    news: &[News<'_>],
    histories: &BTreeMap<Place<'_>, History>,
    now_ms: u64,
) -> Result<(), Trouble> {
    if news.is_empty() {
        return Ok(());
    }
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
    .bind(news.iter().map(|news| news.document_ref).bind_iter())
    .bind(news.iter().map(|news| sql_version(news.version)).bind_iter())
    .bind(news.iter().map(|news| *news.submission.content_hash().as_bytes()).bind_iter())
    .bind(news.iter().map(|news| signed(news.submission.body().len() as u64)).bind_iter())
    .bind(news.iter().map(|news| news.submission.deletes()).bind_iter())
    .bind(moved.clone().map(|(document_ref, _)| document_ref).bind_iter())
    .bind(moved.map(|(_, version)| sql_version(version)).bind_iter())
    .bind(signed(now_ms))
    .execute(&mut *connection)
    .await?;
    store_bodies(connection, news).await
}

async fn store_bodies(connection: &mut PgConnection, news: &[News<'_>]) -> Result<(), Trouble> {
    let mut bodies = Vec::with_capacity(news.len());
    for one in news.iter().filter(|news| !news.submission.deletes()) {
        let description = serde_json::to_string(one.submission.description())
            .map_err(|error| corrupt("description", &error.to_string()))?;
        bodies.push((one, description));
    }
    let weight = |(one, description): &(&News<'_>, String)| one.submission.body().len() + description.len();
    for run in rows::runs(&bodies, STATEMENT_BYTES_MAX, weight) {
        // Set-returning functions in the target list go row by row; in FROM they would be
        // collected first.
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
