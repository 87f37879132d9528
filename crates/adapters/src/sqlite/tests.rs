//! Calls that share a transaction.
#![expect(clippy::unwrap_used, reason = "a test fails where one does")]

use super::{SqliteDatabase, sql_fault};
use contexture_core::fault::Fault;

/// Adds a row, then fails where it is told to.
async fn insert_number(database: &SqliteDatabase, number: i64, fails: bool) -> Result<(), Fault> {
    database
        .write(move |db| {
            db.execute("INSERT INTO numbers VALUES (?1)", [number]).map_err(sql_fault)?;
            if fails { Err(Fault::transient("told to")) } else { Ok(()) }
        })
        .await
}

/// Whatever fails, first in its transaction or behind others: it leaves nothing, and its neighbours are there.
#[tokio::test]
async fn a_failed_call_leaves_the_other_calls_of_its_transaction_intact() {
    let directory = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(&directory.path().join("ledger.db")).unwrap();
    database
        .write(|db| db.execute_batch("CREATE TABLE numbers (number INTEGER NOT NULL)").map_err(sql_fault))
        .await
        .unwrap();
    let mut kept = Vec::new();
    for round in 0..20_i64 {
        // While the thread is busy with the first, the others queue up behind it.
        let fails = |place: i64| (round + place) % 3 == 0;
        let calls = (0..8).map(|place| insert_number(&database, 8 * round + place, fails(place)));
        let results = futures::future::join_all(calls).await;
        for (place, result) in (0..).zip(results) {
            assert_eq!(result.is_err(), fails(place));
            if result.is_ok() {
                kept.push(8 * round + place);
            }
        }
    }
    let stored: Vec<i64> = database
        .read(|db| {
            let mut select = db.prepare("SELECT number FROM numbers ORDER BY number").map_err(sql_fault)?;
            let rows = select.query_map([], |row| row.get(0)).map_err(sql_fault)?;
            rows.collect::<Result<_, _>>().map_err(sql_fault)
        })
        .await
        .unwrap();
    assert_eq!(stored, kept);
}
