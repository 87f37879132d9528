//! What a process is for, and what it therefore opens.
//!
//! Where the ledger is a file of this machine, one process at a time does everything, so a
//! command that leaves work behind does that work. Where processes share a ledger, a command
//! leaves it to the workers.

use crate::config::ContextureConfig;
use contexture_core::domain::task::IngestStage;

/// What this process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessRole {
    /// Serves the API and, with workers, runs everything else, until it is stopped.
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
    /// One command that mends stores.
    Mend,
    /// One command that looks at the ledger.
    Look,
}

/// What a role comes to under a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a duty of its own")]
pub(super) struct StartupPlan {
    /// Stages to run.
    pub(super) stages: Vec<IngestStage>,
    /// Whether to take in what producers publish.
    pub(super) submit: bool,
    /// Whether to open lexical indexes.
    pub(super) index: bool,
    /// Whether an index that another process writes will do.
    pub(super) may_read_only: bool,
    /// Whether it looks at the ledger only, which other processes do not mind.
    pub(super) looks: bool,
    /// Whether other processes share the ledger.
    pub(super) shared: bool,
    /// Whether every collection of a shared ledger is opened and followed, or those asked for.
    pub(super) follow_all: bool,
}

impl ProcessRole {
    pub(super) fn duties(&self, config: &ContextureConfig) -> StartupPlan {
        let shared = config.backends.ledger.is_some();
        let all = IngestStage::ALL.to_vec();
        let alone = |work: bool| if work && !shared { all.clone() } else { Vec::new() };
        let stages = match self {
            Self::Serve { workers: true } => all.clone(),
            Self::Work { stages, .. } => stages.clone(),
            Self::Change | Self::Mend => alone(true),
            Self::Ask { awaits } => alone(*awaits),
            Self::Serve { workers: false } | Self::Look => Vec::new(),
        };
        let lasting = matches!(self, Self::Serve { .. } | Self::Work { .. });
        let index = match self {
            Self::Serve { .. } | Self::Ask { .. } | Self::Mend => true,
            Self::Work { .. } => !shared || stages.contains(&IngestStage::Index),
            Self::Change => !shared,
            Self::Look => false,
        };
        StartupPlan {
            submit: matches!(self, Self::Serve { workers: true } | Self::Work { submit: true, .. }),
            may_read_only: matches!(self, Self::Ask { .. }) && shared,
            looks: matches!(self, Self::Look),
            follow_all: lasting && index,
            stages,
            index,
            shared,
        }
    }
}
