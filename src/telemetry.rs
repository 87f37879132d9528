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
        format!("warn,{},{}", quiet_directives(), with_crate_targets(&level))
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

/// Where a log target of ours is now, by the name that operators know it by: all once were modules of one
/// crate, `contexture::ingest` and the like.
const TARGETS_IN_CRATES: [(&str, &str); 22] = [
    // Modules that have another name now.
    ("contexture::ingest::settle", "contexture_core::ingest::acknowledge"),
    ("contexture::ingest::follow", "contexture_core::ingest::log_follower"),
    ("contexture::ingest::embed::claims", "contexture_core::ingest::embed::ledger_claims"),
    ("contexture::jobs::build", "contexture_core::jobs::generation_builder"),
    ("contexture::jobs::sample", "contexture_core::jobs::question_sampler"),
    ("contexture::adapters::credentials::cycle", "contexture_adapters::credentials::refreshing"),
    ("contexture::adapters::credentials::file", "contexture_adapters::credentials::key_or_file"),
    ("contexture::adapters::edge::owner", "contexture_adapters::edge::shard_writer"),
    ("contexture::adapters::rabbitmq::link", "contexture_adapters::rabbitmq::recovering_connection"),
    ("contexture::server::http", "contexture::server::metrics_http"),
    ("contexture::wiring::lacking", "contexture::wiring::catalog"),
    ("contexture::wiring::lasting", "contexture::wiring::background_tasks"),
    // Modules that have moved.
    ("contexture::adapters::tokenizer", "contexture_tokenizers"),
    ("contexture::adapters", "contexture_adapters"),
    ("contexture::jobs::compare", "contexture_lab::compare"),
    ("contexture::ingest", "contexture_core::ingest"),
    ("contexture::context", "contexture_core::context"),
    ("contexture::jobs", "contexture_core::jobs"),
    ("contexture::ports", "contexture_core::ports"),
    ("contexture::resilience", "contexture_core::resilience"),
    ("contexture::domain", "contexture_core::domain"),
    ("contexture::fault", "contexture_core::fault"),
];

/// Directives with the targets of today. Those that name no target of ours stay as they are.
fn with_crate_targets(directives: &str) -> String {
    let with_target = |directive: &str| {
        let found = TARGETS_IN_CRATES.iter().find_map(|(old, new)| {
            let rest = directive.trim_start().strip_prefix(old)?;
            // `contexture::ingestion` is not `contexture::ingest`.
            let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
            ends.then(|| format!("{new}{rest}"))
        });
        found.unwrap_or_else(|| directive.to_owned())
    };
    directives.split(',').map(with_target).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::with_crate_targets;

    #[test]
    fn directives_reach_modules_in_their_crates() {
        for (given, meant) in [
            ("info,contexture::ingest=debug", "info,contexture_core::ingest=debug"),
            ("contexture::ingest::worker=trace", "contexture_core::ingest::worker=trace"),
            ("contexture::adapters::tokenizer::bpe=warn", "contexture_tokenizers::bpe=warn"),
            ("contexture::adapters::sqlite", "contexture_adapters::sqlite"),
            ("contexture::ingest::settle=debug", "contexture_core::ingest::acknowledge=debug"),
            (
                "contexture::jobs::compare=off, contexture::jobs=warn",
                "contexture_lab::compare=off,contexture_core::jobs=warn",
            ),
            ("contexture=debug,contexture::server=info", "contexture=debug,contexture::server=info"),
            ("contexture::ingestion=debug,hyper=info", "contexture::ingestion=debug,hyper=info"),
        ] {
            assert_eq!(with_crate_targets(given), meant, "{given}");
        }
    }
}
