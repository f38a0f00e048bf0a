//! The REST side of the simulated carrier (v1): a server that is asked to place calls and then places them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::flow::CallbackEncoding;
use super::report::CallReport;
use super::wire;
use super::{CallPlan, Knobs, OUTBOUND, Scenario, place_call};
use crate::sim::{Complaints, Dice};

/// Placed calls remembered; the oldest goes first.
const CALLS_KEPT: usize = 10_000;
/// Requests a minute and account.
const CALLS_PER_MINUTE: usize = 200;

/// How the carrier's platform behaves.
#[derive(Clone, Debug)]
pub struct CarrierOptions {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// `api_key:api_token`; `None`: any pair that is not empty.
    pub credentials: Option<(String, String)>,
    /// The voicebot applet's URL of the one flow there is.
    pub flow_url: Option<String>,
    /// Applets behind it.
    pub passthru_url: Option<String>,
    /// See there.
    pub connect_url: Option<String>,
    /// Told of the end of calls that name no callback themselves.
    pub status_callback: Option<String>,
    /// What called people do.
    pub scenario: Scenario,
    /// How calls behave.
    pub knobs: Knobs,
    /// From the request until the called person answers.
    pub answer_after: Duration,
    /// The answer to the request comes later than the stream's `start`.
    pub start_before_rest_response: bool,
    /// `Duration` and `Price` of a call appear so long after its end (about two minutes in reality).
    pub details_after: Duration,
}

struct Placed {
    sid: String,
    from: String,
    to: String,
    created: String,
    custom_field: Option<String>,
    begun: Instant,
    ended: Option<(Instant, CallReport)>,
}

#[derive(Default)]
struct Book {
    calls: HashMap<String, Placed>,
    order: VecDeque<String>,
    requests: VecDeque<Instant>,
}

#[derive(Clone)]
struct State {
    options: Arc<CarrierOptions>,
    book: Arc<Mutex<Book>>,
    violations: Complaints,
}

impl State {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running platform.
#[derive(Clone)]
pub struct CarrierServer {
    /// `http://127.0.0.1:PORT`, to be used in place of `https://api.exotel.com`.
    pub url: String,
    /// Of the HTTP server.
    pub handle: ServerHandle,
    state: State,
}

impl CarrierServer {
    /// What clients of the REST side did wrong, a sentence each.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state.violations.list()
    }

    /// Reports of the calls that are over.
    #[must_use]
    pub fn reports(&self) -> Vec<CallReport> {
        let book = self.state.book();
        book.order.iter().filter_map(|sid| book.calls.get(sid)?.ended.as_ref().map(|end| end.1.clone())).collect()
    }

    /// Stops listening.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

/// Starts the platform; returns once it listens. The server runs on a thread of its own.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(options: CarrierOptions) -> io::Result<CarrierServer> {
    let bind = options.bind;
    let state = State { options: Arc::new(options), book: Arc::default(), violations: Complaints::default() };
    let shared = state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(shared.clone()))
            .route("/v1/Accounts/{sid}/Calls/{call}", web::get().to(details))
            .route("/v1/Accounts/{sid}/Calls/{connect}", web::post().to(connect))
            .route("/v1/Accounts/{sid}/ActiveStreams", web::get().to(active_streams))
            .route("/sandbox/reports", web::get().to(reports))
            .default_service(web::to(|| async { problem(404, "Not Found", 34040, true) }))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .bind(bind)?;
    let address = server.addrs().first().copied().unwrap_or(bind);
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(CarrierServer { url: format!("http://{address}"), handle, state })
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

fn problem(code: u16, message: &str, number: u32, as_json: bool) -> HttpResponse {
    let mut answer = HttpResponse::build(status(code));
    if as_json {
        let body = json!({"RestException": {"Status": code, "Message": message, "Code": number}});
        return answer.content_type("application/json").body(body.to_string());
    }
    let message = escape(message);
    answer.content_type("application/xml").body(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><TwilioResponse><RestException><Status>{code}</Status><Message>{message}</Message></RestException></TwilioResponse>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `Ok` with good credentials for this account.
fn authorised(request: &HttpRequest, state: &State) -> Result<(), &'static str> {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let encoded = header.and_then(|value| value.strip_prefix("Basic ")).ok_or("Authorization: Basic is missing")?;
    let pair = crate::sim::audio::base64_decode(encoded.trim()).map_err(|_| "the Basic credentials are no base64")?;
    let pair = String::from_utf8(pair).map_err(|_| "the Basic credentials are no text")?;
    let (key, token) = pair.split_once(':').ok_or("the Basic credentials have no colon")?;
    let fits = match &state.options.credentials {
        Some((wanted_key, wanted_token)) => key == wanted_key && token == wanted_token,
        None => !key.is_empty() && !token.is_empty(),
    };
    if fits { Ok(()) } else { Err("wrong API key or token") }
}

type Fields = Vec<(String, String)>;

async fn fields(request: &HttpRequest, body: web::Bytes) -> Result<Fields, String> {
    let kind = request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(form_urlencoded::parse(&body).into_owned().collect());
    }
    if !kind.starts_with("multipart/form-data") {
        return Err(format!("the content type '{kind}' is neither form-urlencoded nor multipart"));
    }
    let boundary = multer::parse_boundary(&kind).map_err(|error| error.to_string())?;
    let stream = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|error| error.to_string())? {
        let name = part.name().unwrap_or_default().to_owned();
        fields.push((name, part.text().await.map_err(|error| error.to_string())?));
    }
    Ok(fields)
}

