//! Configuration of the adapter: address with credentials, name prefix, limits.
//!
//! [`AmqpUrl`] hides its credentials: neither `Debug` nor `Display` nor a fault shows them.
//! [`RabbitMqConfig::check`] validates everything once, before the first connection.

use std::fmt;
use std::time::Duration;

use lapin::uri::AMQPUri;

use contexture_core::fault::Fault;
use contexture_core::resilience::retry;

/// Heartbeat when the URL sets none, in seconds. A dead peer is detected after 2 to 2.5 intervals,
/// so within 20 s.
const HEARTBEAT_DEFAULT_S: u16 = 8;
/// Longest name prefix; with any suffix it stays far below AMQP's 255 bytes.
const NAME_PREFIX_BYTES_MAX: usize = 64;
/// Longest retry tier.
const RETRY_TIER_MAX: Duration = Duration::from_hours(24);

/// Address and credentials: `amqp[s]://user:password@host:port/vhost?heartbeat=s`.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl(AMQPUri);

impl AmqpUrl {
    /// Parses a URL. Errors never repeat the text, because it holds a password.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let invalid = |what: &str| Fault::permanent("invalid_amqp_url", what);
        let mut uri: AMQPUri = text
            .parse()
            .map_err(|_| invalid("not an AMQP URL; write amqp[s]://user:password@host:port/vhost"))?;
        if let Some(host) = bracketed_host(text) {
            // The parser falls back to localhost for an IPv6 literal.
            host.clone_into(&mut uri.authority.host);
        }
        if uri.authority.host.is_empty() {
            return Err(invalid("the AMQP URL names no host"));
        }
        if uri.vhost.is_empty() {
            return Err(invalid(
                "the AMQP URL ends in '/', which is the vhost ''; write /%2f for the default",
            ));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_DEFAULT_S);
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
}

/// The host of a URL whose host is an IPv6 literal, without its brackets.
fn bracketed_host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (literal, _) = host.strip_prefix('[')?.split_once(']')?;
    Some(literal)
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        write!(formatter, "{scheme}://{}:{} vhost '{vhost}'", authority.host, authority.port)
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AmqpUrl({self})")
    }
}

/// How to use RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitMqConfig {
    /// The broker's address.
    pub url: AmqpUrl,
    /// PEM certificates to trust for `amqps`, besides the system's.
    pub ca_pem: Option<String>,
    /// Prefix of every exchange and queue name: `[a-z0-9._-]`, 1 to 64 bytes.
    pub prefix: String,
    /// Unacknowledged messages that a stage consumer holds at most; also the largest batch.
    pub prefetch: u16,
    /// Available delays, shortest first. Other delays round up; longer ones use the last.
    pub retry_tiers: Vec<Duration>,
    /// Deadline of one connection attempt: TCP, TLS, handshake.
    pub connect_max: Duration,
    /// How long publishing and opening a consumer wait for a lost broker to return.
    pub hold_max: Duration,
    /// Deadline of one answer of the broker: a confirm, a declaration, an acknowledgement.
    pub answer_max: Duration,
}

impl RabbitMqConfig {
    /// The defaults for a broker.
    pub fn new(url: AmqpUrl) -> Self {
        Self {
            url,
            ca_pem: None,
            prefix: "contexture".to_owned(),
            prefetch: 256,
            retry_tiers: retry::RETRY_TIERS.to_vec(),
            connect_max: Duration::from_secs(5),
            hold_max: Duration::from_secs(5),
            answer_max: Duration::from_secs(10),
        }
    }

    /// Refuses settings that cannot work.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let invalid = |what: String| Err(Fault::permanent("invalid_broker_config", what));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if self.prefix.is_empty()
            || self.prefix.len() > NAME_PREFIX_BYTES_MAX
            || !self.prefix.bytes().all(plain)
        {
            return invalid(format!(
                "the prefix of queue names is 1 to {NAME_PREFIX_BYTES_MAX} of a-z, 0-9, '.', '_', '-', not '{}'",
                self.prefix.escape_debug()
            ));
        }
        if self.prefetch == 0 {
            return invalid("a prefetch of 0 would be unbounded; it is 1 to 65535".to_owned());
        }
        let ascending = self.retry_tiers.is_sorted_by(|shorter, longer| shorter < longer);
        // `x-message-ttl` counts whole milliseconds: a finer tier would come back early.
        let in_bounds = |tier: &Duration| {
            tier.subsec_nanos().is_multiple_of(1_000_000) && !tier.is_zero() && *tier <= RETRY_TIER_MAX
        };
        if self.retry_tiers.is_empty() || !ascending || !self.retry_tiers.iter().all(in_bounds) {
            return invalid("retry tiers are whole milliseconds, ascending, at most 24 hours".to_owned());
        }
        Ok(())
    }
}
