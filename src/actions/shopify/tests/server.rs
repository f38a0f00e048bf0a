//! A shop of hand-written answers: what it is asked is written down, and a test says what it answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The first field of the document: `orders`, `orderCancel` …
    pub field: String,
    pub variables: Value,
    pub token: String,
    pub path: String,
}

/// What to answer.
pub(super) enum Reply {
    /// 200 with this `data`.
    Data(Value),
    /// 200 with this body.
    Body(Value),
    /// Another status, with `Retry-After` if it is not empty.
    Status(u16, &'static str),
    /// Not at all.
    Silence,
    /// More than anybody wants to read.
    Flood,
}

type Answer = Box<dyn FnMut(&Heard) -> Reply + Send>;

struct Inner {
    heard: Mutex<Vec<Heard>>,
    answer: Mutex<Answer>,
}

/// See the module's text. It ends with the test.
#[derive(Clone)]
pub(super) struct Server {
    pub address: String,
    inner: Arc<Inner>,
}

impl Server {
    pub(super) fn open(answer: impl FnMut(&Heard) -> Reply + Send + 'static) -> Self {
        let inner = Arc::new(Inner { heard: Mutex::default(), answer: Mutex::new(Box::new(answer)) });
        let kept = Arc::clone(&inner);
        let app = move || App::new().app_data(web::Data::from(Arc::clone(&kept))).default_service(web::post().to(told));
        let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", server.addrs()[0]);
        actix_rt::spawn(server.run());
        Self { address, inner }
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.inner.heard.lock().unwrap().clone()
    }

    /// How often something was asked for.
    pub(super) fn count(&self, field: &str) -> usize {
        self.heard().iter().filter(|heard| heard.field == field).count()
    }

    /// Changes that were asked for.
    pub(super) fn writes(&self) -> usize {
        let writes = ["orderCancel", "orderUpdate", "returnRequest", "draftOrderCreate"];
        writes.into_iter().map(|field| self.count(field)).sum()
    }
}

/// The first field that a document asks for.
fn field(query: &str) -> String {
    let inside = query.split_once('{').map_or("", |(_, inside)| inside);
    inside.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect()
}

async fn told(request: HttpRequest, body: web::Bytes, inner: web::Data<Inner>) -> HttpResponse {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let heard = Heard {
        field: field(asked["query"].as_str().unwrap()),
        variables: asked["variables"].clone(),
        token: header("x-shopify-access-token"),
        path: request.path().to_owned(),
    };
    inner.heard.lock().unwrap().push(heard.clone());
    let reply = (inner.answer.lock().unwrap())(&heard);
    let mut ok = HttpResponse::Ok();
    ok.insert_header(("X-Shopify-API-Version", "2026-10"));
    match reply {
        Reply::Data(data) => ok.json(json!({ "data": data, "extensions": { "cost": {
            "requestedQueryCost": 20, "actualQueryCost": 10,
            "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 1990, "restoreRate": 100.0 } } } })),
        Reply::Body(body) => ok.json(body),
        Reply::Status(status, wait) => {
            let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
            if !wait.is_empty() {
                answer.insert_header(("Retry-After", wait));
            }
            answer.body("<html>")
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            HttpResponse::Gone().finish()
        }
        Reply::Flood => ok.body("[".repeat(1024 * 1024)),
    }
}
