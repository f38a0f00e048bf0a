//! Hundreds of hostile HTTP requests: forged, unauthenticated, oversized, misframed, misspelt. Each is answered with the
//! status it deserves and never with a fault of ours, and nothing of it is stored.

#[path = "hostile_http/framing.rs"]
mod framing;
#[path = "hostile_http/requests.rs"]
mod requests;

use std::time::{Duration, Instant};

use awc::http::Method;
use futures_util::future::join_all;

use crate::line::Line;
use crate::raw::Raw;
use crate::server::{SOON, Server, Settings};
use crate::web::{self, until};
use requests::Request;

/// Asks one by one on connections of their own; gives back what was answered otherwise than it should be.
async fn wrongly_answered(server: &Server, requests: Vec<Request>) -> Vec<String> {
    let mut wrong = Vec::new();
    for some in requests.chunks(16) {
        let asked = some.iter().map(|request| async move {
            let headers: Vec<(&str, &str)> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let url = server.url(&request.path);
            match web::try_request(request.method.clone(), &url, &headers, request.body.clone()).await {
                Ok(answer) if request.statuses.contains(&answer.status) => {
                    if answer.status >= 400 && request.method != Method::HEAD {
                        answer.problem(answer.status);
                    }
                    guarded(&answer, &request.path);
                    None
                }
                Ok(answer) => Some(format!("{request:?}: {} {}", answer.status, answer.text())),
                Err(error) => Some(format!("{request:?}: {error}")),
            }
        });
        wrong.extend(join_all(asked).await.into_iter().flatten());
    }
    wrong
}

/// The headers that every answer carries.
fn guarded(answer: &web::Answer, path: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    assert!(answer.header("server").is_empty() && answer.header("x-powered-by").is_empty(), "{path}");
    assert!(answer.header("access-control-allow-origin").is_empty(), "{path}");
    assert!(!answer.header("cache-control").is_empty(), "{path}");
}

#[actix_rt::test]
async fn hundreds_of_hostile_requests_are_refused_without_a_fault_and_without_a_trace() {
    let server = Server::start(Settings::default()).await;
    let admin = server.admin_key().await;
    let requests = requests::all(&server.hooks.key, &admin);
    let framed = framing::all(&server.hooks.key);
    assert!(requests.len() + framed.len() >= 440, "{} + {}", requests.len(), framed.len());
    let mut wrong = wrongly_answered(&server, requests).await;
    for some in framed.chunks(16) {
        let asked = some.iter().cloned().map(|case| {
            let port = server.port;
            tokio::task::spawn_blocking(move || {
                let mut socket = Raw::connect(port);
                socket.send(&case.bytes);
                let status = socket.status(Duration::from_secs(20));
                (!case.statuses.contains(&status)).then(|| format!("{}: {status}", case.name))
            })
        });
        wrong.extend(join_all(asked).await.into_iter().filter_map(Result::unwrap));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(server.calls().await.len(), 0, "nothing was stored");
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains(&server.hooks.key) && !log.contains(&admin));
    assert_eq!(server.metric("caly_http_panics_total").await, 0.0);
    server.nothing_left(SOON).await;
    assert!(server.call_start("afterwards").await.status == 200);
}

#[actix_rt::test]
async fn a_body_that_drips_is_ended_on_every_route_and_others_are_answered_meanwhile() {
    let server = Server::start(Settings::default().with("CALY__SERVER__BODY_DEADLINE", "2s")).await;
    let (port, key, admin) = (server.port, server.hooks.key.clone(), server.admin_key().await);
    let dripping: Vec<_> = [
        format!("POST /webhooks/exotel/demo/status?key={key} HTTP/1.1\r\nContent-Type: application/json"),
        format!(
            "POST /webhooks/exotel/demo/call-start?key={key} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x"
        ),
        format!("POST /webhooks/exotel/demo/call-end HTTP/1.1\r\nX-Exotel-Signature: {}", "a".repeat(64)),
        format!("POST /api/v1/calls/x/hangup HTTP/1.1\r\nAuthorization: Bearer {admin}"),
        "POST /health/live HTTP/1.1".to_owned(),
        "POST /nowhere HTTP/1.1".to_owned(),
    ]
    .into_iter()
    .flat_map(|head| [format!("{head}\r\nContent-Length: 5000"), format!("{head}\r\nTransfer-Encoding: chunked")])
    .map(|head| {
        tokio::task::spawn_blocking(move || {
            let mut socket = Raw::connect(port);
            socket.send(format!("{head}\r\nHost: x\r\n\r\n").as_bytes());
            let begun = Instant::now();
            // A byte now and then, as long as anybody listens.
            let mut status = 0;
            while status == 0 && begun.elapsed() < Duration::from_secs(10) {
                socket.send(if head.contains("chunked") { b"1\r\n{\r\n" } else { b"{" });
                status = socket.status(Duration::from_millis(100));
            }
            (head, status, begun.elapsed())
        })
    })
    .collect();
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(web::get(&server.hook("passthru", &[("CallSid", "nobody")])).await.status, 302);
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
    for outcome in join_all(dripping).await {
        let (head, status, waited) = outcome.unwrap();
        let read = head.contains("?key=");
        assert!(if read { status == 408 } else { (400..500).contains(&status) }, "{status} after {waited:?}: {head}");
        assert!(waited < Duration::from_secs(5), "{status} after {waited:?}: {head}");
    }
    assert_eq!(server.calls().await.len(), 0);
}

