//! The suite of the shared states' port.

mod contract;

use std::sync::Arc;

use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::sqlite::{SqliteDatabase, SqliteSharedStates};
use contexture_core::ports::shared_states::SharedStateStore;

use crate::support::clock::ManualClock;

/// States, as two processes have them.
pub(crate) struct SharedStatesFixture {
    one: Arc<dyn SharedStateStore>,
    two: Arc<dyn SharedStateStore>,
    _keeps: Box<dyn std::any::Any + Send + Sync>,
}

macro_rules! states_suite {
    ($adapter:ident, $open:ident) => {
        laws!($adapter, $open, {
            contract: [
                a_state_is_what_the_last_change_made_of_it,
                none_leaves_it_as_it_is,
                of_changes_at_once_none_is_lost,
                names_are_found_by_their_beginning,
                time_goes_on,
                its_time_is_the_one_that_changes_get,
                too_long_is_refused_and_changes_nothing,
            ],
        });
    };
}

async fn open_memory() -> SharedStatesFixture {
    let one: Arc<dyn SharedStateStore> = Arc::new(MemorySharedStates::new(Arc::new(ManualClock::new())));
    SharedStatesFixture { two: one.clone(), one, _keeps: Box::new(()) }
}

states_suite!(memory, open_memory);

async fn open_sqlite() -> SharedStatesFixture {
    let directory = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(&directory.path().join("ledger.db")).unwrap();
    let open = || Arc::new(SqliteSharedStates::new(database.clone(), Arc::new(ManualClock::new())));
    SharedStatesFixture { one: open(), two: open(), _keeps: Box::new(directory) }
}

states_suite!(sqlite, open_sqlite);

#[cfg(feature = "postgres")]
async fn open_postgres() -> SharedStatesFixture {
    use crate::support::postgres::postgres_states;
    let (one, two, schema) = postgres_states().await;
    SharedStatesFixture { one: Arc::new(one), two: Arc::new(two), _keeps: Box::new(schema) }
}

#[cfg(feature = "postgres")]
states_suite!(postgres_server, open_postgres);
