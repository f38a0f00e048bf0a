//! The door of the media stream: who may open it, and once.

use std::time::{Duration, Instant, SystemTime};

use caly::store::{Basic, NewClient, Store, StoreOptions};
use caly::tokens::{Purpose, Tokens};
use caly_actors::domain::{CallId, ClientId, PhoneNumber};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use uuid::Uuid;

use crate::line::{Line, sid, start_message, text};
use crate::server::{PERSON, SOON, Server, Settings};
use crate::web::{self, open, until};

const SECRET: &str = "a-secret-of-this-test-with-32-characters-and-more";

fn settings() -> Settings {
    Settings::default().with("CALY__SECURITY__TOKEN_SECRET", SECRET)
}

async fn ids(server: &Server, sid: &str) -> (CallId, ClientId) {
    let row = until("the call has a row", SOON, || async { server.rows_of(sid).await.pop() }).await;
    let id = |key: &str| Uuid::try_parse(row[key].as_str().unwrap()).unwrap();
    (CallId(id("id")), ClientId(id("client_id")))
}

#[actix_rt::test]
async fn only_a_true_token_of_a_live_call_opens_the_door() {
    let server = Server::start(settings()).await;
    let sid = sid("door");
    let good = server.media_url(&sid).await;
    let (call, client) = ids(&server, &sid).await;
    let soon = SystemTime::now() + Duration::from_secs(60);
    let past = SystemTime::now() - Duration::from_secs(2);
    let at = |token: &str| format!("ws://127.0.0.1:{}/media/exotel/{token}?sample-rate=8000", server.port);
    let ours = Tokens::new(SECRET.as_bytes());
    let token = good.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut flipped = token.as_bytes().to_vec();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    for (what, token) in [
        ("no token", "x".to_owned()),
        ("a changed one", String::from_utf8(flipped).unwrap()),
        ("a cut one", token[..token.len() - 2].to_owned()),
        (
            "a forged one",
            Tokens::new(b"another-secret-of-the-same-length-and-more-of-it").mint(Purpose::Media, call, client, soon),
        ),
        ("an expired one", ours.mint(Purpose::Media, call, client, past)),
        ("one for webhooks", ours.mint(Purpose::Webhook, call, client, soon)),
        ("another client's", ours.mint(Purpose::Media, call, ClientId(Uuid::now_v7()), soon)),
        ("an endless one", "y".repeat(4000)),
    ] {
        assert_eq!(open(&at(&token), &[]).await.err(), Some(401), "{what}");
        web::get(&at(&token).replace("ws://", "http://")).await.problem(401);
    }
    assert_eq!(open(&good, &[("origin", "https://shop.example")]).await.err(), Some(403), "browsers stay out");
    assert_eq!(open(&at(&ours.mint(Purpose::Media, CallId::new(), client, soon)), &[]).await.err(), Some(410));
    let line = Line::on(open(&good, &[]).await.unwrap(), &sid).await;
    line.agent_said(300, 0).await;
    line.hang_up();
    server.ended_call(&sid).await;
    assert_eq!(open(&good, &[]).await.err(), Some(410), "the call is over");
    assert!(server.metric("caly_media_refused_total").await >= 10.0);
}

#[actix_rt::test]
async fn a_token_is_good_for_as_long_as_configured() {
    let server = Server::start(settings().with("CALY__SECURITY__MEDIA_TOKEN_TTL", "1s")).await;
    let url = server.media_url(&sid("late")).await;
    until("the token is refused", SOON, || async { (open(&url, &[]).await.err() == Some(401)).then_some(()) }).await;
}

#[actix_rt::test]
async fn a_second_socket_replaces_one_without_a_start_and_no_other() {
    let server = Server::start(Settings::default()).await;
    let sid = sid("twice");
    let url = server.media_url(&sid).await;
    let mut first = open(&url, &[]).await.unwrap();
    first.send(text(&json!({"event": "connected"}))).await.unwrap();
    let second = open(&url, &[]).await.expect("the carrier's second attempt replaces the first");
    let line = Line::on(second, &sid).await;
    let ended = async { while let Some(Ok(_)) = first.next().await {} };
    tokio::time::timeout(SOON, ended).await.expect("the first socket is closed");
    line.agent_said(300, 0).await;
    assert_eq!(open(&url, &[]).await.err(), Some(409), "a stream that has started is not taken over");
    line.ask("shop_hours").await;
    line.hang_up();
    let detail = server.ended_call(&sid).await;
    assert_eq!(detail["call"]["end_reason"], "caller_hung_up");
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_stream_that_is_dead_for_five_seconds_is_taken_over_and_told_so() {
    let server = Server::start(settings()).await;
    let sid = sid("dead");
    let url = server.media_url(&sid).await;
    let first = Line::on(open(&url, &[]).await.unwrap(), &sid).await;
    first.agent_said(300, 0).await;
    assert_eq!(open(&url, &[]).await.err(), Some(409), "while it lives");
    first.mute();
    let muted = Instant::now();
    let second = until("the dead one gives way", SOON, || async { open(&url, &[]).await.ok() }).await;
    assert!(muted.elapsed() >= Duration::from_secs(4), "after {:?}", muted.elapsed());
    assert_eq!(first.closed(SOON).await, Some(4409));
    let line = Line::on(second, &sid).await;
    line.ask("shop_hours").await;
    line.hang_up();
    assert_eq!(server.ended_call(&sid).await["call"]["end_reason"], "caller_hung_up");
}

#[actix_rt::test]
async fn a_stream_that_never_carried_a_frame_is_taken_over_as_well_and_so_is_the_next() {
    let server = Server::start(settings()).await;
    let sid = sid("frameless");
    let url = server.media_url(&sid).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = until("the dead one gives way", SOON, || async { open(&url, &[]).await.ok() }).await;
        socket.send(text(&start_message(&sid, "s1", "8000"))).await.unwrap();
        sockets.push(socket);
    }
    let last = until("the second dead one gives way", SOON, || async { open(&url, &[]).await.ok() }).await;
    let line = Line::on(last, &sid).await;
    line.ask("shop_hours").await;
    line.hang_up();
    assert_eq!(server.ended_call(&sid).await["call"]["end_reason"], "caller_hung_up");
}

