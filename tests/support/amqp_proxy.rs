//! A TCP proxy in front of RabbitMQ that fails on command: resets, swallows, cuts, refuses.
//!
//! What the server says is forwarded frame by frame, so a frame of ours can be put in between.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// What happens to bytes.
#[derive(Clone, Copy, Default)]
struct ProxyConditions {
    /// Nothing the client says arrives.
    deaf: bool,
    /// Nothing the server says arrives.
    mute: bool,
    /// Connections are closed as soon as they are made.
    refuse: bool,
}

/// The proxy; dropping it closes its connections.
pub(crate) struct AmqpProxy {
    address: SocketAddr,
    weather: watch::Sender<ProxyConditions>,
    resets: watch::Sender<u64>,
    wires: OpenConnections,
    client_bytes_left: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

type OpenConnections = Arc<Mutex<Vec<mpsc::UnboundedSender<Vec<u8>>>>>;

impl AmqpProxy {
    /// Listens in front of `server`, a `host:port`.
    pub(crate) async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, resets) = (watch::Sender::new(ProxyConditions::default()), watch::Sender::new(0));
        let wires: OpenConnections = Arc::default();
        let client_bytes_left = Arc::new(AtomicUsize::new(usize::MAX));
        let accepting = {
            let (server, weather, resets) = (server.to_owned(), weather.subscribe(), resets.subscribe());
            let (wires, left) = (wires.clone(), client_bytes_left.clone());
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    client.set_zero_linger().unwrap();
                    if weather.borrow().refuse {
                        continue;
                    }
                    let Ok(server) = TcpStream::connect(&server).await else { continue };
                    server.set_zero_linger().unwrap();
                    let (frames, injected) = mpsc::unbounded_channel();
                    wires.lock().unwrap().push(frames);
                    tokio::spawn(wire(
                        client,
                        server,
                        weather.clone(),
                        resets.clone(),
                        injected,
                        left.clone(),
                    ));
                }
            })
        };
        Self { address, weather, resets, wires, client_bytes_left, accepting: accepting.abort_handle() }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection.
    pub(crate) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Lets everything through again.
    pub(crate) fn clear(&self) {
        self.weather.send_replace(ProxyConditions::default());
    }

    /// Lets everything through, or nothing the server says.
    pub(crate) fn mute(&self, mute: bool) {
        self.weather.send_modify(|weather| weather.mute = mute);
    }

    /// Half-open: connections stay, and nothing arrives on either side.
    pub(crate) fn blackhole(&self) {
        self.weather.send_modify(|weather| (weather.mute, weather.deaf) = (true, true));
    }

    /// Refuses connections, and resets those there are.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.weather.send_modify(|weather| weather.refuse = refuse);
        if refuse {
            self.reset();
        }
    }

    /// Resets a connection once clients have sent so many more bytes.
    pub(crate) fn cut_after(&self, client_bytes: usize) {
        self.client_bytes_left.store(client_bytes, Ordering::SeqCst);
    }

    /// Whether the cut of [`Self::cut_after`] is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.client_bytes_left.load(Ordering::SeqCst) != usize::MAX
    }

    /// Says something to the client of the `index`th connection, as if the server had.
    pub(crate) fn inject(&self, index: usize, frame: Vec<u8>) {
        self.wires.lock().unwrap()[index].send(frame).unwrap();
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.wires.lock().unwrap().len()
    }

    /// How many of them are still open.
    pub(crate) fn open_connections(&self) -> usize {
        self.wires.lock().unwrap().iter().filter(|wire| !wire.is_closed()).count()
    }
}

impl Drop for AmqpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn wire(
    client: TcpStream,
    server: TcpStream,
    weather: watch::Receiver<ProxyConditions>,
    mut resets: watch::Receiver<u64>,
    injected: mpsc::UnboundedReceiver<Vec<u8>>,
    left: Arc<AtomicUsize>,
) {
    resets.mark_unchanged();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever ends first drops all four halves, which resets both sockets.
    tokio::select! {
        () = upwards(from_client, to_server, weather.clone(), left) => {}
        () = downwards(from_server, to_client, weather, injected) => {}
        _ = resets.changed() => {}
    }
}

async fn upwards(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    weather: watch::Receiver<ProxyConditions>,
    left: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = client.read(&mut buffer).await {
        if weather.borrow().deaf {
            continue;
        }
        let allowed = match left.load(Ordering::SeqCst) {
            usize::MAX => read,
            limited => limited.min(read),
        };
        if server.write_all(&buffer[..allowed]).await.is_err() {
            return;
        }
        if allowed < read {
            left.store(usize::MAX, Ordering::SeqCst);
            return;
        }
        // Nobody else changes it while it is limited but other wires, and a byte more or less is fine.
        let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |limited| {
            (limited != usize::MAX).then(|| limited.saturating_sub(allowed))
        });
    }
}

async fn downwards(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    weather: watch::Receiver<ProxyConditions>,
    mut injected: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    let (mut piece, mut buffer) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let said = tokio::select! {
            Some(frame) = injected.recv() => frame,
            read = server.read(&mut piece) => match read {
                Ok(read @ 1..) => {
                    buffer.extend_from_slice(&piece[..read]);
                    let complete = complete_frames(&buffer);
                    buffer.drain(..complete).collect()
                }
                _ => return,
            },
        };
        let mute = weather.borrow().mute;
        if !mute && client.write_all(&said).await.is_err() {
            return;
        }
    }
}

/// Bytes of the whole frames at the front: type, channel, length, that many bytes, an end mark.
fn complete_frames(bytes: &[u8]) -> usize {
    let mut complete = 0;
    while let Some(length) = bytes.get(complete + 3..complete + 7) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if bytes.len() < complete + length + 8 {
            break;
        }
        complete += length + 8;
    }
    complete
}

/// `connection.blocked`, as a broker out of memory says it.
pub(crate) fn connection_blocked(reason: &str) -> Vec<u8> {
    let mut arguments = vec![u8::try_from(reason.len()).unwrap()];
    arguments.extend_from_slice(reason.as_bytes());
    method_frame(10, 60, &arguments)
}

/// `connection.unblocked`.
pub(crate) fn connection_unblocked() -> Vec<u8> {
    method_frame(10, 61, &[])
}

fn method_frame(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0];
    frame.extend_from_slice(&u32::try_from(arguments.len() + 4).unwrap().to_be_bytes());
    frame.extend_from_slice(&class.to_be_bytes());
    frame.extend_from_slice(&method.to_be_bytes());
    frame.extend_from_slice(arguments);
    frame.push(0xCE);
    frame
}