async fn connect(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
    state: web::Data<State>,
) -> HttpResponse {
    let (account, verb) = path.into_inner();
    let as_json = match verb.as_str() {
        "connect.json" => true,
        "connect" => false,
        _ => return problem(404, "Not Found", 34040, true),
    };
    if let Err(reason) = authorised(&request, &state) {
        state.violations.add(format!("Calls/connect: {reason}"));
        return problem(401, "Unauthorized", 34010, as_json);
    }
    {
        let mut book = state.book();
        let minute = Duration::from_secs(60);
        while book.requests.front().is_some_and(|at| at.elapsed() > minute) {
            book.requests.pop_front();
        }
        if book.requests.len() >= CALLS_PER_MINUTE {
            return problem(429, "Too Many Requests", 34029, as_json);
        }
        book.requests.push_back(Instant::now());
    }
    let plan = match fields(&request, body).await.and_then(|fields| plan_for(&account, &fields, &state)) {
        Ok(plan) => plan,
        Err(reason) => {
            state.violations.add(format!("Calls/connect: {reason}"));
            return problem(400, &reason, 34001, as_json);
        }
    };
    let sid = plan.call_sid.clone().unwrap_or_default();
    admit(&state, &sid, &plan);
    let behind = state.clone();
    actix_rt::spawn(async move {
        tokio::time::sleep(behind.options.answer_after).await;
        let sid = plan.call_sid.clone().unwrap_or_default();
        let report = place_call(plan).await;
        if let Some(call) = behind.book().calls.get_mut(&sid) {
            call.ended = Some((Instant::now(), report));
        }
    });
    if state.options.start_before_rest_response {
        tokio::time::sleep(state.options.answer_after + Duration::from_millis(1500)).await;
    }
    describe(&state, &account, &sid, as_json, false)
}

fn admit(state: &State, sid: &str, plan: &CallPlan) {
    let mut book = state.book();
    if book.order.len() >= CALLS_KEPT
        && let Some(oldest) = book.order.pop_front()
    {
        book.calls.remove(&oldest);
    }
    book.order.push_back(sid.to_owned());
    let placed = Placed {
        sid: sid.to_owned(),
        from: wire::shown(&plan.from, &plan.knobs),
        to: wire::shown(&plan.to, &plan.knobs),
        created: wire::plain_time(),
        custom_field: plan.custom_field.clone(),
        begun: Instant::now(),
        ended: None,
    };
    book.calls.insert(sid.to_owned(), placed);
}

/// The call that the form asks for, or why there is none (protocol §1.3.1).
fn plan_for(account: &str, fields: &Fields, state: &State) -> Result<CallPlan, String> {
    let get = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let need = |name: &str| get(name).filter(|value| !value.is_empty()).ok_or(format!("{name} is mandatory"));
    let (from, caller_id) = (need("From")?, need("CallerId")?);
    let ranges = [("TimeLimit", 1, 14_400), ("TimeOut", 1, 60)];
    for (name, low, high) in ranges {
        if get(name).is_some_and(|value| !value.parse::<u32>().is_ok_and(|value| (low..=high).contains(&value))) {
            return Err(format!("{name} must be {low} to {high}"));
        }
    }
    if get("CustomField").is_some_and(|value| value.chars().count() > 128) {
        return Err("CustomField has more than 128 characters".to_owned());
    }
    let options = &state.options;
    let flow = match (get("Url"), get("StreamUrl")) {
        (Some(_), Some(_)) => return Err("Url and StreamUrl must not be combined".to_owned()),
        (Some(url), None) => {
            let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            if host.as_deref() != Some("my.exotel.com") || !url.contains("/exoml/start_voice/") {
                return Err("Url must be http(s)://my.exotel.com/{sid}/exoml/start_voice/{app_id}".to_owned());
            }
            true
        }
        (None, Some(url)) => {
            if get("StreamType") != Some("bidirectional") {
                return Err("StreamType must be bidirectional".to_owned());
            }
            if url.len() >= 600 {
                return Err("StreamUrl must be shorter than 600 characters".to_owned());
            }
            false
        }
        (None, None) => return Err("the sandbox places calls to a flow (Url) or a bot (StreamUrl) only".to_owned()),
    };
    let voicebot = if flow { options.flow_url.clone() } else { get("StreamUrl").map(str::to_owned) };
    let voicebot = voicebot.ok_or("the sandbox has no flow: start it with --flow-url")?;
    let mut plan = CallPlan::new(&voicebot, options.scenario.clone());
    plan.call_sid = Some(wire::sid(&mut Dice::new(plan.seed)));
    (plan.from, plan.to, plan.account_sid) = (from.to_owned(), caller_id.to_owned(), account.to_owned());
    plan.direction = OUTBOUND.to_owned();
    plan.custom_field = get("CustomField").map(str::to_owned);
    plan.knobs = options.knobs.clone();
    if get("StatusCallbackContentType") == Some("application/json") {
        plan.knobs.callback_encoding = CallbackEncoding::Json;
    }
    if flow {
        plan.passthru_url = options.passthru_url.clone();
        plan.connect_url = options.connect_url.clone();
    } else {
        plan.scenario.expect = None;
    }
    plan.status_callback = get("StatusCallback").map(str::to_owned).or_else(|| options.status_callback.clone());
    plan.status_events = fields
        .iter()
        .filter(|(key, _)| key.starts_with("StatusCallbackEvents["))
        .map(|(_, value)| value.clone())
        .collect();
    Ok(plan)
}

