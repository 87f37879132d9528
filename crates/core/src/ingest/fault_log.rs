//! Says once that something fails that is tried again and again, and once that it works again.

use std::collections::BTreeSet;
use std::fmt;

use crate::fault::Fault;

/// What fails at the moment.
#[derive(Debug, Default)]
pub(super) struct FaultLog {
    failing: BTreeSet<String>,
}

impl FaultLog {
    /// Notes how a try ended. `what` fails or works again, as `keeping the index of a up to date`. The first of several
    /// faults is a warning, the others are for who looks for them.
    pub(super) fn note<T>(&mut self, what: impl fmt::Display, ended: &Result<T, Fault>) {
        let what = what.to_string();
        match ended {
            Err(fault) if self.failing.insert(what.clone()) => {
                tracing::warn!(%fault, "{what} failed; it is tried again until it works");
            }
            Err(fault) => tracing::debug!(%fault, "{what} failed again"),
            Ok(_) => {
                if self.failing.remove(&what) {
                    tracing::info!("{what} works again");
                }
            }
        }
    }
}
