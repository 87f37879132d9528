//! Two generations of a collection, opened to be asked side by side.

use std::time::Duration;

use tokio::time::Instant;

use super::Stack;
use crate::domain::ids::{CollectionKey, Generation};
use crate::fault::{Refusal, RefusalKind};
use crate::jobs::compare::Side;
use crate::jobs::reindex::{BEHIND_MAX, Standing};
use crate::ports::catalog::Catalog;
use crate::ports::generations::GenerationState;

/// Time between two looks at how far an index is.
const LOOK: Duration = Duration::from_millis(20);

impl Stack {
    /// Opens two live generations, by number: the active one and the one that is being built, unless
    /// named. Waits until the index here of one that does not serve holds what was prepared for it.
    pub async fn sides(
        &self,
        collection: &CollectionKey,
        named: Option<[Generation; 2]>,
        wait_max: Duration,
    ) -> Result<[Side; 2], Refusal> {
        let standings = self.reindexing().standings(collection).await?;
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
        let deadline = Instant::now() + wait_max;
        Ok([
            self.side(standing(&standings, collection, first)?, deadline).await?,
            self.side(standing(&standings, collection, second)?, deadline).await?,
        ])
    }

    async fn side(&self, standing: &Standing, deadline: Instant) -> Result<Side, Refusal> {
        let record = &standing.record;
        let generation = record.home.generation;
        let open = self.catalog.open_generation(&record.home).await?;
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
