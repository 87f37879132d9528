//! The address of the database, and the limits of its connections.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use contexture_core::fault::Fault;

/// Longest schema name, in bytes: the server truncates longer ones.
const SCHEMA_BYTES_MAX: usize = 63;
/// Prepared statements kept per connection.
const CACHED_STATEMENTS_MAX: usize = 100;
/// Parameters that an address may set after its `?`.
const URL_PARAMETERS: [&str; 12] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "port",
    "dbname",
];

/// The address of the ledger's schema, and limits.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`. A secret.
    pub url: String,
    /// The schema of the ledger; created if missing. `a-z`, `0-9`, `_`.
    pub schema: String,
    /// Most connections of this process.
    pub connections_max: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long the server may take over one statement.
    pub statement_timeout: Duration,
    /// Bound of the embedding cache in bytes; 0 caches nothing. Must be the same in every process.
    pub cache_bytes_max: u64,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PostgresConfig")
            .field("url", &"***")
            .field("schema", &self.schema)
            .field("connections_max", &self.connections_max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("cache_bytes_max", &self.cache_bytes_max)
            .finish()
    }
}

impl PostgresConfig {
    /// Returns the driver's options, or refuses what is out of bounds. No error repeats a part of the
    /// address: any of it could be a piece of a password.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, Fault> {
        let starts_well = self.schema.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let all_allowed = self
            .schema
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !starts_well
            || !all_allowed
            || self.schema.len() > SCHEMA_BYTES_MAX
            // The server reserves this prefix.
            || self.schema.starts_with("pg_")
        {
            return invalid_config(
                "ledger_schema_invalid",
                "the ledger's schema must be 1 to 63 bytes of a-z, 0-9 and '_', not starting with a digit or 'pg_'",
            );
        }
        if self.connections_max == 0
            || self.acquire_timeout.is_zero()
            || self.statement_timeout.as_millis() == 0
        {
            return invalid_config(
                "ledger_limits_invalid",
                "the ledger needs at least one connection, and timeouts of at least 1 ms",
            );
        }
        // Checked before the driver parses: a stray `?` or `&` in a password would turn the rest of it
        // into a parameter, and the driver would name it.
        let parameters = self.url.split_once('?').map_or("", |(_, parameters)| parameters);
        let known =
            |parameter: &str| URL_PARAMETERS.iter().any(|name| parameter.split('=').next() == Some(name));
        if !parameters.split('&').all(|parameter| parameter.is_empty() || known(parameter)) {
            return invalid_config(
                "ledger_url_invalid",
                "the ledger's address sets something other than sslmode, sslrootcert, sslcert, sslkey, host, port \
                 or dbname; characters of a password such as '?', '&', '@' and '/' have to be percent-encoded",
            );
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return invalid_config("ledger_url_invalid", "the ledger's address must start with postgres://");
        }
        // The error of the driver is dropped on purpose: it may quote the address.
        let options = PgConnectOptions::from_str(&self.url).or_else(|_| {
            invalid_config(
                "ledger_url_invalid",
                "the ledger's address is not of the form postgres://user:password@host:port/database?sslmode=require",
            )
        })?;
        Ok(options
            .application_name(&format!("contexture {}", self.schema))
            .statement_cache_capacity(CACHED_STATEMENTS_MAX)
            .disable_statement_logging())
    }
}

fn invalid_config<T>(code: &'static str, why: &str) -> Result<T, Fault> {
    Err(Fault::permanent(code, why))
}
