//! Where metrics are read.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::refuse_key;
use contexture_core::fault::Refusal;

/// `[metrics]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: String,
}

impl RawMetrics {
    /// The address, if there is one.
    pub(super) fn trust(&self) -> Result<Option<SocketAddr>, Refusal> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let unreadable = |_| {
            refuse_key("metrics.listen", "must be an IP address and a port, such as 127.0.0.1:9464, or empty")
        };
        self.listen.parse().map(Some).map_err(unreadable)
    }
}