#[actix_rt::test]
async fn a_panic_is_answered_500_and_the_connection_and_the_process_go_on() {
    let server = Server::start(Settings::default()).await;
    let port = server.port;
    let line = Line::call(&server, "beside").await;
    line.agent_said(300, 0).await;
    let (first, second) = tokio::task::spawn_blocking(move || {
        let mut socket = Raw::connect(port);
        socket.send(b"POST /test/panic/handler HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-7\r\n\r\n");
        let first = socket.head(SOON).unwrap_or_default();
        let mut socket = Raw::connect(port);
        socket.send(b"POST /test/panic/body HTTP/1.1\r\nHost: x\r\n\r\n");
        (first, socket.head(SOON).unwrap_or_default())
    })
    .await
    .unwrap();
    assert!(first.starts_with("HTTP/1.1 500") && first.contains("mine-7"), "{first}");
    assert!(first.contains("application/problem+json"), "{first}");
    // Once an answer is on its way its status cannot change: this one is cut short, and only this one.
    assert!(second.is_empty() || second.starts_with("HTTP/1.1 200"), "{second}");
    for _ in 0..20 {
        let answer = web::request(Method::POST, &server.url("/test/panic/handler"), &[], "").await;
        assert_eq!(answer.problem(500)["title"], "Something went wrong here");
    }
    line.ask("shop_hours").await;
    line.hang_up();
    server.ended_call(&line.sid).await;
    assert!(server.metric("caly_http_panics_total").await >= 21.0);
}

#[actix_rt::test]
async fn only_listed_origins_may_use_the_api_from_a_page() {
    let server = Server::start(
        Settings::default()
            .with("CALY__SERVER__CORS_ORIGINS", "https://desk.example,http://localhost:5173")
            .with("PUBLIC_URL", "https://voice.example.com"),
    )
    .await;
    let key = format!("Bearer {}", server.admin_key().await);
    let asked = |method: Method, path: &'static str, origin: &'static str, preflight: bool| {
        let (url, key) = (server.url(path), key.clone());
        async move {
            let mut headers = vec![("origin", origin), ("authorization", key.as_str())];
            if preflight {
                headers = vec![("origin", origin), ("access-control-request-method", "DELETE")];
            }
            web::request(method, &url, &headers, "").await
        }
    };
    for origin in ["https://desk.example", "http://localhost:5173"] {
        let answer = asked(Method::GET, "/api/v1/calls", origin, false).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        assert_eq!(answer.header("vary"), "Origin");
        let preflight = asked(Method::OPTIONS, "/api/v1/calls", origin, true).await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, origin));
        assert!(preflight.header("access-control-allow-headers").contains("authorization"));
        assert!(preflight.header("access-control-allow-credentials").is_empty());
        let outside = asked(Method::GET, "/health", origin, false).await;
        assert!(outside.header("access-control-allow-origin").is_empty());
    }
    for origin in ["https://evil.example", "https://desk.example.evil.example", "null", "http://desk.example"] {
        let answer = asked(Method::GET, "/api/v1/calls", origin, false).await;
        assert!(answer.status == 200 && answer.header("access-control-allow-origin").is_empty(), "{origin}");
        let preflight = asked(Method::OPTIONS, "/api/v1/calls", origin, true).await;
        assert!(preflight.status == 405 && preflight.header("access-control-allow-origin").is_empty(), "{origin}");
    }
    assert!(web::get(&server.url("/health")).await.header("strict-transport-security").starts_with("max-age="));
}

