//! The embedding cache: what it keeps, and what goes first.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::domain::ids::{EmbeddingKey, derive_embedding_key};
use contexture_core::ports::ledger::{EMBEDDING_CACHE_USE_PERIOD_MS, Ledger, embedding_cache_cost};
use proptest::collection::vec;
use proptest::prelude::*;

use super::LedgerFixture;
use crate::support::strategies::runner;

const VECTOR: [f32; 4] = [0.5, -0.25, 1.0, 0.0];
const PERIOD: Duration = Duration::from_millis(EMBEDDING_CACHE_USE_PERIOD_MS);
/// Names a run of keys.
type Range = std::ops::Range<usize>;

/// What so many entries cost.
fn room_for(entries: u64) -> u64 {
    entries * embedding_cache_cost(&VECTOR)
}

fn keys(range: Range) -> Vec<EmbeddingKey> {
    range.map(|number| derive_embedding_key("model", &number.to_string())).collect()
}

async fn add(ledger: &Arc<dyn Ledger>, range: Range) {
    let vectors = keys(range).into_iter().map(|key| (key, VECTOR.to_vec())).collect();
    ledger.cache_vectors(vectors).await.unwrap();
}

/// How many of these it has. Asking is a use.
async fn kept(ledger: &Arc<dyn Ledger>, range: Range) -> usize {
    let found = ledger.cached_vectors(&keys(range)).await.unwrap();
    assert!(found.iter().flatten().all(|vector| *vector == VECTOR));
    found.iter().flatten().count()
}

pub(super) async fn cache_keeps_within_its_bound(fixture: LedgerFixture) {
    let cache = (fixture.peer)(room_for(32));
    add(&cache, 0..32).await;
    assert_eq!(kept(&cache, 0..32).await, 32, "up to the bound everything stays");
    for next in 32..96 {
        add(&cache, next..next + 1).await;
        let all = kept(&cache, 0..96).await;
        assert!((29..=32).contains(&all), "{all} after {next}: a sixteenth goes at a time, not more");
    }
    add(&cache, 100..200).await;
    let all = kept(&cache, 0..200).await;
    assert!((29..=32).contains(&all), "{all} after more than it holds at once");
}

pub(super) async fn least_recently_used_go_first(fixture: LedgerFixture) {
    let cache = (fixture.peer)(room_for(64));
    add(&cache, 0..20).await;
    fixture.clock.advance(PERIOD);
    add(&cache, 20..40).await;
    fixture.clock.advance(PERIOD);
    assert_eq!(kept(&cache, 0..10).await, 10, "used again");
    fixture.clock.advance(PERIOD);
    add(&cache, 40..64).await;
    add(&cache, 64..70).await;
    assert_eq!(kept(&cache, 40..70).await, 30, "the newest stay");
    assert_eq!(kept(&cache, 0..10).await, 10, "what was used again stays");
    assert_eq!(kept(&cache, 10..20).await, 0, "what was used longest ago goes");
    assert_eq!(kept(&cache, 20..40).await, 20, "what was used since stays");
}

pub(super) async fn bound_of_zero_keeps_nothing(fixture: LedgerFixture) {
    let (with, without) = ((fixture.peer)(room_for(8)), (fixture.peer)(0));
    add(&without, 0..4).await;
    assert_eq!(kept(&with, 0..4).await, 0);
    add(&with, 0..4).await;
    assert_eq!(kept(&without, 0..4).await, 0, "it does not even look");
    add(&without, 4..5).await;
    assert_eq!(kept(&with, 0..5).await, 0, "and clears what others left");
}

pub(super) async fn lowered_bound_is_reached(fixture: LedgerFixture) {
    add(&fixture.ledger, 0..3000).await;
    assert_eq!(kept(&fixture.ledger, 0..3000).await, 3000);
    let lower = (fixture.peer)(room_for(100));
    for next in 3000..3010 {
        add(&lower, next..next + 1).await;
    }
    let all = kept(&lower, 0..3010).await;
    assert!((90..=100).contains(&all), "{all}");
}

pub(super) async fn vector_past_the_bound_is_left_out(fixture: LedgerFixture) {
    let cache = (fixture.peer)(room_for(4));
    add(&cache, 0..4).await;
    let large = derive_embedding_key("model", "large");
    cache.cache_vectors(vec![(large, vec![1.0; 1000])]).await.unwrap();
    assert_eq!(cache.cached_vectors(&[large]).await.unwrap(), [None]);
    assert_eq!(kept(&cache, 0..4).await, 4, "and takes nobody's place");
}

pub(super) async fn handles_share_one_cache(fixture: LedgerFixture) {
    let handles: Vec<_> = (0..4).map(|_| (fixture.peer)(room_for(64))).collect();
    let calls: Vec<_> = handles
        .iter()
        .enumerate()
        .map(|(number, handle)| {
            let handle = handle.clone();
            // Neighbours add the same keys, and look up what others evict.
            tokio::spawn(async move {
                for step in 0..12 {
                    let start = number * 10 + step * 7;
                    add(&handle, start..start + 20).await;
                    kept(&handle, 0..start).await;
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    add(&handles[0], 500..501).await;
    let all = kept(&handles[1], 0..501).await;
    assert!((59..=64).contains(&all), "{all}");
}

/// A total that drifted down would let the cache grow past its bound; one that drifted up would
/// empty it too soon.
pub(super) async fn total_never_drifts(fixture: LedgerFixture) {
    let cache = (fixture.peer)(room_for(16));
    let handle = tokio::runtime::Handle::current();
    let step = (0..40_usize, 1..6_usize, 0..2_u32);
    tokio::task::block_in_place(|| {
        runner(24).run(&vec(step, 1..20), |steps| {
            handle.block_on(async {
                for (start, count, periods) in steps {
                    fixture.clock.advance(PERIOD * periods);
                    add(&cache, start..start + count).await;
                    let all = kept(&cache, 0..46).await;
                    prop_assert!(all <= 16, "{} entries", all);
                }
                add(&cache, 0..17).await;
                let all = kept(&cache, 0..46).await;
                prop_assert!((14..=16).contains(&all), "{} entries", all);
                Ok(())
            })
        })
    })
    .unwrap();
}
