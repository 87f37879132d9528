//! Two ranked lists become one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use contexture_core::context::fuse::{
    FusedHit, FusionWeights, add_neighbour_support, fuse_hits, fuse_relative_scores, mix_window_cosines,
};
use contexture_core::context::request::FusionMethod;
use contexture_core::domain::chunk::Chunk;
use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::lexical::LexicalHit;
use contexture_core::ports::vectors::DenseHit;
use proptest::prelude::*;

use crate::support::corpora::chunk;

const WEIGHTS: FusionWeights = FusionWeights { lexical: 0.6, dense: 0.4 };

fn id(number: u128) -> ChunkId {
    ChunkId::from_uuid(uuid::Uuid::from_u128(number))
}

fn hits() -> impl Strategy<Value = Vec<(u128, f32)>> {
    prop::collection::vec((0..30_u128, -1.0..20.0_f32), 0..20).prop_map(|mut hits| {
        let mut seen = BTreeSet::new();
        hits.retain(|(number, _)| seen.insert(*number));
        hits.sort_by(|left, right| right.1.total_cmp(&left.1));
        hits
    })
}

proptest! {
    #[test]
    fn fusion_ranks_every_hit_once_and_keeps_a_lone_list(lexical in hits(), dense in hits(), rrf: bool) {
        let fusion = if rrf { FusionMethod::Rrf { k: 60.0 } } else { FusionMethod::RelativeScore };
        let lexical: Vec<LexicalHit> =
            lexical.iter().map(|(number, score)| LexicalHit { id: id(*number), score: score.abs() }).collect();
        let dense: Vec<DenseHit> =
            dense.iter().map(|(number, score)| DenseHit { id: id(*number), score: *score }).collect();
        let fused = fuse_hits(&lexical, &dense, fusion, WEIGHTS);
        let given: BTreeSet<ChunkId> =
            lexical.iter().map(|hit| hit.id).chain(dense.iter().map(|hit| hit.id)).collect();
        prop_assert_eq!(fused.len(), given.len());
        prop_assert_eq!(fused.iter().map(|one| one.id).collect::<BTreeSet<_>>(), given);
        let ordered = |pair: &[contexture_core::context::fuse::FusedHit]| {
            pair[1].score.total_cmp(&pair[0].score).then_with(|| pair[0].id.cmp(&pair[1].id)).is_lt()
        };
        prop_assert!(fused.windows(2).all(ordered));
        prop_assert!(fused.iter().all(|one| (0.0..=1.0).contains(&one.score)));

        let alone = fuse_hits(&[], &dense, fusion, WEIGHTS);
        let position = |wanted: ChunkId| dense.iter().position(|hit| hit.id == wanted).unwrap();
        for pair in alone.windows(2) {
            prop_assert!(
                position(pair[0].id) < position(pair[1].id) || (pair[0].score - pair[1].score).abs() < 1e-6
            );
        }
    }
}

#[test]
fn relative_scores_add_normalised_shares() {
    let lexical = [LexicalHit { id: id(1), score: 8.0 }, LexicalHit { id: id(2), score: 4.0 }];
    let dense = [
        DenseHit { id: id(2), score: 0.9 },
        DenseHit { id: id(3), score: 0.5 },
        DenseHit { id: id(1), score: 0.1 },
    ];
    let fused = fuse_relative_scores(&lexical, &dense, WEIGHTS);
    let scores: Vec<(ChunkId, f32)> = fused.iter().map(|one| (one.id, one.score)).collect();
    assert_eq!(scores[0].0, id(2));
    assert!((scores[0].1 - 0.7).abs() < 1e-6, "0.6 · 4/8 + 0.4 · 1");
    assert_eq!(scores[1].0, id(1));
    assert!((scores[1].1 - 0.6).abs() < 1e-6, "0.6 · 8/8 + 0.4 · 0");
    assert_eq!(scores[2].0, id(3));
    assert!((scores[2].1 - 0.2).abs() < 1e-6, "0.4 · 0.5");
}

