//! Two generations of a collection, opened to be asked side by side, and what to ask them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::StoreCatalog;
use super::{Roles, Stack};
use crate::config::Config;
use crate::context::{ContextEngine, Tokenizers};
use crate::domain::ids::{CollectionId, CollectionKey, Generation};
use crate::domain::principal::Principal;
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ingest::Stages;
use crate::jobs::compare::{self, Asking, Comparison, Plan, Question, Side};
use crate::jobs::reindex::{BEHIND_MAX, Reindexing, Standing};
use crate::jobs::sample::{self, Sampler};
use crate::ports::catalog::{Catalog, OpenCollection};
use crate::ports::generations::GenerationState;
use crate::ports::ledger::CollectionRecord;

/// How long an index may take to hold what was prepared for its generation.
const FILLED_MAX: Duration = Duration::from_mins(1);
/// Time between two looks at how far an index is.
const LOOK: Duration = Duration::from_millis(20);

/// Compares generations of collections.
#[derive(Clone)]
pub struct Comparing {
    catalog: Arc<StoreCatalog>,
    engine: Arc<ContextEngine>,
    stages: Arc<Stages>,
    tokenizers: Tokenizers,
    reindexing: Reindexing,
}

impl Stack {
    /// What compares generations.
    pub fn comparing(&self) -> Comparing {
        Comparing {
            catalog: self.catalog.clone(),
            engine: self.engine.clone(),
            stages: self.stages.clone(),
            tokenizers: self.tokenizers.clone(),
            reindexing: self.reindexing(),
        }
    }
}

impl Comparing {
    /// Compares two generations of the principal's collection, as far as it may read it, and holds
    /// the requirements against what comes out. `asked` hears how many questions of how many are through.
    pub async fn run(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: Asking,
        mut asked: impl FnMut(usize, usize) + Send,
    ) -> Result<Comparison, Refusal> {
        asking.check_judged()?;
        let key = CollectionKey { tenant: principal.tenant().clone(), collection: collection.clone() };
        let tokenizer = self.tokenizers.get(&asking.tokenizer)?;
        let plan = Plan::new(principal.clone(), collection.clone(), asking.depth, asking.budget, tokenizer)?;
        let questions = match asking.questions {
            Some(questions) => questions,
            None => {
                Question::of_sample(collection.as_str(), sample::kept(&*self.stages.states, &key).await?)?
            }
        };
        let [a, b] = self.sides(&key, asking.generations).await?;
        let total = questions.len();
        let compared = compare::run(&a, &b, &questions, &plan, |done| asked(done, total)).await?;
        Ok(compared.held_against(&asking.requirements))
    }

    /// Opens two live generations, by number: the active one and the one that is being built, unless
    /// named. Waits until the index here of one that does not serve holds what was prepared for it.
    async fn sides(
        &self,
        collection: &CollectionKey,
        named: Option<[Generation; 2]>,
    ) -> Result<[Side; 2], Refusal> {
        let standings = self.reindexing.standings(collection).await?;
        let in_state = |state| {
            let found = standings.iter().find(|one| one.record.state == state);
            found.map(|one| one.record.home.generation)
        };
        let [first, second] = match (named, in_state(GenerationState::Active)) {
            (Some(named), _) => named,
            (None, Some(active)) => {
                let building = in_state(GenerationState::Building);
                [active, building.ok_or_else(|| none_is_built(collection))?]
            }
            (None, None) => return Err(none_is_built(collection)),
        };
        if first == second {
            let message = format!("generation {first} is compared with itself; name two");
            return Err(Refusal::invalid("invalid_generations", "generations", message));
        }
        // What is followed here is what is open.
        self.catalog.open(collection).await?;
        let deadline = Instant::now() + FILLED_MAX;
        Ok([
            self.side(standing(&standings, collection, first)?, deadline).await?,
            self.side(standing(&standings, collection, second)?, deadline).await?,
        ])
    }

    async fn side(&self, standing: &Standing, deadline: Instant) -> Result<Side, Refusal> {
        let record = &standing.record;
        let generation = record.home.generation;
        let open = self.opened_until(&record.home, deadline).await?;
        if record.state == GenerationState::Active {
            return Ok(Side { generation, engine: self.engine.on(open) });
        }
        if standing.log.after > BEHIND_MAX {
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
            tokio::time::sleep(LOOK).await;
        }
        Ok(Side { generation, engine: self.engine.on(open) })
    }

    /// Opens a generation; where another process writes the index, it may have to begin it first.
    async fn opened_until(
        &self,
        home: &CollectionRecord,
        deadline: Instant,
    ) -> Result<Arc<OpenCollection>, Refusal> {
        loop {
            match self.catalog.open_generation(home).await {
                Err(Fault::Transient(_)) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                opened => return Ok(opened?),
            }
        }
    }
}

/// What keeps questions where the API is served, if they are wanted; otherwise those that were kept
/// are forgotten.
pub(super) async fn sampler(
    config: &Config,
    roles: &Roles,
    stages: &Stages,
) -> Result<Option<Arc<Sampler>>, Refusal> {
    let count = config.retrieval.sample_questions;
    if !matches!(roles, Roles::Serve { .. }) {
        return Ok(None);
    }
    if count == 0 {
        sample::forget(&*stages.states).await?;
        return Ok(None);
    }
    Ok(Some(Arc::new(Sampler::new(stages.states.clone(), count))))
}

fn standing<'a>(
    standings: &'a [Standing],
    collection: &CollectionKey,
    generation: Generation,
) -> Result<&'a Standing, Refusal> {
    let found = standings.iter().find(|one| one.record.home.generation == generation);
    found.ok_or_else(|| {
        let message = format!("'{}' has no live generation {generation}", collection.collection);
        Refusal::new(RefusalKind::NotFound, "unknown_generation", "generations", message)
    })
}

fn none_is_built(collection: &CollectionKey) -> Refusal {
    let message =
        format!("no generation of '{}' is being built; name two with --generations", collection.collection);
    Refusal::not_found("no_reindex", message)
}
