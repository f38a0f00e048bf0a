//! Planned panics, to show that supervision works. Compiled only with the feature `planned-panics`.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use caly_actors::domain::{Carrier, CarrierCallId};
use caly_actors::supervise::{PlannedBlock, PlannedPanic};

use super::App;
use super::problem::Problem;

/// `POST /test/panic/{carrier call id}/{media|realtime|intent|action|call}`, `POST /test/panic/handler`, whose body becomes
/// a part of the panic's message, `POST /test/panic/body`, in the middle of an answer, and `POST /test/block/{carrier call id}/{ms}`, which makes the call's intent child hold
/// its thread.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/test/panic/handler", web::post().to(handler))
        .route("/test/panic/body", web::post().to(body))
        .route("/test/panic/{call}/{child}", web::post().to(child))
        .route("/test/block/{call}/{ms}", web::post().to(block));
}

#[allow(clippy::panic, reason = "panicking is the purpose")]
async fn handler(message: String) -> HttpResponse {
    panic!("planned {message}")
}

/// Panics after the first piece of a streaming answer.
#[allow(clippy::panic, reason = "panicking is the purpose")]
async fn body() -> HttpResponse {
    let pieces = futures_util::stream::unfold(0, |piece| async move {
        assert!(piece == 0, "planned");
        Some((Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(b"first")), piece + 1))
    });
    HttpResponse::Ok().streaming(pieces)
}

async fn child(path: web::Path<(String, String)>, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let (call, child) = path.into_inner();
    let id = CarrierCallId::parse(&call).map_err(|_| Problem::not_found())?;
    let call = app.calls.by_carrier(Carrier::Exotel, &id).ok_or_else(Problem::not_found)?;
    if child == "call" {
        call.actor.do_send(PlannedPanic);
        return Ok(HttpResponse::Accepted().finish());
    }
    let children = call.children().ok_or_else(Problem::gone)?;
    match child.as_str() {
        "media" => children.media.do_send(PlannedPanic),
        "realtime" => children.realtime.do_send(PlannedPanic),
        "intent" => children.intent.do_send(PlannedPanic),
        "action" => children.actions.do_send(PlannedPanic),
        _ => return Err(Problem::not_found()),
    }
    Ok(HttpResponse::Accepted().finish())
}

async fn block(path: web::Path<(String, u64)>, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let (call, ms) = path.into_inner();
    let id = CarrierCallId::parse(&call).map_err(|_| Problem::not_found())?;
    let call = app.calls.by_carrier(Carrier::Exotel, &id).ok_or_else(Problem::not_found)?;
    let children = call.children().ok_or_else(Problem::gone)?;
    children.intent.do_send(PlannedBlock(Duration::from_millis(ms)));
    Ok(HttpResponse::Accepted().finish())
}
