//! A request's body with a deadline and a size, whatever route it goes to.
//!
//! A handler that reads sees the body end in an error; the shield then answers 408 or 413 in its place, however the
//! handler took it. A body that is not read to its end would keep its connection for as long as the peer likes: the
//! connection is cut a moment after the answer.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use super::connection::KillSwitch;
use super::problem::Problem;

/// From the end of a request whose body was not read whole to the end of its connection: the answer is on its way.
const UNREAD: Duration = Duration::from_secs(1);

/// Largest body of any request. Routes set lower limits of their own.
pub const BODY_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What was wrong with a body that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// More than [`BODY_BYTES_MAX`].
    TooLarge,
    /// Not whole within the deadline.
    TooSlow,
}

impl Trouble {
    /// How the request is answered.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::TooLarge => Problem::too_large().detail(format!("at most {BODY_BYTES_MAX} bytes")),
            Self::TooSlow => Problem::too_slow().detail("the body did not arrive whole in time"),
        }
    }
}

/// Where a body leaves what became of it.
#[derive(Clone, Default)]
pub struct Fate(Rc<Inner>);

#[derive(Default)]
struct Inner {
    trouble: Cell<Option<Trouble>>,
    unread: Cell<bool>,
}

impl Fate {
    /// What was wrong with it; `None` while all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.trouble.get()
    }

    /// It was left before its end, and its connection will be cut: the answer must say so.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.0.unread.get()
    }
}

/// The length a request declares for its body; `Some(0)` for none at all, `None` if it comes in chunks.
fn declared(request: &ServiceRequest) -> Option<u64> {
    if request.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let length = request.headers().get(CONTENT_LENGTH);
    Some(length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0))
}

/// Puts the bounds around a request's body.
///
/// # Errors
/// The request declares a body that is too large.
pub fn bound(request: &mut ServiceRequest, deadline: Duration) -> Result<Fate, Trouble> {
    let fate = Fate::default();
    match declared(request) {
        Some(0) => return Ok(fate),
        Some(length) if length > BODY_BYTES_MAX => return Err(Trouble::TooLarge),
        Some(_) | None => {}
    }
    let inner = request.take_payload();
    let deadline = Box::pin(tokio::time::sleep(deadline));
    let connection = request.conn_data::<KillSwitch>().cloned();
    let bounded = Body { inner, deadline, bytes: 0, fate: fate.clone(), whole: false, connection };
    request.set_payload(Payload::Stream { payload: Box::pin(bounded) });
    Ok(fate)
}

struct Body<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> {
    inner: S,
    deadline: Pin<Box<Sleep>>,
    bytes: u64,
    fate: Fate,
    /// It was read to its end.
    whole: bool,
    connection: Option<KillSwitch>,
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Body<S> {
    /// Whether all of it has arrived, though nobody has read it.
    fn has_arrived(&mut self) -> bool {
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        // actix holds at most 32 KiB of a body that nobody reads.
        for _ in 0..64 {
            match Pin::new(&mut self.inner).poll_next(&mut cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None) => return true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        false
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Drop for Body<S> {
    fn drop(&mut self) {
        if self.whole || self.has_arrived() {
            return;
        }
        self.fate.0.unread.set(true);
        let Some(connection) = self.connection.take() else { return };
        // Without a runtime the process is ending, and its connections with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            metrics::counter!("caly_http_bodies_unread_total").increment(1);
            runtime.spawn(async move {
                tokio::time::sleep(UNREAD).await;
                connection.cut();
            });
        }
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Body<S> {
    fn ends(&self, trouble: Trouble) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.fate.0.trouble.set(Some(trouble));
        Poll::Ready(Some(Err(PayloadError::Overflow)))
    }
}

impl<S> Stream for Body<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(trouble) = self.fate.trouble() {
            return self.ends(trouble);
        }
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.bytes += bytes.len() as u64;
                if self.bytes > BODY_BYTES_MAX { self.ends(Trouble::TooLarge) } else { Poll::Ready(Some(Ok(bytes))) }
            }
            Poll::Ready(None) => {
                self.whole = true;
                Poll::Ready(None)
            }
            Poll::Pending if self.deadline.as_mut().poll(cx).is_ready() => self.ends(Trouble::TooSlow),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt as _, stream};

    fn body<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin>(inner: S) -> (Body<S>, Fate) {
        let fate = Fate::default();
        let deadline = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
        (Body { inner, deadline, bytes: 0, fate: fate.clone(), whole: false, connection: None }, fate)
    }

    #[actix_rt::test]
    async fn only_a_body_that_has_not_arrived_costs_its_connection() {
        let piece = || Ok(Bytes::from_static(b"x"));
        let (there, fate) = body(stream::iter(vec![piece(), piece()]));
        drop(there);
        assert!(!fate.is_unread(), "it had arrived, though nobody read it");
        let (coming, fate) = body(stream::iter(vec![piece()]).chain(stream::pending()));
        drop(coming);
        assert!(fate.is_unread());
    }

    #[actix_rt::test]
    async fn a_body_passes_whole_up_to_the_limit_and_not_a_byte_more() {
        let piece = Bytes::from(vec![0; 1024 * 1024]);
        let two = || stream::iter(vec![Ok(piece.clone()), Ok(piece.clone())]);
        let (whole, fate) = body(two());
        assert!(whole.collect::<Vec<_>>().await.iter().all(Result::is_ok));
        assert_eq!(fate.trouble(), None);
        let (mut longer, fate) = body(two().chain(stream::iter(vec![Ok(Bytes::from_static(b"x"))])));
        assert!(longer.next().await.is_some_and(|item| item.is_ok()));
        assert!(longer.next().await.is_some_and(|item| item.is_ok()));
        assert!(longer.next().await.is_some_and(|item| item.is_err()));
        assert_eq!(fate.trouble(), Some(Trouble::TooLarge));
    }

    #[actix_rt::test]
    async fn a_body_that_drips_is_ended_at_its_deadline() {
        let begun = std::time::Instant::now();
        let drips = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let (dripping, fate) = body(Box::pin(drips));
        let errors = dripping.take_while(|item| std::future::ready(item.is_ok())).count().await;
        assert!(errors < 10 && begun.elapsed() < Duration::from_secs(2));
        assert_eq!(fate.trouble(), Some(Trouble::TooSlow));
    }
}
