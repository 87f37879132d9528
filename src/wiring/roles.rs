//! The role of a process, and what it opens and starts for that role.
//!
//! With a local ledger one process at a time writes, so a command that creates work also runs the stages.
//! Commands that only read run beside it. With a shared ledger a command leaves its work to the workers.

use crate::config::ContextureConfig;
use contexture_core::domain::task::IngestStage;

/// What this process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessRole {
    /// Serves the API until it is stopped. With workers it runs everything else as well.
    Serve {
        /// Whether it runs the stages and the intake of the broker.
        workers: bool,
    },
    /// Runs some stages until it is stopped.
    Work {
        /// Whether it takes in what producers publish to the broker.
        submit: bool,
        /// The stages.
        stages: Vec<IngestStage>,
    },
    /// One command that changes something.
    Change,
    /// One command that asks a question.
    Ask {
        /// Whether the answer may have to wait for a version in flight.
        awaits: bool,
    },
    /// One command that repairs stores.
    Mend,
    /// One command that reads the ledger only.
    Look,
}

/// What a process opens and starts: its role under a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a decision of its own")]
pub(super) struct StartupPlan {
    /// Stages to run.
    pub(super) stages: Vec<IngestStage>,
    /// Whether to run the intake of the broker.
    pub(super) submit: bool,
    /// Whether to open lexical indexes.
    pub(super) index: bool,
    /// Whether it may read an index that another process writes.
    pub(super) may_read_only: bool,
    /// Whether it only reads the data directory, beside whoever writes it. Then it takes no lock.
    pub(super) reads_beside: bool,
    /// Whether other processes share the ledger.
    pub(super) shared: bool,
    /// Whether it opens and follows every collection, or only those that are asked for.
    pub(super) follow_all: bool,
}

impl ProcessRole {
    /// What this role opens and starts under a configuration.
    pub(super) fn startup_plan(&self, config: &ContextureConfig) -> StartupPlan {
        let shared = config.backends.ledger.is_some();
        let all = IngestStage::ALL.to_vec();
        // A command runs the stages only where no worker could: a local ledger is locked by this process.
        let alone = |work: bool| if work && !shared { all.clone() } else { Vec::new() };
        let stages = match self {
            Self::Serve { workers: true } => all.clone(),
            Self::Work { stages, .. } => stages.clone(),
            Self::Change | Self::Mend => alone(true),
            Self::Ask { awaits } => alone(*awaits),
            Self::Serve { workers: false } | Self::Look => Vec::new(),
        };
        let is_long_running = matches!(self, Self::Serve { .. } | Self::Work { .. });
        let index = match self {
            Self::Serve { .. } | Self::Ask { .. } | Self::Mend => true,
            // A local ledger has no other process that could hold the index.
            Self::Work { .. } => !shared || stages.contains(&IngestStage::Index),
            Self::Change => !shared,
            Self::Look => false,
        };
        StartupPlan {
            submit: matches!(self, Self::Serve { workers: true } | Self::Work { submit: true, .. }),
            // With a local ledger such a command reads beside the other process in any case.
            may_read_only: matches!(self, Self::Ask { .. }) && shared,
            // What has to wait for a version runs the stages, so it writes.
            reads_beside: matches!(self, Self::Look | Self::Ask { awaits: false }) && !shared,
            follow_all: is_long_running && index,
            stages,
            index,
            shared,
        }
    }
}
