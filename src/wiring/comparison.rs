//! Two generations of a collection, opened to be asked side by side, and what to ask them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::CollectionStoreCatalog;
use super::{ProcessRole, ServiceStack};
use crate::config::ContextureConfig;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ingest::StageResources;
use contexture_core::jobs::question_sampler::{self, QuestionSampler};
use contexture_core::jobs::reindex::{ACTIVATION_LAG_MAX, LiveGenerationStatus, ReindexControl};
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::generations::GenerationState;
use contexture_core::ports::ledger::CollectionRecord;
use contexture_lab::compare::{
    self, ComparedGeneration, ComparisonPlan, ComparisonQuestion, ComparisonRequest, GenerationComparison,
};

/// How long an index may take to hold what was prepared for its generation.
const INDEX_CATCH_UP_MAX: Duration = Duration::from_mins(1);
/// Time between two looks at how far an index is.
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
    /// What compares generations.
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
    /// Compares two generations of the principal's collection, as far as it may read it, and holds
    /// the requirements against what comes out. `asked` hears how many questions of how many are through.
    pub async fn run(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: ComparisonRequest,
        mut asked: impl FnMut(usize, usize) + Send,
    ) -> Result<GenerationComparison, Refusal> {
        asking.check_judged()?;
        let key = CollectionKey { tenant: principal.tenant().clone(), collection: collection.clone() };
        let tokenizer = self.tokenizers.get(&asking.tokenizer)?;
        let plan = ComparisonPlan::new(
            principal.clone(),
            collection.clone(),
            asking.depth,
            asking.budget,
            tokenizer,
        )?;
        let questions = match asking.questions {
            Some(questions) => questions,
            None => ComparisonQuestion::from_sample(
                collection.as_str(),
                question_sampler::sampled_questions(&*self.stages.states, &key).await?,
            )?,
        };
        let [a, b] = self.sides(&key, asking.generations).await?;
        let total = questions.len();
        let compared =
            compare::compare_generations(&a, &b, &questions, &plan, |done| asked(done, total)).await?;
        Ok(compared.held_against(&asking.requirements))
    }

    /// Opens two live generations, by number: the active one and the one that is being built, unless
    /// named. Waits until the index here of one that does not serve holds what was prepared for it.
    async fn sides(
        &self,
        collection: &CollectionKey,
        named: Option<[GenerationNumber; 2]>,
    ) -> Result<[ComparedGeneration; 2], Refusal> {
        let standings = self.reindexing.standings(collection).await?;
        let in_state = |state| {
            let found = standings.iter().find(|one| one.record.state == state);
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
        // What is followed here is what is open.
        self.catalog.open(collection).await?;
        let deadline = Instant::now() + INDEX_CATCH_UP_MAX;
        Ok([
            self.side(find_live_generation(&standings, collection, first)?, deadline).await?,
            self.side(find_live_generation(&standings, collection, second)?, deadline).await?,
        ])
    }

    async fn side(
        &self,
        standing: &LiveGenerationStatus,
        deadline: Instant,
    ) -> Result<ComparedGeneration, Refusal> {
        let record = &standing.record;
        let generation = record.home.generation;
        let open = self.opened_until(&record.home, deadline).await?;
        if record.state == GenerationState::Active {
            return Ok(ComparedGeneration { generation, engine: self.engine.on(open) });
        }
        if standing.log.after > ACTIVATION_LAG_MAX {
            let message = format!(
                "generation {generation} lacks {} documents still; compare it when it has caught up",
                standing.log.after
            );
            return Err(Refusal::new(RefusalKind::Precondition, "not_caught_up", "", message));
        }
        // Where another process writes the index, its commits alone tell how far it is.
        while open.followed().max(open.lexical()?.snapshot().position()) < record.cursor {
            if Instant::now() >= deadline {
                let message =
                    format!("the index of generation {generation} is filled here still; try again later");
                return Err(Refusal::new(RefusalKind::Deadline, "not_filled_yet", "", message));
            }
            tokio::time::sleep(INDEX_POLL_INTERVAL).await;
        }
        Ok(ComparedGeneration { generation, engine: self.engine.on(open) })
    }

    /// Opens a generation; where another process writes the index, it may have to begin it first.
    async fn opened_until(
        &self,
        home: &CollectionRecord,
        deadline: Instant,
    ) -> Result<Arc<OpenCollection>, Refusal> {
        loop {
            match self.catalog.open_generation(home).await {
                Err(Fault::Transient(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(INDEX_POLL_INTERVAL).await
                }
                opened => return Ok(opened?),
            }
        }
    }
}

/// What keeps questions where the API is served, if they are wanted; otherwise those that were kept
/// are forgotten.
pub(super) async fn create_question_sampler(
    config: &ContextureConfig,
    roles: &ProcessRole,
    stages: &StageResources,
) -> Result<Option<Arc<QuestionSampler>>, Refusal> {
    let count = config.retrieval.sample_questions;
    if !matches!(roles, ProcessRole::Serve { .. }) {
        return Ok(None);
    }
    if count == 0 {
        question_sampler::forget_sampled_questions(&*stages.states).await?;
        return Ok(None);
    }
    Ok(Some(Arc::new(QuestionSampler::new(stages.states.clone(), count))))
}

fn find_live_generation<'a>(
    standings: &'a [LiveGenerationStatus],
    collection: &CollectionKey,
    generation: GenerationNumber,
) -> Result<&'a LiveGenerationStatus, Refusal> {
    let found = standings.iter().find(|one| one.record.home.generation == generation);
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
