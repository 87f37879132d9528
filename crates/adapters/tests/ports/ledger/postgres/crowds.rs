//! Several processes on one ledger.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::domain::ids::{CollectionKey, derive_embedding_key};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{FailureReason, reason};
use contexture_core::ports::ledger::{IntakeDecision, Ledger, VersionOutcome};
use sqlx::Row;

use crate::support::postgres::{PATIENCE, TemporarySchema, number, rows, until};
use crate::support::{TENANT, collection, document, epoch, spans, submission, version_key};

const PROCESSES: usize = 4;

async fn processes(schema: &TemporarySchema) -> (Vec<Arc<dyn Ledger>>, CollectionKey) {
    let mut ledgers = Vec::new();
    for _ in 0..PROCESSES {
        ledgers.push(schema.ledger().await);
    }
    let home = collection(TENANT, "home");
    ledgers[0].ensure_collection(&home, "", epoch("one")).await.unwrap();
    (ledgers, home)
}

/// 100 submissions of one document at once, spread over the processes.
async fn submit_at_once(
    schema: &TemporarySchema,
    text: impl Fn(usize) -> String,
) -> Vec<(IntakeDecision, u64)> {
    let (ledgers, home) = processes(schema).await;
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let ledger = ledgers[number % PROCESSES].clone();
            let batch = vec![submission(&home, "doc", None, &text(number))];
            tokio::spawn(async move { ledger.accept(batch).await.unwrap().remove(0) })
        })
        .collect();
    let mut intakes = Vec::new();
    for call in calls {
        let receipt = call.await.unwrap();
        intakes.push((receipt.intake, receipt.version.get()));
    }
    intakes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_submissions_to_many_processes_store_one_version() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let intakes = submit_at_once(&schema, |_| "text".to_owned()).await;
    let accepted = intakes.iter().filter(|(intake, _)| *intake == IntakeDecision::Accepted).count();
    let duplicates = intakes.iter().filter(|(intake, _)| *intake == IntakeDecision::Duplicate).count();
    assert_eq!((accepted, duplicates), (1, 99));
    assert!(intakes.iter().all(|(_, number)| *number == 1));
    let mut beside = schema.connection().await;
    assert_eq!(number(&mut beside, "SELECT count(*) FROM versions").await, 1);
    assert_eq!(number(&mut beside, "SELECT count(*) FROM bodies").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_submissions_to_many_processes_get_different_versions() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut intakes = submit_at_once(&schema, |number| format!("text {number}")).await;
    intakes.sort_by_key(|(_, number)| *number);
    let expected: Vec<_> = (1..=100).map(|number| (IntakeDecision::Accepted, number)).collect();
    assert_eq!(intakes, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collection_made_by_many_at_once_is_one() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let (ledgers, _) = processes(&schema).await;
    let calls: Vec<_> = (0..32)
        .map(|number| {
            let ledger = ledgers[number % PROCESSES].clone();
            tokio::spawn(async move {
                let key = collection("globex", "shared");
                ledger.ensure_collection(&key, &number.to_string(), epoch(&number.to_string())).await.unwrap()
            })
        })
        .collect();
    let mut records = Vec::new();
    for call in calls {
        records.push(call.await.unwrap());
    }
    assert!(records.iter().all(|record| *record == records[0]), "what is stored wins");
    assert_eq!(ledgers[0].collections().await.unwrap().len(), 2);
}

/// Batches over the same documents in opposite orders: everything that changes versions, at
/// once, from every process. Nothing fails, and the books balance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_batches_of_many_processes_do_not_block_each_other() {
    const DOCUMENTS: usize = 40;
    const ROUNDS: usize = 12;
    let Some(schema) = TemporarySchema::new().await else { return };
    let (ledgers, home) = processes(&schema).await;
    let work = |process: usize| {
        let (ledger, home) = (ledgers[process].clone(), home.clone());
        async move {
            for round in 0..ROUNDS {
                let mut ids: Vec<String> = (0..DOCUMENTS).map(|number| format!("doc {number}")).collect();
                ids.rotate_left(round * 7 % DOCUMENTS);
                if process % 2 == 1 {
                    ids.reverse();
                }
                let text = format!("{process} {round}");
                let batch = ids.iter().map(|id| submission(&home, id, None, &text)).collect();
                let receipts = ledger.accept(batch).await.unwrap();
                assert!(receipts.iter().all(|receipt| receipt.intake == IntakeDecision::Accepted));
                let keys: Vec<_> = receipts
                    .iter()
                    .zip(&ids)
                    .map(|(receipt, id)| version_key(&home, id, receipt.version.get()))
                    .collect();
                ledger.mark_published(&keys).await.unwrap();
                let chunked = keys.iter().map(|key| (key.clone(), spans(2))).collect();
                ledger.store_spans(1, chunked).await.unwrap();
                ledger.mark_embedded(&keys).await.unwrap();
                let gave_up = || {
                    VersionOutcome::Dead(IngestStage::Embed, FailureReason::new(reason::CONFLICT, "made up"))
                };
                let endings = keys.iter().enumerate().map(|(place, key)| {
                    (key.clone(), if place % 5 == round % 5 { gave_up() } else { VersionOutcome::Visible(1) })
                });
                ledger.finish(endings.collect()).await.unwrap();
                let documents: Vec<_> = ids.iter().map(|id| (home.clone(), document(id))).collect();
                let losers = ledger.unswept_versions(&documents).await.unwrap();
                let lost: Vec<_> = losers.into_iter().map(|loser| loser.key).collect();
                ledger.mark_swept(&lost).await.unwrap();
            }
        }
    };
    let running: Vec<_> = (0..PROCESSES).map(|process| tokio::spawn(work(process))).collect();
    for process in running {
        process.await.unwrap();
    }

    let counts = ledgers[0].counts(&home).await.unwrap();
    assert_eq!(counts.accepted, (DOCUMENTS * ROUNDS * PROCESSES) as u64);
    assert_eq!((counts.in_flight, counts.visible), (0, DOCUMENTS as u64));
    assert_eq!(counts.accepted, counts.visible + counts.superseded + counts.dead);
    let mut beside = schema.connection().await;
    assert_eq!(number(&mut beside, "SELECT count(*) FROM in_flight").await, 0);
    let shown =
        rows(&mut beside, "SELECT document_ref FROM versions WHERE state = 3 GROUP BY 1 HAVING count(*) > 1");
    assert_eq!(shown.await.len(), 0, "a document shows one version");
}

