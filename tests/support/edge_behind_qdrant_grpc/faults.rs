//! What the server is told to do wrong, and what it has been asked.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use qdrant_client::qdrant::UpdateStatus;
use tonic::{Request, Status};

/// A fault of one call.
#[derive(Debug, Clone)]
pub(crate) enum InjectedFault {
    /// Answers this instead of doing anything.
    Refusal(Status),
    /// Does it, but says that it is not completed.
    Unfinished(UpdateStatus),
    /// Never answers.
    Silence,
}

pub(super) struct FaultPlan {
    api_key: Option<String>,
    version: Mutex<String>,
    faults: Mutex<VecDeque<InjectedFault>>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

impl FaultPlan {
    pub(super) fn new(api_key: Option<&str>) -> Self {
        Self {
            api_key: api_key.map(str::to_owned),
            version: Mutex::new("1.19.0".to_owned()),
            faults: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    pub(super) fn inject(&self, faults: impl IntoIterator<Item = InjectedFault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(super) fn left(&self) -> usize {
        self.faults.lock().unwrap().len()
    }

    pub(super) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    pub(super) fn set_version(&self, version: &str) {
        version.clone_into(&mut self.version.lock().unwrap());
    }

    pub(super) fn version(&self) -> String {
        self.version.lock().unwrap().clone()
    }

    /// Lets a call in, or not; with it goes the status that a change is to be answered with.
    pub(super) async fn admit<T>(
        &self,
        method: &'static str,
        request: &Request<T>,
    ) -> Result<UpdateStatus, Status> {
        *self.calls.lock().unwrap().entry(method).or_default() += 1;
        let brought = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
        if self.api_key.is_some() && brought != self.api_key.as_deref() {
            return Err(Status::unauthenticated("Invalid API key or JWT"));
        }
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => Ok(UpdateStatus::Completed),
            Some(InjectedFault::Refusal(status)) => Err(status),
            Some(InjectedFault::Unfinished(status)) => Ok(status),
            Some(InjectedFault::Silence) => std::future::pending().await,
        }
    }
}
