//! Planned panics, to show that supervision works. Compiled only with the feature `planned-panics`.

use actix_web::{HttpResponse, web};
use caly_actors::domain::{Carrier, CarrierCallId};
use caly_actors::supervise::PlannedPanic;

use super::App;
use super::problem::Problem;

/// `POST /test/panic/{carrier call id}/{media|realtime|intent|action|call}` and `POST /test/panic/handler`, `POST /test/panic/body`.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/test/panic/handler", web::post().to(handler))
        .route("/test/panic/body", web::post().to(body))
        .route("/test/panic/{call}/{child}", web::post().to(child));
}

#[allow(clippy::panic, reason = "panicking is the purpose")]
async fn handler() -> HttpResponse {
    panic!("planned")
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
