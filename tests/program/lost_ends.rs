//! The carrier's webhook about a call's end is lost: the carrier is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::line::{Line, sid};
use crate::server::{SOON, Server, Settings};
use crate::web::until;

/// The carrier's REST door, as far as calls can be asked about: what it says of each, by the call's id.
#[derive(Default)]
struct Platform {
    says: Mutex<HashMap<String, &'static str>>,
}

async fn details(request: HttpRequest, path: web::Path<String>, platform: web::Data<Platform>) -> HttpResponse {
    assert_eq!(request.headers().get("authorization").unwrap(), "Basic azp0", "k:t");
    let call = path.strip_suffix(".json").unwrap();
    match platform.says.lock().unwrap().get(call) {
        Some(status) => HttpResponse::Ok().json(json!({ "Call": { "Sid": call, "Status": status, "Duration": "42",
            "From": "09876543210", "To": "08047112233", "Direction": "inbound",
            "EndTime": "2026-11-20 10:00:42" } })),
        None => HttpResponse::NotFound().json(json!({ "RestException": { "Status": 404, "Message": "no such call" } })),
    }
}

async fn asked_by_caly() -> (Arc<Platform>, Server) {
    let platform = Arc::new(Platform::default());
    let kept = Arc::clone(&platform);
    let server = HttpServer::new(move || {
        let data = web::Data::from(Arc::clone(&kept));
        App::new().app_data(data).route("/v1/Accounts/acme1/Calls/{call}", web::get().to(details))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_rt::spawn(server.run());
    let settings = Settings::default()
        .with("CALY__EXOTEL__BASE_URL", url)
        .with("CALY__EXOTEL__ACCOUNT_SID", "acme1")
        .with("CALY__EXOTEL__API_KEY", "k")
        .with("CALY__EXOTEL__API_TOKEN", "t")
        .with("CALY__EXOTEL__ASK_AFTER", "1s");
    (platform, Server::start(settings).await)
}

#[actix_rt::test]
async fn an_end_the_carrier_never_told_is_asked_for() {
    let (platform, server) = asked_by_caly().await;
    let line = Line::call(&server, "untold").await;
    line.agent_said(300, 0).await;
    platform.says.lock().unwrap().insert(line.sid.clone(), "completed");
    line.cut();
    let detail = until("the carrier's word is on record", SOON, || async {
        let detail = server.ended_call(&line.sid).await;
        (detail["call"]["carrier_status"] == "completed").then_some(detail)
    })
    .await;
    assert_eq!(detail["call"]["end_reason"], "caller_hung_up", "Caly's own reason stands");
    assert_eq!(detail["call"]["carrier_duration_s"], 42);

    // Admitted, and the stream never came: it ends when the carrier says so, long before the limit.
    let waiting = sid("waiting");
    platform.says.lock().unwrap().insert(waiting.clone(), "no-answer");
    assert_eq!(server.call_start(&waiting).await.status, 200);
    let detail = server.ended_call(&waiting).await;
    assert_eq!(detail["call"]["end_reason"], "carrier_ended", "{:#}", detail["call"]);

    // Its stream is up and silent, and the carrier has no call any more: the socket is closed.
    let silent = Line::call(&server, "silent").await;
    silent.agent_said(300, 0).await;
    silent.mute();
    platform.says.lock().unwrap().insert(silent.sid.clone(), "failed");
    silent.closed(SOON).await;
    assert_eq!(server.ended_call(&silent.sid).await["call"]["end_reason"], "carrier_ended");
}

#[actix_rt::test]
async fn a_call_still_up_at_the_carrier_after_its_end_here_is_reported() {
    let (platform, server) = asked_by_caly().await;
    let line = Line::call(&server, "ghost").await;
    line.agent_said(300, 0).await;
    platform.says.lock().unwrap().insert(line.sid.clone(), "in-progress");
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    until("the ghost is reported", SOON, || async {
        let detail = server.ended_call(&line.sid).await;
        let events = detail["events"].as_array().unwrap();
        (events.iter().filter(|event| event["kind"] == "ghost_call").count() == 1).then_some(())
    })
    .await;
    assert!(server.log().contains("still up at the carrier"));
    let text = crate::web::get(&server.url("/metrics")).await.text();
    assert!(text.contains("caly_carrier_asked_total{found=\"ghost\"} 1"), "{text}");
}