#[test]
fn weighted_ranks_can_turn_the_order() {
    let lexical = [LexicalHit { id: id(1), score: 2.0 }, LexicalHit { id: id(2), score: 1.0 }];
    let dense = [DenseHit { id: id(2), score: 0.8 }, DenseHit { id: id(1), score: 0.7 }];
    let first = |fusion| fuse_hits(&lexical, &dense, fusion, WEIGHTS)[0].id;
    assert_eq!(first(FusionMethod::WeightedRrf { k: 10.0, lexical: 2.0, dense: 1.0 }), id(1));
    assert_eq!(first(FusionMethod::WeightedRrf { k: 10.0, lexical: 1.0, dense: 2.0 }), id(2));
    assert_eq!(first(FusionMethod::Rrf { k: 60.0 }), id(1), "a tie goes to the lower id");
}

/// The chunks of documents of so many chunks each, with ids from 0 on.
fn chunks_of(counts: &[u32]) -> HashMap<ChunkId, Arc<Chunk>> {
    let places =
        counts.iter().zip(0..).flat_map(|(count, document)| (0..*count).map(move |at| (document, at)));
    let chunks = places.zip(0..).map(|((document, ordinal), number): ((usize, u32), u128)| {
        let plain = chunk(&format!("doc {document}"), ordinal as usize, "a");
        let chunk_count = counts[document];
        (id(number), Arc::new(Chunk { id: id(number), ordinal, chunk_count, ..plain }))
    });
    chunks.collect()
}

fn fused(scores: &[f32]) -> Vec<FusedHit> {
    scores.iter().zip(0..).map(|(score, number)| FusedHit { id: id(number), score: *score }).collect()
}

#[test]
fn chunks_gain_from_neighbours_and_ends_are_not_punished() {
    let chunks = chunks_of(&[3, 1]);
    let supported = add_neighbour_support(&fused(&[0.6, 0.6, 0.6, 0.6]), &chunks);
    let score = |number: u128| supported.iter().find(|hit| hit.id == id(number)).unwrap().score;
    // The only neighbour of an end counts twice, as both neighbours of the middle do.
    assert!((score(0) - score(1)).abs() < 1e-6 && (score(2) - score(1)).abs() < 1e-6);
    assert!((score(1) - 0.6).abs() < 1e-6, "three equal scores stay what they are");
    assert!(score(3) < 0.6, "nothing supports it");
    let unknown = [FusedHit { id: id(99), score: 1.0 }];
    assert!(add_neighbour_support(&unknown, &chunks).is_empty(), "what is no chunk is left out");
}

#[test]
fn equal_scores_go_by_document_and_place() {
    let chunks = chunks_of(&[2, 2]);
    let mut hits = fused(&[0.5; 4]);
    hits.reverse();
    let order: Vec<ChunkId> = add_neighbour_support(&hits, &chunks).iter().map(|hit| hit.id).collect();
    assert_eq!(order, [id(0), id(1), id(2), id(3)]);
}

#[test]
fn a_window_lifts_its_chunks() {
    let chunks = chunks_of(&[6, 6]);
    let hits: Vec<DenseHit> = [(2, 0.8), (8, 0.8), (7, 0.7), (9, 0.7), (11, 0.1)]
        .into_iter()
        .map(|(number, score)| DenseHit { id: id(number), score })
        .collect();
    let mixed = mix_window_cosines(&hits, &chunks);
    let score = |number: u128| mixed.iter().find(|hit| hit.id == id(number)).unwrap().score;
    assert_eq!(mixed[0].id, id(8), "its neighbours are hits, too");
    assert!(score(8) > score(2) && score(2) < 0.8);
    // 0.6 of its own, 0.4 of the mean over chunks 0 to 4, of which the others count as the lowest hit.
    assert!((score(2) - (0.6 * 0.8 + 0.4 * (0.8 + 4.0 * 0.1) / 5.0)).abs() < 1e-6);
    assert!(mix_window_cosines(&[], &chunks).is_empty());
}
