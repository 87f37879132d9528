//! Logs: to stderr, as text or JSON, with dependencies limited to warnings. Metrics: [`metrics`].
//!
//! Levels say what an operator has to do: INFO once per lifecycle, WARN for what healed itself, ERROR for what
//! needs a person. Texts of documents, questions and credentials are never logged. Without directives of their own,
//! dependencies log from WARN up. The storage engine, which warns about itself on every start, and the AMQP client,
//! which prints returned messages, log from ERROR up. TRACE of the AMQP client prints frames with the password; no
//! directive enables it.

pub mod metrics;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use contexture_core::fault::{Refusal, RefusalKind};

/// Levels that apply to all of Contexture.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Refuses a string that is neither a level nor directives.
pub fn check_log_level(level: &str) -> Result<(), Refusal> {
    log_filter(level).map(|_| ())
}

/// Starts logging to stderr for the whole process; refuses a second start.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), Refusal> {
    let refuse = |error: &dyn std::fmt::Display| {
        Refusal::new(RefusalKind::Internal, "logging_started_twice", "", error.to_string())
    };
    log_subscriber(level, format, std::io::stderr)?.try_init().map_err(|error| refuse(&error))
}

/// Builds the subscriber that [`init_logging`] installs, with another writer.
pub fn log_subscriber<W>(
    level: &str,
    format: LogFormat,
    writer: W,
) -> Result<impl tracing::Subscriber + Send + Sync, Refusal>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer: Box<dyn Layer<_> + Send + Sync> = match format {
        // Colours would be noise in files and collectors.
        LogFormat::Text => Box::new(layer.with_ansi(false)),
        LogFormat::Json => Box::new(layer.json().flatten_event(true)),
    };
    // A filter of its own, so that no directive can switch it off.
    let layer = layer.with_filter(filter_fn(|event| !shows_amqp_frames(event)));
    Ok(tracing_subscriber::registry().with(log_filter(level)?).with(layer))
}

fn shows_amqp_frames(event: &tracing::Metadata<'_>) -> bool {
    *event.level() == tracing::Level::TRACE && event.target().starts_with("lapin")
}

fn log_filter(level: &str) -> Result<EnvFilter, Refusal> {
    let level = level.trim().to_ascii_lowercase();
    let directives = if LOG_LEVELS.contains(&level.as_str()) {
        let others = if level == "off" || level == "error" { level.as_str() } else { "warn" };
        format!("{others},contexture={level},{}", quiet_directives())
    } else {
        // The operator's directives come last and may override the defaults.
        format!("warn,{},{level}", quiet_directives())
    };
    EnvFilter::builder().parse(&directives).map_err(|error| {
        Refusal::invalid(
            "invalid_log_level",
            "log.level",
            format!(
                "log.level must be one of {} or directives such as info,contexture::ingest=debug: {error}",
                LOG_LEVELS.join(", ")
            ),
        )
    })
}

fn quiet_directives() -> &'static str {
    "qdrant_edge=error,segment=error,shard=error,lapin=error,tantivy=warn"
}
