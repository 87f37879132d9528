//! How versions end, what they leave behind, and how the dead come back.

use std::collections::BTreeMap;

use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::{PgConnection, query};

use super::generations::sql_generation;
use super::rows::{
    self, Number, bind_numbers, corrupt, get, home_of_version, select_tasks, signed, sql_text, unsigned,
};
use super::{Trouble, log};
use crate::domain::ids::{CollectionKey, DocumentId, Generation, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::fault::Reason;
use crate::ports::ledger::{DeadFilter, DeadLetter, Ending, Loser, State};

/// What a batch of endings meets and leaves.
#[derive(Default)]
struct Books {
    states: BTreeMap<Number, State>,
    /// The visible version of each document that has one.
    serving: BTreeMap<i64, i64>,
    ended: BTreeMap<Number, State>,
    letters: Vec<(Number, Stage, Reason)>,
    /// Documents that became visible, in that order, each once.
    appeared: Vec<i64>,
    /// The generation that each version which became visible was committed to.
    committed: BTreeMap<Number, Generation>,
}

impl Books {
    fn end(&mut self, number: Number, ending: &Ending) {
        let (document_ref, version) = number;
        if self.states.get(&number).is_none_or(|state| state.is_terminal()) {
            return;
        }
        let serving = self.serving.get(&document_ref).copied();
        match ending {
            Ending::Visible(_) if serving.is_some_and(|serving| serving > version) => {
                self.enter(number, State::Superseded);
            }
            Ending::Visible(generation) => {
                self.enter(number, State::Visible);
                self.committed.insert(number, *generation);
                self.appeared.retain(|appeared| *appeared != document_ref);
                self.appeared.push(document_ref);
                if let Some(older) = self.serving.insert(document_ref, version) {
                    self.enter((document_ref, older), State::Superseded);
                }
            }
            Ending::Superseded => self.enter(number, State::Superseded),
            Ending::Dead(stage, reason) => {
                self.enter(number, State::Dead);
                self.letters.push((number, *stage, reason.clone()));
            }
        }
    }

    fn enter(&mut self, number: Number, state: State) {
        self.states.insert(number, state);
        self.ended.insert(number, state);
    }
}

pub(super) async fn finish(
    connection: &mut PgConnection,
    endings: &[(VersionKey, Ending)],
    now_ms: u64,
) -> Result<(), Trouble> {
    let numbers = rows::lock_documents(connection, endings.iter().map(|(key, _)| key)).await?;
    let known = numbers.into_iter().zip(endings);
    let known: Vec<(Number, &Ending)> =
        known.filter_map(|(number, (_, ending))| Some((number?, ending))).collect();
    let mut books = read(connection, &known).await?;
    for (number, ending) in known {
        books.end(number, ending);
    }
    if books.ended.is_empty() {
        return Ok(());
    }
    write(connection, &books, now_ms).await?;
    log::append(connection, &books.appeared).await
}

async fn read(connection: &mut PgConnection, endings: &[(Number, &Ending)]) -> Result<Books, Trouble> {
    let sql = "SELECT v.document_ref, v.version, v.state, \
         (SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
           ORDER BY n.version DESC LIMIT 1) \
         FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version";
    let numbers = endings.iter().map(|(number, _)| number);
    let found = bind_numbers(sql, numbers).fetch_all(connection).await?;
    let mut books = Books::default();
    for row in &found {
        let document_ref = get(row, 0)?;
        books.states.insert((document_ref, get(row, 1)?), rows::state(row, 2)?);
        if let Some(serving) = get(row, 3)? {
            books.serving.insert(document_ref, serving);
        }
    }
    Ok(books)
}

