//! One accepted TCP connection as the HTTP server sees it: shared with a kill switch, and never ended by a reset that
//! would swallow the last answer.
//!
//! Owns the socket's options. actix owns the connection itself and drops it when it is done; what is left to do then (to
//! let the peer read the answer while it is still sending) is done here. Costs one descriptor a connection: the kill
//! switch shares it instead of duplicating it.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// A peer that acknowledges nothing for this long is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may go on sending after the last answer.
const LINGER: Duration = Duration::from_secs(2);
/// … and how long it may send nothing.
const LINGER_QUIET: Duration = Duration::from_millis(500);

/// The connection.
pub struct Connection {
    stream: Arc<TcpStream>,
    /// Read already, to be read again before the rest.
    first: Vec<u8>,
    /// The peer has said that it sends nothing more.
    ended: bool,
}

impl Connection {
    /// Sets what every connection needs. Best effort: without it the connection still works, only slower or longer.
    /// `first` are bytes that were read from it already.
    #[must_use]
    pub fn new(stream: TcpStream, first: Vec<u8>) -> Self {
        let socket = SockRef::from(&stream);
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT));
        Self { stream: Arc::new(stream), first, ended: false }
    }

    /// Cuts this connection from outside.
    #[must_use]
    pub fn kill_switch(&self) -> KillSwitch {
        KillSwitch(Arc::downgrade(&self.stream))
    }
}

/// Cuts a TCP connection from any thread, frozen or not; does not keep it open.
#[derive(Clone)]
pub struct KillSwitch(Weak<TcpStream>);

impl KillSwitch {
    /// Ends the connection in both directions, if it still exists.
    pub fn cut(&self) {
        if let Some(stream) = self.0.upgrade() {
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let some = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..some]);
            self.first.drain(..some);
            if self.first.is_empty() {
                self.first = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Ok(read) => {
                    self.ended = read == 0;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

/// Waits until a socket can be written to and tries, as often as readiness was a false alarm.
fn poll_write_with(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match write(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_write_with(&self.stream, cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_with(&self.stream, cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Closing a socket with bytes unread resets the connection, and a reset overtakes the answer: a 431 to a head
        // that is still being sent, or a close frame to a peer that talks on, would never be read.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(linger(Arc::clone(&self.stream)));
        }
    }
}

/// Says that nothing more comes and throws away what the peer still sends, for a while.
async fn linger(stream: Arc<TcpStream>) {
    let _ = SockRef::from(&*stream).shutdown(Shutdown::Write);
    let last = Instant::now() + LINGER;
    let mut waste = [0; 4096];
    loop {
        let until = last.min(Instant::now() + LINGER_QUIET);
        let Ok(Ok(())) = timeout_at(until, stream.readable()).await else { return };
        match stream.try_read(&mut waste) {
            Ok(0) => return,
            Ok(_) if Instant::now() < last => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn pair() -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Connection::new(accepted.unwrap().0, Vec::new()), peer.unwrap())
    }

    #[actix_rt::test]
    async fn the_last_answer_reaches_a_peer_that_is_still_sending() {
        let (mut connection, mut peer) = pair().await;
        peer.write_all(&[7; 100_000]).await.unwrap();
        connection.write_all(b"answer").await.unwrap();
        drop(connection);
        let _ = peer.write_all(&[7; 100_000]).await;
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }

    #[actix_rt::test]
    async fn bytes_go_both_ways_and_an_end_is_noticed() {
        let (mut connection, mut peer) = pair().await;
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let echo = async {
            let mut whole = Vec::new();
            connection.read_to_end(&mut whole).await.unwrap();
            connection.write_all(&whole).await.unwrap();
            connection.shutdown().await.unwrap();
        };
        let ask = async {
            peer.write_all(&sent).await.unwrap();
            peer.shutdown().await.unwrap();
            let mut back = Vec::new();
            peer.read_to_end(&mut back).await.unwrap();
            assert_eq!(back, sent);
        };
        tokio::join!(echo, ask);
        assert!(connection.ended);
    }

    #[actix_rt::test]
    async fn what_was_read_before_comes_first() {
        let (mut connection, mut peer) = pair().await;
        connection.first = b"once ".to_vec();
        peer.write_all(b"again").await.unwrap();
        let mut read = [0; 10];
        connection.read_exact(&mut read[..2]).await.unwrap();
        connection.read_exact(&mut read[2..]).await.unwrap();
        assert_eq!(&read, b"once again");
    }

    #[actix_rt::test]
    async fn a_kill_switch_cuts_and_outlives_its_connection() {
        let (mut connection, mut peer) = pair().await;
        let switch = connection.kill_switch();
        switch.cut();
        assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(connection.read(&mut [0; 1]).await.unwrap(), 0);
        drop(connection);
        switch.cut();
        assert!(switch.0.upgrade().is_none());
    }
}
