//! One connection, with deadlines where lapin has none.
//!
//! lapin waits for ever for a peer that accepts and then says nothing, for the answer to a goodbye,
//! and for a command given just when a connection ended. So we keep a second handle of the socket
//! and shut it down when an attempt to connect is given up, and a moment after a connection is let
//! go; and nothing is asked of the broker but through [`LiveConnection::answer`].

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

/// How often a call that waits looks whether its connection is still there.
const STATUS_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a connection that was let go may take to say goodbye.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// An open connection. Whoever uses a channel of it keeps it.
pub(super) struct LiveConnection {
    connection: Connection,
    socket: Arc<ConnectionSocket>,
    answer_max: Duration,
}

/// Why there is no answer.
pub(super) enum MissingAnswer {
    /// The connection ended.
    Ended,
    /// It took longer than it may.
    Late(Duration),
}

impl MissingAnswer {
    /// What it means for `what` was tried.
    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::Transient(match self {
            Self::Ended => format!("{what}: the connection ended"),
            Self::Late(max) => format!("{what}: no answer within {max:?}"),
        })
    }
}

impl LiveConnection {
    /// Connects within `connect_max`; `role` is what the broker shows of it.
    pub(super) async fn connect(config: &RabbitMqConfig, role: &str) -> Result<Self, Fault> {
        let what = format!("connecting to {}", config.url);
        let socket = Arc::new(ConnectionSocket::default());
        let mut given_up = ShutSocketOnDrop(Some(socket.clone()));
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| faults::broker_fault(&what, &error))?;
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {role}", config.prefix).as_str().into());
        let (dialled, ca_pem) = (socket.clone(), config.ca_pem.clone());
        // In place, for only the call knows the type of the runtime.
        let connecting = Connection::connector(
            config.url.uri(),
            runtime,
            async move |uri, runtime| {
                // In the clear first, to get at the socket; TLS goes on top.
                let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
                let no_tls = TLSConfig { identity: None, cert_chain: None };
                let stream = AMQPUriTcpExt::connect_with_config_async(&plain, no_tls, &runtime).await?;
                if let AsyncTcpStream::Plain(tcp) = &stream {
                    let tcp = tcp.get_ref();
                    tcp.set_nodelay(true)?;
                    dialled.opened(TcpStream::from(tcp.as_fd().try_clone_to_owned()?))?;
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
        given_up.0 = None;
        Ok(Self { connection, socket, answer_max: config.answer_max })
    }

    /// The broker's answer to `what`.
    pub(super) async fn answer<T>(
        &self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Fault> {
        match self.within(call).await {
            Ok(answered) => answered.map_err(|error| faults::broker_fault(what, &error)),
            Err(silence) => Err(silence.fault(what)),
        }
    }

    /// What comes of a call, if it ends within `answer_max` and before the connection does.
    pub(super) async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, MissingAnswer> {
        tokio::select! {
            biased;
            done = call => Ok(done),
            silence = self.silence() => Err(silence),
        }
    }

    async fn silence(&self) -> MissingAnswer {
        let deadline = Instant::now() + self.answer_max;
        while self.is_open() {
            if Instant::now() >= deadline {
                return MissingAnswer::Late(self.answer_max);
            }
            sleep_until(deadline.min(Instant::now() + STATUS_POLL_INTERVAL)).await;
        }
        MissingAnswer::Ended
    }

    /// Whether it can be used, as far as anybody knows.
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker takes no messages from it: out of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// A new channel.
    pub(super) async fn channel(&self) -> Result<Channel, Fault> {
        self.answer("opening a channel", self.connection.create_channel()).await
    }

    /// Says goodbye and waits for the answer a moment.
    pub(super) async fn close(&self) {
        let goodbye = self.connection.close(200, "OK".into());
        // Whatever comes of it: the socket goes, too.
        let _ = timeout(CLOSE_WAIT_MAX, goodbye).await;
        self.socket.shut();
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        // lapin says goodbye when the connection is dropped, which is right after this. The broker
        // waits for our end of the socket to close, and ours does while this handle is open.
        let (socket, status) = (self.socket.clone(), self.connection.status().clone());
        let goodbye = async move {
            let deadline = Instant::now() + CLOSE_WAIT_MAX;
            while !status.closed() && !status.errored() && Instant::now() < deadline {
                sleep(STATUS_POLL_INTERVAL).await;
            }
            socket.shut();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(goodbye)),
            Err(_) => self.socket.shut(),
        }
    }
}

/// The socket under a connection.
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
    fn handle(&self) -> MutexGuard<'_, SocketState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the handle, unless the attempt was given up meanwhile.
    fn opened(&self, stream: TcpStream) -> io::Result<()> {
        let mut handle = self.handle();
        if matches!(*handle, SocketState::Shut) {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        *handle = SocketState::Open(stream);
        Ok(())
    }

    fn shut(&self) {
        let before = std::mem::replace(&mut *self.handle(), SocketState::Shut);
        if let SocketState::Open(stream) = before {
            // It may be gone already, which is what we want.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Ends an attempt that failed, ran out of time or was cancelled.
struct ShutSocketOnDrop(Option<Arc<ConnectionSocket>>);

impl Drop for ShutSocketOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut();
        }
    }
}