fn describe(state: &State, account: &str, sid: &str, as_json: bool, with_details: bool) -> HttpResponse {
    let book = state.book();
    let Some(call) = book.calls.get(sid) else {
        return problem(404, "Call not found", 34040, as_json);
    };
    let ended = call.ended.as_ref();
    // The bill takes its time, as it does in reality.
    let billed = ended.filter(|(at, _)| at.elapsed() >= state.options.details_after);
    let words = match ended {
        None => "in-progress",
        Some((_, report)) if matches!(report.outcome, super::Outcome::Refused(_)) => "failed",
        Some(_) => "completed",
    };
    let seconds = billed.map(|(_, report)| report.stream.as_secs().to_string());
    let mut body = json!({"Sid": call.sid, "ParentCallSid": null, "DateCreated": call.created,
        "DateUpdated": call.created, "AccountSid": account, "To": call.to, "From": call.from,
        "PhoneNumberSid": call.to, "Status": words, "StartTime": call.created,
        "EndTime": billed.map(|_| wire::plain_time()), "Duration": seconds, "Price": billed.map(|_| "0.000000"),
        "Direction": "outbound-api", "AnsweredBy": null, "ForwardedFrom": null, "CallerName": null,
        "Uri": format!("/v1/Accounts/{account}/Calls.json/{}", call.sid), "CustomField": call.custom_field,
        "RecordingUrl": null});
    if with_details {
        body["Details"] = json!({"ConversationDuration": seconds, "Leg1Status": words, "Leg2Status": null,
            "Legs": [{"Leg": {"Id": 1, "OnCallDuration": call.begun.elapsed().as_secs()}}]});
    }
    if as_json {
        return HttpResponse::Ok().content_type("application/json").body(json!({"Call": body}).to_string());
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><TwilioResponse><Call>");
    for (key, value) in body.as_object().into_iter().flatten().filter(|(key, _)| *key != "Details") {
        let text = value.as_str().map(escape).unwrap_or_default();
        xml.push_str(&format!("<{key}>{text}</{key}>"));
    }
    xml.push_str("</Call></TwilioResponse>");
    HttpResponse::Ok().content_type("application/xml").body(xml)
}

async fn details(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> HttpResponse {
    let (account, name) = path.into_inner();
    let (sid, as_json) = name.strip_suffix(".json").map_or((name.as_str(), false), |sid| (sid, true));
    if let Err(reason) = authorised(&request, &state) {
        state.violations.add(format!("Calls/{{CallSid}}: {reason}"));
        return problem(401, "Unauthorized", 34010, as_json);
    }
    describe(&state, &account, sid, as_json, request.query_string().contains("details=true"))
}

async fn active_streams(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    if authorised(&request, &state).is_err() {
        return problem(401, "Unauthorized", 34010, false);
    }
    let active = state.book().calls.values().filter(|call| call.ended.is_none()).count();
    HttpResponse::Ok().content_type("application/xml").body(format!(
        "<?xml version=\"1.0\"?><TwilioResponse><Stream><ActiveStreamCount>{active}</ActiveStreamCount><ThrottleLimit>100</ThrottleLimit></Stream></TwilioResponse>"
    ))
}

/// Reports of finished calls, for people and scripts; not part of the vendor's interface.
async fn reports(state: web::Data<State>) -> HttpResponse {
    let book = state.book();
    let list: Vec<Value> =
        book.order.iter().filter_map(|sid| book.calls.get(sid)?.ended.as_ref().map(|end| end.1.to_json())).collect();
    HttpResponse::Ok()
        .content_type("application/json")
        .body(json!({"reports": list, "violations": state.violations.list()}).to_string())
}