#[actix_rt::test]
async fn a_static_stream_is_opened_only_from_where_its_client_allows() {
    let server = Server::start(Settings::default()).await;
    let make = |slug: &'static str, network: &'static str| {
        let server = &server;
        async move {
            let words =
                ["client", "create", "--slug", slug, "--name", "A shop", "--basic", "exotel", "--allow-ip", network];
            let made = server.cli_json(&[&words[..], &["--json"]].concat()).await;
            let url = url::Url::parse(made["stream_url"].as_str().unwrap()).unwrap();
            let pair = format!("exotel:{}", url.password().unwrap());
            let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
            (server.url(&format!("/media/exotel/client/{slug}")).replace("http://", "ws://"), format!("Basic {basic}"))
        }
    };
    let (elsewhere, elsewhere_basic) = make("elsewhere", "10.0.0.0/8").await;
    let (here, here_basic) = make("here", "127.0.0.0/8").await;
    until("the clients are known", SOON, || async { open(&here, &[("authorization", &here_basic)]).await.ok() }).await;
    assert_eq!(open(&elsewhere, &[("authorization", &elsewhere_basic)]).await.err(), Some(401));
    let audit = server.api("/audit?limit=50").await;
    assert!(audit.to_string().contains("media_rejected"), "{audit}");
}

#[actix_rt::test]
async fn a_static_url_opens_with_basic_credentials_and_finds_its_call_by_the_start() {
    let server = Server::start(Settings::default()).await;
    // The command line cannot give a client Basic credentials yet.
    let options = StoreOptions { max_connections: 2, acquire_timeout: SOON, statement_timeout: SOON };
    let store = Store::connect(&server.database_url, options).await.unwrap();
    store.migrate().await.unwrap();
    let basic = Basic { user: "exotel".to_owned(), password: "a long password of ours".to_owned() };
    let made = store.create_client(NewClient { basic: Some(basic), ..NewClient::named("static", "A shop") }).await;
    let client = ClientId(made.unwrap().client.id);
    store.add_number(client, &PhoneNumber::parse("+918047112244").unwrap(), None).await.unwrap();
    let agent = json!({"instructions": "Be brief.", "language": "hi-Latn", "handoff_numbers": [PERSON]});
    store.publish_agent(client, "Asha", agent).await.unwrap();
    store.close().await;
    let url = server.url("/media/exotel/client/static").replace("http://", "ws://");
    let encode = |pair: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
    let good = format!("Basic {}", encode("exotel:a long password of ours"));
    let socket =
        until("the client is known", SOON, || async { open(&url, &[("authorization", &good)]).await.ok() }).await;
    for wrong in [encode("exotel:wrong"), encode("demo:a long password of ours"), "???".to_owned(), String::new()] {
        assert_eq!(open(&url, &[("authorization", &format!("Basic {wrong}"))]).await.err(), Some(401), "{wrong}");
    }
    assert_eq!(open(&url, &[]).await.err(), Some(401));
    assert_eq!(open(&url, &[("authorization", &good), ("origin", "https://a.example")]).await.err(), Some(403));

    let (sid, stream) = (sid("static"), "static1".to_owned());
    let mut start = start_message(&sid, &stream, "8000");
    start["start"]["to"] = "08047112244".into();
    let line = Line::started(socket, &sid, &stream);
    line.send_json(&json!({"event": "connected"}));
    line.send_json(&start);
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    line.hang_up();
    assert_eq!(server.ended_call(&sid).await["call"]["end_reason"], "caller_hung_up");

    // A start for a number of nobody is refused with a code of its own.
    let stray = Line::started(open(&url, &[("authorization", &good)]).await.unwrap(), "stray1", "stray1");
    start["start"]["call_sid"] = "stray1".into();
    start["start"]["to"] = "08099999999".into();
    stray.send_json(&start);
    assert_eq!(stray.closed(SOON).await, Some(4404));
    server.nothing_left(Duration::from_secs(5)).await;
}
