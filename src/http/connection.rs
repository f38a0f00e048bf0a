//! One accepted TCP connection as the HTTP server sees it: shared with a kill switch, and never ended by a reset that
//! would swallow the last answer.
//!
//! Owns the socket's options. actix owns the connection itself and drops it when it is done; what is left to do then (to
//! let the peer read the answer while it is still sending) is done here. Costs one descriptor a connection: the kill
//! switch shares it instead of duplicating it.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// A peer that acknowledges or takes nothing for this long is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may go on sending after the last answer.
const LINGER: Duration = Duration::from_secs(2);
/// … and how long it may send nothing.
const LINGER_QUIET: Duration = Duration::from_millis(500);

/// From the end of an answer until the head of the next request must have arrived whole. A little more than the keep-alive
/// after which a connection without a byte is closed: that is the common case, and ends more politely.
const NEXT_HEAD: Duration = Duration::from_millis(5_500);

/// Connections of the process that are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// How many connections of the process are open, streams included.
#[must_use]
pub fn open() -> usize {
    OPEN.load(Ordering::Acquire)
}

/// What becomes of the requests of one connection, as the handlers know it and the connection does not.
#[derive(Default, Debug)]
pub struct Progress {
    begun: AtomicU64,
    answered: AtomicU64,
}

impl Progress {
    /// How many requests have been answered, if none is being answered now.
    fn idle_after(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Acquire);
        (begun == self.answered.load(Ordering::Acquire)).then_some(begun)
    }
}

/// A request that is being answered; dropped when its answer has been sent or given up.
#[derive(Debug)]
pub struct Busy(Arc<Progress>);

impl Busy {
    /// A request has begun.
    #[must_use]
    pub fn with(progress: &Arc<Progress>) -> Self {
        progress.begun.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(progress))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
    }
}

/// A body that keeps its connection busy until it is sent.
pub struct BusyBody<B> {
    body: Pin<Box<B>>,
    _busy: Option<Busy>,
}

impl<B> BusyBody<B> {
    /// `None`: a request that did not come by a [`Connection`], as in a test.
    pub fn new(body: B, busy: Option<Busy>) -> Self {
        Self { body: Box::pin(body), _busy: busy }
    }
}

impl<B: MessageBody> MessageBody for BusyBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.as_ref().get_ref().size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}

/// The connection.
pub struct Connection {
    stream: Arc<TcpStream>,
    /// Read already, to be read again before the rest.
    first: Vec<u8>,
    /// The peer has said that it sends nothing more.
    ended: bool,
    progress: Arc<Progress>,
    /// Set while no request is being answered: after how many requests, and until when the next must have begun.
    next_head: Option<(u64, Pin<Box<Sleep>>)>,
    /// Set while the peer takes nothing: until when it must.
    taken_by: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Sets what every connection needs. Best effort: without it the connection still works, only slower or longer.
    /// `first` are bytes that were read from it already.
    #[must_use]
    pub fn new(stream: TcpStream, first: Vec<u8>) -> Self {
        let socket = SockRef::from(&stream);
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT));
        OPEN.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!("caly_http_connections").increment(1.0);
        let progress = Arc::default();
        Self { stream: Arc::new(stream), first, ended: false, progress, next_head: None, taken_by: None }
    }

    /// What its handlers tell of its requests.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// actix's own deadlines end a first head that never ends and a connection on which nothing comes, but not a second head
    /// that is begun and never finished.
    fn poll_next_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The first head has deadlines of its own.
        let Some(after) = self.progress.idle_after().filter(|after| *after > 0) else {
            self.next_head = None;
            return Poll::Pending;
        };
        if self.next_head.as_ref().is_none_or(|(of, _)| *of != after) {
            self.next_head = Some((after, Box::pin(sleep(NEXT_HEAD))));
        }
        self.next_head.as_mut().map_or(Poll::Pending, |(_, deadline)| deadline.as_mut().poll(cx))
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
            if self.stream.poll_read_ready(cx)?.is_pending() {
                ready!(self.poll_next_head(cx));
                metrics::counter!("caly_http_connections_cut_total", "reason" => "no_next_request").increment(1);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
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

impl Connection {
    /// Waits until the socket can be written to and tries, as often as readiness was a false alarm, but not for ever: the
    /// kernel's own time-out starts anew with every window probe that a peer who reads nothing acknowledges.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                let deadline = self.taken_by.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
                ready!(deadline.as_mut().poll(cx));
                metrics::counter!("caly_http_connections_cut_total", "reason" => "takes_nothing").increment(1);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => {
                    self.taken_by = None;
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(slices))
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
        OPEN.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!("caly_http_connections").decrement(1.0);
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
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
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
    async fn a_peer_that_takes_nothing_is_given_up_after_the_deadline_and_one_that_is_slow_is_not() {
        let (mut connection, mut peer) = pair().await;
        let begun = Instant::now();
        let slow = async {
            let mut bytes = vec![0; 4 << 20];
            for _ in 0..3 {
                tokio::time::sleep(WRITE_TIMEOUT / 2).await;
                peer.read_exact(&mut bytes).await.unwrap();
            }
        };
        let write = async {
            loop {
                if let Err(error) = connection.write_all(&[7; 64 * 1024]).await {
                    return (error.kind(), begun.elapsed());
                }
            }
        };
        let ((), (kind, after)) = tokio::join!(slow, write);
        assert_eq!(kind, io::ErrorKind::TimedOut);
        let expected = WRITE_TIMEOUT * 5 / 2;
        assert!(after >= expected - WRITE_TIMEOUT / 4 && after < expected * 2, "given up after {after:?}");
    }

    #[actix_rt::test]
    async fn the_next_request_must_begin_in_time_however_slowly_it_drips() {
        let (mut connection, mut peer) = pair().await;
        let progress = connection.progress();
        let mut byte = [0; 1];
        // The first head is not judged here.
        peer.write_all(b"a").await.unwrap();
        assert_eq!(connection.read(&mut byte).await.unwrap(), 1);
        let busy = Busy::with(&progress);
        let quiet = tokio::time::timeout(NEXT_HEAD + Duration::from_millis(200), connection.read(&mut byte)).await;
        assert!(quiet.is_err(), "nothing is due while a request is answered");
        drop(busy);
        let begun = Instant::now();
        let drip = async {
            while begun.elapsed() < NEXT_HEAD * 2 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if peer.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        let read = async {
            loop {
                if let Err(error) = connection.read(&mut byte).await {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return begun.elapsed();
                }
            }
        };
        tokio::select! {
            after = read => assert!(after >= NEXT_HEAD && after < NEXT_HEAD + Duration::from_secs(1), "{after:?}"),
            () = drip => panic!("it dripped on and on"),
        }
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