/// The server ends a deadlock by failing one side: the ledger's call runs again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_with_a_stranger_is_survived() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let (ledgers, home) = processes(&schema).await;
    let both = |text| vec![submission(&home, "a", None, text), submission(&home, "b", None, text)];
    ledgers[0].accept(both("one")).await.unwrap();

    let mut stranger = schema.connection().await;
    // It waits longer than the ledger before it looks for a deadlock, so the ledger is the victim.
    rows(&mut stranger, "SELECT set_config('deadlock_timeout', '1min', false)").await;
    rows(&mut stranger, "BEGIN").await;
    rows(&mut stranger, "SELECT 1 FROM documents WHERE document_id = 'b' FOR UPDATE").await;
    let (ledger, batch) = (ledgers[1].clone(), both("two"));
    let call = tokio::spawn(async move { ledger.accept(batch).await });
    let mut watcher = schema.connection().await;
    until(&mut watcher, &waiting(&schema)).await;
    rows(&mut stranger, "SELECT 1 FROM documents WHERE document_id = 'a' FOR UPDATE").await;
    rows(&mut stranger, "COMMIT").await;

    let receipts = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap().unwrap();
    let decided: Vec<_> = receipts.iter().map(|receipt| (receipt.intake, receipt.version.get())).collect();
    assert_eq!(decided, [(IntakeDecision::Accepted, 2), (IntakeDecision::Accepted, 2)]);
}

/// Whether somebody in the schema waits for a lock.
fn waiting(schema: &TemporarySchema) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'contexture {}' \
         AND wait_event_type = 'Lock')",
        schema.name
    )
}

/// The running total of the cache is what a recount finds, after everybody added and evicted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_total_is_what_a_recount_finds() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut config = schema.config();
    config.cache_bytes_max = 40_000;
    let mut running = Vec::new();
    for process in 0..PROCESSES {
        let ledger = crate::support::postgres::open(&config).await;
        running.push(tokio::spawn(async move {
            for step in 0..20 {
                let key = |number: usize| {
                    contexture_core::domain::ids::derive_embedding_key(
                        "model",
                        &(process * 15 + step * 5 + number).to_string(),
                    )
                };
                let vectors = (0..30).map(|number| (key(number), vec![0.5; 1 + number])).collect();
                ledger.cache_vectors(vectors).await.unwrap();
            }
        }));
    }
    for process in running {
        process.await.unwrap();
    }
    let mut beside = schema.connection().await;
    let total = rows(
        &mut beside,
        "SELECT (SELECT bytes FROM cache_usage), \
         (SELECT sum(octet_length(vector) + 128)::bigint FROM embedding_cache)",
    )
    .await;
    let (kept, counted): (i64, i64) = (total[0].get(0), total[0].get(1));
    assert_eq!(kept, counted);
    assert!((30_000..=40_000).contains(&kept), "{kept}");
}

/// What one process embeds, others wait for; should it be gone, they do not wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimed_texts_are_left_to_who_claimed_them() {
    const TTL: Duration = Duration::from_mins(1);
    let Some(schema) = TemporarySchema::new().await else { return };
    let (one, two) = (schema.ledger().await, schema.ledger().await);
    let key = |text: &str| derive_embedding_key("model", text);
    let (first, second) = ([key("a"), key("b"), key("a")], [key("b"), key("c")]);
    assert_eq!(one.claim_texts(&first, TTL).await.unwrap(), [true, true, true]);
    assert_eq!(two.claim_texts(&second, TTL).await.unwrap(), [false, true]);
    one.release_texts(&first).await.unwrap();
    assert_eq!(two.claim_texts(&first[..2], TTL).await.unwrap(), [true, true]);
    assert_eq!(one.claim_texts(&[], TTL).await.unwrap(), [false; 0]);
    let ends = "UPDATE embedding_claims SET ends_at = clock_timestamp()";
    sqlx::query(ends).execute(&mut schema.connection().await).await.unwrap();
    assert_eq!(one.claim_texts(&second, TTL).await.unwrap(), [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_claim_at_once_each_text_has_one() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let keys: Vec<_> = (0..200).map(|number| derive_embedding_key("model", &number.to_string())).collect();
    let mut claiming = tokio::task::JoinSet::new();
    for turn in 0..4 {
        let (ledger, mut keys) = (schema.ledger().await, keys.clone());
        keys.rotate_left(50 * turn);
        claiming.spawn(async move {
            let claimed = ledger.claim_texts(&keys, Duration::from_mins(1)).await.unwrap();
            claimed.into_iter().filter(|is_mine| *is_mine).count()
        });
    }
    assert_eq!(claiming.join_all().await.into_iter().sum::<usize>(), 200);
}
