//! Random histories against a model: every receipt, every state, and the books balance after
//! every step (promise C7).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use contexture_core::domain::ids::VersionKey;
use contexture_core::ports::ledger::{
    DeadLetterFilter, IntakeDecision, VersionCounts, VersionOutcome, VersionState,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{LedgerFixture, gave_up};
use crate::support::strategies::runner;
use crate::support::{TENANT, collection, epoch, spans};

const CASES: u32 = 64;
const STEPS_MAX: usize = 40;
const DOCUMENTS: [&str; 2] = ["a", "b"];

/// One step; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum ModelStep {
    Submit { document: usize, version: Option<u64>, content: ModelContent },
    Chunk(usize),
    Embed(usize),
    Finish(usize, VersionOutcome),
    Replay(usize),
    Drop(usize),
}

/// A text, or none for a delete.
type ModelContent = Option<u8>;

fn step() -> impl Strategy<Value = ModelStep> {
    let ending = prop_oneof![4 => Just(VersionOutcome::Visible(1)), 1 => Just(VersionOutcome::Superseded), 2 => Just(gave_up())];
    let submit = (0..DOCUMENTS.len(), option::of(1..8_u64), option::weighted(0.8, 0..3_u8));
    prop_oneof![
        4 => submit.prop_map(|(document, version, content)| ModelStep::Submit { document, version, content }),
        1 => (0..64_usize).prop_map(ModelStep::Chunk),
        1 => (0..64_usize).prop_map(ModelStep::Embed),
        4 => (0..64_usize, ending).prop_map(|(pick, ending)| ModelStep::Finish(pick, ending)),
        1 => (0..64_usize).prop_map(ModelStep::Replay),
        1 => (0..64_usize).prop_map(ModelStep::Drop),
    ]
}

/// What is dead is not taken again, but a deletion; what was superseded is.
fn repeats(state: VersionState, content: ModelContent) -> bool {
    match state {
        VersionState::Superseded => false,
        VersionState::Dead => content.is_some(),
        _ => true,
    }
}

/// What the port's contract says, on plain maps.
#[derive(Default)]
struct LedgerModel {
    versions: BTreeMap<(usize, u64), (ModelContent, VersionState)>,
}

impl LedgerModel {
    fn latest(&self, document: usize) -> Option<(u64, ModelContent, VersionState)> {
        let mut versions = self.versions.range((document, 0)..=(document, u64::MAX));
        versions.next_back().map(|((_, version), (content, state))| (*version, *content, *state))
    }

    fn submit(
        &mut self,
        document: usize,
        version: Option<u64>,
        content: ModelContent,
    ) -> (IntakeDecision, u64) {
        let latest = self.latest(document);
        let decided = match (version, latest) {
            (None, None) if content.is_none() => (IntakeDecision::Duplicate, 1),
            (None, None) => (IntakeDecision::Accepted, 1),
            (None, Some((latest, same, state))) if same == content && repeats(state, content) => {
                (IntakeDecision::Duplicate, latest)
            }
            (None, Some((latest, ..))) => (IntakeDecision::Accepted, latest + 1),
            (Some(version), latest) => match self.versions.get(&(document, version)) {
                Some((stored, _)) if *stored == content => (IntakeDecision::Duplicate, version),
                Some(_) => (IntakeDecision::Conflict, version),
                None => match latest {
                    Some((latest, ..)) if latest > version => (IntakeDecision::Superseded, latest),
                    _ => (IntakeDecision::Accepted, version),
                },
            },
        };
        if decided.0 == IntakeDecision::Accepted {
            self.versions.insert((document, decided.1), (content, VersionState::Accepted));
        }
        decided
    }

    fn advance(&mut self, place: (usize, u64), to: VersionState, from: &[VersionState]) {
        let (_, state) = self.versions.get_mut(&place).unwrap();
        if from.contains(state) {
            *state = to;
        }
    }

    fn overtaken(&self, (document, version): (usize, u64)) -> bool {
        let mut newer = self.versions.range((document, version + 1)..=(document, u64::MAX));
        newer.any(|(_, (_, state))| *state == VersionState::Visible)
    }

    fn finish(&mut self, place: (usize, u64), ending: &VersionOutcome) {
        if self.versions[&place].1.is_terminal() {
            return;
        }
        let end = match ending {
            VersionOutcome::Visible(_) if self.overtaken(place) => VersionState::Superseded,
            VersionOutcome::Visible(_) => VersionState::Visible,
            VersionOutcome::Superseded => VersionState::Superseded,
            VersionOutcome::Dead(..) => VersionState::Dead,
        };
        if end == VersionState::Visible {
            for (_, (_, older)) in self.versions.range_mut((place.0, 0)..place) {
                if *older == VersionState::Visible {
                    *older = VersionState::Superseded;
                }
            }
        }
        self.versions.get_mut(&place).unwrap().1 = end;
    }

