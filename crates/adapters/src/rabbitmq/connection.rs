//! One AMQP connection, with the deadlines that lapin lacks.
//!
//! lapin waits forever in three cases: the peer accepts and then sends nothing; the close is not
//! answered; a command is issued just as the connection ends. Two measures bound these waits.
//! We hold a second handle of the socket and shut it down when an attempt fails and
//! [`CLOSE_WAIT_MAX`] after a connection is dropped. Every request to the broker goes through
//! [`LiveConnection::answer`] or [`LiveConnection::within`].

use std::future::Future;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, TLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::config::RabbitMqConfig;
use super::faults;
use contexture_core::fault::Fault;

/// How often a waiting call checks that its connection is still open.
const STATUS_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a dropped connection may take for its closing handshake.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// An open connection. Users of its channels hold an `Arc` of it: dropping the last one closes it.
pub(super) struct LiveConnection {
    connection: Connection,
    socket: Arc<ConnectionSocket>,
    answer_max: Duration,
}

/// Why the broker's answer is missing.
pub(super) enum MissingAnswer {
    /// The connection ended.
    Ended,
    /// No answer within this deadline.
    Late(Duration),
}

impl MissingAnswer {
    /// The fault of the attempted operation `what`: transient, since its outcome is unknown.
    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::transient(match self {
            Self::Ended => format!("{what}: the connection ended"),
            Self::Late(max) => format!("{what}: no answer within {max:?}"),
        })
    }
}

impl LiveConnection {
    /// Connects within `connect_max`. The broker displays `role` in the connection's name.
    pub(super) async fn connect(config: &RabbitMqConfig, role: &str) -> Result<Self, Fault> {
        let what = format!("connecting to {}", config.url);
        let socket = Arc::new(ConnectionSocket::default());
        let mut shut_unless_connected = ShutSocketOnDrop(Some(socket.clone()));
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| faults::broker_fault(&what, &error))?;
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {role}", config.prefix).as_str().into());
        let (dialed_socket, ca_pem) = (socket.clone(), config.ca_pem.clone());
        // The connector is a closure in place, because only this call knows the runtime's type.
        let connecting = Connection::connector(
            config.url.uri(),
            runtime,
            async move |uri, runtime| {
                // Connect without TLS first, because only the plain stream exposes its socket. TLS
                // is then negotiated on top, before the first AMQP frame.
                let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
                let no_tls = TLSConfig { identity: None, cert_chain: None };
                let stream = AMQPUriTcpExt::connect_with_config_async(&plain, no_tls, &runtime).await?;
                if let AsyncTcpStream::Plain(tcp) = &stream {
                    let tcp = tcp.get_ref();
                    tcp.set_nodelay(true)?;
                    dialed_socket.opened(TcpStream::from(tcp.as_fd().try_clone_to_owned()?))?;
                }
                Ok(match uri.scheme {
                    AMQPScheme::AMQP => stream,
                    AMQPScheme::AMQPS => {
                        let tls = TLSConfig { identity: None, cert_chain: ca_pem.as_deref() };
                        stream.into_tls(&uri.authority.host, tls).await?
                    }
                })
            },
            properties,
        );
        let connection = match timeout(config.connect_max, connecting).await {
            Ok(connected) => connected.map_err(|error| faults::broker_fault(&what, &error))?,
            Err(_) => return Err(MissingAnswer::Late(config.connect_max).fault(&what)),
        };
        // Disarmed: from here on the connection's own `Drop` shuts the socket.
        shut_unless_connected.0 = None;
        Ok(Self { connection, socket, answer_max: config.answer_max })
    }

    /// Waits for the broker's answer to `what`.
    pub(super) async fn answer<T>(
        &self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Fault> {
        match self.within(call).await {
            Ok(answered) => answered.map_err(|error| faults::broker_fault(what, &error)),
            Err(missing) => Err(missing.fault(what)),
        }
    }

    /// Awaits a call for `answer_max` at most, and no longer than the connection lives.
    pub(super) async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, MissingAnswer> {
        tokio::select! {
            // An answer that is there wins over a deadline that has just passed.
            biased;
            done = call => Ok(done),
            missing = self.missing_answer() => Err(missing),
        }
    }

    /// Returns once the deadline has passed or the connection has ended.
    async fn missing_answer(&self) -> MissingAnswer {
        let deadline = Instant::now() + self.answer_max;
        // Polled, because lapin does not fail commands issued while a connection ends.
        while self.is_open() {
            if Instant::now() >= deadline {
                return MissingAnswer::Late(self.answer_max);
            }
            sleep_until(deadline.min(Instant::now() + STATUS_POLL_INTERVAL)).await;
        }
        MissingAnswer::Ended
    }

    /// Whether the connection is open, as far as lapin knows.
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker accepts no messages (`connection.blocked`): it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<Channel, Fault> {
        self.answer("opening a channel", self.connection.create_channel()).await
    }

    /// Closes the connection, waiting [`CLOSE_WAIT_MAX`] at most for the broker's answer.
    pub(super) async fn close(&self) {
        let closing = self.connection.close(200, "OK".into());
        // The result is ignored, because the socket is shut down either way.
        let _ = timeout(CLOSE_WAIT_MAX, closing).await;
        self.socket.shut();
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        // lapin sends its close when the inner connection drops, which is right after this. The
        // broker then waits for the socket to close, which our second handle keeps open: shut it
        // down once the handshake is done or took too long.
        let (socket, status) = (self.socket.clone(), self.connection.status().clone());
        let closing = async move {
            let deadline = Instant::now() + CLOSE_WAIT_MAX;
            while !status.closed() && !status.errored() && Instant::now() < deadline {
                sleep(STATUS_POLL_INTERVAL).await;
            }
            socket.shut();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(closing)),
            // Without a runtime nobody can drive the handshake.
            Err(_) => self.socket.shut(),
        }
    }
}

/// A second handle of the socket under a connection.
#[derive(Default)]
struct ConnectionSocket(Mutex<SocketState>);

#[derive(Default)]
enum SocketState {
    #[default]
    NotYet,
    Open(TcpStream),
    Shut,
}

impl ConnectionSocket {
    fn state(&self) -> MutexGuard<'_, SocketState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the handle, unless the attempt was abandoned meanwhile.
    fn opened(&self, stream: TcpStream) -> io::Result<()> {
        let mut state = self.state();
        // Checked under the lock: `shut` may have run while the socket was being dialed.
        if matches!(*state, SocketState::Shut) {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        *state = SocketState::Open(stream);
        Ok(())
    }

    fn shut(&self) {
        let before = std::mem::replace(&mut *self.state(), SocketState::Shut);
        if let SocketState::Open(stream) = before {
            // Fails when the peer closed it already, which is the state we want.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Shuts the socket of a connection attempt that failed, timed out or was cancelled.
struct ShutSocketOnDrop(Option<Arc<ConnectionSocket>>);

impl Drop for ShutSocketOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut();
        }
    }
}
