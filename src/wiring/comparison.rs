//! Opens two generations of a collection side by side, and compares their answers to the same questions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::CollectionStoreCatalog;
use super::service_stack::ServiceStack;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ingest::StageResources;
use contexture_core::jobs::question_sampler;
use contexture_core::jobs::reindex::{ACTIVATION_LAG_MAX, LiveGenerationStatus, ReindexControl};
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::generations::GenerationState;
use contexture_core::ports::ledger::CollectionRecord;
use contexture_lab::compare::{
    self, ComparedGeneration, ComparisonPlan, ComparisonQuestion, ComparisonRequest, GenerationComparison,
};

/// How long an index may take to catch up with what was prepared for its generation.
const INDEX_CATCH_UP_MAX: Duration = Duration::from_mins(1);
/// Interval at which the position of an index is polled.
const INDEX_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Compares generations of collections.
#[derive(Clone)]
pub struct GenerationComparer {
    catalog: Arc<CollectionStoreCatalog>,
    engine: Arc<ContextEngine>,
    stages: Arc<StageResources>,
    tokenizers: TokenizerRegistry,
    reindexing: ReindexControl,
}

impl ServiceStack {
    /// A comparer over the collections of this process.
    pub fn comparing(&self) -> GenerationComparer {
        GenerationComparer {
            catalog: self.catalog.clone(),
            engine: self.engine.clone(),
            stages: self.stages.clone(),
            tokenizers: self.tokenizers.clone(),
            reindexing: self.reindexing(),
        }
    }
}

impl GenerationComparer {
    /// Compares two generations of a collection, as far as the principal may read it, and checks the
    /// requirements. Calls `progress` with the number of questions done and the number of all.
    pub async fn run(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        request: ComparisonRequest,
        mut progress: impl FnMut(usize, usize) + Send,
    ) -> Result<GenerationComparison, Refusal> {
        request.check_judged()?;
        let key = CollectionKey { tenant: principal.tenant().clone(), collection: collection.clone() };
        let tokenizer = self.tokenizers.get(&request.tokenizer)?;
        let plan = ComparisonPlan::new(
            principal.clone(),
            collection.clone(),
            request.depth,
            request.budget,
            tokenizer,
        )?;
        let questions = match request.questions {
            Some(questions) => questions,
            None => ComparisonQuestion::from_sample(
                collection.as_str(),
                question_sampler::sampled_questions(&*self.stages.states, &key).await?,
            )?,
        };
        let [a, b] = self.open_both(&key, request.generations).await?;
        let total = questions.len();
        let compared =
            compare::compare_generations(&a, &b, &questions, &plan, |done| progress(done, total)).await?;
        Ok(compared.held_against(&request.requirements))
    }

    /// Opens two live generations: those that are named, or the active one and the one being built. Waits
    /// until the local index of one that does not serve holds what was prepared for it.
    async fn open_both(
        &self,
        collection: &CollectionKey,
        named: Option<[GenerationNumber; 2]>,
    ) -> Result<[ComparedGeneration; 2], Refusal> {
        let live = self.reindexing.live_generations(collection).await?;
        let in_state = |state| {
            let found = live.iter().find(|one| one.record.state == state);
            found.map(|one| one.record.home.generation)
        };
        let [first, second] = match (named, in_state(GenerationState::Active)) {
            (Some(named), _) => named,
            (None, Some(active)) => {
                let building = in_state(GenerationState::Building);
                [active, building.ok_or_else(|| no_reindex_refusal(collection))?]
            }
            (None, None) => return Err(no_reindex_refusal(collection)),
        };
        if first == second {
            let message = format!("generation {first} is compared with itself; name two");
            return Err(Refusal::invalid("invalid_generations", "generations", message));
        }
        // The log follower fills only collections that are open in this process.
        self.catalog.open(collection).await?;
        // One deadline for both, because the caller waits for both.
        let deadline = Instant::now() + INDEX_CATCH_UP_MAX;
        Ok([
            self.open_one(find_live_generation(&live, collection, first)?, deadline).await?,
            self.open_one(find_live_generation(&live, collection, second)?, deadline).await?,
        ])
    }

    async fn open_one(
        &self,
        status: &LiveGenerationStatus,
        deadline: Instant,
    ) -> Result<ComparedGeneration, Refusal> {
        let record = &status.record;
        let generation = record.home.generation;
        let open = self.open_before(&record.home, deadline).await?;
        // The stages fill the active one, so the cursor of its builder says nothing about its index.
        if record.state == GenerationState::Active {
            return Ok(ComparedGeneration { generation, engine: self.engine.on(open) });
        }
        if status.log.after > ACTIVATION_LAG_MAX {
            let message = format!(
                "generation {generation} lacks {} documents still; compare it when it has caught up",
                status.log.after
            );
            return Err(Refusal::new(RefusalKind::Precondition, "not_caught_up", "", message));
        }
        // A writer knows its position before it is committed. A reader knows it only from the commits of the
        // process that writes.
        while open.log_position().max(open.lexical()?.snapshot().position()) < record.cursor {
            if Instant::now() >= deadline {
                let message =
                    format!("the index of generation {generation} is filled here still; try again later");
                return Err(Refusal::new(RefusalKind::Deadline, "not_filled_yet", "", message));
            }
            tokio::time::sleep(INDEX_POLL_INTERVAL).await;
        }
        Ok(ComparedGeneration { generation, engine: self.engine.on(open) })
    }

    /// Opens a generation, with retries: where another process writes the index, it may not have created it
    /// yet.
    async fn open_before(
        &self,
        home: &CollectionRecord,
        deadline: Instant,
    ) -> Result<Arc<OpenCollection>, Refusal> {
        loop {
            match self.catalog.open_generation(home).await {
                Err(Fault::Transient(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(INDEX_POLL_INTERVAL).await;
                }
                opened => return Ok(opened?),
            }
        }
    }
}

fn find_live_generation<'a>(
    live: &'a [LiveGenerationStatus],
    collection: &CollectionKey,
    generation: GenerationNumber,
) -> Result<&'a LiveGenerationStatus, Refusal> {
    let found = live.iter().find(|one| one.record.home.generation == generation);
    found.ok_or_else(|| {
        let message = format!("'{}' has no live generation {generation}", collection.collection);
        Refusal::new(RefusalKind::NotFound, "unknown_generation", "generations", message)
    })
}

fn no_reindex_refusal(collection: &CollectionKey) -> Refusal {
    let message =
        format!("no generation of '{}' is being built; name two with --generations", collection.collection);
    Refusal::not_found("no_reindex", message)
}
