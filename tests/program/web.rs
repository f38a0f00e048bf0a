//! A small HTTP and WebSocket client, and waiting for something without sleeping through it.

use std::future::Future;
use std::time::{Duration, Instant};

use awc::Client;
use awc::error::{ConnectError, SendRequestError, WsProtocolError};
use awc::http::Method;
use awc::ws::{Frame, Message};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use serde_json::Value;

/// A WebSocket of this side.
pub trait Wire: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin {}
impl<T: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin> Wire for T {}
pub type Socket = Box<dyn Wire>;

/// An HTTP answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: awc::http::header::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {:?}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Asserts that this is a problem document of that status, with a request id; gives it back.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        assert!(!self.header("x-request-id").is_empty(), "x-request-id on {}", self.text());
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        assert!(body["type"].as_str().is_some_and(|kind| kind.starts_with("/problems/")), "{body}");
        assert!(body["title"].is_string(), "{body}");
        body
    }
}

thread_local! {
    static CLIENT: Client = {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder().disable_redirects().no_default_headers().timeout(Duration::from_secs(20)).finish()
    };
}

/// The test's own client.
pub fn client() -> Client {
    CLIENT.with(Client::clone)
}

/// Sends a request; `Err` only when there was no answer.
pub async fn try_request(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, String> {
    let mut request = client().request(method.clone(), url);
    for header in headers {
        request = request.append_header(*header);
    }
    let body = body.into();
    let sent = match request.send_body(body.clone()).await {
        // The server closed the kept connection just as it was used again: what only asks is asked once more.
        Err(SendRequestError::Connect(ConnectError::Disconnected)) if method == Method::GET => {
            let mut again = client().request(Method::GET, url);
            for header in headers {
                again = again.append_header(*header);
            }
            again.send_body(body).await
        }
        sent => sent,
    };
    let mut response = sent.map_err(|error| error.to_string())?;
    let body = response.body().limit(16 << 20).await.map_err(|error| error.to_string())?;
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}

pub async fn request(method: Method, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let shown = method.clone();
    try_request(method, url, headers, body).await.unwrap_or_else(|error| panic!("{shown} {url}: {error}"))
}

pub async fn get(url: &str) -> Answer {
    request(Method::GET, url, &[], "").await
}

/// Posts `application/x-www-form-urlencoded`.
pub async fn post_form(url: &str, fields: &[(&str, &str)]) -> Answer {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request(Method::POST, url, &[("content-type", "application/x-www-form-urlencoded")], body).await
}

/// A URL with more query parameters.
pub fn with(url: &str, fields: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.into()
}

/// Opens a WebSocket; `Err` is the HTTP status of the refusal, 0 for none at all.
pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
    let mut request = client().ws(url).max_frame_size(1 << 20);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match request.connect().await {
        Ok((_, socket)) => Ok(Box::new(socket)),
        Err(awc::error::WsClientError::InvalidResponseStatus(status)) => Err(status.as_u16()),
        Err(other) => {
            eprintln!("{url}: {other}");
            Err(0)
        }
    }
}

/// Asks until there is an answer; past the deadline the test fails.
pub async fn until<T, F>(what: &str, within: Duration, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