#[actix_rt::test]
async fn each_kind_of_asker_has_its_own_rate_and_is_told_when_to_come_back() {
    let settings = Settings::default()
        .with("CALY__LIMITS__API_PER_KEY_PER_SECOND", "5")
        .with("CALY__LIMITS__CALLS_PER_CALLER_PER_MINUTE", "2")
        .with("CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", "6")
        .with("CALY__LIMITS__REQUESTS_PER_ADDRESS_PER_SECOND", "400")
        .with("CALY__SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = Server::start(settings).await;
    let from = |address: &'static str| ("x-forwarded-for", address);
    let ask = async |url: &str, headers: &[(&str, &str)]| web::request(Method::GET, url, headers, "").await;
    let limited = |answer: &web::Answer| {
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    };
    // One key asks too often; another does not notice.
    let other =
        server.cli_json(&["key", "create", "--role", "viewer", "--json"]).await["key"].as_str().unwrap().to_owned();
    let (one, other) = (format!("Bearer {}", server.admin_key().await), format!("Bearer {other}"));
    let calls = server.url("/api/v1/calls");
    let often = [("authorization", one.as_str()), from("203.0.113.1")];
    let crowd = join_all((0..40).map(|_| ask(&calls, &often)));
    let refused: Vec<web::Answer> = crowd.await.into_iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.len() >= 20, "{}", refused.len());
    refused.iter().for_each(limited);
    assert_eq!(
        web::request(Method::GET, &calls, &[("authorization", &other), from("203.0.113.1")], "").await.status,
        200
    );
    // One address guesses; the right credentials from it still pass, and others may still be wrong.
    let wrong = server.url("/webhooks/exotel/demo/status?key=guess");
    let guesser = [from("203.0.113.2")];
    let guesses = join_all((0..20).map(|_| ask(&wrong, &guesser))).await;
    assert!(guesses.iter().filter(|answer| answer.status == 429).inspect(|answer| limited(answer)).count() >= 10);
    web::request(Method::GET, &wrong, &[from("203.0.113.3")], "").await.problem(401);
    let right = server.hook("passthru", &[("CallSid", "nobody")]);
    assert_eq!(web::request(Method::GET, &right, &[from("203.0.113.2")], "").await.status, 302);
    // One caller rings too often; the next does not notice.
    let ring = |sid: String, caller: &'static str| {
        let url = server.hook("call-start", &[("CallSid", &sid), ("CallFrom", caller), ("CallTo", "08047112233")]);
        async move { web::request(Method::GET, &url, &[from("203.0.113.4")], "").await }
    };
    for (number, expected) in [(0, 200), (1, 200), (2, 429)] {
        assert_eq!(ring(format!("often{number}"), "09876511111").await.status, expected);
    }
    assert_eq!(ring("other1".to_owned(), "09876522222").await.status, 200);
    // One address asks too often for anything; another does not notice, and health always answers.
    let (nowhere, flood) = (server.url("/nowhere"), from("203.0.113.5"));
    let flooding = [flood];
    let mut told = 0;
    for _ in 0..20 {
        let crowd = join_all((0..100).map(|_| ask(&nowhere, &flooding))).await;
        told += crowd.iter().filter(|answer| answer.status == 429).inspect(|answer| limited(answer)).count();
    }
    assert!(told > 0);
    web::request(Method::GET, &nowhere, &[from("203.0.113.6")], "").await.problem(404);
    assert_eq!(web::request(Method::GET, &server.url("/health"), &[flood], "").await.status, 200);
    until("all of it is counted", SOON, || async {
        let text = web::get(&server.url("/metrics")).await.text();
        let named = |limit| text.contains(&format!("caly_rate_limited_total{{limit=\"{limit}\"}}"));
        ["api_keys", "failed_auth", "callers", "addresses"].into_iter().all(named).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_body_that_nobody_reads_does_not_keep_its_connection() {
    let server = Server::start(Settings::default()).await;
    let port = server.port;
    let asked = ["GET /health/live", "GET /api/v1/calls", "POST /webhooks/exotel/demo/call-start", "GET /nothing"];
    let ends = asked.map(|line| {
        tokio::task::spawn_blocking(move || {
            let mut socket = Raw::connect(port);
            socket.send(format!("{line} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes());
            let status = socket.status(SOON);
            let begun = Instant::now();
            socket.end(SOON);
            (line, status, begun.elapsed())
        })
    });
    for end in ends {
        let (line, status, life) = end.await.unwrap();
        assert!(life < Duration::from_secs(5), "{line}: answered {status}, open for {life:?} after that");
    }
}