async fn write(connection: &mut PgConnection, books: &Books, now_ms: u64) -> Result<(), Trouble> {
    let Books { ended, letters, committed, .. } = books;
    let sql = "WITH ended AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::smallint[]) \
           AS e (document_ref, version, state)), \
         landed AS (DELETE FROM in_flight f USING ended e \
           WHERE f.document_ref = e.document_ref AND f.version = e.version), \
         lost AS (INSERT INTO unswept (document_ref, version) \
           SELECT document_ref, version FROM ended WHERE state > 3 ON CONFLICT DO NOTHING), \
         died AS (INSERT INTO dead_letters (document_ref, version, stage, code, detail, died_ms) \
           SELECT document_ref, version, stage, code, detail, $4 \
           FROM UNNEST($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[]) WITH ORDINALITY \
             AS l (document_ref, version, stage, code, detail, place) ORDER BY place), \
         strays AS (DELETE FROM spans s \
           USING UNNEST($10::bigint[], $11::bigint[], $12::integer[]) AS c (document_ref, version, generation) \
           WHERE s.document_ref = c.document_ref AND s.version = c.version AND s.generation <> c.generation) \
         UPDATE versions v SET state = e.state, updated_ms = $4 FROM ended e \
         WHERE v.document_ref = e.document_ref AND v.version = e.version";
    bind_numbers(sql, ended.keys())
        .bind(ended.values().map(|state| rows::state_number(*state)).bind_iter())
        .bind(signed(now_ms))
        .bind(letters.iter().map(|((document_ref, _), ..)| *document_ref).bind_iter())
        .bind(letters.iter().map(|((_, version), ..)| *version).bind_iter())
        .bind(letters.iter().map(|(_, stage, _)| stage.name()).bind_iter())
        .bind(letters.iter().map(|(.., reason)| sql_text(&reason.code)).bind_iter())
        .bind(letters.iter().map(|(.., reason)| sql_text(&reason.detail)).bind_iter())
        .bind(committed.keys().map(|(document_ref, _)| *document_ref).bind_iter())
        .bind(committed.keys().map(|(_, version)| *version).bind_iter())
        .bind(committed.values().map(|generation| sql_generation(*generation)).bind_iter())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn losers(
    connection: &mut PgConnection,
    documents: &[(CollectionKey, DocumentId)],
) -> Result<Vec<Loser>, Trouble> {
    let found = query(
        "SELECT k.tenant, k.collection, k.document_id, v.version, v.content_hash, g.epoch, \
         COALESCE(s.chunk_count, 0), g.generation \
         FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
           AS k (tenant, collection, document_id, place) \
         CROSS JOIN LATERAL (SELECT c.collection_ref, c.active_generation \
           FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
           WHERE t.name = k.tenant AND c.name = k.collection LIMIT 1) c \
         CROSS JOIN LATERAL (SELECT document_ref FROM documents \
           WHERE collection_ref = c.collection_ref AND document_id = k.document_id LIMIT 1) d \
         JOIN unswept u ON u.document_ref = d.document_ref \
         JOIN versions v ON v.document_ref = u.document_ref AND v.version = u.version AND v.state > 3 \
         JOIN generations g ON g.collection_ref = c.collection_ref AND g.state <> 'dropped' \
         LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
           AND s.generation = g.generation \
         WHERE s.generation IS NOT NULL OR g.generation = c.active_generation \
         ORDER BY k.place, v.version, g.generation",
    )
    .bind(documents.iter().map(|(collection, _)| collection.tenant.as_str()).bind_iter())
    .bind(documents.iter().map(|(collection, _)| collection.collection.as_str()).bind_iter())
    .bind(documents.iter().map(|(_, document_id)| document_id.as_str()).bind_iter())
    .fetch_all(connection)
    .await?;
    let loser = |row| {
        Ok(Loser {
            key: rows::version_key(row)?,
            content_hash: rows::content_hash(row, 4)?,
            epoch: rows::epoch(row, 5)?,
            chunk_count: rows::number(row, 6)?,
            generation: rows::number(row, 7)?,
        })
    };
    found.iter().map(loser).collect()
}

pub(super) async fn unswept(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Vec<(CollectionKey, DocumentId)>, Trouble> {
    let found = query(concat!(
        "SELECT home.tenant, home.collection, d.document_id \
         FROM (SELECT DISTINCT document_ref FROM unswept ORDER BY document_ref LIMIT $1) v ",
        home_of_version!(),
        "ORDER BY v.document_ref"
    ))
    .bind(signed(limit as u64))
    .fetch_all(connection)
    .await?;
    found.iter().map(|row| Ok((rows::collection_key(row)?, rows::document_id(row)?))).collect()
}

pub(super) async fn mark_swept(connection: &mut PgConnection, keys: &[VersionKey]) -> Result<(), Trouble> {
    let numbers = rows::lock_documents(connection, keys.iter()).await?;
    let sql = "WITH gone AS MATERIALIZED (SELECT v.document_ref, v.version, v.state \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
           JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state > 3), \
         without_spans AS (DELETE FROM spans s USING gone g \
           WHERE s.document_ref = g.document_ref AND s.version = g.version AND g.state = 4), \
         without_bodies AS (DELETE FROM bodies b USING gone g \
           WHERE b.document_ref = g.document_ref AND b.version = g.version AND g.state = 4) \
         DELETE FROM unswept u USING gone g WHERE u.document_ref = g.document_ref AND u.version = g.version";
    bind_numbers(sql, numbers.iter().flatten()).execute(connection).await?;
    Ok(())
}

pub(super) async fn dead(
    connection: &mut PgConnection,
    filter: &DeadFilter,
    limit: usize,
) -> Result<Vec<DeadLetter>, Trouble> {
    let ids: Option<Vec<i64>> = (!filter.ids.is_empty()).then(|| letter_numbers(&filter.ids));
    let found = query(concat!(
        "SELECT home.tenant, home.collection, d.document_id, v.version, v.dead_ref, v.stage, v.code, v.detail, \
         v.died_ms FROM dead_letters v ",
        home_of_version!(),
        "WHERE ($1::text IS NULL OR home.tenant = $1) AND ($2::text IS NULL OR home.collection = $2) \
         AND ($3::text IS NULL OR v.code = $3) AND ($4::text IS NULL OR v.stage = $4) \
         AND ($5::bigint IS NULL OR v.died_ms >= $5) AND ($6::bigint[] IS NULL OR v.dead_ref = ANY ($6)) \
         ORDER BY v.dead_ref LIMIT $7"
    ))
    .bind(filter.collection.as_ref().map(|key| key.tenant.as_str()))
    .bind(filter.collection.as_ref().map(|key| key.collection.as_str()))
    .bind(filter.reason.as_deref().map(sql_text))
    .bind(filter.stage.map(Stage::name))
    .bind(filter.since_ms.map(signed))
    .bind(ids)
    .bind(signed(limit as u64))
    .fetch_all(connection)
    .await?;
    found.iter().map(dead_letter).collect()
}

fn dead_letter(row: &PgRow) -> Result<DeadLetter, Trouble> {
    let stage: &str = get(row, 5)?;
    Ok(DeadLetter {
        id: unsigned(row, 4)?,
        key: rows::version_key(row)?,
        stage: Stage::from_name(stage).ok_or_else(|| corrupt("dead_letters.stage", stage))?,
        reason: Reason { code: get(row, 6)?, detail: get(row, 7)? },
        died_ms: unsigned(row, 8)?,
    })
}

/// Numbers that letters can have; there are none beyond the signed range.
fn letter_numbers(ids: &[u64]) -> Vec<i64> {
    ids.iter().filter_map(|id| i64::try_from(*id).ok()).collect()
}

pub(super) async fn replay(
    connection: &mut PgConnection,
    ids: &[u64],
    now_ms: u64,
) -> Result<Vec<Task>, Trouble> {
    let ids = letter_numbers(ids);
    query(
        "SELECT 1 FROM documents WHERE document_ref IN \
         (SELECT document_ref FROM dead_letters WHERE dead_ref = ANY ($1)) \
         ORDER BY document_ref FOR NO KEY UPDATE",
    )
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    let mut letters: BTreeMap<i64, Number> = BTreeMap::new();
    let gone =
        query("DELETE FROM dead_letters WHERE dead_ref = ANY ($1) RETURNING dead_ref, document_ref, version")
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
    for row in &gone {
        letters.insert(get(row, 0)?, (get(row, 1)?, get(row, 2)?));
    }
    let revived: Vec<Number> = ids.iter().filter_map(|id| letters.remove(id)).collect();
    revive(connection, &revived, now_ms).await?;
    accepted_tasks(connection, &revived).await
}

/// Moves dead versions back to accepted and into the outbox, or to superseded.
async fn revive(connection: &mut PgConnection, numbers: &[Number], now_ms: u64) -> Result<(), Trouble> {
    let sql = "WITH revived AS (UPDATE versions v SET updated_ms = $3, state = CASE WHEN \
             (SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
               ORDER BY n.version DESC LIMIT 1) > v.version THEN 4 ELSE 0 END \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
           WHERE v.document_ref = k.document_ref AND v.version = k.version AND v.state = 5 \
           RETURNING v.document_ref, v.version, v.state, v.accepted_ms), \
         waiting AS (INSERT INTO in_flight (document_ref, version, accepted_ms, published) \
           SELECT document_ref, version, accepted_ms, false FROM revived WHERE state = 0), \
         kept AS (DELETE FROM unswept u USING revived r \
           WHERE u.document_ref = r.document_ref AND u.version = r.version AND r.state = 0) \
         INSERT INTO unswept (document_ref, version) \
         SELECT document_ref, version FROM revived WHERE state = 4 ON CONFLICT DO NOTHING";
    bind_numbers(sql, numbers.iter()).bind(signed(now_ms)).execute(connection).await?;
    Ok(())
}

async fn accepted_tasks(connection: &mut PgConnection, numbers: &[Number]) -> Result<Vec<Task>, Trouble> {
    let sql = select_tasks!(
        "UNNEST($1::bigint[], $2::bigint[]) WITH ORDINALITY AS k (document_ref, version, place) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version",
        "WHERE v.state = 0 ORDER BY k.place"
    );
    let found = bind_numbers(sql, numbers.iter()).fetch_all(connection).await?;
    found.iter().map(|row| Ok(rows::task(row)?.0)).collect()
}

pub(super) async fn drop_dead(connection: &mut PgConnection, ids: &[u64]) -> Result<u64, Trouble> {
    let dropped = query("DELETE FROM dead_letters WHERE dead_ref = ANY ($1)")
        .bind(letter_numbers(ids))
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected())
}
