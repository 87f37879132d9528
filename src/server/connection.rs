//! Accepts connections up to a maximum, and ends those that stand still. Further ones wait in the backlog of the
//! socket.
//!
//! A [`CountedConnection`] holds its place until it is dropped. A write that makes no progress for its
//! maximum fails: HTTP/1 has no pings that would find a peer which is gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Pause after a failed accept. Without it, a lack of file descriptors would cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that counts against the maximum until it is dropped.
pub(super) struct CountedConnection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// Accepts connections for ever, at most `connections_max` at a time.
pub(super) fn accept_connections(
    listener: TcpListener,
    connections_max: usize,
) -> impl Stream<Item = CountedConnection> {
    let places = Arc::new(Semaphore::new(connections_max));
    futures::stream::unfold((listener, places), |(listener, places)| async move {
        // The place is taken before the accept, so that a connection without a place stays in the backlog.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let stream = accept_connection(&listener).await;
        Some((CountedConnection { stream, _place: place }, (listener, places)))
    })
}

async fn accept_connection(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small; Nagle's algorithm would delay them. Failure only costs latency.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // The listener stays usable after a failed accept, so the server goes on.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl AsyncRead for CountedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CountedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Bytes that have arrived on a connection.
#[derive(Clone, Default)]
pub(super) struct ArrivedBytes(Arc<AtomicUsize>);

impl ArrivedBytes {
    /// Returns the number.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection, plain or encrypted, whose reads are counted and whose writes must make progress.
pub(super) struct WatchedConnection<C> {
    inner: C,
    arrived: ArrivedBytes,
    write_idle_max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> WatchedConnection<C> {
    /// Watches a connection. Its writes may stand still for `write_idle_max`.
    pub(super) fn new(inner: C, arrived: ArrivedBytes, write_idle_max: Duration) -> Self {
        Self { inner, arrived, write_idle_max, stalled: None }
    }

    /// Passes on what a write came to; fails one that has been pending for too long.
    fn bound<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let end = Instant::now() + self.write_idle_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for WatchedConnection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.arrived.0.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedConnection<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bound(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.bound(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(context);
        self.bound(ended, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.bound(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_maximum_waits_for_a_place() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut accepted = Box::pin(accept_connections(listener, 2));
        let _clients = [
            TcpStream::connect(address).await?,
            TcpStream::connect(address).await?,
            TcpStream::connect(address).await?,
        ];
        let first = accepted.next().await;
        let _second = accepted.next().await;
        assert!(accepted.next().now_or_never().is_none(), "no third place");
        drop(first);
        assert!(accepted.next().await.is_some());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_ends_the_connection() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut ours = WatchedConnection::new(ours, ArrivedBytes::default(), Duration::from_secs(30));
        let began = Instant::now();
        let ended = ours.write_all(&[0; 64]).await.map_err(|error| error.kind());
        assert_eq!(ended, Err(io::ErrorKind::TimedOut));
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}