    fn counts(&self) -> VersionCounts {
        let count = |wanted: &[VersionState]| {
            self.versions.values().filter(|(_, state)| wanted.contains(state)).count() as u64
        };
        let live = |(content, state): &&(ModelContent, VersionState)| {
            content.is_some() && *state == VersionState::Visible
        };
        VersionCounts {
            accepted: self.versions.len() as u64,
            in_flight: count(&[VersionState::Accepted, VersionState::Chunked, VersionState::Embedded]),
            visible: count(&[VersionState::Visible]),
            superseded: count(&[VersionState::Superseded]),
            dead: count(&[VersionState::Dead]),
            documents: self.versions.values().filter(live).count() as u64,
        }
    }

    fn pick(&self, pick: usize) -> Option<(usize, u64)> {
        let wanted = pick.checked_rem(self.versions.len())?;
        self.versions.keys().nth(wanted).copied()
    }
}

pub(super) async fn random_operations_agree_with_a_model(fixture: LedgerFixture) {
    let rooms = AtomicU32::new(0);
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        runner(CASES).run(&vec(step(), 1..STEPS_MAX), |steps| {
            let room = format!("room-{}", rooms.fetch_add(1, Ordering::Relaxed));
            handle.block_on(follow(&fixture, &room, &steps))
        })
    })
    .unwrap();
}

async fn follow(fixture: &LedgerFixture, room: &str, steps: &[ModelStep]) -> Result<(), TestCaseError> {
    let home = collection(TENANT, room);
    fixture.ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
    let there = LedgerFixture { home: home.clone(), ..fixture.clone() };
    let mut model = LedgerModel::default();
    for step in steps {
        take(&there, &mut model, step).await?;
        let counts = there.counts().await;
        prop_assert_eq!(counts, model.counts(), "after {:?}", step);
        prop_assert_eq!(counts.accepted, counts.in_flight + counts.visible + counts.superseded + counts.dead);
        for (document, id) in DOCUMENTS.iter().enumerate() {
            let expected: Vec<_> = model
                .versions
                .range((document, 0)..=(document, u64::MAX))
                .map(|((_, version), (_, state))| (*version, *state))
                .rev()
                .collect();
            prop_assert_eq!(there.states(id).await, expected, "after {:?}", step);
        }
    }
    Ok(())
}

async fn take(there: &LedgerFixture, model: &mut LedgerModel, step: &ModelStep) -> Result<(), TestCaseError> {
    let key = |(document, version): (usize, u64)| -> VersionKey { there.key(DOCUMENTS[document], version) };
    match step {
        ModelStep::Submit { document, version, content } => {
            let id = DOCUMENTS[*document];
            let decided = match content {
                Some(text) => there.submit(id, *version, &format!("text {text}")).await,
                None => there.delete(id, *version).await,
            };
            prop_assert_eq!(decided, model.submit(*document, *version, *content), "{:?}", step);
        }
        ModelStep::Chunk(pick) => {
            let Some(place) = model.pick(*pick) else { return Ok(()) };
            there.ledger.store_spans(1, vec![(key(place), spans(1))]).await.unwrap();
            model.advance(place, VersionState::Chunked, &[VersionState::Accepted]);
        }
        ModelStep::Embed(pick) => {
            let Some(place) = model.pick(*pick) else { return Ok(()) };
            there.ledger.mark_embedded(&[key(place)]).await.unwrap();
            model.advance(place, VersionState::Embedded, &[VersionState::Accepted, VersionState::Chunked]);
        }
        ModelStep::Finish(pick, ending) => {
            let Some(place) = model.pick(*pick) else { return Ok(()) };
            there.finish(&key(place), ending.clone()).await;
            model.finish(place, ending);
        }
        ModelStep::Replay(pick) | ModelStep::Drop(pick) => {
            let filter =
                DeadLetterFilter { collection: Some(there.home.clone()), ..DeadLetterFilter::default() };
            let letters = there.ledger.dead(&filter, 100).await.unwrap();
            let Some(letter) = pick.checked_rem(letters.len()).map(|wanted| &letters[wanted]) else {
                return Ok(());
            };
            let document = DOCUMENTS.iter().position(|id| *id == letter.key.document_id.as_str()).unwrap();
            let place = (document, letter.key.version.get());
            if matches!(step, ModelStep::Drop(_)) {
                prop_assert_eq!(there.ledger.drop_dead_letters(&[letter.id]).await.unwrap(), 1);
                model.advance(place, VersionState::Superseded, &[VersionState::Dead]);
                return Ok(());
            }
            let overtaken = model.overtaken(place);
            let end = if overtaken { VersionState::Superseded } else { VersionState::Accepted };
            model.advance(place, end, &[VersionState::Dead]);
            let tasks = there.ledger.replay(&[letter.id]).await.unwrap();
            prop_assert_eq!(tasks.len(), usize::from(!overtaken));
        }
    }
    Ok(())
}
